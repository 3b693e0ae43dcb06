"""Who starts when: namespaces apart, priorities, quotas, retries, dead letters."""

import errno
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.company import agents
from homarus.dispatch.commands import workspace_of
from homarus.dispatch.halting import LiveRun
from homarus.flows import firing, firing_ends, scheduling, stopping
from homarus.flows.firing_ends import Ended
from homarus.jobs import service
from homarus.jobs.model import PARALLEL, SKIP, JobChange, Run
from homarus.records import incidents
from homarus.scheduler.ticker import Ticker
from homarus.scheduler.works import Works
from homarus.testing.shop import OWNER, SYSTEM
from tests.unit.scheduler.conftest import DAY, HOUR, MIN, Cron

FAILED = Ended(False, reason="command.exited", error="exit code 3")
DONE = Ended(True)
P0 = 100


async def test_a_firing_is_a_row_before_it_runs_and_has_one(cron: Cron) -> None:
    job = await cron.command(every_ms=HOUR)
    cron.clock.advance(HOUR)
    await cron.fire()
    await cron.fire()
    assert await cron.states() == ["waiting"]
    (taken,) = await cron.take()
    assert (taken.run.state, taken.run.token, taken.run.attempt) == ("running", 1, 1)
    assert await cron.take() == []
    assert (await cron.job(job)).next_run_ms == cron.clock.now_ms() + HOUR


async def test_who_lost_a_run_changes_nothing_any_more(cron: Cron) -> None:
    await cron.command(every_ms=HOUR)
    cron.clock.advance(HOUR)
    await cron.fire()
    (old,) = await cron.take()
    cron.clock.advance(firing.TAKEN_MS + 1)
    assert await cron.shop.do("job.settle", SYSTEM, firing_ends.recover, 10, False) == 1
    (new,) = await cron.take()
    assert await cron.settle(old.run, DONE) is None
    assert (await cron.settle(new.run, DONE)).state == "done"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("overlap", "states"),
    [
        ("queue", ["running", "waiting", "skipped", "skipped"]),
        (SKIP, ["running", "skipped", "skipped", "skipped"]),
        (PARALLEL, ["running", "running", "running", "waiting"]),
    ],
)
async def test_what_an_earlier_run_that_is_still_there_means(
    cron: Cron, overlap: str, states: list[str]
) -> None:
    await cron.command(every_ms=10 * MIN, overlap=overlap)
    for _ in states:
        cron.clock.advance(10 * MIN)
        await cron.fire()
        await cron.take()
    assert await cron.states() == states


async def test_runs_of_a_namespace_wait_first_in_first_out_and_nobody_elses_do(cron: Cron) -> None:
    mine = [await cron.command(name=f"a{n}", every_ms=HOUR, concurrent=2) for n in range(4)]
    other = await cron.command(name="b", agent="bob", every_ms=HOUR)
    cron.clock.advance(HOUR)
    await cron.fire()
    taken = await cron.take()
    assert {t.job.id for t in taken} == {mine[0].id, mine[1].id, other.id}
    await cron.settle(next(t.run for t in taken if t.job.id == mine[1].id), DONE)
    (third,) = await cron.take()
    assert third.job.id == mine[2].id


async def test_the_more_important_starts_first(cron: Cron) -> None:
    jobs = [
        await cron.command(name=f"p{n}", every_ms=HOUR, priority=priority, concurrent=1)
        for n, priority in enumerate((-50, 0, 50, 100, 0))
    ]
    cron.clock.advance(HOUR)
    await cron.fire()
    order = []
    for _ in jobs:
        (taken,) = await cron.take()
        order.append(jobs.index(next(j for j in jobs if j.id == taken.job.id)))
        await cron.settle(taken.run, DONE)
    assert order == [3, 2, 1, 4, 0]


async def test_a_poison_job_ends_among_the_dead_letters_and_others_go_on(cron: Cron) -> None:
    poison = await cron.command(name="poison", every_ms=HOUR, misfire=SKIP)
    healthy = await cron.command(name="healthy", every_ms=HOUR)
    began = cron.clock.advance(HOUR) or cron.clock.now_ms()
    waits = []
    for attempt in range(4):
        await cron.fire()
        for taken in await cron.take():
            ended = FAILED if taken.job.id == poison.id else DONE
            run = await cron.settle(taken.run, ended)
            if run is not None and taken.job.id == poison.id:
                assert run.attempt == attempt + 1
                waits.append(None if run.due_ms is None else run.due_ms - cron.clock.now_ms())
        cron.clock.at_ms += waits[-1] or 0
    assert waits == [2 * MIN, 4 * MIN, 8 * MIN, None]
    (dead,) = await cron.runs(poison)
    assert (dead.state, dead.error, dead.scheduled_ms) == ("dead", "exit code 3", began)
    assert await cron.states(healthy) == ["done"]
    g = cron.ground
    (incident,) = await g.read(lambda rx: incidents.listed(rx, g.company, limit=10))
    assert (incident.reason_code, incident.severity) == ("job_dead", "high")
    assert dead.number in incident.summary
    told = await g.read(lambda rx: rx.all("select kind, text from notification"))
    assert [row[0] for row in told] == ["job_dead"]

    again = await cron.shop.do("job.retry", OWNER, firing_ends.retry, dead.number)
    assert (again.state, again.attempt) == ("waiting", 0)
    (taken,) = await cron.take()
    assert (await cron.settle(taken.run, DONE)).state == "done"  # type: ignore[union-attr]


