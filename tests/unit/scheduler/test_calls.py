"""A job reaches outside so often in an hour, over all its runs, however these go on and end."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from homarus.base.action import Effect
from homarus.base.errors import Refused
from homarus.egress.proxy import Egress
from homarus.egress.secrets import Secrets
from homarus.flows import firing, firing_ends, job_calls
from homarus.flows.reaching import Run as Reach
from homarus.jobs.model import Job, Run
from homarus.kernel.keys import MasterKey
from homarus.scheduler.works import Works
from homarus.testing.ground import MASTER_KEY
from homarus.testing.shop import SYSTEM
from tests.support.scripted_http import Answer, scripted
from tests.unit.scheduler.conftest import HOUR, MIN, Cron

LIMIT = 10


@pytest.fixture
async def job(cron: Cron) -> Job:
    """Ten calls an hour, and several runs beside each other; it is ten past."""
    cron.clock.advance(10 * MIN)
    await cron.register("a.again", "", restartable=True)
    return await cron.command("a.again", api_per_hour=LIMIT, overlap="parallel", concurrent=10)


def _spend(tx: Any, run: str, calls: int) -> None:
    for _ in range(calls):
        job_calls.request(tx, run)


async def started(cron: Cron, job: Job, calls: int) -> Run:
    """One that is going on and has made so many calls."""
    await cron.run_by_hand(job)
    (taken,) = await cron.take()
    await cron.shop.do("job.fire", SYSTEM, firing.begun, taken.run.id, taken.run.token, 9 * HOUR)
    await cron.shop.do("job.settle", SYSTEM, _spend, taken.run.id, calls)
    return taken.run


async def goes_on(cron: Cron, run: Run) -> None:
    """It does not end."""


async def is_done(cron: Cron, run: Run) -> None:
    await cron.settle(run, firing_ends.Ended(True))


async def is_cut(cron: Cron, run: Run) -> None:
    await cron.shop.do("job.settle", SYSTEM, firing_ends.cut, run.id, run.token)


async def is_lost(cron: Cron, run: Run) -> None:
    await cron.shop.do("job.settle", SYSTEM, firing_ends.recover, 10, True)


async def is_handed_back(cron: Cron, run: Run) -> None:
    await cron.shop.do("job.settle", SYSTEM, firing_ends.hand_back, run.id, run.token, "x")


@pytest.mark.parametrize("comes_to", [goes_on, is_done, is_cut, is_lost, is_handed_back])
async def test_the_next_run_waits_until_the_hour_is_over(
    cron: Cron, job: Job, comes_to: Any
) -> None:
    first = await started(cron, job, LIMIT)
    await comes_to(cron, first)
    cron.clock.advance(5 * MIN)
    await cron.run_by_hand(job)
    assert await cron.take() == []
    before, *_, after = await cron.runs(job)
    assert before.api_calls == LIMIT, "what was made was made"
    assert (after.state, after.due_ms) == ("waiting", cron.clock.now_ms() + 45 * MIN)
    cron.clock.advance(45 * MIN)
    assert after.id in [taken.run.id for taken in await cron.take()]


async def test_runs_beside_each_other_share_what_their_job_may(cron: Cron, job: Job) -> None:
    first, second = await started(cron, job, 6), await started(cron, job, 3)
    await cron.shop.do("job.settle", SYSTEM, job_calls.request, first.id)
    with pytest.raises(Refused, match=r"quota\.job.*10 calls of this hour"):
        await cron.shop.do("job.settle", SYSTEM, job_calls.request, second.id)
    cron.clock.advance(50 * MIN)
    await cron.shop.do("job.settle", SYSTEM, job_calls.request, second.id)
    assert [run.api_calls for run in await cron.runs(job)] == [7, 4]


async def test_another_job_is_not_held_up(cron: Cron, job: Job) -> None:
    await started(cron, job, LIMIT)
    other = await cron.command(name="other")
    await cron.run_by_hand(other)
    assert [taken.job.id for taken in await cron.take()] == [other.id]


async def test_a_write_to_the_outside_that_is_one_too_many_waits(cron: Cron) -> None:
    """Two were claimed while there was room for one."""
    await cron.register("a.send", "print('sent')", effect=Effect.EXTERNAL_WRITE)
    job = await cron.command("a.send", api_per_hour=LIMIT, overlap="parallel")
    await started(cron, job, LIMIT - 1)
    for _ in range(2):
        await cron.run_by_hand(job)
    works = Works(cron.ground.store, cron.ground.home, None, {})
    ends = [await works.do(taken, works.live(taken)) for taken in await cron.take()]
    assert [(end.state, end.attempt, end.reason) for end in ends if end] == [
        ("done", 1, None), ("waiting", 0, "quota.job"),
    ]  # fmt: skip


# -- the proxy -------------------------------------------------------------------------------


@pytest.fixture
async def egress(cron: Cron) -> AsyncIterator[Egress]:
    g = cron.ground
    made = Egress(g.store, Secrets(g.store, MasterKey.from_file(g.home / MASTER_KEY)),
                  g.home / "run")  # fmt: skip
    await made.start()
    yield made
    await made.stop()


async def test_a_request_that_is_one_too_many_hears_when_to_come_again(
    cron: Cron, job: Job, egress: Egress
) -> None:
    run = await started(cron, job, LIMIT - 2)
    reach = Reach(run.id, cron.ground.company, cron.shop.agents["ada"], "a.again")
    with scripted(Answer(body={})) as server:
        host = server.url.removeprefix("http://")
        async with egress.open(reach, (host,)) as lease:
            async with httpx2.AsyncClient(proxy=lease.url(), trust_env=False) as client:
                replies = [await client.get(server.url) for _ in range(4)]
            assert [error.code for error in lease.refusals] == ["quota.job"] * 2
    assert [reply.status_code for reply in replies] == [200, 200, 429, 429]
    assert len(server.asked) == 2
    assert replies[2].headers["retry-after"] == str(50 * 60)
    assert replies[2].json()["error"]["code"] == "quota.job"
    assert [one.api_calls for one in await cron.runs(job)] == [LIMIT], "as they happened"


async def test_requests_of_others_are_not_counted(cron: Cron, egress: Egress) -> None:
    reach = Reach("mcp:x:1", cron.ground.company, cron.shop.agents["ada"], "mcp.x")
    async with egress.open(reach, ()) as lease:
        assert lease.job_run is None
