"""Scopes and methods (gateway contract, 4, 18): the table, and every method behind its scope."""

import itertools

import pytest

from homarus.control_plane import table as routes
from homarus.gateway.ws.hub import EVENTS
from homarus.gateway.ws.methods.table import methods
from homarus.kernel import scopes
from homarus.kernel.capabilities import BUILTIN, role_reaches
from homarus.kernel.devices import NODE
from homarus.testing.daemon import Daemon
from tests.gateway.ws.client import joined
from tests.gateway.ws.conftest import ONE_LOOP

pytestmark = ONE_LOOP
ALL = methods()


@pytest.mark.parametrize(
    ("have", "needed", "enough"),
    [
        (("operator.admin",), "operator.read", True),
        (("operator.admin",), "operator.pairing", True),
        (("operator.admin",), "operator.approvals", True),
        (("operator.write",), "operator.read", True),
        (("operator.write",), "operator.talk", True),
        (("operator.write",), "operator.approvals", False),
        (("operator.write",), "operator.admin", False),
        (("operator.read",), "operator.write", False),
        (("operator.pairing",), "operator.read", False),
        ((), "operator.read", False),
    ],
)
async def test_what_a_scope_implies(have: tuple[str, ...], needed: str, enough: bool) -> None:
    assert scopes.covers(have, needed) is enough


@pytest.mark.parametrize(
    ("have", "role"),
    [
        ((), "viewer"), (("operator.read",), "viewer"), (("operator.write",), "operator"),
        (("operator.talk",), "operator"), (("operator.approvals",), "approver"),
        (("operator.pairing",), "owner"), (("operator.admin",), "owner"),
        (("operator.read", "operator.pairing"), "owner"),
    ],
)  # fmt: skip
async def test_the_least_role_that_holds_them(have: tuple[str, ...], role: str) -> None:
    assert scopes.role_for(have) == role


async def test_each_role_holds_what_the_lower_ones_do() -> None:
    held = [scopes.HELD[role] for role in ("viewer", "operator", "approver", "owner")]
    assert all(low < high for low, high in itertools.pairwise(held))
    assert scopes.held("runtime", None) == scopes.held("agent", "owner") == frozenset()


CONTRACT = {
    "operator.read": "status logs.tail channels.status config.get config.schema models.list "
    "models.authStatus tools.catalog agents.list skills.status sessions.list sessions.subscribe "
    "sessions.messages.subscribe sessions.preview sessions.describe sessions.resolve "
    "sessions.usage sessions.search last-heartbeat node.list cron.list cron.status cron.get "
    "system-presence agent.identity.get chat.history chat.startup chat.message.get "
    "commands.list system.info diagnostics.lanes diagnostics.stability cron.runs",
    "operator.questions": "question.list",
    "operator.write": "sessions.create sessions.send sessions.abort sessions.patch "
    "message.action send agent agent.wait chat.abort chat.send wake node.invoke tools.invoke",
    "operator.admin": "exec.approvals.get exec.approvals.set config.set config.patch "
    "config.apply cron.add cron.update cron.remove cron.run sessions.reset sessions.delete "
    "sessions.compact system-event agents.create set-heartbeats channels.start chat.inject",
    "operator.approvals": "exec.approval.get exec.approval.list exec.approval.request "
    "exec.approval.waitDecision exec.approval.resolve plugin.approval.list "
    "openclaw.approval.list",
    "operator.pairing": "node.pair.list node.pair.approve device.pair.list device.pair.approve "
    "device.pair.reject device.pair.remove device.pair.rename device.token.rotate "
    "device.token.revoke node.rename",
    "": "health",
}


@pytest.mark.parametrize("scope", CONTRACT)
async def test_scopes_are_the_contracts(scope: str) -> None:
    wrong = [name for name in CONTRACT[scope].split() if ALL[name].scope != scope]
    assert wrong == []


async def test_every_method_is_in_order() -> None:
    for row in ALL.values():
        assert row.about and row.result, row.name
        assert row.scope in ("", *scopes.ALL), row.name
        if row.role != NODE and row.scope and row.kind != "read":
            builtin = BUILTIN[row.capability]
            least = scopes.role_for([row.scope])
            assert role_reaches("owner", builtin.operator), row.name
            assert row.capability != "read" or role_reaches(least, builtin.operator)


async def test_every_event_has_a_scope_that_is_one() -> None:
    assert {scope for scope in EVENTS.values() if scope} <= set(scopes.ALL)
    assert routes.frames()


BEHIND = sorted(row.name for row in ALL.values() if row.scope and row.role != NODE)


async def test_without_scopes_nothing_but_health(shared: Daemon) -> None:
    async with joined(shared, scopes=()) as client:
        for name in BEHIND:
            error = await client.error(name, {})
            assert error["code"] == "FORBIDDEN", name
            assert error["details"]["missingScope"] == ALL[name].scope
        assert (await client.call("health"))["ok"] is True


async def test_with_one_scope_exactly_its_own(shared: Daemon) -> None:
    for scope in ("operator.read", "operator.approvals", "operator.pairing"):
        async with joined(shared, scopes=(scope,)) as client:
            for name in BEHIND:
                reply = await client.raw_call(name, {"odd property": 1})
                forbidden = not reply["ok"] and reply["error"]["code"] == "FORBIDDEN"
                assert forbidden is (ALL[name].scope != scope), name


async def test_an_operator_calls_nothing_of_a_nodes(shared: Daemon) -> None:
    async with joined(shared) as client:
        for name in (row.name for row in ALL.values() if row.role == NODE):
            assert (await client.error(name, {}))["message"] == "unauthorized role: operator"
