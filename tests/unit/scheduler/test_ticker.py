"""Jobs that fire by the clock, each through the real store, kernel and sandbox."""

import asyncio
import json
from typing import Any

import pytest

from homarus.base.action import Action, Effect, Outcome
from homarus.base.clock import iso_ms
from homarus.flows import due, firing, firing_ends, scheduling
from homarus.jobs.model import JobChange, Run
from homarus.kernel import registry
from homarus.scheduler.log import FILE
from homarus.scheduler.ticker import MAX_SLEEP_S, Ticker
from homarus.scheduler.works import Works
from homarus.testing.shop import OWNER
from homarus.testing.waiting import eventually, seen
from tests.unit.scheduler.conftest import HOUR, MIN, Cron, ms


async def test_a_job_with_a_time_zone_runs_its_command_when_the_clock_there_says_so(
    cron: Cron,
) -> None:
    job = await cron.command(name="Nightly", cron="30 2 * * *", zone="Europe/Berlin")
    assert job.full_name == "cron.ada.nightly"
    await cron.tick("2026-03-28T01:29:59Z")
    assert await cron.runs() == []
    await cron.tick("2026-03-28T01:30:00Z")
    (run,) = await cron.runs()
    assert (run.state, run.scheduled_ms, run.attempt) == ("done", ms("2026-03-28T01:30Z"), 1)
    assert (run.exit_code, run.output) == (0, "it ran\n")
    assert run.claimed_ms == run.started_ms == run.ended_ms == cron.clock.now_ms()
    assert run.cpu_ms is not None and run.due_ms is None
    after = await cron.job(job)
    assert after.next_run_ms == ms("2026-03-29T01:00Z"), "02:30 is left out: right after the gap"
    assert (after.runs, after.last_run_ms) == (1, run.started_ms)


async def test_an_idle_company_costs_nothing(cron: Cron) -> None:
    """No job: nothing is looked at until something is committed."""
    ticking = asyncio.create_task(cron.ticker.run())
    try:
        assert await cron.ticker.rest_s() is None
        await cron.command(every_ms=HOUR)
        assert await cron.ticker.rest_s() == MAX_SLEEP_S
        cron.clock.advance(HOUR)
        await cron.shop.task()  # any commit wakes it: it then looks at the clock
        await ended(cron, 1)
        assert await cron.states() == ["done"]
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


class Counting(Ticker):
    ticks = 0

    async def tick(self, group: asyncio.TaskGroup) -> None:
        self.ticks += 1
        await super().tick(group)


async def test_a_run_without_room_waits_for_an_end_and_not_for_the_clock(cron: Cron) -> None:
    first = await cron.command(name="first", concurrent=1)
    await cron.run_by_hand(first)
    (held,) = await cron.take()
    g = cron.ground
    await g.store.write(g.action("job.settle"), _keeps, held.run.id)
    second = await cron.command(name="second", concurrent=1)
    ticker = Counting(g.store, cron.clock, Works(g.store, g.home, None, {}), cron.lines)
    ticking = asyncio.create_task(ticker.run())
    try:
        await cron.run_by_hand(second)
        await eventually(lambda: ticker.ticks >= 2)
        for _ in range(200):
            await cron.runs()
        assert ticker.ticks <= 4, "it does not spin"
        await cron.settle(held.run, firing_ends.Ended(True))
        await ended(cron, 2)
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


def _keeps(tx: Any, run: str) -> None:
    """As of a turn: nobody takes it for lost."""
    tx.run("update job_run set until_ms=null where id=?", (run,))


async def ended(cron: Cron, count: int) -> None:
    changed = asyncio.Event()
    undo = cron.ground.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(60):
            while sum(run.ended_ms is not None for run in await cron.runs()) < count:
                await changed.wait()
                changed.clear()
    finally:
        undo()


# -- the clock jumps -------------------------------------------------------------------------


def moments(runs: list[Run]) -> list[tuple[str, str]]:
    return [(iso_ms(run.scheduled_ms)[11:16], run.state.value) for run in runs]


async def test_an_hour_ahead_leaves_a_row_for_each_firing(cron: Cron) -> None:
    await cron.command(cron="*/20 * * * *")
    await cron.tick("2026-03-28T00:20Z")
    await cron.tick("2026-03-28T01:25Z")
    assert moments(await cron.runs()) == [
        ("00:20", "done"), ("00:40", "missed"), ("01:00", "missed"), ("01:20", "done"),
    ]  # fmt: skip


