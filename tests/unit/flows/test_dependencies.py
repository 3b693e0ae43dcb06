"""Blockers: known, of the same project, without cycle; and counted right whatever moves."""

import itertools

import pytest

from homarus.base.ids import new_id
from homarus.tasks.model import State
from homarus.tasks.service import MAX_BLOCKERS, MAX_CHAIN
from tests.support.refusals import refused


@pytest.fixture
async def ada(shop):
    return await shop.agent("ada", limit=99)


async def finish(shop, task, word="done"):
    await shop.claim("ada", task=task.id)
    return await shop.result("ada", task.id, word)


async def claimable(shop):
    """Numbers of the tasks that can be claimed; they are handed back."""
    taken = []
    while (task := await shop.claim("ada")) is not None:
        taken.append(task)
    for task in taken:
        await shop.release("ada", task.id)
    return sorted(task.seq for task in taken)


async def test_a_task_waits_for_all_its_blockers(shop, ada):
    one, two = await shop.task(), await shop.task()
    await shop.task(blockers=(one.id, two.id.upper(), one.id))
    assert await claimable(shop) == [1, 2]
    await finish(shop, one)
    assert await claimable(shop) == [2]
    await finish(shop, two)
    assert await claimable(shop) == [3]


async def test_finished_blockers_do_not_block(shop, ada):
    one, two = await shop.task(), await shop.task()
    await finish(shop, one)
    await shop.archive(two.id)
    assert (await shop.task(blockers=(one.id, two.id))).blocked == 0


@pytest.mark.parametrize("word", ["failed", "review", "inbox"])
async def test_what_does_not_release(shop, ada, word):
    one = await shop.task()
    two = await shop.task(blockers=(one.id,))
    await finish(shop, one, word)
    with refused("task.not_claimable"):
        await shop.claim("ada", task=two.id)


@pytest.mark.parametrize("ref", ["poison", "", "T-1", "0", None, 7, {"id": 1}, "x" * 5_000])
async def test_a_poison_blocker_is_refused_and_harms_nobody(shop, ada, ref):
    await shop.task()
    with refused("task.blocker_unknown"):
        await shop.task(blockers=(ref,))
    assert await claimable(shop) == [1]


async def test_an_unknown_blocker_is_refused(shop):
    with refused("task.blocker_unknown"):
        await shop.task(blockers=(new_id(),))


async def test_a_blocker_of_another_project_is_refused(shop):
    other = await shop.task(project=await shop.project())
    with refused("task.blocker_foreign"):
        await shop.task(blockers=(other.id,))


async def test_too_many_blockers_are_refused(shop):
    with refused("task.blockers"):
        await shop.task(blockers=tuple(new_id() for _ in range(MAX_BLOCKERS + 1)))


@pytest.mark.parametrize("length", [1, 2, 5])
async def test_a_cycle_is_refused(shop, ada, length):
    chain = [await shop.task()]
    for _ in range(length - 1):
        chain.append(await shop.task(blockers=(chain[-1].id,)))
    with refused("task.blocker_cycle"):
        await shop.patch(chain[0].id, blockers=(chain[-1].id,))
    assert await claimable(shop) == [1]


def _chain(tx, head, length):
    """Behind `head` a chain of this many tasks, as rows; the first one's id is returned."""
    ids = [head, *(tx.new_id() for _ in range(length))]
    for blocker, task in itertools.pairwise(reversed(ids)):
        tx.run("insert into task_dependency(blocker, task) values(?,?)", (blocker, task))
    tx.emit("test", head)
    return ids[-1]


@pytest.mark.parametrize(("length", "code"), [(MAX_CHAIN - 1, None), (MAX_CHAIN, "task.blockers")])
async def test_how_many_tasks_may_hang_together(shop, ada, length, code):
    one, two = await shop.task(), await shop.task()
    last, left = one.id, length
    while left:
        last = await shop.ground.write("task.expire", _chain, last, min(left, 200))
        left -= min(left, 200)
    if code is None:
        await shop.patch(two.id, blockers=(one.id,))
    else:
        with refused(code):
            await shop.patch(two.id, blockers=(one.id,))


async def test_a_diamond_is_no_cycle(shop, ada):
    top = await shop.task()
    left, right = [await shop.task(blockers=(top.id,)) for _ in range(2)]
    bottom = await shop.task(blockers=(left.id, right.id))
    for task in (top, left, right):
        assert (await shop.patch(bottom.id, blockers=(left.id, right.id))).blocked > 0
        await finish(shop, task)
    assert await claimable(shop) == [bottom.seq]


async def test_blockers_can_be_changed_while_it_waits(shop, ada):
    one, two = await shop.task(), await shop.task()
    three = await shop.task(blockers=(one.id,))
    assert (await shop.patch(three.id, blockers=(two.id, one.id))).blocked == 2
    assert (await shop.patch(three.id, blockers=(two.id,))).blocked == 1
    assert (await shop.patch(three.id, blockers=())).blocked == 0
    assert await claimable(shop) == [1, 2, 3]


async def test_blockers_cannot_be_added_to_work_in_hand(shop, ada):
    one, two = await shop.task(), await shop.task()
    await shop.claim("ada", task=two.id)
    with refused("task.claimed"):
        await shop.patch(two.id, blockers=(one.id,))


async def test_a_reopened_blocker_holds_what_has_not_begun(shop, ada):
    one = await shop.task()
    waiting, working, done = [await shop.task(blockers=(one.id,)) for _ in range(3)]
    await finish(shop, one)
    await finish(shop, done)
    await shop.claim("ada", task=working.id)
    await shop.move(one.id, State.REVIEW)
    assert await shop.recount() == []
    with refused("task.not_claimable"):
        await shop.claim("ada", task=waiting.id)
    await shop.release("ada", working.id)
    assert await claimable(shop) == []
    await shop.move(one.id, State.DONE)
    assert await claimable(shop) == [waiting.seq, working.seq]


async def test_archiving_a_blocker_releases_once(shop, ada):
    one, two = await shop.task(), await shop.task()
    three = await shop.task(blockers=(one.id, two.id))
    await finish(shop, one)
    await shop.archive(one.id)
    assert await shop.recount() == []
    with refused("task.not_claimable"):
        await shop.claim("ada", task=three.id)
    await shop.archive(two.id)
    assert await claimable(shop) == [three.seq]


async def test_archiving_a_task_that_waits(shop, ada):
    one = await shop.task()
    two = await shop.task(blockers=(one.id,))
    await shop.archive(two.id)
    await finish(shop, one)
    assert await claimable(shop) == []
