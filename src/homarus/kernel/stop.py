"""STOP: rows that end what somebody may do, read before every effect (design, 1)."""

from typing import Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.store.port import Rx, Tx

SCOPES: Final = ("company", "project", "agent", "task", "trace")
MAX_REASON: Final = 500


class Stop(msgspec.Struct, frozen=True):
    id: str
    scope: str
    subject: str
    reason: str
    by: str
    created_ms: int


def active(rx: Rx, company: str) -> list[Stop]:
    """All STOPs in force in a company; ordinarily none."""
    rows = rx.all(
        "select id, scope, subject, reason, by_actor, created_ms from stop "
        "where company=? and lifted_ms is null order by created_ms",
        (company,),
    )
    return [Stop(*row) for row in rows]


def covers(rx: Rx, company: str, scope: str, subject: str) -> bool:
    """Whether a STOP of exactly this scope is in force."""
    row = rx.one(
        "select 1 from stop where company=? and scope=? and subject=? and lifted_ms is null",
        (company, scope, subject),
    )
    return row is not None


def put(tx: Tx, scope: str, subject: str, reason: str) -> Stop:
    """Raises `stop.scope`, `stop.active`. The caller takes the work of the scope out of reach."""
    if scope not in SCOPES:
        raise Invalid("stop.scope", f"unknown scope {scope!r}", f"Use one of {list(SCOPES)}.")
    if any(s.scope == scope and s.subject == subject for s in active(tx, tx.company)):
        raise Conflict("stop.active", f"{scope} {subject} is stopped already", "Nothing to do.")
    stop = Stop(tx.new_id(), scope, subject, reason[:MAX_REASON], tx.actor.key, tx.now_ms)
    tx.run(
        "insert into stop(id, company, scope, subject, reason, by_actor, created_ms) "
        "values(?,?,?,?,?,?,?)",
        (stop.id, tx.company, scope, subject, stop.reason, stop.by, stop.created_ms),
    )
    tx.emit("stop_set", stop.id, {"scope": scope, "subject": subject, "reason": stop.reason})
    return stop


def lift(tx: Tx, stop: str) -> Stop:
    """Raises `stop.unknown`."""
    found = next((s for s in active(tx, tx.company) if s.id == stop), None)
    if found is None:
        raise NotFound("stop.unknown", f"no STOP {stop} is in force", "See `homarus stop list`.")
    tx.run("update stop set lifted_ms=? where id=?", (tx.now_ms, stop))
    tx.emit("stop_lifted", stop, {"scope": found.scope, "subject": found.subject})
    return found
