"""A head start at fresh tasks for better-trusted agents; nobody waits for nobody (design, 6)."""

import pytest

from homarus.company import agents
from homarus.company.agents import ONLINE_MS
from tests.support.refusals import refused


def _trust(tx, agent, score):
    tx.run("update agent set trust=? where id=?", (score, agent))
    tx.emit("agent_updated", agent)


def _seen(tx, agent):
    agents.beat(tx, agent, 0)


async def hire(shop, name, score, *, seen=True, **fields):
    agent = await shop.agent(name, **fields)
    await shop.ground.write("agent.update", _trust, agent, score)
    if seen:
        await shop.ground.write("agent.update", _seen, agent)
    return agent


@pytest.mark.parametrize(
    ("mine", "other", "age_ms", "gets"),
    [
        # a normal agent leaves a fresh task to a high one for two seconds
        (60, 80, 0, False),
        (60, 80, 1_999, False),
        (60, 80, 2_000, True),
        (79, 80, 1_999, False),
        (60, 79, 0, True),
        (50, 79, 0, True),
        # a low one to anybody better, for thirty
        (49, 50, 0, False),
        (49, 50, 29_999, False),
        (49, 50, 30_000, True),
        (30, 100, 29_999, False),
        (30, 49, 0, True),
        # the best wait for nobody
        (80, 100, 0, True),
        (100, 80, 0, True),
    ],
)
async def test_the_head_start_to_the_millisecond(shop, mine, other, age_ms, gets):
    await hire(shop, "me", mine)
    await hire(shop, "other", other)
    await shop.task()
    shop.ground.clock.advance(age_ms)
    assert (await shop.claim("me") is not None) is gets


async def away(shop, better):
    shop.ground.clock.advance(ONLINE_MS)


async def just_here(shop, better):
    shop.ground.clock.advance(ONLINE_MS - 1)


async def busy(shop, better):
    await shop.task(agent=better)
    assert await shop.claim("better")


async def suspended(shop, better):
    await shop.ground.write(
        "agent.update", agents.update, better, agents.AgentChange(suspended=True)
    )


async def gone(shop, better):
    await shop.ground.write("agent.delete", agents.delete, better)


@pytest.mark.parametrize(
    ("what", "gets"),
    [(None, False), (just_here, False), (away, True), (busy, True), (suspended, True),
     (gone, True)],
)  # fmt: skip
async def test_none_waits_when_nobody_better_waits(shop, what, gets):
    await hire(shop, "me", 60)
    better = await hire(shop, "better", 90)
    if what is not None:
        await what(shop, better)
    await shop.task()
    assert (await shop.claim("me") is not None) is gets


@pytest.mark.parametrize(
    ("role", "skills", "task", "gets"),
    [
        ("coder", (), {"role": "coder"}, False),
        ("writer", (), {"role": "coder"}, True),
        (None, (), {"role": "coder"}, True),
        ("writer", (), {}, False),
        ("coder", ("sql",), {"skills": ("sql",)}, False),
        ("coder", ("rust",), {"skills": ("sql",)}, True),
    ],
)
async def test_a_better_agent_counts_only_where_it_fits(shop, role, skills, task, gets):
    await hire(shop, "me", 60, role="coder", skills=("sql", "python"))
    await hire(shop, "better", 90, role=role, skills=skills)
    await shop.task(**task)
    assert (await shop.claim("me") is not None) is gets


async def test_what_is_assigned_to_an_agent_is_its_own_at_once(shop):
    me = await hire(shop, "me", 30)
    await hire(shop, "better", 90)
    await shop.task(agent=me)
    assert await shop.claim("me") is not None


async def test_older_work_of_another_lane_is_not_held_up_by_a_fresh_task(shop):
    await hire(shop, "me", 60)
    old = await shop.task()
    shop.ground.clock.advance(2_000)
    await hire(shop, "better", 90)
    fresh = await shop.task(project=await shop.project(), priority=9)
    assert (await shop.claim("me")).id == old.id
    assert (await shop.claim("better")).id == fresh.id


async def test_a_named_claim_waits_too(shop):
    await hire(shop, "me", 60)
    await hire(shop, "better", 90)
    task = await shop.task()
    with refused("task.not_claimable"):
        await shop.claim("me", task=task.id)
    shop.ground.clock.advance(2_000)
    assert await shop.claim("me", task=task.id)


async def test_an_edit_does_not_start_it_again(shop):
    await hire(shop, "me", 60)
    await hire(shop, "better", 90)
    task = await shop.task()
    shop.ground.clock.advance(1_999)
    await shop.patch(task.id, title="another")
    shop.ground.clock.advance(1)
    assert await shop.claim("me") is not None
