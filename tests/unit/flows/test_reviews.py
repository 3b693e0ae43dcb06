"""Reviews: a lease on a task in review, by somebody else, whose word is evidence (design, 6)."""

import pytest

from homarus.tasks import sql
from homarus.tasks.model import LEASE_MS, State
from tests.support.refusals import refused


@pytest.fixture
async def reviewed(shop):
    """A task of ada's in review that wants a word of `qa`."""
    await shop.agent("ada", role="coder")
    await shop.agent("rev", role="qa")
    await shop.task(done=["review:qa"])
    task = await shop.claim("ada")
    return await shop.result("ada", task.id, "review", output={"work": 1})


async def test_a_review_claim_takes_a_lease_and_leaves_the_state(shop, reviewed):
    task = await shop.claim("rev", review=True)
    assert (task.id, task.state, task.reviewer) == (reviewed.id, State.REVIEW, shop.agents["rev"])
    assert (task.agent, task.token) == (shop.agents["ada"], reviewed.token + 1)
    assert task.lease_until_ms == shop.ground.clock.now_ms() + LEASE_MS
    assert await shop.claim("rev", review=True) is None


async def test_a_review_is_no_load(shop, reviewed):
    await shop.task()
    await shop.claim("rev")
    assert await shop.claim("rev", review=True) is not None


async def test_who_reviews(shop, reviewed):
    await shop.agent("other", role="writer")
    await shop.agent("none")
    for agent in ("ada", "other", "none"):
        assert await shop.claim(agent, review=True) is None


async def test_nobody_reviews_their_own(shop):
    await shop.agent("ada", role="qa")
    await shop.task(done=["review:qa"])
    task = await shop.claim("ada")
    await shop.result("ada", task.id, "review")
    assert await shop.claim("ada", review=True) is None
    with refused("task.dod_unmet"):
        await shop.result("ada", task.id, "done")


async def test_a_reviewer_accepts_and_the_work_is_kept(shop, reviewed):
    await shop.claim("rev", review=True)
    after = await shop.result("rev", reviewed.id, "done", comment="fine")
    assert (after.state, after.agent) == (State.DONE, shop.agents["ada"])
    items = await shop.ground.read(sql.done_items, reviewed.id)
    assert [item.evidence for item in items] == [shop.agents["rev"]]
    result = await shop.ground.read(sql.result_of, reviewed.id)
    assert (result.output, result.comment) == ({"work": 1}, "fine")


@pytest.mark.parametrize(("word", "state"), [("inbox", State.QUEUED), ("failed", State.FAILED)])
async def test_a_reviewer_rejects(shop, reviewed, word, state):
    await shop.claim("rev", review=True)
    after = await shop.result("rev", reviewed.id, word, comment="not yet")
    assert (after.state, after.reviewer, after.lease_until_ms) == (state, None, None)
    if state is State.QUEUED:
        assert (await shop.claim("ada")).id == reviewed.id


async def test_while_it_is_reviewed_its_agent_waits(shop, reviewed):
    task = await shop.claim("rev", review=True)
    for more in ({}, {"lease_token": reviewed.token}, {"lease_token": task.token}):
        with refused("task.lease_lost"):
            await shop.result("ada", reviewed.id, "failed", **more)


async def test_a_review_whose_lease_ends_is_free_again(shop, reviewed):
    task = await shop.claim("rev", review=True)
    assert await shop.let_leases_end() == 1
    with refused("task.lease_lost"):
        await shop.result("rev", reviewed.id, "done")
    again = await shop.claim("rev", review=True)
    assert (again.id, again.token, again.retries) == (task.id, task.token + 1, 0)


async def test_a_heartbeat_keeps_a_review(shop, reviewed):
    task = await shop.claim("rev", review=True)
    shop.ground.clock.advance(LEASE_MS // 2)
    assert await shop.beat("rev") == 1
    shop.ground.clock.advance(LEASE_MS // 2)
    assert await shop.expire() == 0
    assert (await shop.result("rev", task.id, "done", lease_token=task.token)).state is State.DONE


async def test_a_reviewer_overrides_no_lead(shop):
    await shop.agent("ada")
    await shop.agent("rev", role="qa")
    lead = await shop.project(only_lead_can_change_status=True, lead_agent=shop.agents["ada"])
    await shop.task(project=lead, done=["review:qa"])
    task = await shop.claim("ada")
    await shop.result("ada", task.id, "review")
    await shop.claim("rev", review=True)
    with refused("task.policy_lead_only"):
        await shop.result("rev", task.id, "done")
    await shop.move(task.id, State.DONE)


async def test_a_reopened_task_needs_a_new_review(shop, reviewed):
    await shop.claim("rev", review=True)
    await shop.result("rev", reviewed.id, "done")
    await shop.move(reviewed.id, State.REVIEW)
    with refused("task.dod_unmet"):
        await shop.result("ada", reviewed.id, "done")
    assert (await shop.claim("rev", review=True)).id == reviewed.id
    assert (await shop.result("rev", reviewed.id, "done")).state is State.DONE


# -- back to its agent ---------------------------------------------------------------------


async def test_its_agent_takes_a_task_back_out_of_review(shop, reviewed):
    task = await shop.claim("ada", task=reviewed.id)
    assert (task.state, task.token) == (State.IN_PROGRESS, reviewed.token + 1)
    assert task.lease_until_ms is not None
    assert (await shop.result("ada", task.id, "review")).state is State.REVIEW


async def test_who_takes_nothing_back_out_of_review(shop, reviewed):
    with refused("task.not_claimable"):
        await shop.claim("rev", task=reviewed.id)
    await shop.claim("rev", review=True)
    with refused("task.not_claimable"):
        await shop.claim("ada", task=reviewed.id)


async def test_taking_back_counts_as_load(shop, reviewed):
    await shop.task()
    await shop.claim("ada")
    with refused("task.not_claimable"):
        await shop.claim("ada", task=reviewed.id)
