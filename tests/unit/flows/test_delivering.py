"""Talk over channels as units, on each engine: what comes in, what goes out, what becomes of it."""

from typing import Any

import pytest

from homarus.base.errors import Conflict, Invalid, NotFound, Refused
from homarus.config.channels import Binding, BindingScopes, Match
from homarus.conversations import connections, deliveries, pairing, places, sessions, turns
from homarus.conversations.access import Access
from homarus.conversations.deliveries import Delivery, State
from homarus.conversations.places import Route
from homarus.conversations.routing import Peer, Rules
from homarus.flows import announcing, channel_inbound, delivering, due, stopping
from homarus.flows.channel_inbound import Incoming, Taken
from homarus.flows.delivering import NewSend
from homarus.store.port import Rx
from homarus.tasks import sql as tasks
from tests.unit.flows.test_turning import Runner, _run_here

OPEN = Access("open", group_policy="open")
ANYWHERE = Rules()
HERE = Route("telegram", "default", "7")
HOUR_MS = 3_600_000


class Talk(Runner):
    """People, a worker of deliveries, an operator."""

    async def hear(
        self, text: str, id: str, how: Rules = ANYWHERE, may: Access = OPEN, **more: Any
    ) -> Taken:  # fmt: skip
        given = {"sender": "7", "peer": Peer("direct", more.get("sender", "7"))} | more
        came = Incoming(channel="telegram", account="default", id=id, text=text, **given)
        return await self.ground.write("channel.receive", channel_inbound.receive, came, how, may)

    async def answered(self, text: str, id: str, answer: str, **more: Any) -> None:
        taken = await self.hear(text, id, **more)
        row = await self.ground.read(_turn_of, taken.message)
        started = await self.start(row)
        await self.answer(started, answer)
        await self.finish(started, answer)

    async def send(self, text: str, key: str, **more: Any) -> Delivery:
        new = NewSend(more.pop("route", HERE), text, key, **more)
        return await self.shop.do("channel.send", "owner", delivering.send, new)

    async def attempt(self, row: Delivery) -> Delivery | None:
        return await self.ground.write("delivery.send", delivering.attempt, row.id)

    async def settle(self, fn: Any, row: Delivery, *args: Any) -> Delivery:
        return await self.ground.write("delivery.settle", fn, row.id, row.token, *args)

    async def due(self) -> list[str]:
        found = await self.ground.read(
            deliveries.due, self.ground.company, "telegram", "default", 100
        )
        return [row.text for row in found]

    async def all(self) -> list[Delivery]:
        rows = await self.ground.read(_listed, self.ground.company)
        return list(reversed(rows))


def _listed(rx: Rx, company: str) -> list[Delivery]:
    return deliveries.listed(rx, company, limit=100)


def _turn_of(rx: Rx, message: str) -> Any:
    row = rx.one("select id, company from turn where message=?", (message,))
    assert row is not None
    return turns.need(rx, row[1], row[0])


@pytest.fixture
async def talk(shop: Any) -> Talk:
    await shop.agent("ada", role="coder")
    await shop.do("agent.update", "owner", _run_here, "ada")
    return Talk(shop, "ada")


# -- what comes in -------------------------------------------------------------------------------


async def test_an_answer_is_a_delivery_of_the_same_commit(talk: Talk) -> None:
    await talk.answered("hello", "m1", "Yes. <internal>hm</internal>", thread="5", target="chat")
    (row,) = await talk.all()
    assert (row.text, row.state, row.speaker) == ("Yes.", State.QUEUED, "ada")
    assert row.route == Route("telegram", "default", "chat", "5", "m1")
    assert row.task is not None and row.agent == talk.shop.agents["ada"]


@pytest.mark.parametrize(
    ("wish", "target"),
    [
        ({"channel": "telegram", "accountId": "default", "to": "9"}, "9"),
        ({}, "chat"),
        ({"channel": "telegram"}, "chat"),
        ({"channel": "signal"}, None),
        ({"channel": "telegram", "accountId": "other"}, None),
    ],
)
async def test_an_answer_goes_where_its_turn_was_asked_to_deliver_it(
    talk: Talk, wish: dict[str, Any], target: str | None
) -> None:
    await talk.answered("hello", "m1", "Yes.", target="chat")
    turn = await talk.accept("Well?", "k1", options={announcing.OPTION: wish})
    started = await talk.start(turn)
    await talk.answer(started, "Well.")
    ended = await talk.finish(started, "Well.")
    rows = [row for row in await talk.all() if row.message == ended.reply]
    assert [row.target for row in rows] == ([] if target is None else [target])
    came_to = await talk.ground.read(announcing.came_to, ended)
    assert came_to.status == ("not-delivered" if target is None else "unknown")
    assert bool(came_to.why) is (target is None)


