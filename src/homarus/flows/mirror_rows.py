"""Rows of the outbox: in, folded, due, given up (governance contract, 9).

    pending     the worker, when it is due and nothing of its entity is in flight
    processing  the worker that leased it; after a crash it is unknown
    unknown     the worker looks it up at the target before anything is sent again
    completed   final        failed, dropped   an operator may retry

Of one entity at one mirror at most one row is pending, and at most one in flight; a change that
comes meanwhile waits as the pending one, so that order is kept and nothing is folded into what was
sent. Leases and outcomes are in `mirror_leases.py`.
"""

import json
from collections.abc import Iterator
from typing import Final

import msgspec

from homarus.flows.mirror_entities import CREATE, DELETE, UPDATE
from homarus.store.port import Rx, Tx

PENDING: Final = "pending"
PROCESSING: Final = "processing"
UNKNOWN: Final = "unknown"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
DROPPED: Final = "dropped"
NOT_SENT: Final = "not sent"
"""Why a row waits that was leased and handed back as it was."""
MAX_ERROR: Final = 500
FLYING: Final = 1_000
KEPT_MS: Final = 7 * 24 * 3_600_000
"""How long a completed or dropped row is kept."""

_ENQUEUE: Final = (
    "insert into outbox_v2(id, entity_type, entity_id, action, target_type, created_at, "
    "updated_at, scheduled_at, company_id, mirror_id, priority, trace_id) "
    "values(?,?,?,?,?,?,?,?,?,?,?,?) "
    "on conflict(company_id, entity_type, entity_id, target_type, mirror_id) "
    "where status='pending' do update set updated_at=excluded.updated_at, "
    "action=case when outbox_v2.action='create' and excluded.action='update' then 'create' "
    "when outbox_v2.action='delete' and excluded.action='create' then 'update' "
    "else excluded.action end where excluded.action<>'update'"
)
_UNKNOWN_DUE: Final = (
    "select id, entity_type, entity_id, trace_id from outbox_v2 where mirror_id=? "
    "and status='unknown' and scheduled_at<=? and lease_until is null "
    "order by scheduled_at limit ?"
)
_UNKNOWN_NEXT: Final = (
    "select min(scheduled_at) from outbox_v2 where mirror_id=? and status='unknown' "
    "and scheduled_at>?"
)
# Of what waits, priority by priority, so that each look is a few seeks in `outbox_v2_due` however
# much waits. The join on itself has SQLite take that index, which alone holds all that is asked.
_PRIORITY: Final = (
    "select max(priority) from outbox_v2 where mirror_id=? and status='pending' and priority<?"
)
_DUE: Final = (
    "select o.id, o.entity_type, o.entity_id, o.trace_id from outbox_v2 q "
    "join outbox_v2 o on o.id=q.id where q.mirror_id=? and q.status='pending' and q.priority=? "
    "and q.scheduled_at<=? and not exists("
    "select 1 from outbox_v2 b where b.entity_type=o.entity_type and b.entity_id=o.entity_id "
    "and b.mirror_id=o.mirror_id and b.status in ('processing', 'unknown')) "
    "order by q.scheduled_at limit ?"
)
_NEXT: Final = (
    "select min(scheduled_at) from outbox_v2 where mirror_id=? and status='pending' "
    "and priority=? and scheduled_at>?"
)
_ABOVE_ALL: Final = 2**31
MAX_PRIORITIES: Final = 10
"""Different ones of one mirror that are looked at; three are in use."""


class Goal(msgspec.Struct, frozen=True, gc=False):
    """A mirror as the hook knows it."""

    mirror: str
    target_type: str
    delay_ms: int
    entities: frozenset[str]


class Due(msgspec.Struct, frozen=True, gc=False):
    """A row to be leased. `task`: the one that it is about, where it is about one."""

    id: str
    entity_type: str
    entity_id: str
    task: str | None
    trace: str | None


def marker_of(entity_type: str, number: str, entity_id: str) -> str:
    """What a target finds an entity by: `homarus:task:T-192`."""
    return f"homarus:{entity_type}:{number or entity_id}"


def folded(before: str, after: str) -> str:
    """Two changes of one entity that nothing was sent of, as one."""
    if before == CREATE and after == UPDATE:
        return CREATE
    if before == DELETE and after == CREATE:
        return UPDATE
    return after


# -- in ------------------------------------------------------------------------------------


def enqueue(
    tx: Tx, goal: Goal, entity_type: str, entity_id: str, act: str, priority: int = 0
) -> None:
    """A change of an entity, for one mirror; folds into the row that waits."""
    if act == DELETE and _never_sent(tx, goal.mirror, entity_type, entity_id):
        return
    due_ms = tx.now_ms + goal.delay_ms
    tx.run(
        _ENQUEUE,
        (
            tx.new_id(), entity_type, entity_id, act, goal.target_type, tx.now_ms, tx.now_ms,
            due_ms, tx.company, goal.mirror, priority, tx.trace,
        ),
    )  # fmt: skip