async def test_a_folder_that_cannot_be_made_fails_its_own_run(cron: Cron) -> None:
    """An agent that may write files may have put one where the folder of its job should be."""
    spoiled = await cron.command(name="spoiled", every_ms=HOUR)
    healthy = await cron.command(name="healthy", every_ms=HOUR)
    at = workspace_of(cron.ground.home, cron.shop.agents["ada"], spoiled.number)
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text("no folder")
    await cron.tick(cron.clock.now_ms() + HOUR)
    (run,) = await cron.runs(spoiled)
    assert (run.state, run.reason, run.attempt) == ("failed", "workspace.unusable", 1)
    assert await cron.states(healthy) == ["done"]


async def test_a_fault_of_ours_leaves_its_run_to_the_lease(cron: Cron) -> None:
    """The ticker goes on: the run is taken up again when its lease has ended."""

    class Broken(Works):
        async def do(self, taken: firing.Taken, live: LiveRun) -> Run | None:
            if taken.job.name == "broken":
                raise RuntimeError("a fault of ours")
            return await super().do(taken, live)

    g = cron.ground
    cron.ticker = Ticker(g.store, cron.clock, Broken(g.store, g.home, None, {}), cron.lines)
    broken = await cron.command(name="broken", every_ms=DAY)
    healthy = await cron.command(name="healthy", every_ms=DAY)
    await cron.tick(cron.clock.now_ms() + DAY)
    assert (await cron.states(broken), await cron.states(healthy)) == (["running"], ["done"])
    cron.ticker = cron.daemon()
    await cron.tick(cron.clock.now_ms() + firing.TAKEN_MS + 1)
    assert await cron.states(broken) == ["done"]


async def test_a_dead_letter_is_dropped_with_a_reason_and_then_is_none(cron: Cron) -> None:
    job = await cron.command(every_ms=HOUR)
    run = await cron.run_by_hand(job)
    for _ in range(4):
        (taken,) = await cron.take()
        await cron.settle(taken.run, FAILED)
        cron.clock.advance(8 * MIN)
    dropped = await cron.shop.do("job.drop", OWNER, firing_ends.drop, run.number, "known")
    assert (dropped.state, dropped.error) == ("dropped", "dropped: known; exit code 3")
    for act in (firing_ends.drop, firing_ends.retry):
        with pytest.raises(HomarusError, match=r"job_run\.state"):
            await cron.shop.do("job.retry", OWNER, act, run.number)


async def test_p0_preempts_a_run_that_can_go_on_later_and_that_is_run_once(cron: Cron) -> None:
    await cron.register("a.slow", "", restartable=True)
    least = await cron.command("a.slow", name="least", every_ms=HOUR, priority=-50, concurrent=2)
    low = await cron.command("a.slow", name="low", every_ms=HOUR, concurrent=2)
    fixed = await cron.command(name="fixed", every_ms=3 * HOUR, priority=-50)
    urgent = await cron.command(name="urgent", every_ms=90 * MIN, priority=P0, concurrent=2)
    cron.clock.advance(HOUR)
    await cron.fire()
    held = {t.job.id: t.run for t in await cron.take()}
    assert held.keys() == {least.id, low.id}
    cron.clock.advance(30 * MIN)
    await cron.fire()
    assert await cron.take() == []
    (marked,) = [run for run in await cron.runs() if run.stopping]
    (waiting,) = await cron.runs(urgent)
    assert (marked.job, marked.preempted_by) == (least.id, waiting.id)
    cut = await cron.shop.do("job.settle", SYSTEM, firing_ends.cut, marked.id, marked.token)
    assert (cut.state, cut.attempt, cut.preemptions) == ("waiting", 0, 1), "it is no attempt"
    (first,) = await cron.take()
    assert first.job.id == urgent.id
    await cron.settle(first.run, DONE)
    (again,) = await cron.take()
    assert (again.run.id, again.run.attempt) == (marked.id, 1)
    assert again.run.preempted_by == waiting.id, "the row says who it made room for"
    await cron.settle(again.run, DONE)
    assert [run.state for run in await cron.runs(least)] == ["done"]
    assert await cron.states(fixed) == []


@pytest.mark.parametrize(
    ("restartable", "priority"), [(False, 0), (False, 49), (True, 50), (True, 100)]
)  # fmt: skip
async def test_what_may_not_be_cut_is_let_finish(
    cron: Cron, restartable: bool, priority: int
) -> None:
    await cron.register("a.work", "", restartable=restartable)
    await cron.command("a.work", name="work", every_ms=HOUR, priority=priority, concurrent=1)
    await cron.command(name="urgent", every_ms=90 * MIN, priority=P0, concurrent=1)
    cron.clock.advance(HOUR)
    await cron.fire()
    assert len(await cron.take()) == 1
    cron.clock.advance(30 * MIN)
    await cron.fire()
    assert await cron.take() == []
    assert not any(run.stopping for run in await cron.runs())


