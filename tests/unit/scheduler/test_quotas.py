"""A job that uses more than it may is ended on record, and its neighbours' are on time."""

import asyncio
from collections.abc import Callable
from typing import Any

from homarus.base.action import Effect
from homarus.jobs.model import Run, State
from homarus.kernel.limits import MIB
from tests.unit.scheduler.conftest import MIN, Cron

SPINS = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.close(1), os.close(2)
for _ in range(2): os.fork()
while True: pass
"""
ALLOCATES = "kept = []\nwhile True: kept.append(bytearray(1024 * 1024))"


async def until(cron: Cron, holds: Callable[[list[Run]], Any]) -> list[Run]:
    changed = asyncio.Event()
    undo = cron.ground.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(60):
            while not holds(runs := await cron.runs()):
                await changed.wait()
                changed.clear()
            return runs
    finally:
        undo()


async def test_the_neighbours_job_is_on_time(cron: Cron) -> None:
    await cron.register("a.spin", SPINS, limits={"cpu_s": 2})
    bad = await cron.command("a.spin", name="bad", every_ms=60 * MIN)
    good = await cron.command(name="good", agent="bob", every_ms=61 * MIN)
    ticking = asyncio.create_task(cron.ticker.run())
    try:
        cron.clock.advance(60 * MIN)
        await cron.shop.task()  # any commit wakes it
        await until(cron, lambda runs: runs and runs[0].started_ms)
        cron.clock.advance(MIN)
        await cron.shop.task()
        await until(cron, lambda runs: len(runs) == 2 and all(run.ended_ms for run in runs))
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    (ended,) = await cron.runs(bad)
    assert (ended.state, ended.reason, ended.attempt) == (State.FAILED, "job_run.cpu", 1)
    assert ended.error == "terminated: more than 2 CPU seconds over all its processes"
    assert ended.cpu_ms is not None and 2_000 <= ended.cpu_ms <= 3_000
    assert ended.due_ms is not None, "it is tried again"
    (neighbour,) = await cron.runs(good)
    assert neighbour.state == State.DONE
    assert neighbour.claimed_ms == neighbour.scheduled_ms


async def test_memory_is_counted_and_the_row_says_how_much(cron: Cron) -> None:
    await cron.register("a.allocate", ALLOCATES)
    await cron.run_by_hand(await cron.command("a.allocate", memory_mb=128))
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.reason) == (State.FAILED, "job_run.memory")
    assert run.error == "terminated: more than 128 MB over all its processes"
    assert run.peak_bytes is not None and run.peak_bytes > 128 * MIB


async def test_a_write_to_the_outside_is_one_of_its_jobs_calls(cron: Cron) -> None:
    await cron.register("a.send", "print('sent')", effect=Effect.EXTERNAL_WRITE)
    for name in ("a.send", "a.run"):
        await cron.run_by_hand(await cron.command(name, name=name.replace(".", "-")))
    await cron.tick()
    assert [(run.state, run.api_calls) for run in await cron.runs()] == [("done", 1), ("done", 0)]