def _never_sent(tx: Tx, mirror: str, entity_type: str, entity_id: str) -> bool:
    """Made and removed before anything was sent: the row that waits is dropped."""
    rows = tx.all(
        "select id, status, action from outbox_v2 where entity_type=? and entity_id=? "
        "and mirror_id=? and status in ('pending', 'processing', 'unknown')",
        (entity_type, entity_id, mirror),
    )
    if len(rows) != 1 or rows[0][1:] != (PENDING, CREATE):
        return False
    if _known(tx, mirror, entity_type, entity_id):
        return False
    tx.run(
        "update outbox_v2 set status='dropped', completed_at=?, updated_at=?, error_msg=? "
        "where id=?",
        (tx.now_ms, tx.now_ms, "made and removed before it was sent", rows[0][0]),
    )
    return True


def _known(rx: Rx, mirror: str, entity_type: str, entity_id: str) -> bool:
    """Whether the target holds it, or may."""
    row = rx.one(
        "select 1 from mirrored where mirror=? and entity_type=? and entity_id=? "
        "and (receipt is not null or doubt=1)",
        (mirror, entity_type, entity_id),
    )
    return row is not None


# -- due -----------------------------------------------------------------------------------


def due(rx: Rx, mirror: str, limit: int) -> tuple[list[Due], int | None]:
    """What may be leased now: what is to be looked up first, then by priority and time; and when
    the next row comes due that is not yet (None: none waits)."""
    now_ms = rx.now_ms
    rows = rx.all(_UNKNOWN_DUE, (mirror, now_ms, limit))
    later = [rx.one(_UNKNOWN_NEXT, (mirror, now_ms))]
    for priority in _priorities(rx, mirror):
        rows += rx.all(_DUE, (mirror, priority, now_ms, limit - len(rows)))
        later.append(rx.one(_NEXT, (mirror, priority, now_ms)))
    found = [Due(r[0], r[1], r[2], r[2] if r[1] == "task" else None, r[3]) for r in rows]
    times = [row[0] for row in later if row is not None and row[0] is not None]
    return found, min(times, default=None)


def _priorities(rx: Rx, mirror: str) -> Iterator[int]:
    """Of the rows that wait, highest first."""
    below = _ABOVE_ALL
    for _ in range(MAX_PRIORITIES):
        row = rx.one(_PRIORITY, (mirror, below))
        if row is None or row[0] is None:
            return
        below = row[0]
        yield below


def tried(rx: Rx, mirror: str) -> bool:
    """Whether a row waits, or is in flight, that was tried."""
    row = rx.one(
        "select 1 from outbox_v2 where mirror_id=? "
        "and status in ('pending', 'processing', 'unknown') and tries>0 limit 1",
        (mirror,),
    )
    return row is not None


# -- over -----------------------------------------------------------------------------------


def end(tx: Tx, row: str, status: str, why: str) -> None:
    """It is over, without anything sent or taken."""
    tx.run(
        "update outbox_v2 set status=?, error_msg=?, completed_at=?, updated_at=?, "
        "lease_until=null where id=?",
        (status, why[:MAX_ERROR], tx.now_ms, tx.now_ms, row),
    )


def doubt(tx: Tx, mirror: str, entity_type: str, entity_id: str, number: str) -> None:
    """Nobody knows what the target holds of it: whatever is sent next is looked up first."""
    tx.run(
        "insert into mirrored(mirror, entity_type, entity_id, number, doubt) values(?,?,?,?,1) "
        "on conflict(mirror, entity_type, entity_id) do update set doubt=1, payload_hash=null",
        (mirror, entity_type, entity_id, number),
    )


def in_flight(rx: Rx, mirror: str) -> int:
    """How many of a mirror's rows a worker has leased, to send or to look up; at most FLYING."""
    row = rx.one(
        "select count(*) from (select 1 from outbox_v2 where mirror_id=? "
        "and status in ('processing', 'unknown') and lease_until is not null limit ?) x",
        (mirror, FLYING),
    )
    return 0 if row is None else int(row[0])


def distrust(tx: Tx, mirror: str, entity_type: str, entity_id: str) -> None:
    """What is remembered of it at the target is looked up before it is relied upon."""
    tx.run(
        "update mirrored set doubt=1 where mirror=? and entity_type=? and entity_id=?",
        (mirror, entity_type, entity_id),
    )


def drop(tx: Tx, row: str, reason: str) -> bool:
    """Give up a row that waits, is unknown or has failed; False: it does neither. What may have
    been written is looked up before its entity is sent again."""
    found = tx.one(
        "select status, mirror_id, entity_type, entity_id, payload from outbox_v2 "
        "where id=? and company_id=? and status in ('pending', 'unknown', 'failed') "
        "and lease_until is null",
        (row, tx.company),
    )
    if found is None:
        return False
    if found[0] == UNKNOWN:
        doubt(tx, found[1], found[2], found[3], json.loads(found[4]).get("number", ""))
    end(tx, row, DROPPED, f"dropped: {reason}")
    tx.emit("outbox_row", row, {"state": DROPPED})
    return True


def forget_old(tx: Tx, mirror: str, limit: int) -> int:
    """Forget up to `limit` rows of a mirror that are over and old; how many."""
    return tx.run(
        "delete from outbox_v2 where id in (select id from outbox_v2 where mirror_id=? "
        "and status in ('completed', 'dropped') and completed_at<? limit ?)",
        (mirror, tx.now_ms - KEPT_MS, limit),
    )
