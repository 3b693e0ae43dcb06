"""Contract, section 8: threads, messages, chat status."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import NOBODY, Answer, Wire, frame

THREAD = {
    "id", "companyId", "type", "title", "projectId", "taskId", "incidentId", "createdByType",
    "createdById", "createdAt", "archivedAt",
}  # fmt: skip
MESSAGE = {
    "id", "threadId", "companyId", "senderType", "senderId", "targetAgentId", "text",
    "metadataJson", "deliveryState", "platformMessageId", "createdAt",
}  # fmt: skip


def thread(wire: Wire, **body: Any) -> dict[str, Any]:
    made = wire.post("/threads", {"type": "team"} | body, key=None)
    assert made.status == 201, made.body
    return dict(made["thread"])


def send(wire: Wire, **body: Any) -> Answer:
    reply = wire.post("/messages/send", {"text": "hello"} | body, key=None)
    assert reply.status == 200, reply.body
    return reply


def read(wire: Wire, place: str, query: str = "") -> list[dict[str, Any]]:
    return list(wire.get(f"/threads/{place}/messages{query}")["messages"])


# -- threads -----------------------------------------------------------------------------------


def test_there_is_one_team_thread(wire: Wire) -> None:
    first, again = thread(wire), thread(wire)
    assert set(first) >= THREAD
    assert (first["type"], first["id"]) == ("team", again["id"])
    assert send(wire, agentId=wire.agent()["id"])["thread_id"] == first["id"]


def test_there_is_one_direct_thread_for_each_agent(wire: Wire) -> None:
    one, other = wire.agent(), wire.agent()
    ids = {thread(wire, type="direct", agentId=ref)["id"] for ref in (one["id"], one["name"])}
    assert len(ids) == 1
    assert thread(wire, type="direct", agentId=other["id"])["id"] not in ids


def test_other_threads_are_about_something(wire: Wire) -> None:
    project = wire.project()["id"]
    task = wire.task(project)["id"]
    body = {"severity": "low", "reasonCode": "odd", "summary": "odd", "projectId": project}
    incident = wire.post("/incidents", body)["incident"]["id"]
    given = {"title": "About it", "projectId": project, "taskId": task, "incidentId": incident}
    row = thread(wire, type="project", **given)
    assert {field: row[field] for field in given} == given
    assert row["id"] != thread(wire, type="project", **given)["id"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": ""},
        {"type": "direct"},
        {"type": "direct", "agentId": "nobody"},
        {"type": "x" * 500},
        {"type": "task", "taskId": NOBODY},
        {"type": "project", "projectId": NOBODY},
    ],
)
def test_threads_that_are_refused(wire: Wire, body: dict[str, Any]) -> None:
    reply = wire.post("/threads", body, key=None)
    assert reply.status in (400, 404) and reply["error"]


def test_must_list_by_type_and_agent(found: Callable[..., Wire]) -> None:
    wire = found()
    agent, other = wire.agent()["id"], wire.agent()["id"]
    team = thread(wire)["id"]
    direct = thread(wire, type="direct", agentId=agent)["id"]
    theirs = thread(wire, type="direct", agentId=other)["id"]
    project = wire.project()["id"]
    task = wire.task(project)["id"]
    about = thread(wire, type="task", projectId=project, taskId=task)["id"]
    send(wire, agentId=agent, thread_id=team)
    for query, expected in (
        ("?type=team", {team}),
        ("?type=direct", {direct, theirs}),
        (f"?agentId={agent}", {team, direct}),
        (f"?type=direct&agentId={agent}", {direct}),
        (f"?projectId={project}", {about}),
        (f"?taskId={task}", {about}),
        ("", {team, direct, theirs, about}),
        ("?thread_type=team&unknown=1", {team, direct, theirs, about}),
    ):
        assert {row["id"] for row in wire.get(f"/threads{query}")["threads"]} == expected, query


# -- messages ----------------------------------------------------------------------------------


def test_a_message_into_a_thread(wire: Wire) -> None:
    place, agent, target = thread(wire)["id"], wire.agent()["id"], wire.agent()["id"]
    body = {
        "text": "look here",
        "senderType": "agent",
        "senderId": agent,
        "targetAgentId": target,
        "metadataJson": {"k": [1]},
    }
    reply = wire.post(f"/threads/{place}/messages", body, key=None)
    assert reply.status == 201
    row = reply["message"]
    assert set(row) >= MESSAGE | {"threadType"}
    assert {f: row[f] for f in ("text", "senderType", "senderId", "targetAgentId")} == {
        f: body[f] for f in ("text", "senderType", "senderId", "targetAgentId")
    }
    assert row["metadataJson"]["k"] == [1]
    assert (row["threadId"], row["deliveryState"]) == (place, "resolved")


def test_sender_type_is_agent_by_default(wire: Wire) -> None:
    body = {"text": "t", "senderId": wire.agent()["id"]}
    row = wire.post(f"/threads/{thread(wire)['id']}/messages", body, key=None)["message"]
    assert row["senderType"] == "agent"


def test_a_new_human_message_is_queued_and_says_who(wire: Wire, person: Wire) -> None:
    row = person.post(f"/threads/{thread(wire)['id']}/messages", {"text": "please"})["message"]
    assert (row["senderType"], row["deliveryState"]) == ("human", "queued")
    assert row["metadataJson"]["senderName"] and row["metadataJson"]["senderRole"] == "owner"


def test_quirk_a_person_named_by_a_company_token_is_stored_as_relayed(wire: Wire) -> None:
    """The original believes `senderType: human` of any token."""
    body = {
        "text": "t",
        "senderType": "human",
        "senderId": "u-1",
        "metadataJson": {"relayed": False},
    }
    row = wire.post(f"/threads/{thread(wire)['id']}/messages", body, key=None)["message"]
    assert (row["senderType"], row["senderId"]) == ("human", "u-1")
    assert row["metadataJson"]["relayed"] is True


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "  "}, {"text": 5}, {"text": None}])
@pytest.mark.parametrize("road", ["thread", "send"])
def test_messages_without_text(wire: Wire, road: str, body: dict[str, Any]) -> None:
    path = f"/threads/{thread(wire)['id']}/messages" if road == "thread" else "/messages/send"
    given = body | {"senderId": wire.agent()["id"]}
    assert wire.post(path, given, key=None).status == 400


def test_a_page_of_a_thread_oldest_first(wire: Wire) -> None:
    agent = wire.agent()["id"]
    place = thread(wire, type="direct", agentId=agent)["id"]
    for n in range(7):
        send(wire, agentId=agent, thread_id=place, text=f"{n}")
    page = wire.get(f"/threads/{place}/messages")
    assert set(page.body) >= {"thread", "messages", "hasMore"} and page["hasMore"] is False
    rows = page["messages"]
    assert [row["text"] for row in rows] == [str(n) for n in range(7)]

    last = wire.get(f"/threads/{place}/messages?limit=3")
    assert [row["text"] for row in last["messages"]] == ["4", "5", "6"]
    assert last["hasMore"] is True
    before = read(wire, place, f"?limit=3&before={last['messages'][0]['createdAt']}")
    assert [row["text"] for row in before] == ["1", "2", "3"]
    since = read(wire, place, f"?since={rows[3]['createdAt']}")
    assert [row["text"] for row in since] == ["3", "4", "5", "6"], "inclusive"


@pytest.mark.parametrize("query", ["since=yesterday", "before=x", "sinceSeq=x"])
def test_pages_that_ask_nonsense(wire: Wire, query: str) -> None:
    assert wire.get(f"/threads/{thread(wire)['id']}/messages?{query}").status == 400


def test_an_unknown_thread_is_404(wire: Wire) -> None:
    assert wire.get(f"/threads/{uuid4()}/messages").status == 404
    assert wire.post(f"/threads/{uuid4()}/messages", {"text": "t"}, key=None).status == 404


# -- send --------------------------------------------------------------------------------------


def test_must_send_and_read_the_message_id(wire: Wire) -> None:
    agent = wire.agent()["id"]
    reply = send(wire, agentId=agent)
    assert reply["ok"] is True and reply["message_id"] and reply["thread_id"]
    assert read(wire, reply["thread_id"])[-1]["id"] == reply["message_id"]


@pytest.mark.parametrize("field", ["agentId", "from_user_id"])
@pytest.mark.parametrize("of", ["id", "name"])
def test_a_sender_is_named_by_id_or_name(wire: Wire, field: str, of: str) -> None:
    """`doctor` sends its agent's name."""
    agent = wire.agent()
    reply = send(wire, **{field: agent[of]})
    row = read(wire, reply["thread_id"])[-1]
    assert (row["senderType"], row["senderId"]) == ("agent", agent["id"])


