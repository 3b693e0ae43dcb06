"""P0 goes first: who makes room for it, in its namespace and in a daemon that has none at all."""

import asyncio

import pytest

from homarus.jobs.model import Job, Run
from homarus.jobs.words import priority_word
from homarus.scheduler.ticker import Ticker
from homarus.scheduler.works import Works
from tests.unit.scheduler.conftest import Cron
from tests.unit.scheduler.test_ticker import GOES_ON, ended, eventually_exists

P0 = 100


@pytest.mark.parametrize("priority", [-50, 0, 1, 49])
async def test_what_is_called_p2_or_p3_makes_room(cron: Cron, priority: int) -> None:
    assert priority_word(priority) in ("P2", "P3")
    await cron.register("a.work", "", restartable=True)
    low = await cron.command("a.work", name="low", priority=priority, concurrent=1)
    urgent = await cron.command(name="urgent", priority=P0, concurrent=1)
    await cron.run_by_hand(low)
    assert len(await cron.take()) == 1
    waits = await cron.run_by_hand(urgent)
    assert await cron.take() == []
    (run,) = await cron.runs(low)
    assert (run.stopping, run.preempted_by) == (True, waits.id)


async def test_p0_of_all_agents_is_taken_before_anything_else(cron: Cron) -> None:
    for n in range(3):
        await cron.run_by_hand(await cron.command(name=f"bob{n}", agent="bob", overlap="parallel"))
    busy = await cron.command(name="busy", overlap="parallel")
    await cron.run_by_hand(busy)
    assert len(await cron.take(limit=2)) == 2
    urgent = await cron.command(name="urgent", priority=P0)
    await cron.run_by_hand(urgent)
    assert [taken.job.id for taken in await cron.take(limit=1)] == [urgent.id]


def full(cron: Cron) -> Ticker:
    """Of a daemon that has one run in hand at most."""
    g = cron.ground
    works = Works(g.store, g.home, None, {})
    return Ticker(g.store, cron.clock, works, cron.lines, most=1)


async def both(cron: Cron, low: Job, urgent: Job) -> tuple[Run, Run]:
    """As they have ended: the one was at work when the other came."""
    ticking = asyncio.create_task(full(cron).run())
    try:
        await cron.run_by_hand(low)
        await eventually_exists(cron, "mark")
        await cron.run_by_hand(urgent)
        await ended(cron, 2)
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    (first,), (second,) = await cron.runs(low), await cron.runs(urgent)
    return first, second


async def test_in_a_full_daemon_another_agents_run_makes_room(cron: Cron) -> None:
    await cron.register("a.long", GOES_ON, restartable=True)
    low = await cron.command("a.long", name="low", agent="bob", priority=10)
    run, first = await both(cron, low, await cron.command(name="urgent", priority=P0))
    assert (run.state, run.output, run.attempt, run.preemptions) == ("done", "whole\n", 1, 1)
    assert first.state == "done" and run.preempted_by == first.id
    assert (run.started_ms or 0) >= (first.ended_ms or 0)


SHORT = (
    "import pathlib, time\n"
    "pathlib.Path('mark').touch()\n"
    "end = pathlib.Path('end')\n"
    "while not end.exists(): time.sleep(0.01)\n"
)


@pytest.mark.parametrize(("restartable", "priority"), [(False, 0), (True, 50)])
async def test_in_a_full_daemon_too_what_may_not_be_cut_is_let_finish(
    cron: Cron, restartable: bool, priority: int
) -> None:
    await cron.register("a.short", SHORT, restartable=restartable)
    low = await cron.command("a.short", name="low", agent="bob", priority=priority)
    urgent = await cron.command(name="urgent", priority=P0)
    ticker = full(cron)
    ticking = asyncio.create_task(ticker.run())
    try:
        await cron.run_by_hand(low)
        await eventually_exists(cron, "mark")
        await cron.run_by_hand(urgent)
        async with asyncio.TaskGroup() as group:
            await ticker.tick(group)
        (run,) = await cron.runs(low)
        assert (run.state, run.stopping) == ("running", False)
        (mark,) = cron.ground.home.glob("agents/*/workspace/*/mark")
        (mark.parent / "end").touch()
        await ended(cron, 2)
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    assert [run.preemptions for run in await cron.runs()] == [0, 0]
