"""Nodes: approved as they are, asked only for that, and a row for whatever they are asked
(gateway contract, 11)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.config.edit import changed
from homarus.config.schema import FILE
from homarus.gateway.ws.invokes import ENDED
from homarus.kernel import invokes, surfaces
from homarus.testing.daemon import Daemon, running
from homarus.testing.ground import ManualClock
from tests.gateway.ws.client import CLI, SOON_S, Client, Device, dialled, gateway_token, joined
from tests.gateway.ws.conftest import ONE_LOOP

HOST = CLI | {"id": "node-host", "mode": "node", "displayName": "bench"}
NODE, OTHER = Device(7), Device(8)
RUN = {"nodeId": NODE.id, "command": "system.run", "params": {"command": ["true"]}}
OFFER: dict[str, Any] = {
    "caps": ("system", "camera"),
    "commands": ("system.run", "system.which", "camera.snap", "own.thing"),
    "permissions": {"screenRecording": True, "location": False},
}
PLAIN: dict[str, Any] = {"caps": ("system",), "commands": ("system.run", "system.which")}
PLAN: dict[str, Any] = {"argv": ["true"], "cwd": None, "commandText": "true"}
ANSWERS = ("operator.read", "operator.approvals")
APPROVER = ("operator.read", "operator.pairing", "operator.write")


@asynccontextmanager
async def node(daemon: Daemon, device: Device = NODE, **more: Any) -> AsyncIterator[Client]:
    """Connected as a node that offers PLAIN."""
    given = PLAIN | more
    async with joined(
        daemon, role="node", scopes=(), client=HOST, device=device, **given
    ) as client:
        assert client.hello["auth"]["role"] == "node"
        yield client


async def approve(owner: Client, device: Device = NODE) -> dict[str, Any]:
    (row,) = [
        row for row in (await owner.call("node.pair.list"))["pending"] if row["nodeId"] == device.id
    ]
    return dict(await owner.call("node.pair.approve", {"requestId": row["requestId"]}))


@asynccontextmanager
async def pair(daemon: Daemon) -> AsyncIterator[tuple[Client, Client]]:
    """An owner, and a node that is approved."""
    async with joined(daemon) as owner, node(daemon) as host:
        if (await owner.call("node.pair.list"))["pending"]:
            await approve(owner)
        yield owner, host


async def asked(owner: Client, host: Client, key: str, **more: Any) -> tuple[str, dict[str, Any]]:
    """Invoke, and what the node hears: `(id of the request, event)`."""
    sent = await owner.send("node.invoke", RUN | {"idempotencyKey": key} | more)
    heard = await host.event("node.invoke.request", lambda e: e["idempotencyKey"] == key)
    return sent, heard


def result(heard: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = {"id": heard["id"], "nodeId": heard["nodeId"], "ok": True, "payload": {"exitCode": 0}}
    return found | more


async def outcomes(daemon: Daemon) -> list[str]:
    """Verdicts and outcomes of invokes in the ledger, oldest first."""
    rows = (await daemon.owner.get("/api/v1/receipts", params={"limit": 100})).json()["receipts"]
    found = [row for row in rows if row["capability"] == "node.invoke"]
    return [row.get("outcome") or row["verdict"] for row in reversed(found)]


# -- approving -----------------------------------------------------------------------------------


async def test_a_node_offers_nothing_until_it_is_approved(daemon: Daemon) -> None:
    async with joined(daemon) as owner, node(daemon, **OFFER) as host:
        asked_for = await owner.event("node.pair.requested")
        assert asked_for["commands"] == ["system.run", "system.which"]
        assert asked_for["caps"] == ["system"]
        assert asked_for["permissions"] == {"screenRecording": True}
        assert asked_for["requiredApproveScopes"] == ["operator.pairing", "operator.admin"]
        (row,) = (await owner.call("node.list"))["nodes"]
        assert (row["approvalState"], row["connected"]) == ("pending-approval", True)
        assert (row["commands"], row["paired"]) == ([], False)
        error = await owner.error("node.invoke", RUN | {"idempotencyKey": "a"})
        assert (error["code"], error["details"]["code"]) == ("UNAVAILABLE", "PAIRING_CHANGED")
        done = await approve(owner)
        assert done["node"]["commands"] == ["system.run", "system.which"]
        told = {"nodeId": NODE.id, "requestId": done["requestId"], "decision": "approved"}
        for client in (owner, host):
            said = await client.event("node.pair.resolved")
            assert said.items() >= told.items()
        row = await owner.call("node.describe", {"nodeId": NODE.id})
        assert (row["displayName"], row["approvalState"]) == ("bench", "approved")
        assert (await owner.call("node.pair.list"))["pending"] == []


async def test_what_needs_an_administrator_is_not_approved_by_less(daemon: Daemon) -> None:
    async with node(daemon), joined(daemon, scopes=APPROVER) as less:
        (row,) = (await less.call("node.pair.list"))["pending"]
        error = await less.error("node.pair.approve", {"requestId": row["requestId"]})
        assert error["details"]["missingScope"] == "operator.admin"
        assert (await less.call("node.pair.list"))["pending"] == [row]
        assert await less.call("node.pair.reject", {"requestId": row["requestId"]}) == {
            "requestId": row["requestId"], "nodeId": NODE.id,
        }  # fmt: skip
        for again in ("node.pair.approve", "node.pair.reject"):
            error = await less.error(again, {"requestId": row["requestId"]})
            wanted = "MISSING_SCOPE" if again.endswith("approve") else "node.request_over"
            assert error["details"]["code"] == wanted


@pytest.mark.parametrize(
    ("change", "asks", "runs"),
    [
        ({}, False, True),
        ({"commands": ("system.which",)}, False, False),
        ({"commands": (*PLAIN["commands"], "own.thing")}, False, True),
        ({"commands": (*PLAIN["commands"], "system.notify")}, True, True),
        ({"permissions": {"location": True}}, True, True),
        ({"permissions": {"location": False}}, False, True),
    ],
    ids=["same", "less", "what none may", "command", "permission", "permission withheld"],
)
async def test_a_surface_that_grows_asks_again(
    daemon: Daemon, change: dict[str, Any], asks: bool, runs: bool
) -> None:
    """Meanwhile it is asked for what was approved, as far as it still offers that."""
    async with pair(daemon):
        pass
    async with joined(daemon) as owner, node(daemon, **change) as host:
        assert bool((await owner.call("node.pair.list"))["pending"]) == asks
        if not runs:
            error = await owner.error("node.invoke", RUN | {"idempotencyKey": "a"})
            assert error["details"]["reason"] == "command not allowlisted"
            return
        sent, heard = await asked(owner, host, "a")
        assert await host.call("node.invoke.result", result(heard)) == {"ok": True}
        assert (await owner.reply(sent))["ok"]
        if asks:
            done = await approve(owner)
            assert set(done["node"]["commands"]) >= {"system.run", "system.which"}


async def test_a_request_runs_out_and_is_made_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path / "home", clock=clock) as daemon, joined(daemon) as owner:
        async with node(daemon):
            (row,) = (await owner.call("node.pair.list"))["pending"]
            clock.advance(surfaces.PAIRING_MS)
            assert (await owner.call("node.pair.list"))["pending"] == []
            error = await owner.error("node.pair.approve", {"requestId": row["requestId"]})
            assert error["details"]["code"] == "node.request_over"
        async with node(daemon):
            (again,) = (await owner.call("node.pair.list"))["pending"]
            assert again["requestId"] != row["requestId"]


async def test_a_node_that_is_removed_has_to_be_approved_anew(daemon: Daemon) -> None:
    async with pair(daemon) as (owner, host):
        renamed = {"nodeId": NODE.id, "displayName": "The bench"}
        assert await owner.call("node.rename", renamed) == renamed
        assert (await owner.call("node.list"))["nodes"][0]["displayName"] == "The bench"
        assert await owner.call("node.pair.remove", {"nodeId": NODE.id}) == {"nodeId": NODE.id}
        assert (await host.closed())[0] == 1008
        assert (await owner.call("node.list"))["nodes"] == []
        for name in ("node.describe", "node.pair.remove"):
            error = await owner.error(name, {"nodeId": NODE.id})
            assert error["details"]["code"] == "node.unknown"
        async with node(daemon):
            (row,) = (await owner.call("node.list"))["nodes"]
            assert row["approvalState"] == "pending-approval"


async def test_a_device_that_is_removed_is_no_node(daemon: Daemon) -> None:
    async with pair(daemon) as (owner, _):
        await owner.call("device.pair.remove", {"deviceId": NODE.id})
        assert (await owner.call("node.list"))["nodes"] == []


@ONE_LOOP
@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("node", "node.invoke"), ("node", "node.list"), ("node", "chat.send"),
        ("node", "node.pair.approve"), ("operator", "node.invoke.result"),
        ("operator", "node.event"), ("operator", "skills.bins"),
    ],
)  # fmt: skip
async def test_roles_keep_to_their_methods(shared: Daemon, role: str, name: str) -> None:
    async with joined(shared) as owner, node(shared) as host:
        error = await (host if role == "node" else owner).error(name, {})
        assert error["message"] == f"unauthorized role: {role}"


async def deny(daemon: Daemon, *names: str) -> None:
    """By an edit of the file of settings, while the daemon runs."""
    path = daemon.app.settings.home / FILE
    old = path.read_text() if path.exists() else "{}"
    path.write_text(changed(old, "gateway.nodes.commands.deny", list(names)))
    assert daemon.service.reloader is not None
    await daemon.service.reloader.check()
    assert daemon.app.settings.node_commands_deny == names


async def test_what_is_denied_is_neither_offered_nor_invoked(tmp_path: Path) -> None:
    """At once, whatever was approved; and it comes back with the node's next connection."""
    async with running(tmp_path / "home", poll_s=3600) as daemon, joined(daemon) as owner:
        async with node(daemon) as host:
            await deny(daemon, "system.run")
            (waiting,) = (await owner.call("node.pair.list"))["pending"]
            assert waiting["commands"] == ["system.which"]
            done = await approve(owner)
            assert done["node"]["commands"] == ["system.which"]
            for _ in range(2):
                error = await owner.error("node.invoke", RUN | {"idempotencyKey": "a"})
                assert error["details"]["reason"] == "command not allowlisted"
                await deny(daemon)
            assert not [e for e in host.events if e["event"] == "node.invoke.request"]
        async with node(daemon) as host:
            await approve(owner)
            sent, heard = await asked(owner, host, "b")
            await host.call("node.invoke.result", result(heard))
            assert (await owner.reply(sent))["ok"]
            await deny(daemon, "system.run", "system.which")
            row = await owner.call("node.describe", {"nodeId": NODE.id})
            assert (row["commands"], row["caps"], row["approvalState"]) == ([], [], "approved")
            error = await owner.error("node.invoke", RUN | {"idempotencyKey": "c"})
            assert error["details"]["reason"] == "command not allowlisted"
        async with node(daemon, OTHER):
            (waiting,) = (await owner.call("node.pair.list"))["pending"] or [{}]
            assert waiting == {}, "nothing is left to ask for"


