"""Which task a claim gets, and which it must not get (control-plane contract, 6.5; design, 6)."""

import asyncio

import pytest

from homarus.kernel import stop as stops
from homarus.tasks.model import LEASE_MS, State
from tests.support.refusals import refused


async def order(shop, agent, **request):
    """The numbers of the tasks that an agent gets one after the other."""
    found = []
    while (task := await shop.claim(agent, **request)) is not None:
        found.append(task.seq)
        await shop.result(agent, task.id, "done")
    return found


async def test_a_claim_takes_a_lease_and_a_fence(shop):
    ada = await shop.agent("ada")
    made = await shop.task()
    task = await shop.claim("ada")
    assert (task.id, task.state, task.agent, task.token) == (made.id, State.IN_PROGRESS, ada, 1)
    assert task.lease_until_ms == shop.ground.clock.now_ms() + LEASE_MS
    assert await shop.claim("ada") is None


async def test_priority_then_age(shop):
    await shop.agent("ada")
    for priority in (0, 50, -50, 50, 0):
        await shop.task(priority=priority)
    assert await order(shop, "ada") == [2, 4, 1, 5, 3]


async def test_priority_then_age_over_lanes(shop):
    ada = await shop.agent("ada", role="coder", skills=("sql", "python"))
    other = await shop.project()
    await shop.task(role="coder")
    await shop.task(priority=9, skills=("python",))
    await shop.task(priority=9, project=other)
    await shop.task(agent=ada, priority=-1)
    await shop.task(role="coder", skills=("sql", "python"), priority=10)
    assert await order(shop, "ada") == [5, 2, 3, 1, 4]


@pytest.mark.parametrize(
    ("mine", "wanted", "strict", "fits"),
    [
        ("coder", "coder", True, True),
        ("coder", None, True, True),
        (None, None, True, True),
        ("coder", "writer", True, False),
        (None, "writer", True, False),
        ("coder", "Coder", True, False),
        ("coder", "writer", False, True),
        (None, "writer", False, True),
    ],
)
async def test_role(shop, mine, wanted, strict, fits):
    await shop.agent("ada", role=mine)
    await shop.task(role=wanted)
    assert (await shop.claim("ada", strict_role=strict) is not None) == fits


@pytest.mark.parametrize(
    ("mine", "wanted", "fits"),
    [
        (("sql",), (), True),
        (("sql", "python"), ("python",), True),
        (("sql", "python"), ("python", "sql"), True),
        (("Python",), ("pYTHON",), True),
        (("sql",), ("python",), False),
        (("sql",), ("python", "sql"), False),
        ((), ("python",), False),
    ],
)
async def test_skills(shop, mine, wanted, fits):
    await shop.agent("ada", skills=mine)
    await shop.task(skills=wanted)
    assert (await shop.claim("ada") is not None) == fits


@pytest.mark.parametrize(
    ("allowed", "fits"), [((), True), (("coder",), True), (("x", "coder"), True), (("x",), False)]
)
async def test_allowed_roles(shop, allowed, fits):
    await shop.agent("ada", role="coder")
    await shop.task()
    assert (await shop.claim("ada", allowed_roles=allowed) is not None) == fits


async def test_assigned_to_me_needs_neither_role_nor_skills(shop):
    ada = await shop.agent("ada")
    await shop.agent("bob", role="coder", skills=("sql",))
    await shop.task(agent=ada, role="coder", skills=("sql",))
    assert await shop.claim("bob") is None
    assert (await shop.claim("ada")).seq == 1


async def test_a_persons_task_is_for_no_agent(shop):
    await shop.agent("ada")
    task = await shop.task(member="someone")
    assert await shop.claim("ada") is None
    with refused("task.not_claimable"):
        await shop.claim("ada", task=task.id)


@pytest.mark.parametrize("limit", [0, 1, 3])
async def test_agent_concurrency(shop, limit):
    await shop.agent("ada", limit=limit)
    for _ in range(limit + 1):
        await shop.task()
    held = [await shop.claim("ada") for _ in range(limit + 1)]
    assert [task is not None for task in held] == [True] * limit + [False]
    if limit:
        await shop.result("ada", held[0].id, "failed")
        assert await shop.claim("ada") is not None


async def test_project_cap_counts_agents_not_tasks(shop):
    project = await shop.project(max_active_agents=1)
    await shop.agent("ada", limit=9)
    await shop.agent("bob")
    for _ in range(3):
        await shop.task(project=project)
    first = await shop.claim("ada")
    assert await shop.claim("bob") is None
    second = await shop.claim("ada")
    assert second is not None
    await shop.result("ada", first.id, "done")
    assert await shop.claim("bob") is None
    await shop.result("ada", second.id, "done")
    assert await shop.claim("bob") is not None