async def test_answers_that_go_elsewhere_are_not_one(talk: Talk) -> None:
    there = {announcing.OPTION: {"channel": "telegram", "accountId": "default", "to": "9"}}
    first = await talk.accept("a", "k1", mode="collect")
    other = await talk.accept("b", "k2", mode="collect", options=there)
    await talk.start(first)
    assert (await talk.ground.read(turns.by_id, first.company, other.id)).state == "queued"


async def test_known_by_chat_account_and_id(talk: Talk) -> None:
    first = await talk.hear("hello", "m1")
    assert (first.what, first.session) == ("taken", "agent:ada:main")
    assert (await talk.hear("hello", "m1")).what == "known"
    assert (await talk.hear("hello", "m1", sender="8")).what == "taken"
    assert (await talk.hear("hello", "m" * 300)).what == "taken"
    assert (await talk.hear("hello", "m" * 300)).what == "known"


async def test_a_binding_without_its_agent_is_told(talk: Talk) -> None:
    binding = Binding("gone", Match("telegram"), BindingScopes("per-peer"))
    taken = await talk.hear("hello", "m1", Rules(bindings=(binding,)))
    assert (taken.session, taken.missing) == ("agent:ada:direct:7", "gone")


@pytest.mark.parametrize(("room", "ended"), [(None, 1), ("-1", 0)])
async def test_only_alone_with_an_agent_its_session_is_begun_anew(
    talk: Talk, room: str | None, ended: int
) -> None:
    more = {} if room is None else {"peer": Peer("group", room), "mentioned": True}
    await talk.hear("hello", "m1", **more)
    await talk.hear("/new", "m2", **more)
    count = await talk.ground.read(_ended, talk.ground.company)
    assert count == ended


def _ended(rx: Rx, company: str) -> int:
    return len(
        rx.all("select id from session where company=? and ended_ms is not null", (company,))
    )


async def test_words_from_two_places_are_two_turns(talk: Talk) -> None:
    first = await talk.hear("one", "m1")
    session = await talk.ground.read(sessions.need, talk.ground.company, first.session)
    await talk.shop.do("turn.accept", "owner", _queue_mode, session.id, "collect")
    for n, chat in enumerate(("7", "7", "8")):
        await talk.hear(f"more {n}", f"n{n}", target=chat)
    started = await talk.start(await talk.ground.read(_turn_of, first.message))
    await talk.answer(started, "Yes.")
    await talk.finish(started, "Yes.")
    (second, *_) = await talk.ground.read(turns.open_of, session.id)
    await talk.start(second)
    waiting = await talk.ground.read(turns.open_of, session.id)
    assert [(row.text, row.state.value) for row in waiting] == [
        ("more 0", "running"), ("more 2", "queued"),
    ]  # fmt: skip


def _queue_mode(tx: Any, session: str, mode: str) -> None:
    sessions.change(tx, session, queue_mode=mode)


async def test_nobody_forges_a_way_back(talk: Talk) -> None:
    from homarus.conversations import rules
    from homarus.conversations.model import Sender, SenderType

    who = Sender(SenderType.HUMAN, None, {"relayed": True})
    assert rules.metadata({"route": {"channel": "x"}, "a": 1}, who) == {"a": 1, "relayed": True}


# -- order, tries, doubt -------------------------------------------------------------------------


async def test_one_at_a_time_in_order_within_a_chat(talk: Talk) -> None:
    one, _ = await talk.send("one", "k1"), await talk.send("two", "k2")
    await talk.send("other", "k3", route=Route("telegram", "default", "8"))
    assert await talk.due() == ["one", "other"]
    sending = await talk.attempt(one)
    assert sending is not None and await talk.due() == ["other"]
    assert await talk.attempt(one) is None, "somebody sends it"
    sent = await talk.settle(delivering.part_out, sending, "p1", True)
    assert (sent.state, sent.posted, await talk.due()) == (State.SENT, ["p1"], ["two", "other"])
    with pytest.raises(Conflict, match="sent meanwhile"):
        await talk.settle(delivering.later, sending, "late", 0)


