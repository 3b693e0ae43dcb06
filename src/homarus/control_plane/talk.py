"""Threads, messages and chat status (control-plane contract, 8). Sync is in `sync.py`."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.base.ids import is_uuid
from homarus.company import agents, projects
from homarus.control_plane import shapes_talk as shapes
from homarus.control_plane import shapes_work
from homarus.control_plane.pages import cut
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.shapes_work import ts
from homarus.control_plane.times import opt_ms
from homarus.conversations import rules, service, sql
from homarus.conversations.model import (
    DIRECT,
    MAX_REF,
    TEAM,
    Conversation,
    Draft,
    Message,
    Sender,
    SenderType,
)
from homarus.flows import hearing, queued
from homarus.kernel.routing import METADATA
from homarus.records import incidents
from homarus.store.port import Event, Reply, Rx, Tx
from homarus.tasks import sql as tasks

_TAGS: Final = ("talk",)


class ThreadBody(msgspec.Struct, rename="camel"):
    """`agentId` is the agent that a direct thread is with."""

    type: str
    agent_id: str | None = None
    title: str | None = None
    project_id: str | None = None
    task_id: str | None = None
    incident_id: str | None = None


class PostBody(msgspec.Struct, rename="camel"):
    """A message into a known thread."""

    text: str
    sender_type: str | None = None
    sender_id: str | None = None
    agent_id: str | None = None
    target_agent_id: str | None = None
    metadata_json: dict[str, Any] | None = None
    platform_message_id: str | None = None
    routing_note: str | None = None


class TaskBody(msgspec.Struct, rename="camel"):
    """`projectId`: default, the newest active one; `title`: default, the message's first line;
    `agentId`: default, who fits."""

    project_id: str | None = None
    title: str = ""
    agent_id: str | None = None


class SendBody(msgspec.Struct):
    """A message to wherever it belongs. Each client of the original spells it its own way."""

    text: str
    chat_id: Any = None
    chat_id_camel: Any = msgspec.field(default=None, name="chatId")
    thread_id: Any = None
    thread_id_camel: Any = msgspec.field(default=None, name="threadId")
    thread_type: str | None = None
    thread_type_camel: str | None = msgspec.field(default=None, name="threadType")
    agent_id: str | None = msgspec.field(default=None, name="agentId")
    from_user_id: str | None = None
    sender_id: str | None = msgspec.field(default=None, name="senderId")
    sender_type: str | None = msgspec.field(default=None, name="senderType")
    target_agent_id: str | None = None
    target_agent_id_camel: str | None = msgspec.field(default=None, name="targetAgentId")
    metadata_json: dict[str, Any] | None = msgspec.field(default=None, name="metadataJson")
    platform_message_id: str | None = msgspec.field(default=None, name="platformMessageId")
    routing_note: str | None = None
    routing_note_camel: str | None = msgspec.field(default=None, name="routingNote")

    def speaker(self) -> str | None:
        return self.agent_id or self.from_user_id or self.sender_id or None

    def target(self) -> str | None:
        return self.target_agent_id or self.target_agent_id_camel or None

    def kind(self) -> str | None:
        return self.thread_type or self.thread_type_camel or None

    def thread(self) -> str | None:
        """The thread that is named, if what is named is an id at all (contract, 8)."""
        for value in (self.thread_id, self.thread_id_camel):
            if isinstance(value, str) and is_uuid(value.lower()):
                return value.lower()
        return None


class StatusBody(msgspec.Struct, rename="camel"):
    thread_id: str
    agent_id: str
    typing: bool | None = None
    mark_read: bool | None = None
    execution_state: str | None = None


def _send_acting(call: Call[SendBody]) -> str | None:
    body = call.body
    return None if body.sender_type == SenderType.HUMAN else body.speaker()


def _post_acting(call: Call[PostBody]) -> str | None:
    body = call.body
    return None if body.sender_type == SenderType.HUMAN else body.sender_id or body.agent_id or None


def _send_note(call: Call[SendBody]) -> str | None:
    body = call.body
    return body.routing_note_camel or body.routing_note or _in_metadata(body.metadata_json)


def _post_note(call: Call[PostBody]) -> str | None:
    return call.body.routing_note or _in_metadata(call.body.metadata_json)


def _in_metadata(given: dict[str, Any] | None) -> str | None:
    note = None if given is None else given.get(METADATA)
    return note if isinstance(note, str) else None


def _agent(rx: Rx, company: str, ref: str | None) -> str | None:
    return None if ref is None or ref == "" else agents.need(rx, company, ref).id


def threads(rx: Rx, call: Call[None]) -> Reply:
    query, limit = call.query, call.limit()
    rows = sql.conversations(
        rx,
        call.company,
        limit=limit + 1,
        before=call.cursor() or None,
        kind=query.get("type") or None,
        agent=_agent(rx, call.company, query.get("agentId")),
        project=query.get("projectId") or None,
        task=query.get("taskId") or None,
    )
    rows, cursor = cut(rows, limit)
    return json_reply(
        {
            "threads": [shapes.thread(row) for row in rows],
            "nextCursor": cursor,
        }
    )


def create_thread(tx: Tx, call: Call[ThreadBody]) -> Reply:
    body = call.body
    if body.type == TEAM:
        row = service.team(tx)
    elif body.type == DIRECT:
        agent = _agent(tx, call.company, body.agent_id)
        if agent is None:
            raise Invalid(
                "thread.agent_missing", "a direct thread is with an agent", "Give `agentId`."
            )
        row = service.direct(tx, agent)
    else:
        row = _about_something(tx, call.company, body)
    return json_reply({"thread": shapes.thread(row)}, 201)


def _about_something(tx: Tx, company: str, body: ThreadBody) -> Conversation:
    project = projects.need(tx, company, body.project_id).id if body.project_id else None
    task = tasks.need(tx, company, body.task_id).id if body.task_id else None
    incident = incidents.need(tx, company, body.incident_id).id if body.incident_id else None
    return service.create(
        tx, body.type, title=body.title, project=project, task=task, incident=incident
    )


def messages(rx: Rx, call: Call[None]) -> Reply:
    """A page of a thread, oldest first.

    With `since` (inclusive) or `sinceSeq` (exclusive) and no end: from there on. Else the newest,
    before `before` or `beforeSeq` (exclusive). `hasMore`: there are more in that direction.
    """
    limit = call.limit()
    place = service.need(rx, call.company, call.id())
    after, before = _after(rx, call), _before(rx, call)
    forward = after is not None and before is None
    rows = sql.page(
        rx,
        place.id,
        limit=limit + 1,
        after=0 if after is None else after,
        before=before,
        forward=forward,
    )
    more = len(rows) > limit
    rows = rows[:limit] if forward else rows[:limit][::-1]
    return json_reply(
        {
            "thread": shapes.thread(place),
            "messages": [shapes.message(row) for row in rows],
            "hasMore": more,
        }
    )


def _after(rx: Rx, call: Call[None]) -> int | None:
    """The `seq` after which a page begins; times and sequences rise together."""
    from_ms = opt_ms(call.query.get("since"), "since")
    if from_ms is not None:
        return sql.seq_at(rx, call.company, from_ms - 1)
    return _seq(call.query.get("sinceSeq"))


def _before(rx: Rx, call: Call[None]) -> int | None:
    """The `seq` before which a page ends."""
    before_ms = opt_ms(call.query.get("before"), "before")
    if before_ms is not None:
        return sql.seq_at(rx, call.company, before_ms - 1) + 1
    return _seq(call.query.get("beforeSeq"))


def _seq(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise Invalid("request.cursor", "unreadable sequence", "Repeat `seq` as given.")
    return int(text)


def _platform_id(text: str | None) -> str | None:
    if text is not None and not 0 < len(text) <= MAX_REF:
        raise Invalid("message.platform_id", "unusable id", f"1 to {MAX_REF} characters.")
    return text


def post(tx: Tx, call: Call[PostBody]) -> Reply:
    body = call.body
    place = service.need(tx, call.company, call.id())
    who = rules.sender(tx.actor, body.sender_type, body.sender_id, SenderType.AGENT)
    draft = Draft(
        sender=who,
        text=body.text,
        target_agent=_agent(tx, call.company, body.target_agent_id),
        metadata=rules.metadata(body.metadata_json, who),
        platform_message=_platform_id(body.platform_message_id),
    )
    row, _ = hearing.post(tx, place, draft, mode=call.queue_mode)
    return json_reply({"message": shapes.message(row)}, 201)


def send(tx: Tx, call: Call[SendBody]) -> Reply:
    body = call.body
    who = rules.sender(tx.actor, body.sender_type, body.speaker(), SenderType.HUMAN)
    target = _agent(tx, call.company, body.target())
    about = {"chatId": body.chat_id or body.chat_id_camel, "threadType": body.kind()}
    given = (body.metadata_json or {}) | {k: v for k, v in about.items() if v is not None}
    draft = Draft(
        sender=who,
        text=body.text,
        target_agent=target,
        metadata=rules.metadata(given, who),
        platform_message=_platform_id(body.platform_message_id),
    )
    row, duplicate = hearing.post(tx, _place(tx, call, who, target), draft, mode=call.queue_mode)
    reply: dict[str, Any] = {"ok": True, "message_id": row.id, "thread_id": row.conversation}
    if duplicate:
        reply["deduplicated"] = True
    return json_reply(reply)


def _place(tx: Tx, call: Call[SendBody], who: Sender, target: str | None) -> Conversation:
    """Where a message goes: the thread named, else the direct one of target or sender, else the
    team's (contract, 8)."""
    named = call.body.thread()
    if named is not None:
        return service.need(tx, call.company, named)
    kind = call.body.kind()
    if target is not None and kind != TEAM:
        return service.direct(tx, target)
    if kind == DIRECT and who.type is SenderType.AGENT and who.id is not None:
        return service.direct(tx, who.id)
    return service.team(tx)