# -- invoking ------------------------------------------------------------------------------------


async def test_an_invoke_is_a_row_before_the_node_hears_of_it(daemon: Daemon) -> None:
    async with pair(daemon) as (owner, host):
        sent, heard = await asked(owner, host, "a")
        assert heard == {
            "id": heard["id"], "nodeId": NODE.id, "command": "system.run", "timeoutMs": 30_000,
            "idempotencyKey": "a", "paramsJSON": json.dumps({"command": ["true"]}),
        }  # fmt: skip
        assert await outcomes(daemon) == ["allow"]
        payload = json.dumps({"exitCode": 0, "stdout": "x"})
        answer = result(heard, payload=None, payloadJSON=payload)
        assert await host.call("node.invoke.result", answer) == {"ok": True}
        reply = (await owner.reply(sent))["payload"]
        assert reply == {
            "ok": True, "nodeId": NODE.id, "command": "system.run", "payloadJSON": payload,
            "payload": json.loads(payload),
        }  # fmt: skip
        assert await outcomes(daemon) == ["allow", "done"]


@ONE_LOOP
@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"command": "camera.snap"}, "INVALID_REQUEST", "command not allowlisted"),
        ({"command": "system.execApprovals.set"}, "INVALID_REQUEST", "command not allowlisted"),
        ({"nodeId": OTHER.id}, "INVALID_REQUEST", "node.unknown"),
        ({"params": {"command": "true"}}, "INVALID_REQUEST", "must be an array of strings"),
        ({"params": {"command": []}}, "INVALID_REQUEST", "must be an array of strings"),
        ({"params": None}, "INVALID_REQUEST", "must be an array of strings"),
        ({"idempotencyKey": ""}, "INVALID_REQUEST", "node.key"),
        (
            {"params": {"command": ["true"], "approved": True, "runId": "A-1"}},
            "FORBIDDEN", "node.approval",
        ),
        (
            {"params": {"command": ["true"], "approvalDecision": "allow-always"}},
            "FORBIDDEN", "node.approval",
        ),
        *(
            ({"params": {"command": ["true"], "systemRunPlan": PLAN, name: value}},
             "FORBIDDEN", "node.approval")
            for name, value in (
                ("approvalSource", "auto-review"), ("ApprovalSource", "auto-review"),
                ("approvalId", "A-1"), ("approvedBy", "owner"), ("Approved", True),
            )
        ),
        *(
            ({"params": {"command": ["true"], "cwd": "/a", "systemRunPlan": plan}},
             "INVALID_REQUEST", "systemRunPlan")
            for plan in (
                "true", {}, {"argv": "true"}, {"argv": ["false"]}, {"argv": ["true"], "cwd": 1},
                {"argv": ["true"], "cwd": "/b"},
            )
        ),
    ],
)  # fmt: skip
async def test_refused(shared: Daemon, change: dict[str, Any], code: str, word: str) -> None:
    async with pair(shared) as (owner, host):
        error = await owner.error("node.invoke", RUN | {"idempotencyKey": "a"} | change)
        assert error["code"] == code
        assert word in json.dumps(error)
        assert not [e for e in host.events if e["event"] == "node.invoke.request"]


