"""exec and process: a command is a real task's act, asked for once, waited for within bounds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.tools import chores, commands
from homarus.agents.tools.kit import Kit
from homarus.backends.local import interpreter
from homarus.dispatch.calls import Calls
from homarus.flows import approving, calling, turn_tools
from homarus.kernel import receipts, registry, settings
from homarus.tasks import sql
from homarus.tasks.model import State
from homarus.testing.bench import Bench, code_of, open_bench, text_of
from homarus.testing.ground import Ground, ground
from homarus.testing.shop import OWNER, SYSTEM, Shop, open_shop
from homarus.testing.waiting import seen

KIT = Kit((*commands.tools(), *chores.tools()))
PYTHON = interpreter().python
WAIT_S = 60
LONG = "import time; open('out/begun', 'w').close(); time.sleep(600)"


@asynccontextmanager
async def working(g: Ground) -> AsyncIterator[None]:
    task = asyncio.create_task(Calls(g.store, g.home).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bench(shop: Shop) -> Bench:
    return await open_bench(shop, "ada", KIT, role="coder")


async def register(shop: Shop, code: str, **more: Any) -> None:
    fields = {"id": "a.run", "title": "Run it", "argv": (PYTHON, "-c", code), "trusted": True}
    await shop.do(
        "capability.register", OWNER, registry.register, registry.NewCapability(**(fields | more))
    )


async def calls(bench: Bench) -> list[str]:
    """States of the calls of the tasks that were made."""
    g = bench.shop.ground
    found = [await g.read(calling.of_task, task, 10) for task in bench.tasks]
    return [row.state for rows in found for row in rows]


async def test_a_command_is_a_task_of_the_turn(bench: Bench) -> None:
    await register(bench.shop, "import os; print('here', os.getcwd())")
    async with working(bench.shop.ground):
        result = await bench.call("exec", capability="a.run", wait_s=WAIT_S)
    assert not result.is_error, text_of(result)
    assert "exitCode: 0" in text_of(result)
    assert str(bench.workspace) in text_of(result), "below the agent's own workspace"
    assert len(bench.tasks) == 1 and await calls(bench) == ["done"]
    g = bench.shop.ground
    rows = await g.read(receipts.about, g.company, g.company_no, "task", bench.tasks[0])
    assert [(r.verdict, r.outcome) for r in rows if r.capability == "a.run"] == [
        ("allow", None), ("allow", "done"),
    ]  # fmt: skip


async def test_a_failed_command_is_an_error_with_its_output(bench: Bench) -> None:
    await register(bench.shop, "import sys; print('so far'); sys.exit('broken')")
    async with working(bench.shop.ground):
        result = await bench.call("exec", capability="a.run", wait_s=WAIT_S)
    assert result.is_error
    assert "exitCode: 1" in text_of(result) and "broken" in text_of(result)
    assert "so far" in text_of(result)


async def test_the_sandbox_sees_neither_home_nor_state(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "home" / "run" / "mine").write_text("secret of the state")
    look = "import os, sys; print([os.path.exists(p) for p in sys.argv[1:]])"
    home = bench.shop.ground.home
    argv = (PYTHON, "-c", look, str(home / "run"), str(home / "local-ssot"), "/etc/shadow")
    await register(bench.shop, "", argv=argv, trusted=False)
    async with working(bench.shop.ground):
        result = await bench.call("exec", capability="a.run", wait_s=WAIT_S)
    if result.details is not None and result.details.get("error") == "sandbox.missing":
        pytest.skip("bubblewrap does not work here")
    assert "[False, False, False]" in text_of(result)


@pytest.mark.parametrize(
    "fields, arguments, code",
    [
        ({}, {"capability": "a.other"}, "capability.unknown"),
        ({}, {"capability": "task.create"}, "call.builtin"),
        ({}, {"capability": "a.run", "arguments": {"x": 1}}, "argv.bad_value"),
        ({}, {"capability": "a.run", "target": "workspace:../x"}, "call.target"),
        ({}, {"capability": "a.run", "wait_s": 601}, "tool.arguments"),
        ({"grants": ("role:owner",)}, {"capability": "a.run"}, "permission.capability"),
        ({}, {"capability": "a.run", "target": "https://example.com/"}, "R6.outside"),
    ],
)
async def test_what_is_refused(
    bench: Bench, fields: dict[str, Any], arguments: dict[str, Any], code: str
) -> None:
    await register(bench.shop, "print()", **fields)
    assert code_of(await bench.call("exec", **arguments)) == code
    assert await calls(bench) == []


@pytest.mark.parametrize("level", [settings.ENFORCE, settings.OBSERVE])
async def test_who_is_no_operator_gets_no_command_run(bench: Bench, level: str) -> None:
    await bench.shop.do("change.switch", OWNER, settings.put, settings.LEVEL, level)
    await register(bench.shop, "print()")
    await bench.shop.agent("bob")
    await bench.begin(as_="bob")
    assert code_of(await bench.call("exec", capability="a.run")) == "divert.create_task"
    assert bench.tasks == []


async def test_stop_ends_it(bench: Bench) -> None:
    await register(bench.shop, LONG)
    async with working(bench.shop.ground):
        started = await bench.call("exec", capability="a.run", wait_s=0)
        handle = (started.details or {})["handle"]
        await running(bench)
        await bench.shop.stop("agent", "ada")
        call = await bench.shop.ground.read(calling.need, bench.shop.ground.company, handle)
        ended = await commands.ended(bench.store, call, WAIT_S)
    assert (ended.state, "cancelled" in (ended.reason or "")) == ("failed", True)


async def running(bench: Bench) -> None:
    """It has begun, and said so in its workspace."""
    place = bench.workspace
    await asyncio.to_thread(seen, lambda: list(place.glob("*/out/begun")), WAIT_S)


async def test_a_long_one_has_a_handle(bench: Bench) -> None:
    await register(bench.shop, LONG)
    started = await bench.call("exec", capability="a.run", wait_s=0)
    assert not started.is_error and started.details is not None
    handle = started.details["handle"]
    async with working(bench.shop.ground):
        await running(bench)
        polled = await bench.call("process", handle=handle, wait_s=0)
        assert polled.details is not None and polled.details["state"] == "running"
        killed = await bench.call("process", handle=handle, action="kill", wait_s=WAIT_S)
    assert killed.details is not None and killed.details["state"] == "failed"
    assert "cancelled" in text_of(killed)


async def test_one_that_has_not_begun_is_withdrawn(bench: Bench) -> None:
    await register(bench.shop, "print('never')")
    started = await bench.call("exec", capability="a.run", wait_s=0)
    assert started.details is not None
    handle = started.details["handle"]
    killed = await bench.call("process", handle=handle, action="kill", wait_s=0)
    assert "withdrawn before it ran" in text_of(killed)
    async with working(bench.shop.ground):
        again = await bench.call("process", handle=handle, wait_s=0)
    assert again.details is not None and again.details["state"] == "failed"


@pytest.mark.parametrize(
    "arguments, code",
    [
        ({"handle": "no"}, "call.unknown"),
        ({"handle": "OWN", "action": "restart"}, "process.action"),
    ],
)
async def test_handles_that_are_none(bench: Bench, arguments: dict[str, Any], code: str) -> None:
    assert code_of(await bench.call("process", **arguments)) == code


async def test_handles_are_ones_own(bench: Bench) -> None:
    await register(bench.shop, "print()")
    started = await bench.call("exec", capability="a.run", wait_s=0)
    await bench.finish()
    bob = await open_bench(bench.shop, "bob", KIT)
    handle = (started.details or {})["handle"]
    for action in commands.ACTIONS:
        assert code_of(await bob.call("process", handle=handle, action=action)) == "call.unknown"


async def test_done_again_after_a_crash_it_has_asked_once(bench: Bench) -> None:
    """The daemon died while it waited: the call goes on, and is found again."""
    await register(bench.shop, "print('once')")
    await bench.begin()
    call = await bench.ask_for("exec", {"capability": "a.run", "wait_s": WAIT_S})
    hands_gone = asyncio.create_task(bench.do(call))
    asked = asyncio.Event()
    undo = bench.store.listen(lambda _: asked.set())
    while await calls(bench) != ["ready"]:
        asked.clear()
        await asked.wait()
    undo()
    hands_gone.cancel()
    await asyncio.gather(hands_gone, return_exceptions=True)
    async with working(bench.shop.ground):
        result = await bench.do(call)
    assert "once" in text_of(result) and await calls(bench) == ["done"]


# -- approvals -------------------------------------------------------------------------------


async def ask(bench: Bench) -> str:
    """A command that needs an approval: the turn waits for it. The approval's id."""
    await register(bench.shop, "print('approved work')", approval=True)
    await bench.call("exec", capability="a.run", wait_s=WAIT_S)
    assert bench.parked is not None and await calls(bench) == []
    return bench.parked