def test_where_a_message_goes(wire: Wire) -> None:
    me, other = wire.agent()["id"], wire.agent()["id"]
    team = thread(wire)["id"]
    mine = thread(wire, type="direct", agentId=me)["id"]
    theirs = thread(wire, type="direct", agentId=other)["id"]
    for body, place in (
        ({}, team),
        ({"thread_type": "team"}, team),
        ({"thread_type": "direct"}, mine),
        ({"targetAgentId": other}, theirs),
        ({"target_agent_id": other}, theirs),
        ({"thread_id": mine}, mine),
        ({"thread_id": mine, "targetAgentId": other}, mine),
        ({"thread_id": "not-a-uuid"}, team),
        ({"thread_id": "not-a-uuid", "thread_type": "direct"}, mine),
    ):
        assert send(wire, agentId=me, **body)["thread_id"] == place, body


def test_the_metadata_keeps_chat_and_type(wire: Wire) -> None:
    reply = send(wire, agentId=wire.agent()["id"], chat_id="c-1", thread_type="team")
    kept = read(wire, reply["thread_id"])[-1]["metadataJson"]
    assert (kept["chatId"], kept["threadType"]) == ("c-1", "team")


@pytest.mark.parametrize("body", [{"thread_id": NOBODY}, {"agentId": "nobody"},
                                  {"targetAgentId": "nobody"}])  # fmt: skip
