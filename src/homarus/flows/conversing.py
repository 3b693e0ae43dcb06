"""Sessions as people handle them: begin anew, branch off, abort, sum up (gateway contract, 7, 12).

Nothing is erased: a session that was reset keeps its transcript under its own id, and its key is
free for the next one.
"""

from typing import Any, Final

from homarus.base.errors import Conflict, Invalid, NotFound, TooLarge
from homarus.company import agents
from homarus.conversations import keys, sessions, transcript, turns
from homarus.conversations.sessions import Session
from homarus.conversations.turns import Turn
from homarus.flows import session_life, turn_ends, turn_inbound
from homarus.store.port import Rx, Tx

MAX_NOTE: Final = 20_000
MAX_FORKED: Final = 1_000
"""Lines that a branch takes along, at most: the newest of the model's context."""


def reset(tx: Tx, ref: str, *, abort_open: bool = False) -> Session:
    """End a session and open its key anew, with its settings. `abort_open`: end what is open in it.

    Raises `session.unknown`, `session.busy`.
    """
    row = _live(tx, ref)
    if abort_open:
        abort(tx, row.id)
    _quiet(tx, row)
    return session_life.renew(tx, row)


def abort(tx: Tx, ref: str) -> list[str]:
    """End every open turn of a session; their ids. Raises `session.unknown`."""
    row = sessions.need(tx, tx.company, ref)
    tx.about(task=row.task)
    return [turn.id for turn in turns.open_of(tx, row.id) if turn_ends.abort(tx, turn.id)]


def fork(tx: Tx, ref: str, name: str | None) -> Session:
    """A new session of the same agent with this one's context so far, under `fork:<name>`.

    Raises `session.unknown`, `session.key`, `session.exists`, `session.busy`, `session.fork_large`.
    """
    row = _live(tx, ref)
    _quiet(tx, row)
    if row.entries - row.first_kept + 1 > MAX_FORKED:
        raise TooLarge(
            "session.fork_large", f"more than {MAX_FORKED} lines are in the session's context",
            "Sum it up first: `POST …/compact`.",
        )  # fmt: skip
    agent = agents.need(tx, tx.company, row.agent)
    key = keys.resolve(f"fork:{name or tx.new_id()}", agent.name)
    if sessions.by_key(tx, tx.company, key) is not None:
        raise Conflict("session.exists", f"{key} exists already", "Choose another name.")
    made = session_life.open_session(tx, agent, key, row.kind)
    tx.run(
        "insert into entry(session, seq, id, turn, kind, body, created_ms, quiet) "
        "select ?, seq, id, turn, kind, body, created_ms, quiet from entry "
        "where session=? and seq>=?",
        (made.id, row.id, row.first_kept),
    )
    sessions.change(
        tx, made.id, entries=row.entries, first_kept=row.first_kept, compactions=row.compactions,
        model=row.model, thinking=row.thinking, queue_mode=row.queue_mode, label=row.label,
    )  # fmt: skip
    tx.emit("session_forked", made.id, {"from": row.id, "key": key})
    return sessions.need(tx, tx.company, made.id)


def compact(tx: Tx, ref: str, key: str) -> Turn:
    """Have the older part summed up: a turn of its own, which the loop does like any other.

    Raises `session.unknown`, `turn.*`.
    """
    row = _live(tx, ref)
    return turn_inbound.accept(
        tx,
        turn_inbound.Inbound(
            agent=row.agent, text="/compact", key=key, session=row.key, kind=row.kind,
            message="", options={turn_inbound.COMMAND: "compact"},
        ),
    )  # fmt: skip


def change(tx: Tx, ref: str, values: dict[str, Any]) -> Session:
    """`label`, `model`, `thinking`, `queue_mode`, and whether it is `archived`, `pinned`, `unread`;
    None clears. Raises `session.*`."""
    row = _live(tx, ref)
    values = {name: _checked(name, value) for name, value in values.items()}
    if values:
        sessions.change(tx, row.id, **values)
        tx.emit("session_changed", row.id, {"fields": sorted(values)})
    return sessions.need(tx, tx.company, row.id)


def _checked(name: str, value: Any) -> Any:
    if name in sessions.FLAGS:
        return bool(value)
    if value is None:
        return None
    if not 0 < len(value) <= sessions.MAX_LABEL:
        raise Invalid(
            "session.value", f"{name} is unusable", f"1 to {sessions.MAX_LABEL} characters."
        )
    if name == "queue_mode" and value not in turns.MODES:
        raise Invalid("session.queue_mode", f"no mode {value[:40]!r}", f"One of {turns.MODES}.")
    if name == "thinking" and value not in sessions.THINKING:
        raise Invalid("session.thinking", f"no level of thinking {value[:40]!r}",
                      f"One of {sessions.THINKING}.")  # fmt: skip
    return value


def note(tx: Tx, row: Session | None, key: str, text: str, label: str | None) -> str:
    """Add a line to a quiet session that nobody answers, as its agent's; its id.

    Raises `session.unknown`, `session.busy`, `session.note`.
    """
    if row is None:
        raise NotFound("session.unknown", f"there is no session {key[:80]}", "Say something first.")
    if not text.strip() or len(text) > MAX_NOTE or len(label or "") > sessions.MAX_LABEL:
        raise Invalid("session.note", "unusable note",
                      f"1 to {MAX_NOTE} characters, a label of {sessions.MAX_LABEL}.")  # fmt: skip
    _quiet(tx, row)
    told = text if not label else f"[{label}]\n\n{text}"
    message = {
        "role": "assistant", "content": [{"type": "text", "text": told}], "provider": "homarus",
        "model": "note", "stopReason": "stop", "timestamp": tx.now_ms,
    }  # fmt: skip
    seq = transcript.append(tx, row, transcript.MESSAGE, {"message": message}, None)
    return transcript.id_at(tx, row.id, seq) or ""


def history(
    rx: Rx, company: str, ref: str, limit: int, before: int | None
) -> tuple[Session, list[transcript.Entry]]:
    """The newest lines before `before`, oldest first. Raises `session.unknown`."""
    row = sessions.need(rx, company, ref)
    return row, transcript.newest(rx, row.id, limit, before)


def _live(tx: Tx, ref: str) -> Session:
    row = sessions.need(tx, tx.company, ref)
    if row.ended_ms is not None:
        raise Conflict(
            "session.ended", f"this session of {row.key} has ended", "Use the key: its live one."
        )
    return row


def _quiet(tx: Tx, row: Session) -> None:
    count = len(turns.open_of(tx, row.id))
    if count:
        raise Conflict(
            "session.busy", f"{count} turns of {row.key} are open",
            "Wait for them, or abort them: `homarus session abort`.",
        )  # fmt: skip