@pytest.mark.parametrize("scope", ["company", "agent"])
async def test_under_stop_runs_wait_and_go_on_when_it_is_lifted(cron: Cron, scope: str) -> None:
    await cron.command(every_ms=HOUR)
    subject = cron.ground.company if scope == "company" else cron.shop.agents["ada"]
    made = await cron.shop.do("stop.set", OWNER, stopping.put, scope, subject, "wait")
    cron.clock.advance(HOUR)
    await cron.fire()
    assert await cron.take() == []
    (run,) = await cron.runs()
    assert (run.state, run.due_ms) == ("waiting", cron.clock.now_ms() + firing_ends.HOLD_MS)
    await cron.shop.do("stop.lift", OWNER, stopping.lift, made.id)
    cron.clock.advance(MIN)
    assert len(await cron.take()) == 1


async def test_a_run_that_could_not_begin_for_a_day_is_skipped(cron: Cron) -> None:
    job = await cron.command()
    await cron.run_by_hand(job)
    await cron.shop.do("stop.set", OWNER, stopping.put, "company", cron.ground.company, "x")
    cron.clock.advance(firing_ends.MAX_HELD_MS + 1)
    assert await cron.take() == []
    (run,) = await cron.runs()
    assert (run.state, run.reason) == ("skipped", "job_run.held")


async def test_runs_of_a_removed_job_are_skipped(cron: Cron) -> None:
    job = await cron.command(every_ms=HOUR)
    await cron.run_by_hand(job)
    await cron.shop.do("job.delete", OWNER, service.archive, job)
    assert await cron.take() == []
    assert await cron.states() == ["skipped"]


async def test_a_queue_by_hand_is_bounded(cron: Cron) -> None:
    job = await cron.command()
    for _ in range(firing.MAX_WAITING):
        await cron.run_by_hand(job)
    with pytest.raises(HomarusError, match=r"job_run\.many"):
        await cron.run_by_hand(job)


def _run_here(tx: Any, name: str) -> None:
    agents.update(tx, agents.need(tx, tx.company, name).id, agents.AgentChange(executor="llm"))


@pytest.mark.parametrize(
    ("who", "what", "agent", "allowed"),
    [
        ("ada", "command", "ada", False),  # it would act without asking first
        ("ada", "turn", "ada", True),
        ("ada", "turn", "bob", False),
        ("runtime", "turn", "ada", False),
        ("ada", "maintenance", None, False),
        ("runtime", "command", "ada", False),
        (OWNER, "maintenance", None, True),
    ],
)
async def test_who_may_define_what_acts_as_an_agent(
    cron: Cron, who: str, what: str, agent: str | None, allowed: bool
) -> None:
    does = {
        "command": {"capability": "a.run"}, "turn": {"message": "Hi"},
        "maintenance": {"duty": "trust"},
    }[what]  # fmt: skip
    await cron.shop.do("company.create", SYSTEM, _run_here, "ada")
    try:
        await cron.define(as_=who, what=what, agent=agent, does=does)
        assert allowed
    except HomarusError as error:
        assert not allowed and error.code == "job.not_yours"


async def test_a_name_is_taken_once_in_a_namespace_however_it_comes_there(cron: Cron) -> None:
    mine = await cron.command(name="Report")
    other = await cron.command(name="Report", agent="bob")
    assert (mine.full_name, other.full_name) == ("cron.ada.report", "cron.bob.report")
    again = await cron.command(name="Report")
    assert again.full_name == f"cron.ada.report-j{again.no}"
    for change in (JobChange(agent="ada"), JobChange(agent="ada", key="report")):
        with pytest.raises(HomarusError, match=r"job\.exists"):
            await cron.shop.do("job.update", OWNER, scheduling.change, other, change)
    with pytest.raises(HomarusError, match=r"job\.exists"):
        await cron.shop.do("job.update", OWNER, scheduling.change, again, JobChange(key="report"))
    moved = await cron.shop.do(
        "job.update", OWNER, scheduling.change, other, JobChange(agent="ada", key="b.report")
    )
    assert moved.full_name == "cron.ada.b.report"


@pytest.mark.parametrize("value", [{"misfire": "never"}, {"overlap": "x"}, {"key": "A b"}])
async def test_what_no_job_may_say(cron: Cron, value: dict[str, str]) -> None:
    with pytest.raises(HomarusError, match=r"job\.(choice|key)"):
        await cron.command(**value)


async def test_housekeeping_for_which_there_is_no_room_is_tried_again(cron: Cron) -> None:
    async def full() -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    cron.duties["backup"] = full
    job = await cron.define(agent=None, what="maintenance", does={"duty": "backup"}, every_ms=HOUR)
    await cron.tick(cron.clock.now_ms() + HOUR)
    (run,) = await cron.runs(job)
    assert (run.state, run.reason) == ("failed", "job.disk")
    assert "No space left" in str(run.error)
