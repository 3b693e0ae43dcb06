"""The long poll: it wakes at once and never skips (control-plane contract, 8.1).

The stream is the edge's own, over a real store; only the socket is left out.
"""

import asyncio
import json

import pytest

from homarus.control_plane import sync, talk
from homarus.control_plane.feed import Feed
from homarus.control_plane.route import Call
from homarus.conversations import service
from homarus.conversations.model import Draft, Sender, SenderType
from tests.support.engines import BOTH
from tests.support.surface import Answer, surface

UNKNOWN = "00000000-0000-7000-8000-000000000000"
SOON_S = 20.0


class Polling:
    """`route.Stream` as far as a poll uses it. `looks` counts its queries."""

    def __init__(self, s, feed, company):
        self.s, self.feed, self.company = s, feed, company
        self.looks = 0
        self.waiting = asyncio.Event()

    async def read(self, fn, *args):
        self.looks += 1
        return await self.s.store.read(fn, *args)

    async def wait(self, after_seq, timeout_s):
        self.waiting.set()
        return await self.feed.wait(self.company, after_seq, timeout_s)


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada, made.bob = await made.agent("ada"), await made.agent("bob")
        made.bridge = await made.token(acts_for=[made.ada, made.bob])
        made.feed = Feed(made.store)
        made.feed.start()
        yield made
        made.feed.stop()


async def poll(s, stream=None, company="", **query):
    stream = stream or Polling(s, s.feed, company or s.company)
    call = Call(stream.company, s.bridge, {}, {k: str(v) for k, v in query.items()}, None)
    reply = await asyncio.wait_for(sync.poll(stream, call), SOON_S)
    return Answer(reply.status, json.loads(reply.body), reply.body.decode()).body


def texts(body):
    return [m["text"] for m in body["messages"]]


async def say(s, text, *, who="human", place=None, n=1):
    def post(tx):
        where = service.team(tx) if place is None else service.need(tx, tx.company, place)
        kind = SenderType.HUMAN if who == "human" else SenderType.AGENT
        sender = Sender(kind, None if who == "human" else who)
        for i in range(n):
            row, _ = service.post(tx, where, Draft(sender, text if n == 1 else f"{text}{i}"))
        return row

    return await s.run(post)


@BOTH
async def test_a_poll_wakes_at_once_on_a_message(s):
    stream = Polling(s, s.feed, s.company)
    task = asyncio.create_task(poll(s, stream, sinceSeq=0))
    await asyncio.wait_for(stream.waiting.wait(), SOON_S)
    await say(s, "hello")
    body = await asyncio.wait_for(task, SOON_S)
    assert (texts(body), body["ok"], body["mode"], stream.looks) == (
        ["hello"],
        True,
        "human_only",
        2,
    )


async def test_a_poll_sleeps_on_through_what_it_did_not_ask_for(s):
    stream = Polling(s, s.feed, s.company)
    task = asyncio.create_task(poll(s, stream))
    for n in range(3):
        await asyncio.wait_for(stream.waiting.wait(), SOON_S)
        stream.waiting.clear()
        await say(s, f"agent talk {n}", who=s.ada)
    await asyncio.wait_for(stream.waiting.wait(), SOON_S)
    assert not task.done()
    await say(s, "a person")
    assert texts(await asyncio.wait_for(task, SOON_S)) == ["a person"]


async def test_an_idle_poll_ends_empty_when_its_time_is_up(s):
    await say(s, "from an agent", who=s.ada)
    stream = Polling(s, s.feed, s.company)
    call = Call(s.company, s.bridge, {}, {}, None)
    reply = await asyncio.wait_for(sync.poll(stream, call, hold_s=0.05), SOON_S)
    body = json.loads(reply.body)
    assert (reply.status, body["messages"], body["nextSeq"]) == (200, [], 1)