async def test_an_hour_back_fires_nothing_again(cron: Cron) -> None:
    job = await cron.command(cron="*/20 * * * *")
    for at in ("00:20", "00:40", "01:00"):
        await cron.tick(f"2026-03-28T{at}Z")
    await cron.tick("2026-03-28T00:00Z")
    await cron.shop.do("job.update", OWNER, scheduling.change, job, JobChange(cpu_s=20))
    await cron.shop.do("job.update", OWNER, scheduling.change, job, JobChange(zone="Asia/Tokyo"))
    assert (await cron.job(job)).next_run_ms == ms("2026-03-28T00:20Z"), "planned anew"
    for at in ("00:20", "00:40", "01:00", "01:20"):
        await cron.tick(f"2026-03-28T{at}Z")
    assert moments(await cron.runs()) == [
        ("00:20", "done"), ("00:40", "done"), ("01:00", "done"), ("01:20", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "done", "missed"), [("skip", 0, 12), ("run_once", 1, 11), ("run_all", 12, 0)]
)
async def test_after_three_hours_asleep_the_policy_decides(
    cron: Cron, policy: str, done: int, missed: int
) -> None:
    job = await cron.command(cron="*/15 * * * *", misfire=policy)
    await cron.fire()
    cron.clock.at_ms = ms("2026-03-28T03:05Z")
    while (await cron.job(job)).next_run_ms != ms("2026-03-28T03:15Z") or [
        run for run in await cron.runs() if run.due_ms is not None
    ]:
        await cron.tick()
    states = await cron.states()
    assert (states.count("done"), states.count("missed"), len(states)) == (done, missed, 12)


@pytest.mark.parametrize("dies", ["before the row", "after the row", "when it was taken"])
async def test_a_restart_within_the_second_of_a_firing(cron: Cron, dies: str) -> None:
    await cron.register("a.again", "print('again')", restartable=True)
    await cron.command("a.again", cron="0 1 * * *")
    cron.clock.at_ms = ms("2026-03-28T01:00Z")
    if dies != "before the row":
        await cron.fire()
    if dies == "when it was taken":
        await cron.take()
    cron.ticker = cron.daemon()
    await cron.tick()
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.output) == ("done", "again\n")
    assert run.attempt == (2 if dies == "when it was taken" else 1)


async def test_what_a_dead_daemon_had_begun_and_may_not_be_done_again_is_for_people(
    cron: Cron,
) -> None:
    job = await cron.command(every_ms=HOUR)
    await cron.run_by_hand(job)
    (taken,) = await cron.take()
    g = cron.ground
    intent = Action(g.company, "a.run", "company:", Effect.EXEC, acting=cron.shop.agents["ada"],
                    preflight=taken.preflight, system="cron")  # fmt: skip
    await g.store.write(intent, firing.start, taken.run.id, taken.run.token, HOUR)
    cron.ticker = cron.daemon()
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.reason) == ("dead", "job_run.lost")
    outcomes = "select outcome from receipt where capability='a.run' order by seq"
    assert await g.read(lambda rx: rx.all(outcomes)) == [(None,), (int(Outcome.UNKNOWN),)]


async def test_a_command_that_fails_is_tried_again_after_two_minutes(cron: Cron) -> None:
    await cron.register("a.fail", "import sys; print('no luck'); sys.exit(3)")
    job = await cron.command("a.fail")
    await cron.run_by_hand(job)
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.exit_code, run.reason) == ("failed", 3, "command.exited")
    assert run.output == "no luck\n" and run.due_ms == cron.clock.now_ms() + 2 * MIN
    lines = (cron.ground.home / "logs" / FILE).read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["started", "ended"]
    assert json.loads(lines[-1])["exitCode"] == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [("disabled", "executor.no_capability"), ("revoked", "permission.capability")],
)
async def test_what_its_agent_may_no_longer_do_does_not_run(
    cron: Cron, change: str, reason: str
) -> None:
    job = await cron.command()
    if change == "disabled":
        await cron.shop.do("capability.disable", OWNER, registry.disable, "a.run")
    else:
        await cron.ground.write("capability.grant", registry.set_grants, "a.run", ("agent:bob",))
    await cron.run_by_hand(job)
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.reason, run.output) == ("failed", reason, None)


async def test_a_task_template_makes_its_task_once(cron: Cron) -> None:
    job = await cron.define(
        cron="0 1 * * *", project=cron.shop.project_id, task_type="report", name="Weekly"
    )
    await cron.tick("2026-03-28T01:00Z")
    await cron.tick()
    (run,) = await cron.runs()
    g = cron.ground
    tasks = await g.read(
        lambda rx: rx.all("select task from task_spec where recurring=?", (job.id,))
    )
    assert (run.state, [run.subject]) == ("done", [task for (task,) in tasks])
    assert (await cron.job(job)).runs == 1


