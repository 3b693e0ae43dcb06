"""Contract, section 7: the JSON-RPC root."""

from typing import Any

import pytest

from tests.contract_control_plane.wire import Answer, Wire

ROOT = "!/api/mcp"
NOT_FOUND, BAD_PARAMS = -32601, -32602


def rpc(wire: Wire, method: str, params: Any = None, *, ref: Any = 7, **more: Any) -> Answer:
    body = {"jsonrpc": "2.0", "id": ref, "method": method}
    return wire.post(ROOT, body if params is None else body | {"params": params}, **more)


def test_must_answer_a_summary(wire: Wire) -> None:
    wire.agent()
    told = rpc(wire, "status.summary")
    assert (told.status, told["jsonrpc"], told["id"]) == (200, "2.0", 7)
    assert set(told["result"]) == {"agents", "projects", "tasks", "status", "contextNotes"}
    assert told["result"]["agents"] >= 1 and told["result"]["status"] == "online"


def test_agents_are_upserted_by_name(wire: Wire) -> None:
    made = rpc(wire, "agents.upsert", {"name": "rpc-agent", "role": "scout"})
    assert made.status == 200 and made["result"]["success"] is True
    again = rpc(wire, "agents.upsert", {"name": "rpc-agent", "role": "editor"})
    assert again["result"]["synced_id"] == made["result"]["synced_id"]
    rows = [a for a in wire.get("/agents")["agents"] if a["name"] == "rpc-agent"]
    assert [(a["id"], a["role"]) for a in rows] == [(made["result"]["synced_id"], "editor")]


def test_an_agent_made_here_is_the_callers(wire: Wire) -> None:
    """As by REST: the token may act for what it created."""
    made = rpc(wire, "agents.upsert", {"name": "rpc-mine"})["result"]["synced_id"]
    beat = wire.post("/agents/heartbeat", {"agentId": made, "currentLoad": 0}, key=None)
    assert beat.status == 200


def test_projects_are_upserted_by_goal(wire: Wire) -> None:
    made = rpc(wire, "projects.upsert", {"goal": "ship by rpc"})
    again = rpc(wire, "projects.upsert", {"goal": "ship by rpc", "maxActiveAgents": 9})
    ref = made["result"]["synced_id"]
    assert again["result"] == {"success": True, "synced_id": ref}
    assert wire.get(f"/projects/{ref}")["project"]["maxActiveAgents"] == 9
    rows = [p for p in wire.get("/projects")["projects"] if p["goal"] == "ship by rpc"]
    assert len(rows) == 1


@pytest.mark.parametrize("params, ref", [({"id": "T-1"}, "T-1"), ({}, None), (None, None)])
def test_tasks_upsert_does_nothing(wire: Wire, params: Any, ref: str | None) -> None:
    before = rpc(wire, "status.summary")["result"]["tasks"]
    reply = rpc(wire, "tasks.upsert", params)
    assert (reply.status, reply["result"]) == (200, {"success": True, "synced_id": ref})
    assert rpc(wire, "status.summary")["result"]["tasks"] == before


@pytest.mark.parametrize("method", ["tasks.drop", "", "status.summary ", "__class__", "x" * 5_000])
def test_an_unknown_method_is_an_error_with_status_200(wire: Wire, method: str) -> None:
    reply = rpc(wire, method)
    assert (reply.status, reply["error"]["code"], reply["id"]) == (200, NOT_FOUND, 7)
    assert "result" not in reply.body and len(reply["error"]["message"]) < 500


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        [{"jsonrpc": "2.0", "id": 1, "method": "status.summary"}],
        {"jsonrpc": "1.0", "id": 1, "method": "status.summary"},
        {"id": 1, "method": "status.summary"},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "method": 5},
        "status.summary",
        7,
    ],
)
def test_what_is_no_json_rpc_is_400(wire: Wire, body: Any) -> None:
    reply = wire.post(ROOT, body)
    assert (reply.status, reply["code"]) == (400, "rpc.request")


