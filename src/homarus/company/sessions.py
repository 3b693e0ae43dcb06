"""Agent sessions: an agent's presence in a runtime, watched by a check-in deadline (contract, 4.4).

A session is live until it ends. While it is live, each heartbeat of its agent moves the deadline;
past it the monitor asks again and, after `max_wake_attempts`, gives up.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.company import runtimes
from homarus.store.port import Row, Rx, Tx

HEARTBEAT_MS: Final = 30_000
CHECKIN_MS: Final = 3 * HEARTBEAT_MS
"""The deadline after a sign of life: three periods, so that healthy sessions never flap (18.10)."""
RETRY_MS: Final = 30_000
MAX_WAKE_ATTEMPTS: Final = 3
MAX_TEXT: Final = 200
MAX_SUMMARY: Final = 10_000
RECENT: Final = 5

STARTING: Final = "starting"
ACTIVE: Final = "active"
DEGRADED: Final = "degraded"
ENDED: Final = "ended"
LIVE: Final = (STARTING, ACTIVE, DEGRADED)

_COLUMNS: Final = (
    "id, company, agent, runtime_node, openclaw_session, type, channel, checkpoint, sync_status, "
    "started_ms, last_checkpoint_ms, last_heartbeat_ms, checkin_deadline_ms, last_wake_ms, "
    "wake_attempts, max_wake_attempts, generation, last_provision_error, ended_ms, status, "
    "summary, created_ms"
)


class Session(msgspec.Struct, frozen=True, gc=False):
    """A row of `agent_session`. `generation` counts the starts under one `openclaw_session`."""

    id: str
    company: str
    agent: str
    runtime_node: str | None
    openclaw_session: str
    type: str
    channel: str | None
    checkpoint: dict[str, Any] | None
    sync_status: str
    started_ms: int
    last_checkpoint_ms: int | None
    last_heartbeat_ms: int | None
    checkin_deadline_ms: int | None
    last_wake_ms: int | None
    wake_attempts: int
    max_wake_attempts: int
    generation: int
    last_provision_error: str | None
    ended_ms: int | None
    status: str
    summary: str | None
    created_ms: int


def _session(row: Row) -> Session:
    values = list(row)
    values[7] = None if values[7] is None else json.loads(values[7])
    return Session(*values)


def by_id(rx: Rx, company: str, session: str) -> Session | None:
    row = rx.one(
        f"select {_COLUMNS} from agent_session where id=? and company=?",  # noqa: S608
        (session, company),
    )
    return None if row is None else _session(row)


def need(rx: Rx, company: str, agent: str, session: str) -> Session:
    """A session of this agent; another agent's is unknown (18.15). Raises `session.unknown`."""
    row = by_id(rx, company, session.lower()) if is_uuid(session.lower()) else None
    if row is None or row.agent != agent:
        raise NotFound(
            "session.unknown",
            f"this agent has no session {session[:80]!r}",
            "Start one: POST /agents/{id}/sessions/start.",
        )
    return row


def recent(rx: Rx, agent: str, *, but: str) -> list[Session]:
    """The five newest of an agent besides one, newest first."""
    rows = rx.all(
        f"select {_COLUMNS} from agent_session where agent=? and id<>? "  # noqa: S608
        "order by created_ms desc, id desc limit ?",
        (agent, but, RECENT),
    )
    return [_session(row) for row in rows]


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def start(
    tx: Tx,
    agent: str,
    openclaw_session: str,
    *,
    runtime: str | None = None,
    kind: str = "main",
    channel: str | None = None,
    started_ms: int | None = None,
    checkpoint: dict[str, Any] | None = None,
) -> Session:
    """Begin a session, or go on with the live one of that name (its generation rises).

    `runtime` is the client's `runtimeId`; one that never registered is not recorded.
    Raises `session.id`. Emits `session_started`.
    """
    if not 0 < len(openclaw_session.strip()) <= MAX_TEXT or not 0 < len(kind) <= MAX_TEXT:
        raise Invalid("session.id", "a session needs an id", f"1 to {MAX_TEXT} characters.")
    node = None if runtime is None else runtimes.by_runtime(tx, tx.company, runtime)
    session = tx.new_id()
    tx.run(
        "insert into agent_session(id, company, agent, runtime_node, openclaw_session, type, "
        "channel, checkpoint, sync_status, started_ms, checkin_deadline_ms, max_wake_attempts, "
        "status, created_ms) values(?,?,?,?,?,?,?,?,'pending',?,?,?,?,?) "
        "on conflict(agent, openclaw_session) where ended_ms is null do update set "
        "generation=agent_session.generation+1, "
        "runtime_node=coalesce(excluded.runtime_node, agent_session.runtime_node), "
        "type=excluded.type, channel=coalesce(excluded.channel, agent_session.channel), "
        "checkpoint=coalesce(excluded.checkpoint, agent_session.checkpoint), "
        "checkin_deadline_ms=excluded.checkin_deadline_ms, wake_attempts=0, "
        "status=excluded.status",
        (
            session, tx.company, agent, None if node is None else node.id, openclaw_session, kind,
            channel, _json(checkpoint), tx.now_ms if started_ms is None else started_ms,
            tx.now_ms + CHECKIN_MS, MAX_WAKE_ATTEMPTS, ACTIVE, tx.now_ms,
        ),
    )  # fmt: skip
    row = tx.one(
        f"select {_COLUMNS} from agent_session "  # noqa: S608
        "where agent=? and openclaw_session=? and ended_ms is null",
        (agent, openclaw_session),
    )
    if row is None:
        raise AssertionError("a session that was just started is gone")
    found = _session(row)
    tx.emit("session_started", found.id, {"agent": agent, "generation": found.generation})
    return found


