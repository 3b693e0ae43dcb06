"""`homarus gateway` and `homarus device` against a real daemon."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from homarus.cli.app import ALIASES
from homarus.gateway.ws import setup_text
from homarus.gateway_client import asking, identity, wire
from homarus.gateway_client.asking import Caller
from homarus.gateway_client.identity import Identity
from tests.support.commands import Running, Terminal

NOWHERE = "http://127.0.0.1:1"
WRONG = ("--token", "ho_wrong")


def test_status(running: Running) -> None:
    said = running.json("gateway", "status")
    assert said["url"] == running.daemon.ready.url and said["hello"]["protocol"] == 4
    assert said["status"]["sessions"]["count"] == 0
    out = running("gateway", "status").out
    assert "operator.admin" in out and "homarus.json" in out
    assert running.owner not in out


def test_health(running: Running) -> None:
    assert running.json("gateway", "health")["ok"] is True
    assert running("gateway", "health").out.startswith("well")


@pytest.mark.parametrize(
    ("arguments", "code", "admitted"),
    [
        ((), 0, True),
        (WRONG, 4, False),
        (("--url", NOWHERE, *WRONG), 6, None),
        (("--url", NOWHERE), 6, None),
    ],
)
def test_probe(
    running: Running, arguments: tuple[str, ...], code: int, admitted: bool | None
) -> None:
    ran = running("--json", *arguments, "gateway", "probe")
    assert ran.code == code, ran.err
    assert (ran.json["admitted"] if ran.out else None) is admitted
    assert "ho_wrong" not in ran.out + ran.err
    assert not (running.home / "device").exists()


def test_a_probe_without_a_token_tells_that_somebody_is_there(
    running: Running, homarus: Terminal
) -> None:
    ran = homarus("--json", "--url", running.daemon.ready.url, "gateway", "probe")
    assert (ran.code, ran.json["reachable"], ran.json["admitted"]) == (4, True, False)


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("system.info",), 0, ""),
        (("last-heartbeat",), 0, ""),
        (("sessions.list", "--params", '{"limit": 1}'), 0, ""),
        (("agent.wait", "--params", '{"runId": "x", "timeoutMs": 1}', "--final"), 0, ""),
        (("no.such",), 3, "INVALID_REQUEST"),
        (("sessions.list", "--params", '{"odd": 1}'), 2, "INVALID_REQUEST"),
        (("sessions.list", "--params", "[]"), 2, "Usage"),
        (("sessions.list", "--params", "{"), 2, "Usage"),
        (("wizard.start",), 1, "method.not_offered"),
        (("node.pair.approve", "--params", '{"requestId": "nope"}'), 3, "node.request_unknown"),
        (("device.pair.setupRevoke", "--params", '{"setupId": "nope"}'), 3, "device.code_unknown"),
        (
            ("agent", "--params", '{"message": "Hi", "agentId": "nobody"}', "--key"),
            3,
            "UNKNOWN_AGENT_ID",
        ),
        (("agent", "--params", '{"message": "Hi"}', "--key"), 2, ""),
    ],
)
def test_call(running: Running, arguments: tuple[str, ...], code: int, error: str) -> None:
    ran = running("gateway", "call", *arguments)
    assert ran.code == code, ran.err
    assert ran.err.startswith(error)


def test_a_question_that_nobody_answers_in_time_is_open(running: Running) -> None:
    ask = ("gateway", "call", "exec.approval.request", "--params")
    ran = running(*ask, '{"command": "reboot"}', "--timeout", "1")
    assert (ran.code, ran.error) == (1, "gateway.silent")
    assert all(word in ran.err for word in ("`homarus approval list`", "twoPhase", "--timeout"))
    (row,) = running.json("approval", "list", "--status", "pending")["approvals"]
    assert row["what"] == "reboot"
    first = json.loads(running(*ask, '{"command": "halt", "twoPhase": true}').out)
    assert first["status"] == "accepted"
    assert running.json("approval", "show", first["id"])["approval"]["what"] == "halt"


@pytest.mark.parametrize(
    "arguments",
    [("node", "approve", "nope"), ("node", "reject", "nope"), ("device", "setup-revoke", "nope"),
     ("device", "setup-status", "nope")],
)  # fmt: skip
def test_what_is_not_there(running: Running, arguments: tuple[str, ...]) -> None:
    assert running(*arguments).code == 3


def test_a_lower_role_is_refused_what_it_may_not(running: Running) -> None:
    made = running.json("token", "create", "looker", "--kind", "operator", "--role", "viewer")
    token = ("--token", made["secret"])
    assert running(*token, "gateway", "call", "system-presence").code == 0
    ran = running(*token, "device", "list")
    assert (ran.code, ran.error) == (4, "MISSING_SCOPE")


def test_without_a_daemon(homarus: Terminal) -> None:
    assert (homarus("gateway", "status").code, homarus("device", "list").code) == (6, 6)


@pytest.mark.parametrize(("typed", "name"), ALIASES.items())
def test_names_of_the_original(running: Running, typed: str, name: str) -> None:
    assert running(typed, "list") == running(name, "list")


def one(running: Running) -> dict[str, Any]:
    """The device of the probe below."""
    (row,) = running.json("device", "list")["paired"]
    return dict(row)


async def pair(caller: Caller, device: Identity) -> None:
    async with asking.greeted(caller, ("test", "test"), device) as link:
        assert link.hello["auth"]["scopes"]


def test_devices(running: Running, tmp_path: Path) -> None:
    device = identity.load(tmp_path)
    asyncio.run(pair(Caller(running.daemon.ready.url, running.owner, tmp_path), device))
    short = device.id[:10]
    assert running("device", "rename", short, "desk").out == f"{device.id} is called desk\n"
    assert one(running)["operatorLabel"] == "desk"
    rotated = running.json("device", "rotate", "desk", "--scope", "operator.read")
    assert (rotated["scopes"], "token" in rotated) == (["operator.read"], False)
    assert running.json("device", "revoke", "desk")["revokedAtMs"] > 0
    assert running("device", "revoke", "nobody").error == "device.unknown"
    assert running("device", "remove", "desk").code == 0
    assert "No device is let in." in running("device", "list").out


async def come_in(url: str, secret: str, device: Identity) -> list[str]:
    """By a set-up code, as an operator; the scopes that it has."""
    connect: dict[str, Any] = {
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.write"],
        "client": {"id": "openclaw-tui", "mode": "cli", "version": "1", "platform": "linux"},
        "auth": {"bootstrapToken": secret},
    }  # fmt: skip

    def hello(nonce: str, at_ms: int) -> dict[str, Any]:
        return connect | {"device": device.proof(connect, nonce, at_ms)}

    async with wire.connected(url, hello, lambda name, payload: None) as (link, _):
        return list(link.hello["auth"]["scopes"])


def test_a_set_up_code(running: Running, tmp_path: Path) -> None:
    text = running("device", "setup-code", "--role", "operator").out
    code = next(line for line in text.splitlines() if " " not in line and line)
    offer = setup_text.offer_of(code)
    assert offer.url == running.daemon.ready.url.replace("http", "ws")
    assert "For one operator, until " in text and offer.bootstrap_token not in text
    id_ = text.split()[-1]
    assert running("device", "setup-status", id_).out == "open\n"
    device = identity.load(tmp_path)
    assert asyncio.run(come_in(offer.url, offer.bootstrap_token, device)) == ["operator.write"]
    assert running("device", "setup-status", id_).out == f"used by {device.id}\n"
    ran = running("device", "setup-revoke", id_)
    assert (ran.code, ran.error) == (5, "device.code_over")
    assert running("device", "remove", device.id).code == 0

    made = running.json("device", "setup-code", "--public-url", "https://gate.example")
    assert (made["gatewayUrl"], made["access"]) == ("wss://gate.example", "node")
    id_ = made["setupId"]
    assert running("device", "setup-revoke", id_).out == f"{id_} is revoked\n"
    assert running("device", "setup-status", "nothing").error == "device.code_unknown"
    assert running("device", "setup-code", "--public-url", "ws://gate.example").code == 2
    assert running("node", "run", "--setup-code", "nonsense").error == "device.code"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("approve",), 2), (("approve", "x", "--latest"), 2), (("reject", "x"), 3),
     (("approve", "--latest"), 3)],
)  # fmt: skip
def test_no_request(running: Running, arguments: tuple[str, ...], code: int) -> None:
    assert running("device", *arguments).code == code