@pytest.mark.parametrize(
    "method, params",
    [
        ("agents.upsert", None),
        ("agents.upsert", []),
        ("agents.upsert", {"name": 5}),
        ("agents.upsert", {"name": ""}),
        ("agents.upsert", {"role": "scout"}),
        ("projects.upsert", {}),
        ("projects.upsert", {"goal": None}),
        ("projects.upsert", {"goal": "g", "maxActiveAgents": "many"}),
    ],
)
def test_bad_params_are_an_error_with_status_200(wire: Wire, method: str, params: Any) -> None:
    reply = rpc(wire, method, params)
    assert (reply.status, reply["error"]["code"]) == (200, BAD_PARAMS)
    assert reply["error"]["message"]


@pytest.mark.parametrize("ref, back", [("a", "a"), (1, 1), (None, None), (True, None), ([], None)])
def test_the_id_comes_back(wire: Wire, ref: Any, back: Any) -> None:
    assert rpc(wire, "status.summary", ref=ref)["id"] == back


@pytest.mark.parametrize("path", ["!/api/mcp", "!/api/mcp/", "!/api/v1"])
def test_the_root_has_both_forms(wire: Wire, path: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "status.summary"}
    assert wire.post(path, body).status == 200


# -- judged like everything ------------------------------------------------------------------


def test_a_governed_role_is_refused_here_too(wire: Wire) -> None:
    reply = rpc(wire, "agents.upsert", {"name": "usurper", "role": "owner"})
    assert reply.status in (403, 409)
    assert "usurper" not in {a["name"] for a in wire.get("/agents")["agents"]}


def test_a_viewer_reads_and_writes_nothing(person: Wire, owner: Wire) -> None:
    body = {"kind": "operator", "name": "v", "role": "viewer"}
    viewer = Wire(owner.url, person.post("/api/v1/tokens", body)["secret"], person.id)
    assert rpc(viewer, "status.summary").status == 200
    for method, params in (
        ("agents.upsert", {"name": "by-viewer"}),
        ("projects.upsert", {"goal": "by-viewer"}),
    ):
        reply = rpc(viewer, method, params)
        assert (reply.status, reply["code"]) == (403, "permission.capability")


@pytest.mark.parametrize(
    "method, params, capabilities",
    [
        ("agents.upsert", {"name": "by-operator"}, ["agent.create", "agent.update"]),
        ("projects.upsert", {"goal": "by-operator"}, ["project.create", "project.update"]),
    ],
)
def test_receipts_say_what_it_turned_out_to_be(
    wire: Wire, person: Wire, method: str, params: dict[str, Any], capabilities: list[str]
) -> None:
    made = rpc(wire, method, params)["result"]["synced_id"]
    rpc(wire, method, params)
    receipts = person.get("/api/v1/receipts?limit=2")["receipts"]
    assert [r["capability"] for r in receipts] == capabilities[::-1]
    assert receipts[0]["target"].endswith(made)


def test_stop_on_a_project_stops_its_upsert(wire: Wire, person: Wire) -> None:
    ref = rpc(wire, "projects.upsert", {"goal": "to be stopped"})["result"]["synced_id"]
    body = {"scope": "project", "subject": ref, "reason": "test"}
    halt = person.post("/api/v1/stops", body)["stop"]["id"]
    reply = rpc(wire, "projects.upsert", {"goal": "to be stopped", "maxActiveAgents": 4})
    assert (reply.status, reply["code"]) == (403, "stop.project")
    assert person.delete(f"/api/v1/stops/{halt}").status == 200


def test_a_key_replays_the_first_reply(wire: Wire) -> None:
    first = rpc(wire, "projects.upsert", {"goal": "once"}, key="rpc-once")
    again = rpc(wire, "projects.upsert", {"goal": "once"}, key="rpc-once")
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
