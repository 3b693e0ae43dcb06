"""Edits by hand: assignment, PATCH, moves, archive, notes (control-plane contract, 6.2)."""

import pytest

from homarus.flows import editing
from homarus.kernel import tokens
from homarus.tasks import sql
from homarus.tasks.model import State
from tests.support.refusals import refused


@pytest.fixture
async def team(shop):
    await shop.agent("ada", role="coder", limit=9)
    await shop.agent("bob", role="writer", limit=9)
    return shop


async def in_state(shop, state):
    """A task of ada's in this state."""
    task = await shop.task(max_retries=0)
    if state is State.QUEUED:
        return task
    if state is State.BLOCKED:
        return await shop.move(task.id, State.BLOCKED)
    if state is State.ARCHIVED:
        return await shop.archive(task.id)
    await shop.claim("ada", task=task.id)
    if state is State.IN_PROGRESS:
        return task
    if state is State.DEAD_LETTER:
        await shop.let_leases_end()
        return task
    return await shop.result("ada", task.id, state.value)


# -- assignment ----------------------------------------------------------------------------


async def test_assigning_changes_who_can_claim(team):
    task = await team.task(role="coder")
    await team.assign(task.id, "bob")
    assert await team.claim("ada") is None
    await team.assign(task.id, team.agents["ada"])
    assert await team.claim("bob") is None
    assert (await team.claim("ada")).id == task.id


def notices(rx, company):
    return rx.all("select agent, kind, task from notification where company=?", (company,))


async def test_the_receiver_is_told(team):
    task = await team.task(agent=team.agents["ada"])
    await team.assign(task.id, "bob")
    await team.patch(task.id, agent="ada")
    told = [team.agents[name] for name in ("ada", "bob", "ada")]
    rows = await team.ground.read(notices, team.ground.company)
    assert sorted(rows) == sorted((agent, "task_assigned", task.id) for agent in told)


@pytest.mark.parametrize("state", [s for s in State if s is not State.INBOX])
async def test_when_a_task_can_be_assigned(team, state):
    task = await in_state(team, state)
    if state in (State.QUEUED, State.BLOCKED):
        assert (await team.assign(task.id, "bob")).agent == team.agents["bob"]
    elif state is State.ARCHIVED:
        with refused("task.unknown"):
            await team.assign(task.id, "bob")
    else:
        with refused("task.claimed"):
            await team.assign(task.id, "bob")


async def test_assigning_never_steals(team):
    task = await in_state(team, State.IN_PROGRESS)
    assert (await team.assign(task.id, "ada")).agent == team.agents["ada"]
    with refused("task.claimed"):
        await team.assign(task.id, "bob")
    await team.result("ada", task.id, "done")


@pytest.mark.parametrize("state", [State.IN_PROGRESS, State.REVIEW, State.DONE, State.FAILED])
async def test_no_agent_takes_over_work_by_patch(team, state):
    task = await in_state(team, state)
    for agent in ("bob", None):
        with refused("task.claimed"):
            await team.patch(task.id, as_="bob", agent=agent)


@pytest.mark.parametrize(
    ("fields", "change", "agent", "member"),
    [
        ({}, {"agent": "ada"}, True, None),
        ({"agent": "ada"}, {"agent": None, "member": None}, None, None),
        ({"agent": "ada"}, {"member": "m", "agent": None}, None, "m"),
        ({"agent": "ada"}, {"member": "m"}, None, "m"),
        ({"member": "m"}, {"agent": "ada"}, True, None),
        ({"member": "m"}, {"agent": None, "member": None}, None, None),
        ({"agent": "ada"}, {"priority": 3}, True, None),
    ],
)
async def test_an_agent_or_a_person_never_both(team, fields, change, agent, member):
    task = await team.task(**fields)
    after = await team.patch(task.id, **change)
    assert (after.agent, after.member) == (team.agents["ada"] if agent else None, member)


# -- fields --------------------------------------------------------------------------------


async def test_patch_changes_what_it_names(team):
    task = await team.task()
    await team.patch(task.id, title="new", goal="g2", priority=7, input={"extra": [1]})
    spec = await team.ground.read(sql.spec_of, task.id)
    assert (spec.input["title"], spec.input["goal"]) == ("new", "g2")
    assert (spec.input["extra"], spec.input["taskType"]) == ([1], "test_task")
    assert (await team.claim("ada")).priority == 7


