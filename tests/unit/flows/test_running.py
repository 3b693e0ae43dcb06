"""Runs of commands: whatever stands in the way of the result, the outcome is on record, once."""

from typing import Any

import pytest

from homarus.flows import running
from homarus.kernel import approval_queries
from homarus.records import artifacts, quota
from homarus.tasks import runs, sql
from homarus.tasks.model import LEASE_MS, State


async def started(shop: Any, **fields: Any) -> Any:
    """`(task, run)` of a command that `ada` is running."""
    if "ada" not in shop.agents:
        await shop.agent("ada")
    await shop.task(**fields)
    task = await shop.claim("ada")
    run = await shop.do(
        "task.result", "ada", running.start, task.id, task.token, "lint", ("lint",), task=task.id
    )
    return task, run


def ended(run: Any, *, ok: bool = True, files: tuple[Any, ...] = ()) -> running.Ended:
    return running.Ended(run.id, ok, {}, {"exitCode": 0 if ok else 1}, "lint: exit code", files)


async def end(shop: Any, task: Any, what: running.Ended) -> Any:
    done = await shop.do("task.result", "ada", running.end, what, task=task.id)
    row = await shop.ground.read(sql.need, shop.ground.company, task.id)
    [run] = await shop.ground.read(runs.of_task, task.id)
    return done, row.state, run.state


@pytest.mark.parametrize(("ok", "state"), [(True, State.DONE), (False, State.FAILED)])
async def test_a_run_that_ends_moves_its_task(shop, ok, state):
    task, run = await started(shop, done=["check:lint"] if ok else [])
    assert await end(shop, task, ended(run, ok=ok)) == (True, state, state.value)
    assert (await end(shop, task, ended(run, ok=ok)))[0] is False


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        ({"require_review_before_done": True}, {}),
        ({"require_approval_for_done": True}, {}),
        ({"only_lead_can_change_status": True}, {}),
        ({}, {"done": ["review:qa"]}),
        ({}, {"done": ["it is nice", "artifact:report"]}),
    ],
)
async def test_where_its_word_is_not_enough_it_goes_to_review(shop, policy, fields):
    task, run = await started(shop, project=await shop.project(**policy), **fields)
    assert await end(shop, task, ended(run)) == (True, State.REVIEW, "done")
    result = await shop.ground.read(sql.result_of, task.id)
    assert result.output == {"exitCode": 0}
    items = await shop.ground.read(sql.done_items, task.id)
    assert [item.evidence for item in items] == [None] * len(items)


async def test_a_run_that_a_person_has_to_accept_waits_for_an_approval(shop):
    task, run = await started(shop, approval_required=True)
    assert await end(shop, task, ended(run)) == (True, State.BLOCKED, "done")
    assert len(await shop.ground.read(approval_queries.pending_for, task.id)) == 1


async def test_files_that_do_not_fit_fail_the_task(shop):
    await shop.do("storage.quota", "owner", quota.set_quota, 10)
    task, run = await started(shop)
    file = running.Produced("big", "0" * 64, 11)
    assert await end(shop, task, ended(run, files=(file,))) == (True, State.FAILED, "done")
    assert await shop.ground.read(artifacts.of_task, task.id) == []


@pytest.mark.parametrize("swept", [False, True])
async def test_a_run_that_outlived_its_lease_is_recorded_and_moves_nothing(shop, swept):
    task, run = await started(shop)
    shop.ground.clock.advance(LEASE_MS)
    if swept:
        await shop.expire()
    state = State.QUEUED if swept else State.IN_PROGRESS
    assert await end(shop, task, ended(run)) == (False, state, "done")


async def test_a_run_that_ends_under_stop_is_recorded(shop):
    task, run = await started(shop)
    await shop.stop("task", task.id)
    settled = await shop.do("task.dispatch", "system", running.settle, ended(run), "stop.task")
    [row] = await shop.ground.read(runs.of_task, task.id)
    assert (settled, row.state) == (True, "done")
    again = await shop.do("task.dispatch", "system", running.settle, ended(run), "stop.task")
    assert again is False
    await shop.let_leases_end()
    assert await shop.claim("ada") is None


async def test_the_intent_needs_the_lease(shop):
    task, _ = await started(shop)
    with pytest.raises(Exception, match=r"task\.lease_lost"):
        await shop.do("task.result", "ada", running.start, task.id, task.token + 1, "x", ())
