"""What a holder may report, and who is none (control-plane contract, 6.4 and 6.6; design, 6)."""

import pytest

from homarus.kernel import tokens
from homarus.tasks import sql
from homarus.tasks.model import State
from tests.support.refusals import refused


async def working(shop, agent="ada", **fields):
    if agent not in shop.agents:
        await shop.agent(agent)
    await shop.task(**fields)
    return await shop.claim(agent)


async def stored(shop, task):
    return await shop.ground.read(sql.result_of, task.id)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("done", State.DONE),
        ("failed", State.FAILED),
        ("review", State.REVIEW),
        ("needs_review", State.REVIEW),
        ("inbox", State.QUEUED),
        ("queued", State.QUEUED),
        ("running", State.IN_PROGRESS),
    ],
)
async def test_a_result_moves_the_task_and_is_kept(shop, word, state):
    task = await working(shop)
    after = await shop.result("ada", task.id, word, output={"n": 1}, comment="so")
    assert after.state is state
    assert (after.lease_until_ms is None) == (state is not State.IN_PROGRESS)
    assert (after.agent is None) == (state is State.QUEUED)
    result = await stored(shop, task)
    assert (result.output, result.comment, result.agent) == ({"n": 1}, "so", shop.agents["ada"])


async def test_progress_starts_the_lease_afresh_under_the_same_fence(shop):
    task = await working(shop)
    shop.ground.clock.advance(1_000)
    after = await shop.result("ada", task.id, "in_progress", output="half")
    assert (after.lease_until_ms, after.token) == (task.lease_until_ms + 1_000, task.token)


async def test_silence_does_not_wipe_what_was_reported_before(shop):
    task = await working(shop)
    await shop.result("ada", task.id, "in_progress", output="half")
    await shop.result("ada", task.id, "done", comment="that was it")
    result = await stored(shop, task)
    assert (result.output, result.comment) == ("half", "that was it")


async def test_another_agents_output_is_not_passed_off_as_mine(shop):
    task = await working(shop)
    await shop.result("ada", task.id, "in_progress", output="hers")
    await shop.let_leases_end()
    await shop.agent("bob")
    await shop.claim("bob")
    await shop.result("bob", task.id, "done")
    assert (await stored(shop, task)).output is None


# -- repeats -------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["done", "failed"])
async def test_the_same_terminal_result_again_succeeds(shop, word):
    task = await working(shop)
    first = await shop.result("ada", task.id, word, output={"n": 1})
    assert await shop.result("ada", task.id, word, output={"n": 1}) == first


@pytest.mark.parametrize(
    ("agent", "word", "output", "code"),
    [
        ("ada", "done", {"n": 2}, "task.illegal_move"),
        ("ada", "failed", {"n": 1}, "task.illegal_move"),
        ("ada", "in_progress", None, "task.illegal_move"),
        ("ada", "inbox", None, "task.illegal_move"),
        ("bob", "done", {"n": 1}, "divert.wild_task"),
    ],
)
async def test_a_done_task_stays_done(shop, agent, word, output, code):
    await shop.agent("bob")
    task = await working(shop)
    await shop.result("ada", task.id, "done", output={"n": 1})
    with refused(code):
        await shop.result(agent, task.id, word, output=output)


# -- holders -------------------------------------------------------------------------------


async def test_only_the_holder_reports(shop):
    await shop.agent("bob")
    task = await working(shop)
    for other, code in (("bob", "divert.wild_task"), ("owner", "task.lease_lost")):
        with refused(code):
            await shop.result(other, task.id, "done")


@pytest.mark.parametrize("offset", [-1, 1, 1_000])
async def test_a_wrong_fence_is_refused(shop, offset):
    task = await working(shop)
    with refused("task.lease_lost"):
        await shop.result("ada", task.id, "done", lease_token=task.token + offset)
    await shop.result("ada", task.id, "done", lease_token=task.token)


@pytest.mark.parametrize(("left_ms", "held"), [(1, True), (0, False), (-1, False)])
async def test_the_lease_ends_to_the_millisecond(shop, left_ms, held):
    task = await working(shop)
    shop.ground.clock.advance(task.lease_until_ms - left_ms - shop.ground.clock.now_ms())
    if held:
        await shop.result("ada", task.id, "done")
        return
    for more in ({}, {"lease_token": task.token}):
        with refused("task.lease_lost"):
            await shop.result("ada", task.id, "done", **more)


async def test_a_stale_holder_is_refused_after_another_took_over(shop):
    task = await working(shop)
    await shop.agent("bob")
    await shop.let_leases_end()
    taken = await shop.claim("bob")
    assert (taken.id, taken.token, taken.retries) == (task.id, task.token + 1, 1)
    for more in ({}, {"lease_token": task.token}, {"lease_token": taken.token}):
        with refused("task.lease_lost"):
            await shop.result("ada", task.id, "done", **more)
    await shop.result("bob", task.id, "done", lease_token=taken.token)