async def test_a_lowered_cap_holds_until_enough_have_left(shop):
    project = await shop.project(max_active_agents=3)
    for name in ("ada", "bob", "cy", "dan"):
        await shop.agent(name)
    for _ in range(5):
        await shop.task(project=project)
    held = {name: await shop.claim(name) for name in ("ada", "bob", "cy")}
    await shop.set_project(project, max_active_agents=1)
    for name in ("ada", "bob"):
        await shop.result(name, held[name].id, "done")
        assert await shop.recount() == []
        assert await shop.claim("dan") is None
    await shop.result("cy", held["cy"].id, "done")
    assert await shop.claim("dan") is not None


@pytest.mark.parametrize(("before", "after"), [(None, 1), (1, None), (1, 2), (2, 1)])
async def test_a_cap_that_changes_while_agents_work(shop, before, after):
    project = await shop.project(max_active_agents=before)
    for name in ("ada", "bob"):
        await shop.agent(name)
        await shop.task(project=project)
    await shop.claim("ada")
    await shop.set_project(project, max_active_agents=after)
    assert await shop.recount() == []
    assert (await shop.claim("bob") is not None) == (after != 1)


@pytest.mark.parametrize("status", ["paused", "killed", "completed"])
async def test_only_active_projects(shop, status):
    await shop.agent("ada")
    task = await shop.task()
    await shop.set_project(shop.project_id, status=status)
    assert await shop.claim("ada") is None
    with refused("task.not_claimable"):
        await shop.claim("ada", task=task.id)
    await shop.set_project(shop.project_id, status="active")
    assert await shop.claim("ada") is not None


async def test_a_paused_project_takes_tasks_and_gives_none(shop):
    await shop.agent("ada")
    await shop.set_project(shop.project_id, status="paused")
    await shop.task()
    await shop.task(skills=("sql",))
    assert await shop.recount() == []
    assert await shop.claim("ada") is None


async def test_a_persons_task_given_to_an_agent_of_a_paused_project_waits(shop):
    await shop.agent("ada")
    task = await shop.task(member="someone")
    await shop.set_project(shop.project_id, status="paused")
    await shop.assign(task.id, "ada")
    assert await shop.claim("ada") is None


# -- one very task -------------------------------------------------------------------------


async def test_claim_of_one_task_by_id_or_number(shop):
    await shop.agent("ada", limit=2)
    await shop.task(priority=9)
    second, third = await shop.task(), await shop.task()
    assert (await shop.claim("ada", task=third.number)).id == third.id
    assert (await shop.claim("ada", task=second.id.upper())).id == second.id


async def test_claim_of_one_task_passes_the_same_filters(shop):
    await shop.agent("ada", role="coder", skills=("sql",))
    bob = await shop.agent("bob")
    capped = await shop.project(max_active_agents=1)
    blocker = await shop.task(project=capped)
    cases = [
        await shop.task(role="writer"),
        await shop.task(skills=("python",)),
        await shop.task(agent=bob),
        await shop.task(project=capped, blockers=(blocker.id,)),
    ]
    for task in cases:
        with refused("task.not_claimable"):
            await shop.claim("ada", task=task.id)
    await shop.claim("bob", task=blocker.id)
    for task in (blocker, await shop.task(project=capped)):
        with refused("task.not_claimable"):
            await shop.claim("ada", task=task.id)
    assert (await shop.claim("ada", task=cases[0].id, strict_role=False)).id == cases[0].id
    with refused("task.not_claimable"):
        await shop.claim("ada", task=(await shop.task()).id)


async def test_claim_of_what_does_not_exist(shop):
    await shop.agent("ada")
    for ref, code in (
        (stops.__name__, "R1.external_id"),
        ("T-99", "task.unknown"),
        (shop.project_id, "task.unknown"),
    ):
        with refused(code):
            await shop.claim("ada", task=ref)


@pytest.mark.parametrize(
    ("lease_ms", "fits"), [(4_999, False), (5_000, True), (3_600_000, True), (3_600_001, False)]
)
async def test_lease_length(shop, lease_ms, fits):
    await shop.agent("ada")
    await shop.task()
    if not fits:
        with refused("claim.lease"):
            await shop.claim("ada", lease_ms=lease_ms)
        return
    task = await shop.claim("ada", lease_ms=lease_ms)
    assert task.lease_until_ms == shop.ground.clock.now_ms() + lease_ms


async def test_only_an_agent_claims(shop):
    task = await shop.task()
    with refused("identity.agent_missing"):
        await shop.claim("runtime")
    for request in ({}, {"task": task.id}):
        with refused("claim.agent_missing"):
            await shop.claim("owner", **request)


async def test_side_by_side_each_gets_another_task(shop):
    names = [f"a{n}" for n in range(16)]
    for name in names:
        await shop.agent(name)
    for _ in range(10):
        await shop.task()
    got = await asyncio.gather(*(shop.claim(name) for name in names))
    taken = [task.seq for task in got if task is not None]
    assert sorted(taken) == list(range(1, 11))
