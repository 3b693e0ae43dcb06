"""Talk as units of work: open a conversation, post a message, report typing and reading."""

from typing import Final

from homarus.base.action import ActorKind
from homarus.base.errors import Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.conversations import rules, sql
from homarus.conversations.model import (
    DIRECT,
    MAX_TEXT,
    MAX_TITLE,
    MAX_TYPE,
    TEAM,
    TYPING_MS,
    Conversation,
    DeliveryState,
    Draft,
    Message,
    SenderType,
)
from homarus.kernel.routing import METADATA
from homarus.store.port import Rx, Tx

_SPEAKER: Final = {
    ActorKind.AGENT: SenderType.AGENT,
    ActorKind.RUNTIME: SenderType.AGENT,
    ActorKind.SYSTEM: SenderType.SYSTEM,
}


def need(rx: Rx, company: str, ref: str) -> Conversation:
    """Raises `thread.unknown`."""
    row = sql.conversation(rx, company, ref.lower()) if is_uuid(ref.lower()) else None
    if row is None:
        raise NotFound(
            "thread.unknown", f"no thread {ref[:80]!r} in this company", "See GET /threads."
        )
    return row


def team(tx: Tx) -> Conversation:
    """The company's one team conversation, made when first needed (contract, 18.3)."""
    row = sql.team(tx, tx.company)
    return row if row is not None else _open(tx, TEAM)


def direct(tx: Tx, agent: str) -> Conversation:
    """The company's one conversation with an agent. `agent` is the id of a live one."""
    row = sql.direct(tx, tx.company, agent)
    return row if row is not None else _open(tx, DIRECT, agent=agent)


def create(
    tx: Tx,
    kind: str,
    *,
    title: str | None = None,
    project: str | None = None,
    task: str | None = None,
    incident: str | None = None,
) -> Conversation:
    """A conversation about something; references are checked by the caller.

    Raises `thread.type`, `thread.title`.
    """
    if not 0 < len(kind.strip()) <= MAX_TYPE or kind in (TEAM, DIRECT):
        raise Invalid("thread.type", "unusable thread type", f"1 to {MAX_TYPE} characters.")
    if title is not None and len(title) > MAX_TITLE:
        raise Invalid("thread.title", "the title is too long", f"At most {MAX_TITLE} characters.")
    return _open(tx, kind, title=title, project=project, task=task, incident=incident)


def _open(
    tx: Tx,
    kind: str,
    *,
    agent: str | None = None,
    title: str | None = None,
    project: str | None = None,
    task: str | None = None,
    incident: str | None = None,
) -> Conversation:
    row = Conversation(
        id=tx.new_id(),
        no=tx.number("thread"),
        company=tx.company,
        type=kind,
        agent=agent,
        title=title,
        project=project,
        task=task,
        incident=incident,
        created_by_type=_SPEAKER.get(tx.actor.kind, SenderType.HUMAN).value,
        created_by=tx.actor.id if tx.actor.kind is not ActorKind.RUNTIME else None,
        created_ms=tx.now_ms,
        archived_ms=None,
    )
    if not sql.insert_conversation(tx, row):
        existing = sql.team(tx, tx.company) if agent is None else sql.direct(tx, tx.company, agent)
        if existing is None:
            raise AssertionError(f"a {kind} conversation conflicts with none")
        return existing
    for ref in {agent, tx.actor.id if tx.actor.kind is ActorKind.AGENT else None} - {None}:
        sql.join(tx, row.id, "agent", str(ref))
    tx.emit("thread_created", row.id, {"type": kind})
    return row


def post(tx: Tx, place: Conversation, draft: Draft) -> tuple[Message, bool]:
    """Store a message; `(message, whether it was there already)`.

    Only a platform's message id dedupes; equal texts are all kept (contract, 18.14). Times rise by
    at least 1 ms from message to message, so that a time is an exact cursor.

    Raises `message.text`. Emits `thread_message`.
    """
    if not 0 < len(draft.text) <= MAX_TEXT or not draft.text.strip():
        raise Invalid(
            "message.text", "the text is empty or too long", f"Send 1 to {MAX_TEXT} characters."
        )
    if draft.platform_message is not None:
        known = sql.by_platform_id(tx, tx.company, draft.platform_message)
        if known is not None:
            return known, True
    _, last_ms = sql.newest(tx, tx.company)
    row = _row(tx, place, draft, max(tx.now_ms, last_ms + 1))
    sql.insert_message(tx, row)
    _take_part(tx, row)
    if place.task is not None:
        tx.about(task=place.task)
    tx.emit("thread_message", row.id, {"thread": place.id, "sender": row.sender_type})
    return row, False


def _row(tx: Tx, place: Conversation, draft: Draft, at_ms: int) -> Message:
    note = tx.admitted.context
    return Message(
        company=tx.company,
        seq=tx.number("message"),
        id=tx.new_id(),
        conversation=place.id,
        sender_type=draft.sender.type.value,
        sender=draft.sender.id,
        target_agent=draft.target_agent,
        text=draft.text,
        metadata=draft.metadata if note is None else draft.metadata | {METADATA: note.text},
        delivery_state=rules.first_state(draft.sender.type).value,
        platform_message=draft.platform_message,
        created_ms=at_ms,
        conversation_type=place.type,
        task=place.task,
    )


def _take_part(tx: Tx, row: Message) -> None:
    if row.sender is not None and not row.metadata.get("relayed"):
        sql.sent(tx, row.conversation, row.sender_type, row.sender, row.seq)
    if row.target_agent is not None and row.target_agent != row.sender:
        sql.join(tx, row.conversation, "agent", row.target_agent)


def report(
    tx: Tx,
    place: Conversation,
    agent: str,
    *,
    typing: bool | None,
    read: bool,
    explicit: str | None,
) -> None:
    """An agent's typing, reading and execution state (contract, 8: chat/status).

    The capability has effect READ: the events reach the sockets, no receipt is written.
    Raises `chat.state`. Emits `participant_status` and, when a message moves, `message_state`.
    """
    wanted = rules.wanted_state(explicit, typing, read)
    show(tx, place, agent, typing=bool(typing), read=read)
    last = None if wanted is None else sql.latest_human(tx, place.id)
    if last is None or wanted is None:
        return
    seq, message, now = last
    if rules.may_move(now, wanted, explicit is not None):
        sql.set_state(tx, tx.company, seq, now, wanted.value)
        tx.emit("message_state", message, {"thread": place.id, "state": wanted.value})


def show(tx: Tx, place: Conversation, agent: str, *, typing: bool, read: bool) -> None:
    """An agent's typing and reading alone. Emits `participant_status`."""
    read_ms = tx.now_ms if read else None
    typing_until_ms = tx.now_ms + TYPING_MS if typing else None
    sql.mark(tx, place.id, agent, typing_until_ms=typing_until_ms, read_ms=read_ms)
    tx.emit("participant_status", place.id, {"agent": agent, "typing": typing, "read_ms": read_ms})


def progress(tx: Tx, message: str, state: DeliveryState) -> None:
    """How far an agent that is run here got with one message. Emits `message_state`."""
    row = sql.message(tx, tx.company, message)
    if row is None or row.delivery_state == state:
        return
    sql.set_state(tx, tx.company, row.seq, row.delivery_state, state.value)
    tx.emit("message_state", row.id, {"thread": row.conversation, "state": state.value})
