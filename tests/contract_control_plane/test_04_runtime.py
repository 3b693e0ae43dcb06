"""Contract, 4.1: runtime nodes and what a client meets at a daemon."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Wire

NODE = {
    "id", "companyId", "runtimeId", "name", "hostname", "gatewayVersion", "capabilitiesJson",
    "status", "lastSeenAt", "startedAt", "createdAt", "deletedAt",
}  # fmt: skip
FLAGS = {
    "runtimeRegister", "sessions", "heartbeat", "threads", "checkpoints", "resourcesIsShared",
    "messagesAgentMentionsReply", "docsVersioned", "forceSharingInjection",
}  # fmt: skip


def register(wire: Wire, **body: Any) -> Any:
    reply = wire.post("/runtime/register", {"runtimeId": "r-1", "name": "Bridge"} | body, key=None)
    assert reply.status == 200, reply.body
    return reply["runtimeNode"]


def test_must_register_and_read_the_id_back(wire: Wire) -> None:
    name = f"host:{uuid4()}"
    given = {
        "hostname": "box",
        "gatewayVersion": "2026.1.1",
        "capabilitiesJson": ["chat", {"kind": "exec"}],
        "startedAt": "2026-01-02T03:04:05.678Z",
    }
    node = register(wire, runtimeId=name, **given)
    assert set(node) >= NODE
    assert node["runtimeId"] == name
    assert {field: node[field] for field in given} == given
    assert (node["status"], node["companyId"]) == ("active", wire.id)
    assert node["lastSeenAt"] and node["deletedAt"] is None


def test_register_again_is_the_same_node_seen_anew(wire: Wire) -> None:
    first = register(wire, hostname="a")
    again = register(wire, name="Other", hostname="b")
    assert again["id"] == first["id"] and again["createdAt"] == first["createdAt"]
    assert (again["name"], again["hostname"]) == ("Other", "b")
    assert again["lastSeenAt"] >= first["lastSeenAt"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"runtimeId": "r"},
        {"name": "n"},
        {"runtimeId": "", "name": "n"},
        {"runtimeId": 1, "name": "n"},
        {"runtimeId": "r", "name": "n", "capabilitiesJson": "chat"},
        {"runtimeId": "r", "name": "n", "startedAt": "yesterday"},
        [],
    ],
)
def test_register_without_what_it_needs_is_400(wire: Wire, body: Any) -> None:
    reply = wire.post("/runtime/register", body, key=None)
    assert reply.status == 400 and reply["error"]


def test_health_says_where_and_what_the_daemon_is(wire: Wire) -> None:
    health = wire.get("/runtime/health")
    assert health.status == 200
    assert (health["ok"], health["companyId"]) == (True, wire.id)
    assert set(health["capabilities"]) >= FLAGS
    assert all(isinstance(on, bool) for on in health["capabilities"].values())
    assert health["serverTime"].endswith("Z")


def test_must_answer_compact_json_that_the_installer_can_grep(wire: Wire) -> None:
    text = wire.get("/runtime/health").raw.decode()
    for name in ("emperorVersion", "recommendedSkillVersion", "minimumBridgeVersion", "docsUrl"):
        assert re.search(rf'"{name}":"[^"]+"', text), name


def test_quirk_the_base_url_is_the_one_that_the_caller_reached(wire: Wire) -> None:
    """The original computes it from its own bind address, e.g. 0.0.0.0."""
    health = wire.get("/runtime/health")
    assert health["apiBaseUrl"] == wire.url.rstrip("/")
    assert health["wsUrl"] == f"ws{health['apiBaseUrl'].removeprefix('http')}/api/mcp/ws"
    there = wire.get("/runtime/health", headers={"Host": "homarus.localhost:1"})
    if there.status == 200:
        assert there["apiBaseUrl"] == "http://homarus.localhost:1"


def test_health_needs_no_token(wire: Wire) -> None:
    reply = wire.get("!/api/health", headers={"Authorization": ""})
    assert (reply.status, reply["status"]) == (200, "ok")
    assert reply["version"] and reply["checks"]["database"]


def test_version_needs_no_token(wire: Wire) -> None:
    reply = wire.get("!/api/version", headers={"Authorization": ""})
    assert reply.status == 200 and json.loads(reply.raw)["version"]