@ONE_LOOP
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rawCommand": "true", "cwd": "/a", "env": {"CI": "1"}, "timeoutMs": 9, "runId": "r",
          "agentId": "a", "sessionKey": "s", "systemRunPlan": PLAN,
          "needsScreenRecording": False, "suppressNotifyOnExit": True}, {}),
        ({"autoReview": "allow", "security": "full", "x": 1}, None),
        ({"approved": False, "approvalDecision": None, "approvalSource": None}, None),
        ({"systemRunPlan": PLAN | {"cwd": "/a"}}, {"cwd": "/a"}),
    ],
    ids=["all that is known", "unknown", "no claim", "folder of the plan"],
)  # fmt: skip
async def test_what_of_a_command_the_node_is_told(
    shared: Daemon, given: dict[str, Any], told: dict[str, Any] | None
) -> None:
    """`told` beside the command: None for nothing of it, else all of it and this."""
    async with pair(shared) as (owner, host):
        params = {"command": ["true"]} | given
        sent, heard = await asked(owner, host, "-".join(given), params=params)
        wanted = {"command": ["true"]} if told is None else params | told
        assert json.loads(heard["paramsJSON"]) == wanted
        await host.call("node.invoke.result", result(heard))
        assert (await owner.reply(sent))["ok"]


