"""Conversations and messages in a real store: one team, exact cursors, nothing skipped."""

import asyncio

import pytest

from homarus.base.errors import HomarusError
from homarus.conversations import service, sql, sync
from homarus.conversations.model import Draft, Sender, SenderType
from tests.support.engines import BOTH
from tests.support.surface import surface

HUMAN = (SenderType.HUMAN,)


def say(tx, text, *, sender=None, kind=SenderType.AGENT, place=None, platform=None, target=None):
    where = service.team(tx) if place is None else service.need(tx, tx.company, place)
    draft = Draft(Sender(kind, sender), text, target_agent=target, platform_message=platform)
    return service.post(tx, where, draft)


def direct(tx, agent):
    return service.direct(tx, agent)


def look(rx, company, **cursor):
    asked = {"since_seq": None, "since_ms": None, "senders": (), "agent": None} | cursor
    return sync.changes(rx, company, **asked)


pytestmark = BOTH


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        yield made


async def test_forty_first_messages_at_once_make_one_team_thread(s):
    await asyncio.gather(*(s.run(say, f"hello {n}") for n in range(40)))
    rows = await s.read(lambda rx: rx.all("select id, type from conversation"))
    assert [kind for _, kind in rows] == ["team"]
    changes = await s.read(look, s.company)
    assert [m.seq for m in changes.messages] == list(range(1, 41))


async def test_there_is_one_direct_thread_per_agent_and_company(s):
    ada, bob = await s.agent("ada"), await s.agent("bob")
    made = await asyncio.gather(*(s.run(direct, agent) for agent in (ada, bob) * 10))
    assert {(row.agent, row.id) for row in made} == {
        (ada, made[0].id),
        (bob, made[1].id),
    }


async def test_times_rise_strictly_so_that_a_time_is_a_cursor(s):
    rows = [(await s.run(say, f"{n}"))[0] for n in range(5)]
    s.clock.advance(-3_600_000)
    rows += [(await s.run(say, "after the clock was set back"))[0]]
    times = [row.created_ms for row in rows]
    assert times == sorted(set(times))
    for n, row in enumerate(rows):
        changes = await s.read(lambda rx, at=row.created_ms: look(rx, s.company, since_ms=at))
        assert [m.id for m in changes.messages] == [r.id for r in rows[n + 1 :]]


@pytest.mark.parametrize("by", ["seq", "time"])
async def test_a_client_that_follows_the_cursor_sees_all_of_250_messages_once(s, by):
    def flood(tx, first):
        for n in range(first, first + 50):
            say(tx, f"{n}", kind=SenderType.HUMAN if n % 2 else SenderType.AGENT)

    for first in range(0, 250, 50):
        await s.run(flood, first)
    seen, pages, cursor = [], 0, {"since_seq": 0} if by == "seq" else {"since_ms": 0}
    while True:
        changes = await s.read(lambda rx, c=cursor: look(rx, s.company, **c))
        seen += changes.messages
        pages += 1
        if not changes.more:
            break
        last = changes.messages[-1]
        cursor = {"since_seq": changes.next_seq} if by == "seq" else {"since_ms": last.created_ms}
    assert ([m.text for m in seen], pages) == ([str(n) for n in range(250)], 3)


async def test_without_a_cursor_the_newest_hundred_come_oldest_first(s):
    def flood(tx):
        for n in range(120):
            say(tx, f"{n}")

    await s.run(flood)
    changes = await s.read(look, s.company)
    assert [m.text for m in changes.messages] == [str(n) for n in range(20, 120)]
    assert (changes.more, changes.next_seq) == (False, 120)


async def test_the_cursor_moves_past_what_a_filter_leaves_out(s):
    await s.run(say, "from an agent")
    changes = await s.read(lambda rx: look(rx, s.company, since_seq=0, senders=HUMAN))
    assert (changes.messages, changes.next_seq) == ([], 1)


async def test_an_agents_view_is_what_others_said_after_its_last_word_where_it_takes_part(s):
    ada, bob = await s.agent("ada"), await s.agent("bob")
    bobs = (await s.run(direct, bob)).id
    adas = (await s.run(direct, ada)).id
    for text, more in [
        ("team before", {}),
        ("ada herself", {"sender": ada}),
        ("team after", {"sender": bob}),
        ("to bob", {"place": bobs}),
        ("to ada", {"place": adas}),
    ]:
        await s.run(lambda tx, t=text, m=more: say(tx, t, **m))
    changes = await s.read(lambda rx: look(rx, s.company, since_seq=0, agent=ada))
    assert [m.text for m in changes.messages] == ["team after", "to ada"]


async def test_equal_texts_are_all_kept_and_a_platform_id_is_kept_once(s):
    texts = [(await s.run(say, "ok"))[1] for _ in range(3)]
    assert texts == [False, False, False]
    first, again = [await s.run(lambda tx: say(tx, "hi", platform="tg:1")) for _ in range(2)]
    assert (first[0].id, first[1], again[1]) == (again[0].id, False, True)


@pytest.mark.parametrize("text", ["", "   ", "x" * 100_001])
async def test_an_unusable_text_is_refused_and_nothing_is_stored(s, text):
    with pytest.raises(HomarusError) as raised:
        await s.run(say, text)
    assert raised.value.code == "message.text"
    assert (await s.read(sql.newest, s.company)) == (0, 0)


async def test_a_targeted_agent_takes_part_from_then_on(s):
    ada = await s.agent("ada")
    thread = (await s.run(lambda tx: service.create(tx, "project"))).id
    await s.run(lambda tx: say(tx, "ada?", place=thread, target=ada, kind=SenderType.HUMAN))
    found = await s.read(
        lambda rx: sql.conversations(rx, s.company, limit=10, before=2**62, agent=ada)
    )
    assert [row.id for row in found] == [thread]
