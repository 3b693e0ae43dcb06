"""Threads, messages and chat status as clients of the original speak them (contract, 8)."""

import asyncio

import pytest

from homarus.control_plane import talk
from homarus.control_plane.talk import FRAMES, ROUTES
from tests.support.engines import BOTH
from tests.support.surface import OWNER, surface

UNKNOWN = "00000000-0000-7000-8000-000000000000"
SEND = ("POST", "/messages/send")


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada, made.bob = await made.agent("ada"), await made.agent("bob")
        made.bridge = await made.token(acts_for=[made.ada, made.bob])
        yield made


async def send(s, token=None, **body):
    return await s.call(ROUTES, *SEND, {"text": "hi"} | body, token=token or s.bridge)


async def thread(s, **body):
    made = await s.call(ROUTES, "POST", "/threads", body)
    return made.body["thread"]


async def read(s, place, **query):
    texts = {name: str(value) for name, value in query.items()}
    return (await s.call(ROUTES, "GET", f"/threads/{place}/messages", query=texts)).body


async def frames(s, kind):
    return [
        frame
        for event in await s.events(kind)
        for frame in await s.read(FRAMES[kind], s.company, event)
    ]


@pytest.mark.parametrize(
    "body, place",
    [
        ({"agentId": "ADA"}, "team"),
        ({"from_user_id": "ADA"}, "team"),
        ({"senderId": "ADA"}, "team"),
        ({"agentId": "ada"}, "team"),
        ({"agentId": "ADA", "chat_id": "main", "thread_id": "not-a-uuid"}, "team"),
        ({"agentId": "ADA", "thread_id": 17}, "team"),
        ({"agentId": "ADA", "thread_type": "direct"}, "direct ada"),
        ({"agentId": "ADA", "threadType": "direct"}, "direct ada"),
        ({"agentId": "ADA", "targetAgentId": "bob"}, "direct bob"),
        ({"agentId": "ADA", "target_agent_id": "BOB"}, "direct bob"),
        ({"agentId": "ADA", "targetAgentId": "bob", "thread_type": "team"}, "team"),
        ({"agentId": "ADA", "thread_id": "PROJECT"}, "project"),
        ({"agentId": "ADA", "threadId": "PROJECT", "targetAgentId": "bob"}, "project"),
    ],
)
async def test_a_message_finds_its_thread(s, body, place):
    own = await thread(s, type="project", title="plans")
    names = {"ADA": s.ada, "BOB": s.bob, "PROJECT": own["id"]}
    answer = await send(s, **{k: names.get(v, v) for k, v in body.items()})
    assert answer.status == 200
    found = await read(s, answer.body["thread_id"])
    message, where = found["messages"][-1], found["thread"]
    agent = {None: "", s.ada: " ada", s.bob: " bob"}[where["agentId"]]
    assert where["type"] + agent == place
    assert message["id"] == answer.body["message_id"]
    assert (message["senderType"], message["senderId"]) == ("agent", s.ada)
    assert (message["deliveryState"], message["threadType"]) == ("resolved", where["type"])


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"agentId": "nobody"}, 403, "agent.unknown"),
        ({"agentId": "ada", "targetAgentId": "nobody"}, 404, "agent.unknown"),
        ({"agentId": "ada", "thread_id": UNKNOWN}, 404, "thread.unknown"),
        ({"agentId": "ada", "text": ""}, 400, "message.text"),
        ({"agentId": "ada", "text": 7}, 400, "request.schema"),
        ({"agentId": "ada", "senderType": "system"}, 400, "message.sender_type"),
        ({"agentId": "carl"}, 403, "identity.not_granted"),
        ({"agentId": "chief"}, 403, "identity.governed_role"),
        ({"agentId": "ada", "platformMessageId": "x" * 201}, 400, "message.platform_id"),
    ],
)
async def test_a_refused_send_stores_nothing(s, body, status, code):
    await s.agent("carl")
    await s.agent("chief", role="coo")
    answer = await send(s, **body)
    assert (answer.status, answer.body["code"]) == (status, code)
    assert await s.events("thread_message") == []


async def test_a_person_named_by_a_company_token_is_relayed(s):
    forged = {"relayed": False, "senderName": "the owner"}
    answer = await send(s, senderType="human", from_user_id="tg-7", metadataJson=forged)
    message = (await read(s, answer.body["thread_id"]))["messages"][0]
    assert (message["senderType"], message["senderId"]) == ("human", "tg-7")
    assert (message["metadataJson"], message["deliveryState"]) == ({"relayed": True}, "queued")


async def test_an_operator_speaks_for_himself_and_an_agent_never_as_a_person(s):
    said = await send(s, token=s.owner, chat_id="main")
    message = (await read(s, said.body["thread_id"]))["messages"][0]
    assert message["metadataJson"] == {
        "chatId": "main",
        "senderName": OWNER,
        "senderRole": "owner",
    }
    assert (message["senderType"], message["senderId"]) == ("human", s.owner.id)
    own = await s.token("agent", agent=s.ada)
    assert (await send(s, token=own)).status == 200
    forged = await send(s, token=own, senderType="human")
    assert (forged.status, forged.body["code"]) == (403, "message.not_human")