async def answer(bench: Bench, approval: str, how: str) -> None:
    shop, target = bench.shop, f"approval:{approval}"
    if how == "expired":
        shop.ground.clock.advance(24 * 3_600_000)
        await shop.do("approval.expire", SYSTEM, approving.expire_due, 10)
    elif how == "cancelled":
        await shop.do("approval.cancel", OWNER, approving.cancel, approval, target=target)
    else:
        decision = _approve if how == "approved" else _reject
        await shop.do("approval.decide", OWNER, decision, approval, target=target)


def _approve(tx: Any, ref: str) -> Any:
    return approving.decide(tx, ref, approve=True)


def _reject(tx: Any, ref: str) -> Any:
    return approving.decide(tx, ref, approve=False, note="too risky")


async def test_an_approval_parks_the_turn_and_a_yes_does_it_once(bench: Bench) -> None:
    approval = await ask(bench)
    await answer(bench, approval, "approved")
    await bench.resume()
    (call,) = await bench.store.read(lambda rx: _open(rx, bench))
    async with working(bench.shop.ground):
        result = await bench.do(call)
    assert "approved work" in text_of(result) and await calls(bench) == ["done"]


@pytest.mark.parametrize(
    "how, code",
    [
        ("rejected", "approval.rejected"),
        ("expired", "approval.expired"),
        ("cancelled", "approval.expired"),
    ],
)
async def test_any_other_answer_is_told_to_the_model(bench: Bench, how: str, code: str) -> None:
    """The turn goes on, and nothing is asked a second time; an operator sees why the task waits."""
    approval = await ask(bench)
    await answer(bench, approval, how)
    await bench.resume()
    (call,) = await bench.store.read(lambda rx: _open(rx, bench))
    result = await bench.do(call)
    assert code_of(result) == code and bench.parked is None
    if how == "rejected":
        assert "too risky" in text_of(result)
    assert await calls(bench) == []
    task = await bench.store.read(sql.need, bench.shop.ground.company, bench.tasks[0])
    if how == "cancelled":
        assert task.state is State.IN_PROGRESS, "nobody said no: it is the agent's again"
    else:
        assert task.state is State.BLOCKED and (task.reason or "").startswith("approval A-1")


async def test_the_answer_may_come_after_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with ground(home) as g:
        bench = await open_bench(await open_shop(g), "ada", KIT)
        approval = await ask(bench)
    async with ground(home, g.clock) as again:
        bench.shop.ground = again
        await answer(bench, approval, "approved")
        await bench.resume()
        (call,) = await bench.store.read(lambda rx: _open(rx, bench))
        async with working(again):
            result = await bench.do(call)
        assert "approved work" in text_of(result) and await calls(bench) == ["done"]


def _open(rx: Any, bench: Bench) -> Any:
    return turn_tools.unfinished(rx, bench.started.turn.id)