async def test_a_schedule_that_says_not_what_to_spawn_is_skipped_on_record(cron: Cron) -> None:
    await cron.define(cron="0 1 * * *", agent=None)
    await cron.tick("2026-03-28T01:00Z")
    (run,) = await cron.runs()
    assert (run.state, run.reason) == ("skipped", "job.no_project")


async def test_housekeeping_says_what_it_did(cron: Cron) -> None:
    async def trust() -> str:
        return "two agents"

    cron.duties["trust"] = trust
    for duty in ("trust", "anchors"):
        job = await cron.define(what="maintenance", agent=None, does={"duty": duty})
        await cron.run_by_hand(job)
    await cron.tick()
    assert [(run.state, run.output, run.reason) for run in await cron.runs()] == [
        ("done", "two agents", None), ("failed", None, "job.duty"),
    ]  # fmt: skip


async def test_a_job_that_runs_once_is_removed_when_it_went_well(cron: Cron) -> None:
    job = await cron.command(at_ms=ms("2026-03-28T02:00Z"), once=True)
    await cron.tick("2026-03-28T02:00Z")
    await cron.tick()
    assert await cron.states() == ["done"]
    assert (await cron.job(job)).deleted_ms is not None


async def test_ended_runs_are_forgotten_after_two_weeks_and_dead_letters_are_not(
    cron: Cron,
) -> None:
    job = await cron.command()
    await cron.run_by_hand(job)
    await cron.run_by_hand(job)
    taken = await cron.take(1)
    await cron.settle(taken[0].run, firing_ends.Ended(True))
    for _ in range(4):
        (one,) = await cron.take()
        await cron.settle(one.run, firing_ends.Ended(False, reason="x"))
        cron.clock.advance(8 * MIN)
    cron.clock.advance(due.RUNS_KEPT_MS)
    assert await cron.ground.read(due.old_runs, 10) == [cron.ground.company]
    assert await cron.ground.write("store.sweep", due.forget_runs, 10) == 1
    assert await cron.states() == ["dead"]


SLEEPS = "import time; print('begun', flush=True); time.sleep(600)"
GOES_ON = (
    "import pathlib, time\n"
    "mark = pathlib.Path('mark')\n"
    "again = mark.exists()\n"
    "mark.touch()\n"
    "time.sleep(0 if again else 600)\n"
    "print('whole')"
)


async def test_p0_ends_a_process_that_can_be_run_again_and_that_is_run_to_its_end(
    cron: Cron,
) -> None:
    """Through real processes, while jobs of others go on."""
    await cron.register("a.long", GOES_ON, restartable=True)
    low = await cron.command("a.long", name="low", concurrent=1)
    urgent = await cron.command(name="urgent", priority=100, concurrent=1)
    other = await cron.command(name="other", agent="bob", every_ms=HOUR)
    ticking = asyncio.create_task(cron.ticker.run())
    try:
        await cron.run_by_hand(low)
        await eventually_exists(cron, "mark")
        await cron.run_by_hand(urgent)
        cron.clock.advance(HOUR)
        await cron.run_by_hand(other)
        await ended(cron, 4)
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    (run,) = await cron.runs(low)
    (first,) = await cron.runs(urgent)
    assert (run.state, run.output, run.attempt, run.preemptions) == ("done", "whole\n", 1, 1)
    assert first.state == "done" and run.preempted_by == first.id
    assert (run.started_ms or 0) >= (first.ended_ms or 0)
    assert [one.state.value for one in await cron.runs(other)].count("done") >= 1


async def eventually_exists(cron: Cron, name: str) -> None:
    pattern = f"agents/*/workspace/*/{name}"
    await asyncio.to_thread(seen, lambda: list(cron.ground.home.glob(pattern)))


async def test_a_daemon_that_stops_hands_back_what_it_runs(cron: Cron) -> None:
    await cron.register("a.sleep", SLEEPS, restartable=True)
    await cron.register("a.once", SLEEPS)
    for name in ("a.sleep", "a.once"):
        await cron.run_by_hand(await cron.command(name, name=name))
    ticking = asyncio.create_task(cron.ticker.run())
    try:
        await running(cron, 2)
        await cron.ticker.drain()
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    assert [(run.state, run.attempt, run.reason) for run in await cron.runs()] == [
        ("waiting", 0, "job_run.shutdown"), ("failed", 1, "job_run.shutdown"),
    ]  # fmt: skip


async def running(cron: Cron, count: int) -> None:
    changed = asyncio.Event()
    undo = cron.ground.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(60):
            while sum(run.receipt_seq is not None for run in await cron.runs()) < count:
                await changed.wait()
                changed.clear()
    finally:
        undo()
