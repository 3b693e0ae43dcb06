"""What stands in a run's way at the moment of its start: it waits, and that is no attempt."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from homarus.base.action import Effect
from homarus.base.errors import HomarusError
from homarus.company import agents
from homarus.flows import approving, firing_ends, leaving, scheduling, spending, stopping
from homarus.jobs.model import COMMAND, TURN, JobChange
from homarus.kernel import quota
from homarus.records import incidents
from homarus.scheduler.works import Works
from homarus.testing.shop import OWNER, SYSTEM
from tests.unit.scheduler.conftest import DAY, HOUR, MIN, Cron

HOLD = firing_ends.HOLD_MS


async def stopped(cron: Cron) -> Callable[[], Awaitable[Any]]:
    made = await cron.shop.do(
        "stop.set", OWNER, stopping.put, "company", cron.ground.company, "wait"
    )
    return lambda: cron.shop.do("stop.lift", OWNER, stopping.lift, made.id)


def _suspend(tx: Any, agent: str, suspended: bool) -> None:
    agents.update(tx, agent, agents.AgentChange(suspended=suspended))


async def suspended(cron: Cron) -> Callable[[], Awaitable[Any]]:
    ada = cron.shop.agents["ada"]
    await cron.shop.do("agent.update", OWNER, _suspend, ada, True)
    return lambda: cron.shop.do("agent.update", OWNER, _suspend, ada, False)


async def without_budget(cron: Cron) -> Callable[[], Awaitable[Any]]:
    budget = ("agent", "ada", "calls", "day")
    await cron.shop.do("budget.set", OWNER, spending.set_budget, *budget, 0)
    return lambda: cron.shop.do("budget.set", OWNER, spending.set_budget, *budget, None)


def _used_up(tx: Any, agent: str) -> None:
    for _ in range(100):
        quota.count(tx, agent, tx.now_ms // HOUR)


async def without_quota(cron: Cron) -> Callable[[], Awaitable[Any]]:
    await cron.shop.do("job.settle", SYSTEM, _used_up, cron.shop.agents["ada"])

    async def the_hour_is_over() -> None:
        cron.clock.advance(HOUR)

    return the_hour_is_over


Blocks = Callable[[Cron], Awaitable[Callable[[], Awaitable[Any]]]]


@pytest.mark.parametrize(
    ("comes", "why"),
    [
        (stopped, "stop.company"),
        (suspended, "suspended.agent"),
        (without_budget, "budget.exhausted"),
        (without_quota, "quota.exhausted"),
    ],
)
async def test_what_comes_between_claim_and_start_makes_the_run_wait(
    cron: Cron, comes: Blocks, why: str
) -> None:
    await cron.register("a.send", "print('sent')", effect=Effect.EXTERNAL_WRITE)
    await cron.run_by_hand(await cron.command("a.send"))
    (taken,) = await cron.take()
    goes = await comes(cron)
    works = Works(cron.ground.store, cron.ground.home, None, {})
    after = await works.do(taken, works.live(taken))
    assert after is not None
    assert (after.state, after.attempt, after.reason) == ("waiting", 0, why)
    assert (after.due_ms, after.until_ms) == (cron.clock.now_ms() + HOLD, None)
    await goes()
    cron.clock.advance(HOLD)
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.attempt, run.reason) == ("done", 1, None)


def _approvals(rx: Any) -> Any:
    return rx.all("select id from approval")


def _approve(tx: Any, ref: str) -> Any:
    return approving.decide(tx, ref, approve=True)


async def test_a_run_whose_approval_is_open_waits_and_spends_no_attempt(cron: Cron) -> None:
    await cron.register("a.ask", "print('approved')", approval=True)
    await cron.run_by_hand(await cron.command("a.ask"))
    for _ in range(8):
        await cron.tick()
        (run,) = await cron.runs()
        assert (run.state, run.attempt, run.reason) == ("waiting", 0, "approval.needed")
        assert run.due_ms == cron.clock.now_ms() + HOLD
        cron.clock.advance(HOLD)
    ((asked,),) = await cron.ground.read(_approvals)  # asked for once
    await cron.shop.do("approval.decide", OWNER, _approve, asked, target=f"approval:{asked}")
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.attempt, run.output) == ("done", 1, "approved\n")


# -- for how long ----------------------------------------------------------------------------


@pytest.mark.parametrize("comes", [stopped, suspended, without_budget, without_quota])
async def test_a_dead_letter_that_is_retried_later_has_its_whole_day_again(
    cron: Cron, comes: Blocks
) -> None:
    await cron.register("a.send", "import sys; sys.exit(3)", effect=Effect.EXTERNAL_WRITE)
    await cron.run_by_hand(await cron.command("a.send"))
    for _ in range(4):
        await cron.tick()
        cron.clock.advance(8 * MIN)
    assert await cron.states() == ["dead"]
    cron.clock.advance(2 * DAY)
    await comes(cron)
    await cron.shop.do("job.retry", OWNER, firing_ends.retry, "X-1")
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.attempt) == ("waiting", 0)
    if comes is not without_quota:
        cron.clock.advance(firing_ends.MAX_HELD_MS + 1)
        await cron.tick()
        assert await cron.states() == ["skipped"]


@pytest.mark.parametrize(("stop", "why"), [(True, "job_run.held"), (False, "approval.expired")])
async def test_of_a_run_that_was_held_for_a_day_operators_and_its_agent_are_told(
    cron: Cron, stop: bool, why: str
) -> None:
    """At the look at what waits, and at its start, which nobody approved."""
    await cron.register("a.ask", "print('approved')", approval=True)
    await cron.run_by_hand(await cron.command("a.ask"))
    if stop:
        await stopped(cron)
    await cron.tick()
    assert await cron.states() == ["waiting"]
    cron.clock.advance(firing_ends.MAX_HELD_MS + 1)
    await cron.tick()
    (run,) = await cron.runs()
    assert (run.state, run.reason, run.due_ms, run.until_ms) == ("skipped", why, None, None)
    g = cron.ground
    found = await g.read(lambda rx: incidents.listed(rx, g.company, limit=10))
    (incident,) = [one for one in found if one.reason_code == "job_held"]
    assert incident.severity == "high" and run.number in incident.summary
    told = await g.read(lambda rx: rx.all("select agent from notification where kind='job_held'"))
    assert told == [(cron.shop.agents["ada"],)]


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        ("stop.agent", "both"), ("suspended.agent", "both"), ("quota.job", "both"),
        ("budget.exhausted", "both"), ("budget.debt", "both"), ("approval.needed", "command"),
        ("approval.expired", "command"), ("approval.rejected", ""), ("budget.unknown_price", ""),
        ("budget.task", ""), ("budget.amount", ""),
    ],
)  # fmt: skip
def test_what_may_be_let_in_later(code: str, waits: str) -> None:
    """A turn that is said again asks again: only what time mends is worth that."""
    assert firing_ends.not_now(code, COMMAND) == (waits != "")
    assert firing_ends.not_now(code, TURN) == (waits == "both")


# -- its agent leaves ------------------------------------------------------------------------


async def gone_by_dismissal(cron: Cron, agent: str) -> None:
    await cron.shop.do("agent.delete", OWNER, leaving.dismiss, agent)


async def gone_before_jobs_were_looked_at(cron: Cron, agent: str) -> None:
    """As earlier versions left a company, and what a unit did not get to."""
    await cron.shop.do("agent.delete", OWNER, agents.delete, agent)


@pytest.mark.parametrize("leaves", [gone_by_dismissal, gone_before_jobs_were_looked_at])
async def test_jobs_of_an_agent_that_leaves_are_paused_and_what_waits_is_skipped(
    cron: Cron, leaves: Callable[[Cron, str], Awaitable[None]]
) -> None:
    jobs = [
        await cron.command(every_ms=HOUR),
        await cron.define(what="task", name="chore", every_ms=HOUR, task_type="chore",
                          project=cron.shop.project_id or await cron.shop.project()),
    ]  # fmt: skip
    other = await cron.command(name="other", agent="bob", every_ms=HOUR)
    await cron.run_by_hand(jobs[0])
    await leaves(cron, cron.shop.agents["ada"])
    for _ in range(3):
        cron.clock.advance(HOUR)
        await cron.tick()
    after = [await cron.job(job) for job in jobs]
    assert [(job.active, job.next_run_ms) for job in after] == [(False, None)] * 2
    (run,) = await cron.runs(jobs[0])
    assert (run.state, run.reason, run.attempt) == ("skipped", "job.agent_gone", 0)
    assert run.error == "its agent has left the company"
    assert await cron.runs(jobs[1]) == []
    assert await cron.states(other) == ["done"] * 3
    assert await cron.ground.read(lambda rx: rx.all("select summary from incident")) == []


async def test_a_job_without_its_agent_runs_again_when_it_has_another(cron: Cron) -> None:
    job = await cron.command(every_ms=HOUR)
    await gone_by_dismissal(cron, cron.shop.agents["ada"])
    job = await cron.job(job)
    for refused in (
        cron.shop.do("job.update", OWNER, scheduling.change, job, JobChange(active=True)),
        cron.run_by_hand(job),
    ):
        with pytest.raises(HomarusError, match=r"job\.agent_gone"):
            await refused
    change = JobChange(active=True, agent="bob")
    after = await cron.shop.do("job.update", OWNER, scheduling.change, job, change)
    assert (after.active, after.full_name) == (True, "cron.bob.job")
    await cron.tick(cron.clock.now_ms() + HOUR)
    assert await cron.states(job) == ["done"]
