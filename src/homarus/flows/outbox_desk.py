"""What an operator sees of the outbox, and does with it: list, show, retry, drop."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.flows import mirror_rows, mirrors
from homarus.flows.mirror_rows import DROPPED, FAILED, PENDING, UNKNOWN
from homarus.store.port import Row, Rx, Tx

STATUSES: Final = ("pending", "processing", "unknown", "completed", "failed", "dropped")
RETRY_PRIORITY: Final = 10
MAX_REASON: Final = 400
DROP_ROWS: Final = 200
_COLUMNS: Final = (
    "o.id, o.mirror_id, coalesce(m.name, ''), o.target_type, o.entity_type, o.entity_id, "
    "o.action, o.status, o.priority, o.retry_count, o.max_retries, o.tries, o.error_msg, "
    "o.receipt_id, o.payload, o.push_token, o.kernel_receipt, o.trace_id, o.created_at, "
    "o.updated_at, o.scheduled_at, o.processed_at, o.completed_at"
)
_FROM: Final = "from outbox_v2 o left join mirror m on m.id=o.mirror_id"


class OutboxRow(msgspec.Struct, frozen=True):
    """A row of `outbox_v2`. `payload`: `{"number", "fields"}` of what was sent, {} before that."""

    id: str
    mirror: str
    mirror_name: str
    target_type: str
    entity_type: str
    entity_id: str
    action: str
    status: str
    priority: int
    retry_count: int
    max_retries: int
    tries: int
    error: str
    receipt: str
    payload: dict[str, Any]
    push_token: str | None
    kernel_receipt: str | None
    trace: str | None
    created_ms: int
    updated_ms: int
    scheduled_ms: int
    processed_ms: int | None
    completed_ms: int | None


def _row(values: Row) -> OutboxRow:
    given = list(values)
    given[14] = json.loads(given[14])
    return OutboxRow(*given)


def listed(
    rx: Rx, company: str, *, limit: int, before: str | None = None, mirror: str | None = None,
    status: str | None = None, entity: str | None = None,
) -> list[OutboxRow]:  # fmt: skip
    """Newest first; `before` is the id of the last one seen. Raises `outbox.status`."""
    if status is not None and status not in STATUSES:
        raise Invalid("outbox.status", f"no status {status[:40]!r}", f"One of {list(STATUSES)}.")
    where, params = ["o.company_id=?"], [company]
    for column, value in (("o.mirror_id=?", mirror), ("o.status=?", status),
                          ("o.entity_id=?", entity), ("o.id<?", before)):  # fmt: skip
        if value is not None:
            where.append(column)
            params.append(value)
    rows = rx.all(
        f"select {_COLUMNS} {_FROM} where {' and '.join(where)} order by o.id desc limit ?",
        (*params, limit),
    )
    return [_row(row) for row in rows]


def need(rx: Rx, company: str, row: str) -> OutboxRow:
    """Raises `outbox.unknown`."""
    found = rx.one(
        f"select {_COLUMNS} {_FROM} where o.company_id=? and o.id=?",
        (company, row.lower()),
    )
    if found is None:
        raise NotFound("outbox.unknown", f"no row {row[:80]!r} in the outbox",
                       "See `homarus outbox list`.")  # fmt: skip
    return _row(found)


def retry(tx: Tx, ref: str) -> OutboxRow:
    """Try it now: one that failed begins anew, one that waits is due; where a newer change of its
    entity waits, that one goes in its place. Raises `outbox.unknown|state`, `mirror.state`."""
    row = need(tx, tx.company, ref)
    mirror = mirrors.find(tx, tx.company, row.mirror)
    if mirror is None or mirror.state == mirrors.REMOVED:
        raise Conflict(
            "mirror.state", f"its mirror {row.mirror_name or row.mirror} is removed",
            "Add the mirror again (`homarus mirror add`): it compares everything by itself.",
        )  # fmt: skip
    if row.status not in (FAILED, DROPPED, PENDING, UNKNOWN):
        raise Conflict("outbox.state", f"it is {row.status}", "Only what failed or waits is tried.")
    if row.status in (FAILED, DROPPED):
        newer = tx.one(
            "select id from outbox_v2 where mirror_id=? and entity_type=? and entity_id=? "
            "and status='pending'",
            (row.mirror, row.entity_type, row.entity_id),
        )
        if newer is not None:
            _at_once(tx, newer[0])
            return need(tx, tx.company, newer[0])
        tx.run(
            "update outbox_v2 set status='pending', retry_count=0, completed_at=null where id=?",
            (row.id,),
        )
    _at_once(tx, row.id)
    return need(tx, tx.company, row.id)


def _at_once(tx: Tx, row: str) -> None:
    tx.run(
        "update outbox_v2 set scheduled_at=?, updated_at=?, priority=? "
        "where id=? and lease_until is null",
        (tx.now_ms, tx.now_ms, RETRY_PRIORITY, row),
    )
    tx.emit("outbox_row", row, {"state": "retried"})


def drop(tx: Tx, ref: str, reason: str) -> OutboxRow:
    """Raises `outbox.unknown|state|reason`."""
    row = need(tx, tx.company, ref)
    if not mirror_rows.drop(tx, row.id, _reason(reason)):
        raise Conflict("outbox.state", f"it is {row.status}, or being pushed now",
                       "Only what waits or has failed is dropped.")  # fmt: skip
    return need(tx, tx.company, row.id)


def drop_many(tx: Tx, mirror: str, reason: str) -> int:
    """Up to DROP_ROWS of a mirror's rows that wait or have failed; how many."""
    why = _reason(reason)
    rows = tx.all(
        "select id from outbox_v2 where company_id=? and mirror_id=? "
        "and status in ('pending', 'unknown', 'failed') and lease_until is null limit ?",
        (tx.company, mirror, DROP_ROWS),
    )
    return sum(mirror_rows.drop(tx, row[0], why) for row in rows)


def _reason(text: str) -> str:
    if not 0 < len(text.strip()) <= MAX_REASON:
        raise Invalid("outbox.reason", "say why", f"1 to {MAX_REASON} characters.")
    return text.strip()