async def test_a_viewer_has_nothing_done(daemon: Daemon) -> None:
    async with pair(daemon), joined(daemon, scopes=("operator.read",)) as viewer:
        error = await viewer.error("node.invoke", RUN | {"idempotencyKey": "a"})
        assert error["details"]["missingScope"] == "operator.write"


@pytest.mark.parametrize("said", ["not on the list", "SYSTEM_RUN_DENIED: not on the list"])
async def test_what_the_node_says_went_wrong(daemon: Daemon, said: str) -> None:
    """Its code is named once, whether its message begins with it or not."""
    async with pair(daemon) as (owner, host):
        sent, heard = await asked(owner, host, "a")
        wrong = {"code": "SYSTEM_RUN_DENIED", "message": said}
        await host.call("node.invoke.result", result(heard, ok=False, payload=None, error=wrong))
        error = (await owner.reply(sent))["error"]
        assert (error["code"], error["details"]["nodeError"]) == ("UNAVAILABLE", wrong)
        assert error["message"] == "SYSTEM_RUN_DENIED: not on the list"
        assert "homarus node allow" in error["details"]["remedy"]
        assert (await outcomes(daemon))[-1] == "failed"


async def test_a_node_that_is_not_here(daemon: Daemon) -> None:
    async with pair(daemon):
        pass
    async with joined(daemon) as owner:
        error = await owner.error("node.invoke", RUN | {"idempotencyKey": "a"})
        assert error["message"] == "node not connected"
        assert error["details"]["code"] == "NOT_CONNECTED"
        assert error["details"]["nodeCommandDispatched"] is False


