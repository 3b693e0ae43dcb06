"""What stands in a run's way at the moment of its start: it waits, and that is no attempt."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from homarus.base.action import Effect
from homarus.company import agents
from homarus.flows import approving, firing_ends, spending, stopping
from homarus.kernel import quota
from homarus.scheduler.works import Works
from homarus.testing.shop import OWNER, SYSTEM
from tests.unit.scheduler.conftest import HOUR, Cron

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
