"""Sessions: generations, deadlines that do not flap, and the monitor (contract, 4.4)."""

import pytest

from homarus.base.errors import HomarusError
from homarus.company import agents, runtimes, sessions
from tests.support.engines import BOTH
from tests.support.surface import surface

SECOND = 1_000


pytestmark = BOTH


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        yield made


async def start(s, name="main-1", agent=None):
    return await s.run(sessions.start, agent or s.ada, name)


async def now(s, session):
    return await s.read(sessions.by_id, s.company, session.id)


async def code(awaitable) -> str:
    with pytest.raises(HomarusError) as raised:
        await awaitable
    return raised.value.code


async def test_starting_again_goes_on_with_the_live_session(s):
    first, again = await start(s), await start(s)
    assert (again.id, first.generation, again.generation) == (first.id, 1, 2)
    await s.run(sessions.end, s.ada, first.id)
    fresh = await start(s)
    assert (fresh.id != first.id, fresh.generation, fresh.status) == (True, 1, "active")


async def test_a_session_remembers_the_runtime_that_registered(s):
    node = await s.run(runtimes.register, "node-1", "laptop")
    again = await s.run(runtimes.register, "node-1", "desktop")
    assert (again.id, again.name, again.status) == (node.id, "desktop", "active")
    known = await s.run(lambda tx: sessions.start(tx, s.ada, "a", runtime="node-1"))
    unknown = await s.run(lambda tx: sessions.start(tx, s.ada, "b", runtime="never-seen"))
    assert (known.runtime_node, unknown.runtime_node) == (node.id, None)


async def test_a_session_is_its_agents_alone(s):
    bob = await s.agent("bob")
    session = await start(s)
    for act in (
        s.run(sessions.checkpoint, bob, session.id, {}),
        s.run(sessions.end, bob, session.id),
    ):
        assert await code(act) == "session.unknown"
    other = await s.other_company()
    assert await s.read(sessions.by_id, other, session.id) is None


@pytest.mark.parametrize(
    "status, expected",
    [("active", None), ("degraded", None), ("starting", None), ("ended", "session.status")],
)
async def test_checkpoint(s, status, expected):
    session = await start(s)
    act = s.run(lambda tx: sessions.checkpoint(tx, s.ada, session.id, {"n": 1}, status=status))
    if expected is not None:
        assert await code(act) == expected
        return
    row = await act
    assert (row.checkpoint, row.status, row.sync_status) == ({"n": 1}, status, "synced")
    assert row.last_checkpoint_ms == s.clock.now_ms()


async def test_an_ended_session_takes_no_checkpoint_and_ends_twice_without_harm(s):
    session = await start(s)
    ended = await s.run(lambda tx: sessions.end(tx, s.ada, session.id, summary="done"))
    assert (ended.status, ended.summary, ended.checkin_deadline_ms) == ("ended", "done", None)
    s.clock.advance(SECOND)
    assert (await s.run(sessions.end, s.ada, session.id)).ended_ms == ended.ended_ms
    assert await code(s.run(sessions.checkpoint, s.ada, session.id, {})) == "session.ended"


async def test_a_session_that_beats_every_30_seconds_never_degrades(s):
    session = await start(s)
    for _ in range(10):
        s.clock.advance(30 * SECOND)
        assert await s.work("session.monitor", sessions.degrade_late, 100) == 0
        assert await s.run(sessions.heartbeat, s.ada) == 1
    assert (await now(s, session)).status == "active"


async def test_a_silent_session_is_asked_three_times_then_given_up(s):
    session = await start(s)
    await s.run(agents.beat, s.ada, 0)
    seen = []
    for wait_s in (90, 1, 30, 1, 30, 1, 3_600):
        s.clock.advance(wait_s * SECOND)
        assert await s.read(lambda rx: sessions.late(rx, limit=10)) in ([], [s.company])
        await s.work("session.monitor", sessions.degrade_late, 100)
        row = await now(s, session)
        seen.append((row.status, row.wake_attempts, row.checkin_deadline_ms is None))
    assert seen == [
        ("active", 0, False),
        ("degraded", 1, False),
        ("degraded", 1, False),
        ("degraded", 2, False),
        ("degraded", 2, False),
        ("degraded", 3, True),
        ("degraded", 3, True),
    ]
    kinds = [len(await s.events(k)) for k in ("runtime_checkin_retry", "runtime_session_degraded")]
    assert kinds == [2, 1]
    assert (await s.read(agents.by_id, s.company, s.ada)).status == "offline"
    await s.run(sessions.heartbeat, s.ada)
    assert (await now(s, session)).status == "active"


async def test_an_agent_with_another_active_session_stays_online(s):
    await start(s, "old")
    await s.run(agents.beat, s.ada, 0)
    for wait_s in (91, 31, 31):
        s.clock.advance(wait_s * SECOND)
        await start(s, "new")
        await s.work("session.monitor", sessions.degrade_late, 100)
    assert (await s.read(agents.by_id, s.company, s.ada)).status == "online"


async def test_the_monitor_takes_no_more_than_its_limit(s):
    for n in range(5):
        await start(s, f"s{n}")
    s.clock.advance(91 * SECOND)
    taken = [await s.work("session.monitor", sessions.degrade_late, 2) for _ in range(4)]
    assert taken == [2, 2, 1, 0]
