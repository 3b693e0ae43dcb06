"""Work that waits too long becomes an incident, once (control-plane contract, 6.7)."""

import pytest

from homarus.flows import watching
from homarus.flows.watching import MAX_STALE, STALE_MS
from homarus.records import incidents
from homarus.tasks.model import State

DUE_MS = 60_000


async def told(shop):
    rows = await shop.ground.read(lambda rx: incidents.listed(rx, shop.ground.company, limit=500))
    return sorted((row.reason_code, row.severity, row.task) for row in rows)


async def look(shop, limit=1000):
    """Both watches, as the daemon runs them; how many rows each looked at."""
    found = []
    for due, tell in (
        (watching.late, watching.tell_late),
        (watching.unclaimed, watching.tell_unclaimed),
    ):
        companies = await shop.ground.read(due, 10_000)
        done = 0
        if shop.ground.company in companies:
            done = await shop.ground.write("task.watch", tell, limit)
        found.append(done)
    return found


@pytest.mark.parametrize(("past_ms", "breached"), [(-1, False), (0, True), (1, True)])
async def test_a_deadline_that_passes(shop, past_ms, breached):
    task = await shop.task(sla_due_ms=shop.ground.clock.now_ms() + DUE_MS)
    shop.ground.clock.advance(DUE_MS + past_ms)
    await look(shop)
    assert await told(shop) == ([("sla_breach", "medium", task.id)] if breached else [])


@pytest.mark.parametrize(
    ("state", "breached"),
    [(State.IN_PROGRESS, True), (State.REVIEW, True), (State.DONE, False), (State.FAILED, False)],
)
async def test_only_unfinished_work_breaches_its_deadline(shop, state, breached):
    await shop.agent("ada")
    await shop.task(sla_due_ms=shop.ground.clock.now_ms() + DUE_MS)
    task = await shop.claim("ada")
    if state is not State.IN_PROGRESS:
        await shop.result("ada", task.id, state.value)
    shop.ground.clock.advance(DUE_MS)
    await look(shop)
    assert [reason for reason, _, _ in await told(shop)] == (["sla_breach"] if breached else [])


async def test_a_deadline_is_told_once(shop):
    await shop.task(sla_due_ms=shop.ground.clock.now_ms() + DUE_MS)
    shop.ground.clock.advance(DUE_MS)
    assert [await look(shop), await look(shop)] == [[1, 0], [0, 0]]
    assert len(await told(shop)) == 1


async def test_a_deadline_moves_and_goes(shop):
    now = shop.ground.clock.now_ms()
    moved = await shop.task(sla_due_ms=now + 1)
    gone = await shop.task(sla_due_ms=now + 1)
    await shop.patch(moved.id, sla_due_ms=now + DUE_MS)
    await shop.patch(gone.id, sla_due_ms=None)
    shop.ground.clock.advance(1)
    await look(shop)
    assert await told(shop) == []
    shop.ground.clock.advance(DUE_MS)
    await look(shop)
    assert await told(shop) == [("sla_breach", "medium", moved.id)]


@pytest.mark.parametrize(("past_ms", "stale"), [(-1, False), (0, True), (1, True)])
async def test_nobody_claims_it_within_an_hour(shop, past_ms, stale):
    task = await shop.task()
    shop.ground.clock.advance(STALE_MS + past_ms)
    await look(shop)
    assert await told(shop) == ([("unclaimed_stale", "low", task.id)] if stale else [])


async def test_each_task_is_looked_at_once(shop):
    await shop.agent("ada")
    await shop.task()
    await shop.claim("ada")
    waiting = await shop.task()
    shop.ground.clock.advance(STALE_MS)
    later = await shop.task()
    assert await look(shop) == [0, 2]
    assert await look(shop) == [0, 0]
    assert await told(shop) == [("unclaimed_stale", "low", waiting.id)]
    shop.ground.clock.advance(STALE_MS)
    assert await look(shop) == [0, 1]
    assert {task for _, _, task in await told(shop)} == {waiting.id, later.id}


async def test_a_flood_of_unclaimed_work_is_no_flood_of_incidents(shop):
    for _ in range(MAX_STALE + 5):
        await shop.task()
    shop.ground.clock.advance(STALE_MS)
    looked = [(await look(shop, 60))[1] for _ in range(4)]
    assert looked == [60, 40, 0, 0]
    assert len(await told(shop)) == MAX_STALE

    def resolve(tx):
        for row in incidents.listed(tx, tx.company, limit=3):
            incidents.update(tx, row.id, status="resolved")

    await shop.ground.write("incident.update", resolve)
    assert (await look(shop))[1] == 3