def _live(tx: Tx, agent: str, session: str) -> Session:
    row = need(tx, tx.company, agent, session)
    if row.ended_ms is not None:
        raise Conflict(
            "session.ended",
            f"session {row.openclaw_session!r} has ended",
            "Start a new one: POST /agents/{id}/sessions/start.",
        )
    return row


def _summary(text: str | None) -> str | None:
    if text is not None and len(text) > MAX_SUMMARY:
        raise Invalid("session.summary", "the summary is too long", f"At most {MAX_SUMMARY}.")
    return text


def checkpoint(
    tx: Tx,
    agent: str,
    session: str,
    value: dict[str, Any],
    *,
    status: str = ACTIVE,
    sync_status: str = "synced",
    summary: str | None = None,
) -> Session:
    """Store where a session stands.

    Raises `session.unknown`, `session.ended`, `session.status`, `session.summary`.
    """
    if status not in LIVE or not 0 < len(sync_status) <= MAX_TEXT:
        raise Invalid("session.status", f"unusable status {status[:40]!r}", f"One of {list(LIVE)}.")
    row = _live(tx, agent, session)
    tx.run(
        "update agent_session set checkpoint=?, status=?, sync_status=?, "
        "summary=coalesce(?, summary), last_checkpoint_ms=? where id=?",
        (_json(value), status, sync_status, _summary(summary), tx.now_ms, row.id),
    )
    tx.emit("session_checkpoint", row.id, {"agent": agent})
    return need(tx, tx.company, agent, row.id)


def end(
    tx: Tx,
    agent: str,
    session: str,
    *,
    summary: str | None = None,
    value: dict[str, Any] | None = None,
) -> Session:
    """Close a session; to close a closed one again changes nothing. Raises `session.unknown`."""
    row = need(tx, tx.company, agent, session)
    if row.ended_ms is None:
        tx.run(
            "update agent_session set status=?, ended_ms=?, checkin_deadline_ms=null, "
            "summary=coalesce(?, summary), checkpoint=coalesce(?, checkpoint) where id=?",
            (ENDED, tx.now_ms, _summary(summary), _json(value), row.id),
        )
        tx.emit("session_ended", row.id, {"agent": agent})
    return need(tx, tx.company, agent, row.id)


def heartbeat(tx: Tx, agent: str) -> int:
    """An agent lives: all its live sessions are active, with a new deadline (contract, 4.3 (3)).

    Returns their number. Emits nothing: a heartbeat is no news.
    """
    return tx.run(
        "update agent_session set last_heartbeat_ms=?, checkin_deadline_ms=?, wake_attempts=0, "
        "status=? where agent=? and ended_ms is null",
        (tx.now_ms, tx.now_ms + CHECKIN_MS, ACTIVE, agent),
    )


def late(rx: Rx, *, limit: int) -> list[str]:
    """Companies that have sessions past their deadline."""
    rows = rx.all(
        "select distinct company from agent_session where checkin_deadline_ms is not null "
        "and checkin_deadline_ms<? limit ?",
        (rx.now_ms, limit),
    )
    return [str(row[0]) for row in rows]


def degrade_late(tx: Tx, limit: int) -> int:
    """Ask late sessions of this company again, or give them up; how many were late.

    A unit (`session.monitor`) of the maintenance worker. Emits `runtime_checkin_retry` or, at the
    last attempt, `runtime_session_degraded`, which also sets an agent without another active
    session offline.
    """
    rows = tx.all(
        f"select {_COLUMNS} from agent_session where company=? "  # noqa: S608
        "and checkin_deadline_ms is not null and checkin_deadline_ms<? "
        "order by checkin_deadline_ms limit ?",
        (tx.company, tx.now_ms, limit),
    )
    for row in rows:
        _degrade(tx, _session(row))
    return len(rows)


def _degrade(tx: Tx, session: Session) -> None:
    attempts = session.wake_attempts + 1
    last = attempts >= session.max_wake_attempts
    tx.run(
        "update agent_session set status=?, wake_attempts=?, last_wake_ms=?, "
        "checkin_deadline_ms=? where id=?",
        (DEGRADED, attempts, tx.now_ms, None if last else tx.now_ms + RETRY_MS, session.id),
    )
    if last:
        tx.run(
            "update agent set status='offline', updated_ms=? where id=? and not exists("
            "select 1 from agent_session s where s.agent=agent.id and s.ended_ms is null "
            "and s.status=?)",
            (tx.now_ms, session.agent, ACTIVE),
        )
    kind = "runtime_session_degraded" if last else "runtime_checkin_retry"
    tx.emit(kind, session.id, {"agent": session.agent, "attempt": attempts})