@BOTH
async def test_a_repeat_is_one_message_by_key_and_by_platform_id_never_by_text(s):
    body = {"text": "ok", "agentId": "ada"}
    by_text = [await s.call(ROUTES, *SEND, body, token=s.bridge) for _ in range(2)]
    assert len({a.body["message_id"] for a in by_text}) == 2
    by_key = [await s.call(ROUTES, *SEND, body, token=s.bridge, key="k") for _ in range(2)]
    assert (by_key[0].body, by_key[1].replayed) == (by_key[1].body, True)
    told = [await send(s, agentId="ada", platformMessageId="wa:9") for _ in range(2)]
    assert told[1].body == told[0].body | {"deduplicated": True}


@BOTH
async def test_forty_parallel_first_sends_in_a_new_company(s):
    answers = await asyncio.gather(*(send(s, agentId="ada") for _ in range(40)))
    assert {a.status for a in answers} == {200}
    assert len({a.body["message_id"] for a in answers}) == 40
    listed = await s.call(ROUTES, "GET", "/threads", query={"type": "team"})
    assert len(listed.body["threads"]) == 1


@BOTH
async def test_threads(s):
    team, again = await thread(s, type="team"), await thread(s, type="team")
    direct = await thread(s, type="direct", agentId="ada")
    project = await s.project()
    own = await thread(s, type="project", projectId=project, title="plans")
    assert (team["id"], direct["agentId"], own["projectId"]) == (again["id"], s.ada, project)
    for query, expected in [
        ({}, [own, direct, team]),
        ({"type": "team", "thread_type": "direct"}, [team]),
        ({"agentId": "ada"}, [direct, team]),
        ({"agentId": s.bob}, [team]),
        ({"projectId": project}, [own]),
        ({"taskId": UNKNOWN}, []),
        ({"limit": "2"}, [own, direct]),
    ]:
        listed = await s.call(ROUTES, "GET", "/threads", query=query)
        assert listed.body["threads"] == expected, query
    rest = await s.call(ROUTES, "GET", "/threads", query={"cursor": listed.body["nextCursor"]})
    assert (rest.body["threads"], rest.body["nextCursor"]) == ([team], None)


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"type": "direct"}, 400, "thread.agent_missing"),
        ({"type": "direct", "agentId": UNKNOWN}, 404, "agent.unknown"),
        ({"type": "project", "projectId": UNKNOWN}, 404, "project.unknown"),
        ({"type": "task", "taskId": UNKNOWN}, 404, "task.unknown"),
        ({"type": "incident", "incidentId": UNKNOWN}, 404, "incident.unknown"),
        ({"type": "task", "taskId": "'; drop table task"}, 400, "request.bad_id"),
        ({"type": " "}, 400, "thread.type"),
        ({"type": "x" * 65}, 400, "thread.type"),
        ({"type": "x", "title": "x" * 501}, 400, "thread.title"),
        ({}, 400, "request.schema"),
    ],
)
async def test_threads_that_cannot_be(s, body, status, code):
    answer = await s.call(ROUTES, "POST", "/threads", body)
    assert (answer.status, answer.body["code"]) == (status, code)


@BOTH
async def test_a_thread_is_read_from_either_end(s):
    place = (await thread(s, type="team"))["id"]
    for n in range(5):
        await send(s, agentId="ada", text=f"{n}")
    rows = (await read(s, place))["messages"]
    seq, at = [m["seq"] for m in rows], [m["createdAt"] for m in rows]
    for query, texts, more in [
        ({}, "01234", False),
        ({"limit": 2}, "34", True),
        ({"limit": 2, "before": at[3]}, "12", True),
        ({"limit": 5, "beforeSeq": seq[2]}, "01", False),
        ({"since": at[3]}, "34", False),
        ({"since": at[1], "limit": 2}, "12", True),
        ({"sinceSeq": seq[1]}, "234", False),
        ({"since": at[1], "before": at[3]}, "12", False),
        ({"since": at[4].replace("Z", " 00:00")}, "4", False),
    ]:
        page = await read(s, place, **query)
        found = "".join(m["text"] for m in page["messages"])
        assert (found, page["hasMore"]) == (texts, more), query


@pytest.mark.parametrize(
    "place, query, status, code",
    [
        (UNKNOWN, {}, 404, "thread.unknown"),
        ("nonsense", {}, 400, "request.bad_id"),
        (None, {"since": "yesterday"}, 400, "request.time"),
        (None, {"since": "1969-12-31T00:00:00Z"}, 400, "request.time"),
        (None, {"sinceSeq": "-1"}, 400, "request.cursor"),
    ],
)
async def test_unreadable_questions(s, place, query, status, code):
    place = place or (await thread(s, type="team"))["id"]
    answer = await s.call(ROUTES, "GET", f"/threads/{place}/messages", query=query)
    assert (answer.status, answer.body["code"]) == (status, code)