async def test_what_fails_is_tried_eight_times_ever_later(talk: Talk) -> None:
    row = await talk.send("one", "k1")
    waits = []
    for _ in range(deliveries.MAX_ATTEMPTS):
        sending = await talk.attempt(row)
        assert sending is not None
        row = await talk.settle(delivering.later, sending, "down", 0)
        waits.append(row.next_ms - talk.ground.clock.now_ms())
        talk.ground.clock.advance(max(0, waits[-1]))
    assert waits[:-1] == [1_000, 4_000, 16_000, 64_000, 256_000, 1_024_000, HOUR_MS]
    assert (row.state, row.error) == (State.FAILED, "down")
    assert await talk.ground.read(_incidents, talk.ground.company) == ["delivery_failed"]
    again = await talk.shop.do("delivery.change", "owner", delivering.retry, row.number)
    assert (again.state, again.attempts, await talk.due()) == (State.QUEUED, 0, ["one"])


async def test_parts_are_counted_as_they_go(talk: Talk) -> None:
    sending = await talk.attempt(await talk.send("one two", "k1"))
    assert sending is not None
    half = await talk.settle(delivering.part_out, sending, "p1", False)
    assert (half.state, half.parts_out, half.posted) == (State.SENDING, 1, ["p1"])
    later = await talk.settle(delivering.later, half, "down", 5_000)
    assert (later.state, later.parts_out) == (State.QUEUED, 1)
    assert later.next_ms - talk.ground.clock.now_ms() == 5_000


async def test_what_nobody_knows_is_an_operators(talk: Talk) -> None:
    sending = await talk.attempt(await talk.send("one", "k1"))
    assert sending is not None
    row = await talk.settle(delivering.doubt, sending, "cut")
    assert (row.state, await talk.due()) == (State.UNKNOWN, [])
    assert await talk.ground.read(_incidents, talk.ground.company) == ["delivery_unknown"]
    dropped = await talk.shop.do("delivery.change", "owner", delivering.drop, row.id, "seen it")
    assert (dropped.state, dropped.error) == (State.DROPPED, "seen it")
    with pytest.raises(Conflict, match="cannot retry"):
        await talk.shop.do("delivery.change", "owner", delivering.retry, row.id)


async def test_the_sender_that_died_has_lost_it(talk: Talk) -> None:
    sending = await talk.attempt(await talk.send("one", "k1"))
    assert sending is not None
    ground = talk.ground
    assert await ground.read(deliveries.abandoned, ground.company, False, 10) == []
    assert len(await ground.read(deliveries.abandoned, ground.company, True, 10)) == 1
    ground.clock.advance(delivering.LEASE_MS + 1)
    (lost,) = await ground.read(deliveries.abandoned, ground.company, False, 10)
    mine = await talk.settle(delivering.take_over, lost)
    assert mine.token == sending.token + 1
    with pytest.raises(Conflict):
        await talk.settle(delivering.part_out, sending, "p1", True)
    again = await talk.settle(delivering.again, mine)
    assert (again.state, await talk.due()) == (State.QUEUED, ["one"])


def _incidents(rx: Rx, company: str) -> list[str]:
    rows = rx.all("select reason_code from incident where company=? order by no", (company,))
    return [row[0] for row in rows]


@pytest.mark.parametrize("scope", ["company", "agent", "trace"])
async def test_a_stop_holds_what_it_covers(talk: Talk, scope: str) -> None:
    await talk.answered("hello", "m1", "Yes.")
    (row,) = await talk.all()
    assert row.task is not None
    standing = await talk.ground.read(tasks.by_id, talk.ground.company, row.task)
    subject = {"company": talk.ground.company, "agent": row.agent, "trace": standing.trace}[scope]
    stop = await talk.shop.do("stop.set", "owner", stopping.put, scope, subject, "wait")
    assert await talk.ground.read(delivering.is_held, row)
    try:
        assert await talk.attempt(row) is None
    except Refused as refused:
        assert refused.rule == "stop"
    assert (await talk.hear("and then?", "m2")).what == "taken", "what people say is kept"
    await talk.shop.do("stop.lift", "owner", stopping.lift, stop.id)
    assert await talk.attempt(row) is not None


async def test_one_daemon_has_an_account(talk: Talk) -> None:
    async def hold(who: str) -> bool:
        until_ms = talk.ground.clock.now_ms() + 1_000
        where = ("telegram", "default", who, until_ms)
        return bool(await talk.ground.write("channel.hold", connections.hold, *where))

    assert [await hold("one"), await hold("two"), await hold("one")] == [True, False, True]
    talk.ground.clock.advance(1_000)
    assert [await hold("two"), await hold("one")] == [True, False]
    await talk.ground.write("channel.hold", connections.let_go, "telegram", "default", "one")
    assert not await hold("one")
    await talk.ground.write("channel.hold", connections.let_go, "telegram", "default", "two")
    assert await hold("one")


