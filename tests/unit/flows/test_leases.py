"""Leases: renewed by heartbeats, ended by the watchdog, never by two at once (contract 6.7)."""

import pytest

from homarus.flows import leases
from homarus.flows.leases import RENEW_MS
from homarus.records import incidents
from homarus.tasks.model import LEASE_MS, State
from tests.support.refusals import refused


async def working(shop, agent="ada", **fields):
    if agent not in shop.agents:
        await shop.agent(agent, limit=9)
    await shop.task(**fields)
    return await shop.claim(agent)


async def open_incidents(shop):
    return await shop.ground.read(lambda rx: incidents.listed(rx, shop.ground.company, limit=100))


@pytest.mark.parametrize(("past_ms", "taken"), [(-1, 0), (0, 1), (1, 1)])
async def test_a_lease_is_taken_back_when_it_has_run_out(shop, past_ms, taken):
    task = await working(shop)
    shop.ground.clock.advance(LEASE_MS + past_ms)
    assert await shop.expire() == taken
    if taken:
        again = await shop.claim("ada")
        assert (again.id, again.retries, again.token) == (task.id, 1, task.token + 1)


@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_after_its_retries_it_is_dead(shop, max_retries):
    ada = await shop.agent("ada")
    made = await shop.task(max_retries=max_retries)
    for retries in range(max_retries + 1):
        assert (await shop.claim("ada")).retries == retries
        await shop.let_leases_end()
    assert await shop.claim("ada") is None
    found = {incident.reason_code: incident for incident in await open_incidents(shop)}
    assert set(found) == {"max_retries_exceeded", "no_write_back"}
    incident = found["max_retries_exceeded"]
    assert (incident.severity, incident.reason_code) == ("high", "max_retries_exceeded")
    assert incident.task == made.id
    task = await shop.move(made.id, State.QUEUED)
    assert (task.retries, task.agent) == (0, None)
    assert (await shop.claim("ada")).agent == ada


async def test_a_dead_letter_keeps_who_had_it_and_why(shop):
    await working(shop, max_retries=0)
    await shop.let_leases_end()
    task = await shop.patch("T-1", priority=1)
    assert (task.state, task.agent) == (State.DEAD_LETTER, shop.agents["ada"])
    assert "1 times" in task.reason


async def test_the_watchdog_takes_no_more_than_it_was_asked_to(shop):
    for _ in range(5):
        await working(shop)
    shop.ground.clock.advance(LEASE_MS)
    counts = [await shop.ground.write("task.expire", _expire, 2) for _ in range(4)]
    assert counts == [2, 2, 1, 0]


def _expire(tx, limit):
    from homarus.flows import leases

    return leases.expire_due(tx, limit)


# -- renewal -------------------------------------------------------------------------------


async def test_a_heartbeat_renews_what_its_agent_holds(shop):
    first, second = await working(shop), await working(shop)
    other = await working(shop, agent="bob")
    shop.ground.clock.advance(LEASE_MS - 1)
    assert await shop.beat("ada") == 2
    shop.ground.clock.advance(1)
    assert await shop.expire() == 1
    for task in (first, second):
        await shop.result("ada", task.id, "done")
    with refused("task.lease_lost"):
        await shop.result("bob", other.id, "done")


@pytest.mark.parametrize(
    ("passed_ms", "renewed"),
    [(0, 0), (RENEW_MS, 0), (RENEW_MS + 1, 1), (LEASE_MS - 1, 1), (LEASE_MS, 0)],
)
async def test_when_a_heartbeat_rewrites_a_lease(shop, passed_ms, renewed):
    await working(shop)
    shop.ground.clock.advance(passed_ms)
    assert await shop.beat("ada") == renewed


async def test_a_heartbeat_does_not_shorten_a_long_lease(shop):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada", lease_ms=3_600_000)
    assert await shop.beat("ada") == 0
    shop.ground.clock.advance(3_599_999)
    await shop.result("ada", task.id, "done")


@pytest.mark.parametrize(
    "lease_ms, passed_ms, until_ms",
    [
        (LEASE_MS, 1_000, LEASE_MS + 1_000),
        (3_600_000, 1_000, 3_600_000),
        (3_600_000, 3_599_999, LEASE_MS + 3_599_999),
    ],
)
async def test_a_report_on_the_way_does_not_shorten_a_lease(shop, lease_ms, passed_ms, until_ms):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada", lease_ms=lease_ms)
    began_ms = shop.ground.clock.now_ms()
    shop.ground.clock.advance(passed_ms)
    after = await shop.result("ada", task.id, "in_progress", output={"n": 1})
    assert after.lease_until_ms == began_ms + until_ms


@pytest.mark.parametrize(
    "named, renewed",
    [
        (lambda mine, other: mine.number, 1),
        (lambda mine, other: mine.number.lower(), 1),
        (lambda mine, other: mine.id, 1),
        (lambda mine, other: mine.id.upper(), 1),
        (lambda mine, other: other.number, 0),
        (lambda mine, other: "T-999", 0),
        (lambda mine, other: "something", 0),
    ],
)
async def test_a_heartbeat_names_its_task_by_id_or_number(shop, named, renewed):
    task = await working(shop)
    await shop.task()
    other = await shop.task(agent=await shop.agent("bob"))
    await shop.claim("bob")
    shop.ground.clock.advance(RENEW_MS + 1)
    agent = shop.agents["ada"]
    ref = named(task, other)
    assert await shop.do("agent.heartbeat", "ada", leases.renew, agent, ref) == renewed


async def test_a_heartbeat_after_the_end_revives_nothing(shop):
    task = await working(shop)
    shop.ground.clock.advance(LEASE_MS)
    assert await shop.beat("ada") == 0
    with refused("task.lease_lost"):
        await shop.result("ada", task.id, "done")


# -- readoption ----------------------------------------------------------------------------


async def test_readoption_gives_the_same_task_under_a_new_fence(shop):
    task = await working(shop)
    shop.ground.clock.advance(1_000)
    again = await shop.claim("ada", readopt=True)
    assert (again.id, again.token) == (task.id, task.token + 1)
    assert again.lease_until_ms == task.lease_until_ms + 1_000
    with refused("task.lease_lost"):
        await shop.result("ada", task.id, "done", lease_token=task.token)
    await shop.result("ada", task.id, "done", lease_token=again.token)


async def test_readoption_with_nothing_in_hand_is_an_ordinary_claim(shop):
    await shop.agent("ada")
    made = await shop.task()
    assert (await shop.claim("ada", readopt=True)).id == made.id


async def test_readoption_is_of_ones_own(shop):
    await working(shop)
    await shop.agent("bob")
    assert await shop.claim("bob", readopt=True) is None
