"""The worker of calls: an intent is carried out once, and what a crash left is settled honestly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.backends.local import interpreter
from homarus.base.action import Action
from homarus.dispatch.calls import Calls
from homarus.flows import calling, stopping
from homarus.kernel import receipts, registry
from homarus.records import incidents
from homarus.testing.ground import Ground, ground
from homarus.testing.shop import OWNER, SYSTEM, Shop, open_shop

WAIT_S = 30
PYTHON = interpreter().python


@asynccontextmanager
async def working(g: Ground) -> AsyncIterator[None]:
    task = asyncio.create_task(Calls(g.store, g.home).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with ground(tmp_path) as g:
        shop = await open_shop(g)
        await shop.agent("ada", role="coder")
        yield shop


async def register(shop: Shop, *argv: str, **more: Any) -> None:
    fields = {"id": "a.run", "title": "Run", "argv": (PYTHON, *argv), "trusted": True} | more
    await shop.do("capability.register", OWNER, registry.register, registry.NewCapability(**fields))


async def called(shop: Shop) -> tuple[str, str]:
    """A task that ada holds and a call within it: `(task, call)`."""
    made = await shop.task(capability="a.run")
    task = await shop.claim("ada", task=made.id)
    assert task is not None
    new = calling.NewCall("a.run", task.id, f"task:{task.id}", {}, b"\0" * 32)
    g = shop.ground
    action = g.action("a.run", new.target, credential=shop.credentials["ada"], task=task.id)
    call = await g.store.write(action, calling.request, new)
    return task.id, call.id


async def row(shop: Shop, call: str) -> calling.Call:
    found: calling.Call = await shop.ground.read(calling.need, shop.ground.company, call)
    return found


async def ended(shop: Shop, call: str) -> calling.Call:
    changed = asyncio.Event()
    undo = shop.ground.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                changed.clear()
                found = await row(shop, call)
                if found.state not in ("ready", "running"):
                    return found
                await changed.wait()
    finally:
        undo()


async def outcomes(shop: Shop, task: str) -> list[str | None]:
    g = shop.ground
    found = await g.read(receipts.about, g.company, g.company_no, "task", task)
    return [r.outcome for r in found if r.capability == "a.run"]


async def test_a_call_runs_in_the_workspace_of_its_task(shop: Shop) -> None:
    await register(shop, "-c", "import os; print(os.getcwd())")
    task, call = await called(shop)
    async with working(shop.ground):
        done = await ended(shop, call)
    assert done.state == "done" and done.output is not None
    assert shop.agents["ada"] in done.output["stdout"]
    assert (done.attempts, await outcomes(shop, task)) == (1, [None, "done"])


@pytest.mark.parametrize(
    "meanwhile, reason",
    [
        ("disable", "disabled before it ran"),
        ("register", "registered anew before it ran"),
        ("release", "the lease on T-1 ended before it ran"),
        ("stop", "STOP is in force on this company"),
        ("stop agent", "STOP is in force on this agent"),
    ],
)
async def test_what_happens_between_intent_and_start_is_heeded(
    shop: Shop, meanwhile: str, reason: str
) -> None:
    await register(shop, "-c", "raise SystemExit(9)")
    task, call = await called(shop)
    match meanwhile:
        case "disable":
            await shop.do("capability.disable", OWNER, registry.disable, "a.run")
        case "register":
            await register(shop, "-c", "print('other')")
        case "release":
            await shop.release("ada", task)
        case "stop":
            await shop.do("stop.set", OWNER, stopping.put, "company", "", "test")
        case _:
            await shop.do("stop.set", OWNER, stopping.put, "agent", "ada", "test")
    async with working(shop.ground):
        done = await ended(shop, call)
    assert (done.state, done.attempts, done.output) == ("failed", 0, None)
    assert done.reason is not None and reason in done.reason
    assert (await outcomes(shop, task))[-1] == "failed"


async def died(shop: Shop, call: str) -> None:
    """The daemon started it, and ended."""
    until = shop.ground.clock.now_ms() + 60_000
    started = await shop.do("call.settle", SYSTEM, calling.start, call, until)
    assert started is not None


@pytest.mark.parametrize("restartable, state", [(True, "done"), (False, "unknown")])
async def test_a_call_whose_daemon_died(shop: Shop, restartable: bool, state: str) -> None:
    await register(shop, "-c", "print('again')", restartable=restartable)
    task, call = await called(shop)
    await died(shop, call)
    async with working(shop.ground):
        done = await ended(shop, call)
    assert done.state == state
    assert await outcomes(shop, task) == [None, state]
    g = shop.ground
    opened = await g.read(lambda rx: incidents.listed(rx, g.company, limit=10))
    assert [i.reason_code for i in opened] == ([] if restartable else ["call_unknown"])


@pytest.mark.parametrize("attempts, state", [(2, "ready"), (3, "unknown")])
async def test_a_call_is_started_at_most_so_often(shop: Shop, attempts: int, state: str) -> None:
    await register(shop, "-c", "print('again')", restartable=True)
    _, call = await called(shop)
    for n in range(attempts):
        await died(shop, call)
        assert (await row(shop, call)).attempts == n + 1
        await shop.do("call.settle", SYSTEM, calling.recover, 10, True)
    assert (await row(shop, call)).state == state


async def test_a_neighbours_call_is_left_alone_until_it_is_overdue(shop: Shop) -> None:
    await register(shop, "-c", "print('mine')")
    _, call = await called(shop)
    await died(shop, call)
    assert await shop.do("call.settle", SYSTEM, calling.recover, 10, False) == 0
    shop.ground.clock.advance(60_000)
    assert await shop.do("call.settle", SYSTEM, calling.recover, 10, False) == 0
    shop.ground.clock.advance(1)
    assert await shop.do("call.settle", SYSTEM, calling.recover, 10, False) == 1


async def test_an_outcome_that_comes_too_late_is_not_taken(shop: Shop) -> None:
    await register(shop, "-c", "print('late')", restartable=True)
    _, call = await called(shop)
    await died(shop, call)
    await shop.do("call.settle", SYSTEM, calling.recover, 10, True)
    await died(shop, call)
    assert await shop.do("call.settle", SYSTEM, calling.end, call, 1, True, "old", {}) is False
    assert await shop.do("call.settle", SYSTEM, calling.end, call, 2, True, "new", {}) is True
    assert (await row(shop, call)).reason == "new"


async def test_what_is_called_counts_as_evidence(shop: Shop) -> None:
    await register(shop, "-c", "print('checked')")
    made = await shop.task(capability="a.run", done=["check:a.run"])
    assert await shop.claim("ada", task=made.id) is not None
    new = calling.NewCall("a.run", made.id, f"task:{made.id}", {}, b"\0" * 32)
    g = shop.ground
    action: Action = g.action("a.run", new.target, credential=shop.credentials["ada"], task=made.id)
    call = await g.store.write(action, calling.request, new)
    async with working(g):
        await ended(shop, call.id)
    assert (await shop.result("ada", made.id, "done")).state.value == "done"