def test_sends_to_nowhere(wire: Wire, body: dict[str, Any]) -> None:
    given = {"text": "t", "agentId": wire.agent()["id"]} | body
    assert wire.post("/messages/send", given, key=None).status == 404


def test_a_message_is_told(wire: Wire) -> None:
    agent = wire.agent()["id"]
    with wire.socket() as socket:
        frame(socket, "connected")
        sent = send(wire, agentId=agent, thread_type="direct")
        got = frame(socket, "thread_message")
    assert (got["thread"]["id"], got["thread"]["type"]) == (sent["thread_id"], "direct")
    assert (got["message"]["id"], got["message"]["threadType"]) == (sent["message_id"], "direct")


# -- chat/status -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, state",
    [
        ({"typing": True}, "acting"),
        ({"markRead": True}, "seen"),
        ({"typing": True, "markRead": True}, "acting"),
        ({"executionState": "resolved"}, "resolved"),
        ({"executionState": "seen", "typing": True}, "seen"),
        ({"typing": False}, "queued"),
        ({}, "queued"),
    ],
)
def test_a_status_moves_the_latest_human_message(
    wire: Wire, person: Wire, body: dict[str, Any], state: str
) -> None:
    agent = wire.agent()["id"]
    place = thread(wire, type="direct", agentId=agent)["id"]
    for text in ("first", "second"):
        person.post(f"/threads/{place}/messages", {"text": text})
    reply = wire.post("/chat/status", {"threadId": place, "agentId": agent} | body, key=None)
    assert (reply.status, reply.body) == (200, {"ok": True})
    states = [row["deliveryState"] for row in read(wire, place)]
    assert states == ["queued", state]


def test_a_status_is_told(wire: Wire, person: Wire) -> None:
    agent = wire.agent()["id"]
    place = thread(wire, type="direct", agentId=agent)["id"]
    asked = person.post(f"/threads/{place}/messages", {"text": "please"})["message"]["id"]
    body = {"threadId": place, "agentId": agent}
    with wire.socket() as socket:
        frame(socket, "connected")
        wire.post("/chat/status", body | {"typing": True}, key=None)
        got = frame(socket, "participant_status")
        assert (got["threadId"], got["participantId"], got["typing"]) == (place, agent, True)
        moved = frame(socket, "thread_message")
        assert "thread" not in moved and moved["threadId"] == place
        assert (moved["message"]["id"], moved["message"]["deliveryState"]) == (asked, "acting")
        wire.post("/chat/status", body | {"typing": False, "markRead": True}, key=None)
        read_at = frame(socket, "participant_status")
        assert read_at["typing"] is False and read_at["lastReadAt"]


@pytest.mark.parametrize(
    "change",
    [
        {"threadId": NOBODY},
        {"threadId": None},
        {"agentId": "nobody"},
        {"typing": "yes"},
        {"executionState": "sleeping"},
    ],
)
def test_statuses_that_are_refused(wire: Wire, change: dict[str, Any]) -> None:
    agent = wire.agent()["id"]
    body = {"threadId": thread(wire)["id"], "agentId": agent} | change
    assert wire.post("/chat/status", body, key=None).status in (400, 404)