async def test_a_node_that_leaves(daemon: Daemon) -> None:
    """What became of it is not known, and a repeated key does not try again."""
    async with joined(daemon) as owner:
        async with node(daemon) as host:
            await approve(owner)
            sent, _ = await asked(owner, host, "a")
        error = (await owner.reply(sent))["error"]
        assert (error["details"]["code"], error["details"]["outcome"]) == (
            "DISCONNECTED", "unknown",
        )  # fmt: skip
        async with node(daemon) as host:
            again = await owner.error("node.invoke", RUN | {"idempotencyKey": "a"})
            assert again["details"]["code"] == "DISCONNECTED"
            assert not [e for e in host.events if e["event"] == "node.invoke.request"]
        assert (await outcomes(daemon))[1] == "unknown"


async def test_a_node_that_does_not_answer(daemon: Daemon) -> None:
    async with pair(daemon) as (owner, host):
        sent, heard = await asked(owner, host, "a", timeoutMs=50)
        error = (await owner.reply(sent))["error"]
        assert (error["code"], error["details"]["code"]) == ("UNAVAILABLE", "TIMEOUT")
        assert (await host.event("node.invoke.cancel"))["id"] == heard["id"]
        late = await host.call("node.invoke.result", result(heard))
        assert late == {"ok": True, "ignored": True}
        assert await outcomes(daemon) == ["allow", "unknown"]


async def test_a_result_counts_once_and_from_its_own_node(daemon: Daemon) -> None:
    ignored = {"ok": True, "ignored": True}
    async with pair(daemon) as (owner, host), node(daemon, OTHER) as thief:
        sent, heard = await asked(owner, host, "a")
        mine = result(heard, nodeId=OTHER.id)
        assert await thief.call("node.invoke.result", mine) == ignored
        error = await thief.error("node.invoke.result", result(heard))
        assert error["message"] == "nodeId mismatch"
        assert await host.call("node.invoke.result", result(heard, id="none")) == ignored
        assert await host.call("node.invoke.result", result(heard)) == {"ok": True}
        twice = result(heard, payload={"exitCode": 1})
        assert await host.call("node.invoke.result", twice) == ignored
        assert (await owner.reply(sent))["payload"]["payload"] == {"exitCode": 0}


async def test_a_key_names_one_invoke(daemon: Daemon) -> None:
    async with pair(daemon) as (owner, host):
        sent, heard = await asked(owner, host, "a")
        second = await owner.send("node.invoke", RUN | {"idempotencyKey": "a"})
        other = RUN | {"idempotencyKey": "a", "params": {"command": ["false"]}}
        error = await owner.error("node.invoke", other)
        assert error["details"]["code"] == "node.key_reused"
        await host.call("node.invoke.result", result(heard))
        first = (await owner.reply(sent))["payload"]
        assert (await owner.reply(second))["payload"] == first
        assert await owner.call("node.invoke", RUN | {"idempotencyKey": "a"}) == first
        assert len([e for e in host.events if e["event"] == "node.invoke.request"]) == 1


async def test_what_an_ended_daemon_had_sent_is_unknown(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home) as daemon, pair(daemon):
        hub = daemon.app.talk.hub
        (peer,) = [peer for peer in hub.peers.values() if peer.role != "node"]
        new = invokes.New(
            device=NODE.id, command="system.which", digest=bytes(32), key="a", boot="another",
            timeout_ms=600_000, connected=True,
        )  # fmt: skip
        action = peer.action("node.invoke", f"node:{NODE.id}")
        begun = await hub.means.store.write(action, invokes.begin, new)
        assert begun.invoke.state == invokes.SENT
    async with running(home) as daemon:
        hub = daemon.app.talk.hub
        async with asyncio.timeout(SOON_S):
            while True:
                seq = await hub.means.feed.head(daemon.company_id)
                row = await hub.means.store.read(invokes.by_id, daemon.company_id, begun.invoke.id)
                if row.state != invokes.SENT:
                    break
                await hub.means.feed.wait(daemon.company_id, seq, SOON_S)
        assert (row.state, row.reason) == (invokes.UNKNOWN, ENDED)
        assert await outcomes(daemon) == ["allow", "unknown"]