async def test_posting_into_a_thread(s):
    place = (await thread(s, type="direct", agentId="ada"))["id"]
    path = f"/threads/{place}/messages"
    for token, body, expected in [
        (s.bridge, {"senderId": "ada"}, ("agent", s.ada)),
        (s.bridge, {"senderType": "agent", "agentId": s.bob}, ("agent", s.bob)),
        (s.bridge, {}, ("agent", None)),
        (s.bridge, {"senderType": "human", "senderId": "tg"}, ("human", "tg")),
        (s.owner, {}, ("human", s.owner.id)),
        (s.owner, {"senderId": "ada"}, ("agent", s.ada)),
    ]:
        answer = await s.call(ROUTES, "POST", path, {"text": "x"} | body, token=token)
        message = answer.body["message"]
        assert (answer.status, message["senderType"], message["senderId"]) == (201, *expected)


async def test_another_company_sees_and_reaches_nothing(s):
    place = (await send(s, agentId="ada")).body["thread_id"]
    other = await s.other_company()
    eve = await s.agent("eve", company=other)
    spy = await s.token(company=other, acts_for=[eve])
    for method, path, body in [
        ("GET", f"/threads/{place}/messages", None),
        ("POST", f"/threads/{place}/messages", {"text": "x", "senderId": "eve"}),
        ("POST", "/messages/send", {"text": "x", "agentId": "eve", "thread_id": place}),
        ("POST", "/messages/send", {"text": "x", "agentId": "eve", "targetAgentId": s.ada}),
        ("POST", "/chat/status", {"threadId": place, "agentId": "eve", "typing": True}),
    ]:
        answer = await s.call(ROUTES, method, path, body, token=spy)
        assert answer.status == 404, path
    assert (await s.call(ROUTES, "GET", "/threads", token=spy)).body["threads"] == []


@BOTH
async def test_status_moves_the_latest_human_message_and_leaves_no_receipt(s):
    asked = await send(s, token=s.owner, text="please", targetAgentId="ada")
    place, ref = asked.body["thread_id"], asked.body["message_id"]
    before = await s.read(lambda rx: rx.one("select count(*) from receipt"))

    async def status(**body):
        answer = await s.call(
            ROUTES, "POST", "/chat/status",
            {"threadId": place, "agentId": "ada"} | body, token=s.bridge,
        )  # fmt: skip
        assert answer.body == {"ok": True}
        return (await read(s, place))["messages"][0]["deliveryState"]

    states = [
        await status(typing=False),
        await status(markRead=True),
        await status(typing=True, markRead=True),
        await status(markRead=True),
        await status(executionState="resolved"),
        await status(typing=True),
    ]
    assert states == ["queued", "seen", "acting", "acting", "resolved", "resolved"]
    assert await s.read(lambda rx: rx.one("select count(*) from receipt")) == before
    shown = await frames(s, "participant_status")
    assert [f["typing"] for f in shown] == [False, False, True, False, False, True]
    assert {(f["type"], f["threadId"], f["participantId"]) for f in shown} == {
        ("participant_status", place, s.ada)
    }
    assert (shown[0]["lastReadAt"], shown[1]["lastReadAt"] is None) == (None, False)
    moved = await frames(s, "message_state")
    assert [f["message"]["deliveryState"] for f in moved] == ["seen", "acting", "resolved"]
    assert {(f["type"], f["threadId"], f["message"]["id"], "thread" in f) for f in moved} == {
        ("thread_message", place, ref, False)
    }


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"threadId": UNKNOWN}, 404, "thread.unknown"),
        ({"threadId": "x"}, 404, "thread.unknown"),
        ({"executionState": "dancing"}, 400, "chat.state"),
        ({"agentId": "carl"}, 403, "agent.unknown"),
    ],
)
async def test_status_reports_that_are_refused(s, body, status, code):
    place = (await thread(s, type="team"))["id"]
    full = {"threadId": place, "agentId": "ada"} | body
    answer = await s.call(ROUTES, "POST", "/chat/status", full, token=s.bridge)
    assert (answer.status, answer.body["code"]) == (status, code)


async def test_a_message_makes_one_frame_with_its_thread(s):
    answer = await send(s, agentId="ada")
    (frame,) = await frames(s, "thread_message")
    assert frame["type"] == "thread_message"
    assert frame["message"]["id"] == answer.body["message_id"]
    assert (frame["thread"]["id"], frame["thread"]["type"]) == (answer.body["thread_id"], "team")
    read_fields = {"id", "senderId", "senderType", "text", "createdAt", "threadId", "taskId"}
    assert read_fields <= frame["message"].keys()


def test_no_route_demands_a_key():
    assert {route.keyed for route in talk.ROUTES} <= {"accepted", "ignored"}