@pytest.mark.parametrize(
    "query, expected",
    [
        ({"sinceSeq": 0}, ["p1", "p2"]),
        ({"sinceSeq": 0, "mode": "all"}, ["p1", "a", "b", "d", "p2"]),
        ({"sinceSeq": 0, "senderType": "agent"}, ["a", "b", "d"]),
        ({"sinceSeq": 0, "mode": "all", "senderType": "human"}, ["p1", "p2"]),
        ({"sinceSeq": 0, "mode": "all", "agentId": "ada"}, ["b", "p2"]),
        ({"sinceSeq": 0, "mode": "all", "agentId": "BOB"}, ["p2"]),
        ({"sinceSeq": 0, "agentId": "ada"}, ["p2"]),
        ({}, ["p1", "p2"]),
        ({"mode": "all"}, ["p1", "a", "b", "d", "p2"]),
    ],
)
async def test_what_is_asked_for(s, query, expected):
    direct = (await s.run(service.direct, s.bob)).id
    await say(s, "p1")
    await say(s, "a", who=s.ada)
    await say(s, "b", who=s.bob)
    await say(s, "d", who=s.bob, place=direct)
    await say(s, "p2")
    query = {k: s.bob if v == "BOB" else v for k, v in query.items()}
    body = await poll(s, **query)
    assert (texts(body), body["hasMore"]) == (expected, False)
    assert {m["threadType"] for m in body["messages"]} <= {"team", "direct"}


@pytest.mark.parametrize("cursor", ["sinceSeq", "since"])
async def test_nothing_is_skipped_beyond_a_hundred(s, cursor):
    await say(s, "m", n=99)
    await say(s, "n", n=130)
    seen, query = [], {"sinceSeq": 0} if cursor == "sinceSeq" else {"since": "2020-01-01T00:00:00Z"}
    while True:
        body = await poll(s, **query)
        seen += texts(body)
        if not body["hasMore"]:
            break
        last = body["messages"][-1]
        query = {cursor: body["nextSeq"] if cursor == "sinceSeq" else last["createdAt"]}
    assert seen == [f"m{i}" for i in range(99)] + [f"n{i}" for i in range(130)]


async def test_a_cursor_at_the_last_message_waits_instead_of_repeating_it(s):
    row = await say(s, "one")
    at = sync.shapes.message(row)["createdAt"]
    stream = Polling(s, s.feed, s.company)
    task = asyncio.create_task(poll(s, stream, since=at))
    await asyncio.wait_for(stream.waiting.wait(), SOON_S)
    await say(s, "two")
    assert texts(await asyncio.wait_for(task, SOON_S)) == ["two"]


async def test_another_company_hears_nothing(s):
    other = await s.other_company()
    await say(s, "ours")
    stream = Polling(s, s.feed, other)
    task = asyncio.create_task(poll(s, stream, mode="all"))
    await asyncio.wait_for(stream.waiting.wait(), SOON_S)
    await say(s, "ours again")
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize(
    "query, code",
    [
        ({"mode": "some"}, "sync.mode"),
        ({"senderType": "robot"}, "sync.sender"),
        ({"since": "yesterday"}, "request.time"),
        ({"sinceSeq": "-1"}, "request.cursor"),
        ({"sinceSeq": "1" * 19}, "request.cursor"),
        ({"agentId": "nobody"}, "agent.unknown"),
        ({"agentId": UNKNOWN}, "agent.unknown"),
    ],
)
async def test_unreadable_questions(s, query, code):
    with pytest.raises(Exception) as raised:
        await poll(s, **query)
    assert getattr(raised.value, "code", "") == code


async def test_context_notes_come_along(s):
    await s.run(
        lambda tx: tx.run("update company set context_notes='be kind' where id=?", (s.company,))
    )
    await s.call(talk.ROUTES, "POST", "/messages/send", {"text": "x"}, token=s.owner)
    body = await poll(s)
    assert (body["contextNotes"], body["nextSeq"]) == ("be kind", 1)
