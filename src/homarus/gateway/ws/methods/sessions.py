"""Sessions, made and changed (gateway contract, 7)."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from homarus.base.errors import NotFound
from homarus.conversations import keys, sessions, turns
from homarus.conversations.sessions import Session
from homarus.flows import answering, chatting, conversing, session_life
from homarus.flows.chatting import Line, Said
from homarus.gateway.ws import frames, shapes
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, Desk, work, write
from homarus.gateway.ws.methods import chat, words
from homarus.kernel.scopes import ADMIN, WRITE
from homarus.store.port import Rx, Tx

MAX_LISTED: Final = 1_000
Doc = dict[str, Any]


class Create(Params):
    key: str | None = None
    agent_id: str | None = None
    label: str | None = None
    model: str | None = None
    thinking_level: str | None = None
    message: str | None = None
    task: str | None = None
    parent_session_key: str | None = None
    cwd: str | None = None
    idempotency_key: str | None = None


class Send(Params):
    key: str
    message: str
    agent_id: str | None = None
    thinking: str | None = None
    attachments: tuple[chat.Attachment, ...] = ()
    timeout_ms: int | None = None
    idempotency_key: str | None = None


class Abort(Params):
    key: str | None = None
    run_id: str | None = None
    agent_id: str | None = None


class Patch(Params):
    key: str
    agent_id: str | None = None
    label: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    thinking_level: str | UnsetType | None = UNSET
    queue_mode: str | UnsetType | None = UNSET
    archived: bool | UnsetType | None = UNSET
    pinned: bool | UnsetType | None = UNSET
    unread: bool | UnsetType | None = UNSET
    verbose_level: Any = None
    reasoning_level: Any = None
    elevated_level: Any = None
    response_usage: Any = None
    exec_host: Any = None
    exec_security: Any = None
    exec_ask: Any = None
    exec_node: Any = None
    send_policy: Any = None
    group_activation: Any = None


UNOFFERED: Final = (
    "verbose_level", "reasoning_level", "elevated_level", "response_usage", "exec_host",
    "exec_security", "exec_ask", "exec_node", "send_policy", "group_activation",
)  # fmt: skip
"""What a session has no setting of its own for; null is what it is."""


class Reset(Params):
    key: str
    agent_id: str | None = None
    reason: str = "reset"


class Delete(Params):
    key: str
    agent_id: str | None = None
    delete_transcript: bool = True
    emit_lifecycle_hooks: bool = True


class Compact(Params):
    key: str
    agent_id: str | None = None
    max_lines: int | None = None


# -- changes -------------------------------------------------------------------------------


class Made(msgspec.Struct, frozen=True):
    row: Session
    said: Said | None
    resolved: Doc


def opened(tx: Tx, params: Create, run: str, mode: str) -> Made:
    """A session, with its first message where there is one."""
    agent = answering.target(tx, tx.company, params.agent_id)
    key = keys.resolve(params.key or f"dashboard:{tx.new_id()}", agent.name)
    row = session_life.open_session(tx, agent, key, sessions.DIRECT)
    given = {"label": params.label, "model": params.model, "thinking": params.thinking_level}
    changes = {name: value for name, value in given.items() if value is not None}
    if changes:
        row = conversing.change(tx, row.id, changes)
    first = params.message or params.task
    said = None
    if first:
        line = Line(text=first, run=run, agent=agent.id, session=key, default=mode)
        said = chatting.accept(tx, line)
    return Made(row, said, {"model": row.model})


async def create(desk: Desk, params: Create) -> Doc:
    chat.refuse_unmet(params, "parent_session_key", "cwd")
    run = params.idempotency_key or f"create-{desk.hub.now_ms()}-{desk.peer.id[:8]}"
    made: Made = await desk.write(
        opened, params, run, chat.default_mode(desk), target="session:new"
    )
    entry = await desk.read(_entry_of, desk.peer.company, made.row.id)
    found: Doc = {
        "ok": True, "key": made.row.key, "sessionId": made.row.id, "entry": entry,
        "runStarted": made.said is not None, "resolved": made.resolved,
    }  # fmt: skip
    if made.said is not None:
        desk.hub.runs.follow(made.said.turn, made.said.key)
        found |= {"runId": run, "status": "started"}
    return found


def _entry_of(rx: Rx, company: str, session: str) -> Doc:
    return shapes.session(rx, sessions.need(rx, company, session))


async def send(desk: Desk, params: Send) -> Doc:
    run = params.idempotency_key or f"send-{desk.hub.now_ms()}-{desk.peer.id[:8]}"
    return await chat.send(
        desk,
        chat.ChatSend(
            session_key=params.key, message=params.message, idempotency_key=run,
            agent_id=params.agent_id, thinking=params.thinking, attachments=params.attachments,
            timeout_ms=params.timeout_ms,
        ),
    )  # fmt: skip


async def abort(desk: Desk, params: Abort) -> Doc:
    if params.key is None and params.run_id is None:
        raise frames.bad_params("sessions.abort", "must have required property 'key'")
    known = None
    if params.run_id is not None:
        known = desk.hub.runs.turn_of(desk.peer.company, params.run_id)
    ended = await desk.write(chat.abort, params.key, params.agent_id, params.run_id, known)
    status = "aborted" if ended else "no-active-run"
    return {"ok": True, "abortedRunId": ended[0] if ended else None, "status": status}


def _need(tx: Tx, params: Any) -> Session:
    at = chatting.place(tx, tx.company, params.agent_id, params.key)
    if at.session is None:
        raise NotFound("session.unknown", f"no session {params.key[:80]!r}",
                       "See `homarus session list` (`sessions.list`).")  # fmt: skip
    return at.session


def patch(tx: Tx, ask: Ask) -> Doc:
    params: Patch = ask.params
    chat.refuse_unmet(params, *UNOFFERED)
    row = _need(tx, params)
    given = {"label": params.label, "model": params.model, "thinking": params.thinking_level,
             "queue_mode": params.queue_mode, "archived": params.archived,
             "pinned": params.pinned, "unread": params.unread}  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not UNSET}
    label = changes.get("label")
    if label is not None and any(
        other.label == label and other.id != row.id
        for other in sessions.listed(tx, tx.company, limit=MAX_LISTED)
    ):
        raise Fault(frames.INVALID_REQUEST, f"label already in use: {str(label)[:80]}")
    row = conversing.change(tx, row.id, changes)
    return {"ok": True, "path": "(the store)", "key": row.key, "entry": shapes.session(tx, row),
            "resolved": {"model": row.model}}  # fmt: skip


def reset(tx: Tx, ask: Ask) -> Doc:
    row = conversing.reset(tx, _need(tx, ask.params).id, abort_open=True)
    return {"ok": True, "key": row.key, "entry": shapes.session(tx, row)}


def delete(tx: Tx, ask: Ask) -> Doc:
    """Its key is free; the transcript stays, as a row and as the file that was its view."""
    params: Delete = ask.params
    at = chatting.place(tx, tx.company, params.agent_id, params.key)
    if at.key in (keys.main_of(at.agent.name), keys.of(at.agent.name, ask.own.word)):
        raise Fault(frames.INVALID_REQUEST, f"Cannot delete the main session ({at.key}).")
    if at.session is None:
        return {"ok": True, "key": at.key, "deleted": False, "archived": []}
    conversing.abort(tx, at.session.id)
    sessions.end(tx, at.session)
    return {"ok": True, "key": at.key, "deleted": True, "archived": [at.session.id]}


async def compact(desk: Desk, params: Compact) -> Doc:
    """Summed up by the model, as a turn of its own. No line is cut off: they are the record."""
    if params.max_lines is not None:
        raise Fault(frames.UNAVAILABLE, "lines of a transcript are not cut off here; "
                    "leave `maxLines` out to have them summed up")  # fmt: skip
    at = await desk.read(chatting.place, desk.peer.company, params.agent_id, params.key)
    if at.session is None:
        return {"ok": True, "key": at.key, "compacted": False, "reason": "no sessionId"}
    run = f"compact-{desk.hub.now_ms()}-{desk.peer.id[:8]}"
    said: Said | None = await desk.write(words.compact, at.key, None, run)
    if said is None:
        return {"ok": True, "key": at.key, "compacted": False, "reason": "no sessionId"}
    answer = await chat.ended(desk.hub.runs.follow(said.turn, said.key), run)
    done = answer.turn.state is turns.State.DONE
    after = await desk.read(sessions.need, desk.peer.company, at.session.id)
    grew = after.compactions > at.session.compactions
    found: Doc = {"ok": True, "key": at.key, "compacted": done and grew}
    if not (done and grew):
        found["reason"] = str((answer.turn.outcome or {}).get("text") or "nothing to sum up")
    return found


_ACCEPT: Final[Doc] = {"capability": "turn.accept", "target": "session:"}
METHODS: Final = (
    work("sessions.create", WRITE, Create, create, "Open a session, with a message or without",
         "key, sessionId, runId", **_ACCEPT),
    work("sessions.send", WRITE, Send, send, "Say something in a session", "runId, status",
         **_ACCEPT),
    work("sessions.abort", WRITE, Abort, abort, "End what runs", "abortedRunId, status",
         capability="turn.abort", target="session:"),
    write("sessions.patch", WRITE, Patch, "turn.accept", patch,
          "Set label, model, thinking, queue mode, and whether it is archived, pinned, unread; "
          "null clears. For the other settings there are null alone", "key, entry",
          target="session:"),
    write("sessions.reset", ADMIN, Reset, "turn.abort", reset,
          "Begin a session anew; its transcript stays", "key, entry", target="session:"),
    write("sessions.delete", ADMIN, Delete, "turn.abort", delete,
          "End a session; its transcript stays", "deleted", target="session:"),
    work("sessions.compact", ADMIN, Compact, compact, "Have the older part summed up",
         "compacted", **_ACCEPT),
)  # fmt: skip