async def test_a_patched_priority_changes_the_order(team):
    await team.task()
    second = await team.task()
    await team.patch(second.id, priority=1)
    assert (await team.claim("ada")).id == second.id


async def test_a_patched_owner_role_changes_who_can_claim(team):
    task = await team.task(role="coder")
    await team.patch(task.id, input={"ownerRole": "writer"})
    assert await team.recount() == []
    assert await team.claim("ada") is None
    assert (await team.claim("bob")).id == task.id


async def test_an_owner_role_patched_during_work_counts_afterwards(team):
    task = await in_state(team, State.IN_PROGRESS)
    await team.patch(task.id, input={"ownerRole": "writer"})
    await team.release("ada", task.id)
    assert await team.claim("ada") is None
    assert (await team.claim("bob")).id == task.id


async def test_a_patched_definition_of_done_does_not_lower_the_bar(team):
    await team.task(done=["artifact:report"])
    task = await team.claim("ada")
    await team.patch(task.id, as_="ada", input={"definitionOfDone": "nothing"})
    with refused("task.dod_unmet"):
        await team.result("ada", task.id, "done")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"priority": 1_000_001}, "task.priority"),
        ({"priority": -1_000_001}, "task.priority"),
        ({"title": "x" * 1_001}, "task.title"),
        ({"agent": "nobody"}, "agent.unknown"),
        ({"state": "dead_letter"}, "task.state"),
        ({"state": "nonsense"}, "task.state"),
        ({"blockers": ("poison",)}, "task.blocker_unknown"),
    ],
)
async def test_a_bad_patch_changes_nothing(team, change, code):
    task = await team.task()
    with refused(code):
        await team.patch(task.id, **({"input": {"title": "changed"}} | change))
    spec = await team.ground.read(sql.spec_of, task.id)
    assert spec.input["title"] == "t"


# -- moves ---------------------------------------------------------------------------------


OPERATOR_MOVES = {
    State.QUEUED: {State.BLOCKED, State.ARCHIVED},
    State.IN_PROGRESS: {State.QUEUED, State.BLOCKED},
    State.REVIEW: {State.QUEUED, State.DONE, State.FAILED, State.ARCHIVED},
    State.BLOCKED: {State.QUEUED, State.ARCHIVED},
    State.DONE: {State.REVIEW, State.ARCHIVED},
    State.FAILED: {State.QUEUED, State.ARCHIVED},
    State.DEAD_LETTER: {State.QUEUED, State.ARCHIVED},
}


@pytest.mark.parametrize("before", list(OPERATOR_MOVES))
async def test_every_move_by_hand(team, before):
    for after in State:
        task = await in_state(team, before)
        if after is before or after in OPERATOR_MOVES[before]:
            moved = await team.move(task.id, after)
            assert moved.state is after
            if after is not before:
                assert moved.lease_until_ms is None
        else:
            with refused("task.illegal_move"):
                await team.move(task.id, after)
        assert await team.recount() == []


async def test_only_operators_move_by_hand(team):
    task = await in_state(team, State.FAILED)
    with refused("task.move_needs_result"):
        await team.patch(task.id, as_="runtime", state="inbox")
    with refused("task.illegal_move"):
        await team.patch(task.id, as_="ada", state="inbox")
    assert (await team.patch(task.id, state="inbox")).state is State.QUEUED


async def test_a_patched_state_passes_the_same_machine(team):
    project = await team.project(require_review_before_done=True)
    task = await team.task(project=project)
    with refused("divert.wild_task"):
        await team.patch(task.id, as_="bob", state="done")
    await team.claim("ada", task=task.id)
    with refused("task.policy_review_first"):
        await team.patch(task.id, as_="ada", state="done")
    await team.patch(task.id, as_="ada", state="review")


async def test_taking_work_out_of_an_agents_hands_fences_it_off(team):
    task = await team.task()
    held = await team.claim("ada")
    await team.move(task.id, State.QUEUED)
    with refused("task.lease_lost"):
        await team.result("ada", task.id, "done", lease_token=held.token)
    assert (await team.claim("bob")).token == held.token + 1