# -- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"text": " "}, Invalid), ({"key": ""}, Invalid), ({"key": "k" * 257}, Invalid),
        ({"route": Route("telegram", "default", "")}, Invalid),
        ({"route": Route("telegram", "default", "x" * 257)}, Invalid),
        ({"session": "agent:ada:telegram:group:9"}, NotFound),
    ],
)  # fmt: skip
async def test_what_cannot_be_sent(talk: Talk, more: dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        await talk.send(**({"text": "one", "key": "k"} | more))
    assert await talk.all() == []


async def test_one_key_is_one_delivery(talk: Talk) -> None:
    first = await talk.send("one", "k1")
    assert (await talk.send("one", "k1")).id == first.id
    with pytest.raises(Conflict, match="another message"):
        await talk.send("two", "k1")


async def test_it_is_kept_with_the_place_that_it_goes_to(talk: Talk) -> None:
    await talk.hear("hello", "m1")
    row = await talk.send("one", "k1")
    known = await talk.ground.read(places.conversation, talk.ground.company, HERE)
    at = await talk.ground.read(_conversation, row.message)
    assert at == known
    elsewhere = await talk.send("two", "k2", route=Route("telegram", "default", "9"))
    assert await talk.ground.read(_conversation, elsewhere.message) != known
    assert await talk.ground.read(_turns, talk.ground.company) == 1, (
        "what is sent out asks nobody anything"
    )


def _conversation(rx: Rx, message: str) -> str:
    row = rx.one("select conversation from message where id=?", (message,))
    assert row is not None
    return str(row[0])


def _turns(rx: Rx, company: str) -> int:
    row = rx.one("select count(*) from turn where company=?", (company,))
    return 0 if row is None else int(row[0])


async def test_no_agent_sends_elsewhere_by_itself(talk: Talk) -> None:
    with pytest.raises(Refused):
        await talk.run(delivering.send, NewSend(HERE, "one", "k1"), capability="channel.send")


# -- pairing -------------------------------------------------------------------------------------


async def stranger(talk: Talk, sender: str, id: str) -> Taken:
    return await talk.hear("hello", id, may=Access(), sender=sender)


async def test_a_code_lives_an_hour_and_three_wait(talk: Talk) -> None:
    for n in "123":
        assert (await stranger(talk, n, f"m{n}")).why == "a code was given"
    assert "too many" in (await stranger(talk, "4", "m4")).why
    assert "before" in (await stranger(talk, "1", "m5")).why
    assert len(await talk.all()) == 3
    talk.ground.clock.advance(pairing.LIFE_MS - 1)
    rows = await talk.ground.read(pairing.pending, talk.ground.company)
    assert len(rows) == 3
    talk.ground.clock.advance(1)
    with pytest.raises(NotFound):
        await decide(talk, rows[0].code)
    assert (await stranger(talk, "4", "m6")).why == "a code was given"


async def test_who_is_let_in_is_heard(talk: Talk) -> None:
    await stranger(talk, "7", "m1")
    (row,) = await talk.ground.read(pairing.pending, talk.ground.company)
    with pytest.raises(NotFound):
        await decide(talk, row.code, channel="signal")
    await decide(talk, f" {row.code.lower()} ")
    assert (await stranger(talk, "7", "m2")).what == "taken"
    assert (await stranger(talk, "8", "m3")).what == "pairing"
    words = [each.text.splitlines()[0] for each in await talk.all()]
    assert words[1] == "You are let in. Say something."


async def decide(talk: Talk, code: str, channel: str = "telegram") -> Any:
    return await talk.shop.do("channel.pair", "owner", _approve, channel, code)


def _approve(tx: Any, channel: str, code: str) -> pairing.Pairing:
    return channel_inbound.decide_pairing(tx, channel, code, None, approve=True)


async def test_what_is_over_is_forgotten_after_ninety_days(talk: Talk) -> None:
    sent, dropped, failed, young = [await talk.send(text, f"k-{text}") for text in "abcd"]
    begun = await talk.attempt(sent)
    assert begun is not None
    await talk.settle(delivering.part_out, begun, "p1", True)
    await talk.shop.do("delivery.change", "owner", delivering.drop, dropped.id, "known")
    begun = await talk.attempt(failed)
    assert begun is not None
    await talk.settle(delivering.refuse, begun, "no such chat")
    talk.ground.clock.advance(due.DELIVERIES_KEPT_MS)
    assert talk.ground.company not in await talk.ground.read(due.old_deliveries, 1_000)
    talk.ground.clock.advance(1)
    await talk.shop.do("delivery.change", "owner", delivering.drop, young.id, "known")
    assert talk.ground.company in await talk.ground.read(due.old_deliveries, 1_000)
    assert await talk.ground.write("store.sweep", due.forget_deliveries, 10) == 2
    assert [row.text for row in await talk.all()] == ["c", "d"]
