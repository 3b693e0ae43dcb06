"""STOP and claims: what is stopped is not handed out, whichever way the work comes back."""

import pytest

from homarus.flows import due
from homarus.tasks.model import State
from tests.support.refusals import refused


async def stopped_subject(shop, scope, task):
    return {
        "company": "",
        "project": task.project,
        "agent": "ada",
        "task": task.id,
        "trace": task.trace,
    }[scope]


SCOPES = ["company", "project", "agent", "task", "trace"]


@pytest.mark.parametrize("scope", SCOPES)
async def test_stop_and_lift(shop, scope):
    await shop.agent("ada")
    task = await shop.task()
    row = await shop.stop(scope, await stopped_subject(shop, scope, task))
    if scope in ("company", "agent"):
        with refused(f"stop.{scope}"):
            await shop.claim("ada")
    else:
        assert await shop.claim("ada") is None
    assert await shop.recount() == []
    assert shop.ground.company not in await shop.ground.read(due.stopped, 9)
    await shop.lift(row)
    assert (await shop.claim("ada")).id == task.id


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("by", ["id", "upper", "number"])
async def test_work_in_hand_cannot_be_reported_under_stop(shop, scope, by):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    row = await shop.stop(scope, await stopped_subject(shop, scope, task))
    ref = {"id": task.id, "upper": task.id.upper(), "number": task.number}[by]
    with refused(f"stop.{scope}"):
        await shop.result("ada", ref, "done")
    await shop.lift(row)
    assert (await shop.result("ada", ref, "done")).state is State.DONE


@pytest.mark.parametrize("scope", ["project", "task", "trace"])
async def test_a_stopped_task_whose_lease_ends_is_not_claimed_again(shop, scope):
    await shop.agent("ada")
    await shop.agent("bob")
    await shop.task()
    task = await shop.claim("ada")
    row = await shop.stop(scope, await stopped_subject(shop, scope, task))
    assert await shop.let_leases_end() == 1
    assert await shop.claim("bob") is None
    assert await shop.recount() == []
    await shop.lift(row)
    assert (await shop.claim("bob")).id == task.id


@pytest.mark.parametrize("scope", ["company", "task", "trace"])
async def test_a_stopped_task_is_not_readopted(shop, scope):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    row = await shop.stop(scope, await stopped_subject(shop, scope, task))
    if scope == "company":
        with refused("stop.company"):
            await shop.claim("ada", readopt=True)
    else:
        assert await shop.claim("ada", readopt=True) is None
    await shop.lift(row)
    assert (await shop.claim("ada", readopt=True)).token == task.token + 1


@pytest.mark.parametrize("scope", ["project", "task", "trace"])
async def test_a_stopped_task_is_not_reviewed(shop, scope):
    await shop.agent("ada")
    await shop.agent("rev", role="qa")
    await shop.task(done=["review:qa"])
    task = await shop.claim("ada")
    await shop.result("ada", task.id, "review")
    row = await shop.stop(scope, await stopped_subject(shop, scope, task))
    assert await shop.claim("rev", review=True) is None
    await shop.lift(row)
    assert (await shop.claim("rev", review=True)).id == task.id


async def test_a_stopped_trace_does_not_hide_other_work(shop):
    await shop.agent("ada")
    first, second = await shop.task(priority=9), await shop.task()
    await shop.stop("trace", first.trace)
    assert (await shop.claim("ada")).id == second.id


async def test_more_tasks_than_one_lift_gives_back_at_once(shop):
    await shop.agent("ada", limit=1_000)
    first = await shop.task()
    count = 60

    def same_trace(tx):
        tx.run("update task set trace=? where company=?", (first.trace, tx.company))
        tx.emit("test", first.id)

    for _ in range(count - 1):
        await shop.task()
    await shop.ground.write("task.expire", same_trace)
    row = await shop.stop("trace", first.trace)
    while await shop.ground.read(_queued, shop.ground.company):
        assert await shop.claim("ada") is None
    await shop.lift(row)
    claimed = 0
    while claimed < count:
        task = await shop.claim("ada")
        if task is None:
            due_now = await shop.ground.read(due.stopped, 9)
            assert shop.ground.company in due_now, f"{count - claimed} tasks stay blocked for ever"
            assert await shop.give_back() > 0
        else:
            claimed += 1


def _queued(rx, company):
    return rx.one("select count(*) from task where state='queued' and company=?", (company,))[0]


async def test_two_stops_on_one_task(shop):
    await shop.agent("ada")
    task = await shop.task()
    by_task, by_trace = await shop.stop("task", task.id), await shop.stop("trace", task.trace)
    await shop.lift(by_trace)
    assert await shop.claim("ada") is None
    await shop.lift(by_task)
    assert (await shop.claim("ada")).id == task.id


async def test_a_stopped_projects_new_tasks_wait(shop):
    await shop.agent("ada")
    row = await shop.stop("project", shop.project_id)
    await shop.task()
    assert await shop.recount() == []
    assert await shop.claim("ada") is None
    await shop.lift(row)
    assert await shop.claim("ada") is not None


async def test_a_lifted_project_that_was_paused_meanwhile_stays_closed(shop):
    await shop.agent("ada")
    await shop.task()
    row = await shop.stop("project", shop.project_id)
    await shop.set_project(shop.project_id, status="paused")
    await shop.lift(row)
    assert await shop.recount() == []
    assert await shop.claim("ada") is None


async def test_an_assignment_survives_stop_and_a_move_by_hand(shop):
    ada = await shop.agent("ada")
    task = await shop.task(agent=ada)
    await shop.lift(await shop.stop("task", task.id))
    await shop.move(task.id, State.BLOCKED)
    assert (await shop.move(task.id, State.QUEUED)).agent == ada


@pytest.mark.parametrize(
    ("scope", "subject", "code"),
    [
        ("universe", "x", "stop.scope"),
        ("agent", "nobody", "agent.unknown"),
        ("project", "nothing", "project.unknown"),
        ("task", "T-77", "task.unknown"),
    ],
)
async def test_a_stop_names_something_that_exists(shop, scope, subject, code):
    with refused(code):
        await shop.stop(scope, subject)


async def test_a_stop_is_set_once_and_lifted_once(shop):
    row = await shop.stop("company")
    with refused("stop.active"):
        await shop.stop("company")
    await shop.lift(row)
    with refused("stop.unknown"):
        await shop.lift(row)