async def test_an_approval_is_for_one_command_on_one_node_once(daemon: Daemon) -> None:
    _, other = await daemon.token(name="second", kind="operator", role="approver")
    plan = {"argv": ["rm", "a b"], "cwd": "/a", "commandText": "rm 'a b'", "agentId": "main"}
    params = {"command": plan["argv"], "cwd": "/a", "systemRunPlan": plan}
    async with pair(daemon) as (owner, host), joined(daemon, other, scopes=ANSWERS) as second:
        question = {"commandArgv": ["ls"], "command": "ls", "nodeId": NODE.id, "host": "node",
                    "systemRunPlan": plan, "twoPhase": True}  # fmt: skip
        await owner.call("exec.approval.request", question)
        heard = await owner.event("exec.approval.requested")
        assert heard["request"]["command"] == "rm 'a b'"
        claim = params | {"approved": True, "runId": heard["id"]}
        call = RUN | {"params": claim, "idempotencyKey": "a"}
        assert (await owner.error("node.invoke", call))["details"]["code"] == "node.approval"
        await second.call("exec.approval.resolve", {"id": heard["id"], "decision": "allow-once"})
        for changed in (
            {"command": ["rm", "b"], "systemRunPlan": plan | {"argv": ["rm", "b"]}},
            {"cwd": "/", "systemRunPlan": plan | {"cwd": "/"}},
            {"env": {"A": "1"}}, {"systemRunPlan": None},
            {"systemRunPlan": plan | {"commandText": "rm b"}},
            {"systemRunPlan": plan | {"mutableFileOperand": {"path": "/a/b"}}},
        ):  # fmt: skip
            error = await owner.error("node.invoke", call | {"params": claim | changed})
            assert error["details"]["code"] == "node.approval"
        more = {"rawCommand": "ls", "agentId": "other", "sessionKey": "s"}
        sent, told = await asked(owner, host, "b", params=claim | more)
        assert json.loads(told["paramsJSON"]) == claim | {
            "approvalDecision": "allow-once", "rawCommand": "rm 'a b'", "agentId": "main",
        }  # fmt: skip
        await host.call("node.invoke.result", result(told))
        assert (await owner.reply(sent))["ok"]
        error = await owner.error("node.invoke", call | {"idempotencyKey": "c"})
        assert error["details"]["code"] == "node.approval"


# -- what nodes tell -----------------------------------------------------------------------------


@ONE_LOOP
@pytest.mark.parametrize(
    ("params", "handled"),
    [
        ({"event": "node.presence.alive"}, True),
        ({"event": "node.host.stats", "payloadJSON": '{"cpuCount":4,"name":"x"}'}, True),
        ({"event": "exec.finished", "payload": {"exitCode": 0}}, False),
        ({"event": "voice.transcript", "payload": {"text": "x"}}, False),
    ],
)
async def test_events(shared: Daemon, params: dict[str, Any], handled: bool) -> None:
    async with joined(shared) as owner, node(shared) as host:
        reply = await host.call("node.event", params)
        assert (reply["ok"], reply["event"], reply["handled"]) == (True, params["event"], handled)
        assert handled or reply["reason"]
        if params["event"] == "node.host.stats":
            told = await owner.event("node.hostStats")
            assert told == {"nodeId": NODE.id, "hostStats": {"cpuCount": 4}}
            (row,) = (await owner.call("node.list"))["nodes"]
            assert row["hostStats"] == {"cpuCount": 4}


@ONE_LOOP
@pytest.mark.parametrize(
    ("name", "params", "reply"),
    [
        ("skills.bins", {}, {"bins": []}),
        ("node.skills.update", {"skills": [{"name": "x"}]}, {"nodeId": NODE.id, "skills": []}),
        ("node.pluginTools.update", {"tools": []}, {"nodeId": NODE.id, "tools": []}),
        ("node.runnerInventory.update", {"protocolFeatures": []}, {"nodeId": NODE.id}),
    ],
)
async def test_what_nodes_offer_beside(
    shared: Daemon, name: str, params: dict[str, Any], reply: dict[str, Any]
) -> None:
    async with node(shared) as host:
        assert await host.call(name, params) == reply


@ONE_LOOP
async def test_a_node_needs_a_device(shared: Daemon) -> None:
    async with dialled(shared) as client:
        reply = await client.greet(
            gateway_token(shared), role="node", scopes=(), client=HOST, **PLAIN
        )
        assert reply["error"]["details"]["code"] == "DEVICE_IDENTITY_REQUIRED"


async def test_the_newest_connection_of_a_node_is_asked(daemon: Daemon) -> None:
    async with pair(daemon) as (owner, former), node(daemon) as host:
        sent, heard = await asked(owner, host, "a")
        await host.call("node.invoke.result", result(heard))
        assert (await owner.reply(sent))["ok"]
        assert not [e for e in former.events if e["event"] == "node.invoke.request"]