async def test_a_stale_holder_is_refused_after_it_took_over_from_itself(shop):
    task = await working(shop)
    await shop.let_leases_end()
    again = await shop.claim("ada")
    with refused("task.lease_lost"):
        await shop.result("ada", task.id, "done", lease_token=task.token)
    await shop.result("ada", task.id, "done", lease_token=again.token)


def _second_token(tx, agent):
    token, _ = tokens.mint(tx, company=tx.company, kind="agent", name="second", agent=agent)
    return token.id


async def test_another_runtime_of_the_same_agent_needs_the_fence(shop):
    task = await working(shop)
    shop.credentials["twin"] = await shop.ground.write(
        "token.create", _second_token, shop.agents["ada"]
    )
    with refused("task.lease_lost"):
        await shop.result("twin", task.id, "done")
    await shop.result("twin", task.id, "done", lease_token=task.token)


async def test_an_assigned_task_is_not_reported_on_before_it_is_claimed(shop):
    ada = await shop.agent("ada")
    task = await shop.task(agent=ada)
    for word in ("done", "failed", "review", "in_progress"):
        with refused("task.illegal_move"):
            await shop.result("ada", task.id, word)


async def test_release(shop):
    task = await working(shop)
    after = await shop.release("ada", task.id, task.token)
    assert (after.state, after.agent, after.retries) == (State.QUEUED, None, 0)
    with refused("task.lease_lost"):
        await shop.release("ada", task.id, task.token)
    assert (await shop.claim("ada")).token == task.token + 1


# -- policies and the Definition of Done ---------------------------------------------------


async def test_a_project_that_wants_review_first(shop):
    project = await shop.project(require_review_before_done=True)
    task = await working(shop, project=project)
    with refused("task.policy_review_first"):
        await shop.result("ada", task.id, "done")
    await shop.result("ada", task.id, "review")
    with refused("task.policy_through_review"):
        await shop.result("ada", task.id, "done")
    assert (await shop.move(task.id, State.DONE)).state is State.DONE


async def test_a_projects_lead_is_its_agent_of_that_name(shop):
    lead = await shop.agent("lead")
    project = await shop.project(only_lead_can_change_status=True, lead_agent=lead)
    task = await working(shop, project=project)
    with refused("task.policy_lead_only"):
        await shop.result("ada", task.id, "done")
    await shop.result("ada", task.id, "failed")
    task = await working(shop, agent="lead", project=project)
    assert (await shop.result("lead", task.id, "done")).state is State.DONE


async def test_what_a_person_must_accept(shop):
    project = await shop.project(require_approval_for_done=True)
    task = await working(shop, project=project)
    with refused("task.policy_through_review"):
        await shop.result("ada", task.id, "done")
    await shop.result("ada", task.id, "review")
    await shop.move(task.id, State.DONE)


async def test_a_refused_result_leaves_nothing(shop):
    task = await working(shop, done=["artifact:report", "it is short"])
    with refused("task.dod_unmet") as caught:
        await shop.result("ada", task.id, "done", output={"n": 1})
    assert caught.value.details["missing"] == ["artifact:report"]
    assert await stored(shop, task) is None
    items = await shop.ground.read(sql.done_items, task.id)
    assert [item.evidence for item in items] == [None, None]


async def test_a_typed_item_is_met_by_an_artifact_of_its_kind(shop):
    task = await working(shop, done=["artifact:report", "it is short"])
    await shop.artifact("ada", task.id, "log")
    with refused("task.dod_unmet"):
        await shop.result("ada", task.id, "done")
    report = await shop.artifact("ada", task.id, "report")
    await shop.result("ada", task.id, "done")
    items = await shop.ground.read(sql.done_items, task.id)
    assert [item.evidence for item in items] == [report, "asserted"]


async def test_an_artifact_of_another_task_is_no_evidence(shop):
    other = await shop.task()
    await shop.agent("ada")
    task = await working(shop, done=["artifact:report"], priority=9)
    await shop.artifact("ada", other.id, "report")
    with refused("task.dod_unmet"):
        await shop.result("ada", task.id, "done")


async def test_free_text_alone_is_met_by_the_result(shop):
    task = await working(shop, done=["it is short"])
    assert (await shop.result("ada", task.id, "done")).state is State.DONE


async def test_a_check_that_nobody_ran_is_not_met(shop):
    task = await working(shop, done=["check:lint"])
    with refused("task.dod_unmet"):
        await shop.result("ada", task.id, "done", comment="I ran it, honestly")