def make_task(tx: Tx, call: Call[TaskBody | None]) -> Reply:
    body = call.body or TaskBody()
    new = queued.NewTask(body.project_id, body.title, body.agent_id)
    made = queued.task_of(tx, call.path["id"], new)
    return json_reply({"task": shapes_work.task(made.task, made.spec)}, 201)


def status(tx: Tx, call: Call[StatusBody]) -> Reply:
    body = call.body
    place = service.need(tx, call.company, body.thread_id)
    service.report(
        tx,
        place,
        tx.actor.id,
        typing=body.typing,
        read=bool(body.mark_read),
        explicit=body.execution_state,
    )
    return json_reply({"ok": True})


ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/threads",
        threads,
        "List threads, newest first",
        query=("type", "agentId", "projectId", "taskId", "limit", "cursor"),
        tags=_TAGS,
    ),
    write_route(
        "POST", "/threads", "thread.create", create_thread, "Open a thread", body=ThreadBody,
        status=201, tags=_TAGS,
    ),
    read_route(
        "/threads/{id}/messages",
        messages,
        "Read a thread, oldest first",
        query=("limit", "since", "before", "sinceSeq", "beforeSeq"),
        tags=_TAGS,
    ),
    write_route(
        "POST", "/threads/{id}/messages", "message.send", post, "Post into a thread",
        body=PostBody, acting=_post_acting, note=_post_note,
        callee=lambda call: call.body.target_agent_id or None, target="thread:{id}",
        status=201, tags=_TAGS,
    ),
    write_route(
        "POST", "/messages/send", "message.send", send, "Send a message to where it belongs",
        body=SendBody, acting=_send_acting, note=_send_note,
        callee=lambda call: call.body.target(), target="thread:", tags=_TAGS,
    ),
    write_route(
        "POST", "/messages/{id}/task", "task.create", make_task,
        "Make a task of a message; it keeps the link", body=TaskBody | None,
        target="message:{id}", status=201, tags=_TAGS,
    ),
    write_route(
        "POST", "/chat/status", "chat.status", status, "Show typing, reading, execution state",
        body=StatusBody, acting=lambda call: call.body.agent_id, keyed="ignored",
        target="thread:", tags=_TAGS,
    ),
)  # fmt: skip


def _message(rx: Rx, company: str, event: Event) -> tuple[Message, Conversation] | None:
    row = sql.message(rx, company, event.subject)
    if row is None:
        return None
    place = sql.conversation(rx, company, row.conversation)
    return None if place is None else (row, place)


def _thread_message(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    found = _message(rx, company, event)
    if found is None:
        return []
    row, place = found
    return [
        {
            "type": "thread_message",
            "thread": shapes.thread(place),
            "message": shapes.message(row),
        }
    ]


def _message_state(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    """Without `thread`: a change of an old message's state (contract, 8)."""
    row = sql.message(rx, company, event.subject)
    if row is None:
        return []
    return [
        {
            "type": "thread_message",
            "threadId": row.conversation,
            "message": shapes.message(row) | {"deliveryState": event.data["state"]},
        }
    ]


def _participant(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    return [
        {
            "type": "participant_status",
            "threadId": event.subject,
            "participantId": event.data["agent"],
            "typing": event.data["typing"],
            "lastReadAt": ts(event.data.get("read_ms")),
        }
    ]


FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "thread_message": _thread_message,
    "message_state": _message_state,
    "participant_status": _participant,
}