# -- archive -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(OPERATOR_MOVES))
async def test_what_can_be_archived(team, state):
    task = await in_state(team, state)
    if state is State.IN_PROGRESS:
        with refused("task.claimed"):
            await team.archive(task.id)
        return
    assert (await team.archive(task.id)).state is State.ARCHIVED
    for call in (team.archive, team.patch, lambda t: team.claim("ada", task=t)):
        with refused("task.unknown"):
            await call(task.id)
    assert await team.claim("ada") is None


def lend(tx, token, agent):
    tokens.grant(tx, token, agent, "granted")


@pytest.mark.parametrize(
    ("by", "creator", "holder", "state", "code"),
    [
        ("ada", "bob", None, State.QUEUED, "task.not_yours"),
        ("ada", "owner", "bob", State.REVIEW, "task.not_yours"),
        ("ada", "owner", "bob", State.DONE, "task.not_yours"),
        ("runtime", "bob", None, State.QUEUED, "task.not_yours"),
        ("runtime", "owner", "bob", State.REVIEW, "task.not_yours"),
        ("bob", "runtime", None, State.QUEUED, "task.not_yours"),
        ("ada", "owner", "ada", State.QUEUED, "task.not_yours"),
        ("ada", "ada", None, State.QUEUED, None),
        ("ada", "ada", "bob", State.REVIEW, None),
        ("ada", "owner", "ada", State.REVIEW, None),
        ("runtime", "runtime", None, State.QUEUED, None),
        ("runtime", "ada", None, State.QUEUED, None),
        ("runtime", "owner", "ada", State.FAILED, None),
        ("owner", "bob", "ada", State.REVIEW, None),
    ],
)
async def test_who_archives_what(team, by, creator, holder, state, code):
    """The company token may act for ada, not for bob."""
    runtime = team.credentials["runtime"]
    await team.ground.write("token.grant", lend, runtime, team.agents["ada"])
    agent = team.agents[holder] if holder else None
    task = await team.task(as_=creator, agent=agent)
    if state is not State.QUEUED:
        await team.claim(holder, task=task.id)
        await team.result(holder, task.id, state.value)
    if code is None:
        assert (await team.archive(task.id, as_=by)).state is State.ARCHIVED
    else:
        with refused(code):
            await team.archive(task.id, as_=by)


async def test_company_tokens_are_one_caller(team):
    """What a bridge made is its own after its token was renewed."""
    task = await team.task(as_="runtime")

    def renewed(tx):
        made, _ = tokens.mint(
            tx, company=tx.company, kind="runtime", name="next", role=None, lifetime_ms=None
        )
        return made.id

    team.credentials["next"] = await team.do("token.create", "owner", renewed)
    assert (await team.archive(task.id, as_="next")).state is State.ARCHIVED


@pytest.mark.parametrize("creator, fine", [("bob", False), ("owner", False), ("ada", True)])
async def test_what_others_wait_for_stays(team, creator, fine):
    first = await team.task(as_="ada")
    await team.task(as_="ada", blockers=(first.id,))
    later = await team.task(as_=creator, blockers=(first.id,))
    if fine:
        await team.archive(first.id, as_="ada")
    else:
        with refused("permission.operator"):
            await team.archive(first.id, as_="ada")
        await team.archive(later.id)
        await team.archive(first.id, as_="ada")


# -- notes ---------------------------------------------------------------------------------


async def test_a_hand_over_is_also_remembered_by_the_project(team):
    task = await in_state(team, State.IN_PROGRESS)
    over = editing.Handoff("coder", "writer", "half done", "write it up")
    note, memory = await team.do(
        "task.note", "ada", editing.note, task.id, "over to you", over, task=task.id
    )
    assert (note.agent, note.handoff["nextStep"]) == (team.agents["ada"], "write it up")
    assert memory.tags == ("handoff", "task-context", "coder", "writer")


@pytest.mark.parametrize("text", ["", "   ", "x" * (editing.MAX_NOTE + 1)])
async def test_a_note_says_something(team, text):
    task = await team.task()
    with refused("note.text"):
        await team.do("task.note", "ada", editing.note, task.id, text, None, task=task.id)
