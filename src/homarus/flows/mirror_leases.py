"""Leases of outbox rows: the intent, with what a row carries, and its outcome.

What is sent is read when the row is leased, in the lease's transaction, and stands until it is
settled. A lease carries a fence; an outcome under an older one changes nothing. What a worker that
died had leased is unknown.
"""

import hashlib
import json
from functools import lru_cache
from typing import Any, Final

import msgspec

from homarus.base.action import Effect, Outcome
from homarus.base.canonical import digest
from homarus.base.ids import receipt_id, row_address
from homarus.flows import mirror_alerts, mirror_conflicts, mirror_mapping
from homarus.flows.mirror_entities import CREATE, DELETE, ENTITIES, UPDATE
from homarus.flows.mirror_rows import (
    COMPLETED,
    DROPPED,
    FAILED,
    MAX_ERROR,
    PENDING,
    UNKNOWN,
    doubt,
    end,
    folded,
    marker_of,
)
from homarus.flows.mirrors import Mirror
from homarus.kernel import receipts
from homarus.store.port import Row, Rx, Tx

PUSH: Final = "mirror.push"
_LEAST: Final = -(2**31)
"""No priority is lower."""
_FOUND: Final = (
    "select o.status, o.entity_type, o.entity_id, o.action, o.payload, o.payload_hash, "
    "o.push_token, o.fence, o.tries, o.retry_count, o.trace_id, o.receipt_id, "
    "m.id, m.name, m.target_type, m.mapping, m.entities, m.state, "
    "d.receipt, d.payload_hash, coalesce(d.doubt, 0), "
    "exists(select 1 from outbox_v2 b where b.entity_type=o.entity_type "
    "and b.entity_id=o.entity_id and b.mirror_id=o.mirror_id "
    "and b.status in ('processing', 'unknown')) from outbox_v2 o "
    "join mirror m on m.id=o.mirror_id left join mirrored d on d.mirror=o.mirror_id "
    "and d.entity_type=o.entity_type and d.entity_id=o.entity_id "
    "where o.id=? and o.company_id=?"
)

# The row that a lease still holds: what its outcome is about.
_IN_FLIGHT: Final = (
    "id=? and fence=? and lease_until is not null and status in ('processing', 'unknown')"
)
_OF: Final = "kernel_receipt, target_type, trace_id"
_HELD: Final = f"select {_OF} from outbox_v2 where {_IN_FLIGHT}"  # noqa: S608
_COMPLETE: Final = (
    "update outbox_v2 set status='completed', error_msg='', completed_at=?, updated_at=?, "  # noqa: S608
    f"lease_until=null, receipt_id=coalesce(?, receipt_id) where {_IN_FLIGHT} returning {_OF}"
)


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A leased row with what it carries. `look`: the target may hold it already, and is asked
    first. `receipt`: the target's id of the entity, where one is known."""

    id: str
    mirror: str
    entity_type: str
    entity_id: str
    number: str
    act: str
    fields: dict[str, Any]
    digest: bytes
    token: str
    receipt: str | None
    fence: int
    look: bool
    tries: int
    retries: int

    @property
    def marker(self) -> str:
        return marker_of(self.entity_type, self.number, self.entity_id)


class Settlement(msgspec.Struct, frozen=True):
    """What becomes of a leased row. `status`: completed, pending (again at `at_ms`), unknown
    (looked up at `at_ms`), failed. `spends`: one retry. `gone`: the target no longer holds it;
    `found`: its id there, which a lookup has shown."""

    status: str
    at_ms: int = 0
    receipt: str | None = None
    why: str = ""
    spends: bool = False
    gone: bool = False
    found: str | None = None
    notes: tuple[str, ...] = ()


def _text(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def token_of(company: str, row: str, act: str, target: str, content: bytes) -> str:
    """The idempotency token of a row's content: a UUID (mirrors contract, 0.3)."""
    text = f"{company}/{row}/{act}/{target}/{content.hex()}"
    raw = bytearray(hashlib.sha256(text.encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


# -- leased --------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _mapping(text: str, entities: str, target_type: str) -> mirror_mapping.Mapping:
    return mirror_mapping.parse(text, entities.split(), target_type)


def take(tx: Tx, row: str, worker: str, lease_ms: int) -> Taken | None:
    """The intent: lease a row with what it carries. None: somebody else has it, its mirror rests,
    or there is nothing to send and it has ended so."""
    found = tx.one(_FOUND, (row, tx.company))
    if found is None or found[17] != "active":
        return None
    if found[0] == UNKNOWN:
        return _look_up(tx, row, found, worker, lease_ms)
    if found[0] != PENDING or found[21]:  # it, or another of its entity, is in flight
        return None
    return _send(tx, row, found, worker, lease_ms)


def _send(tx: Tx, row: str, found: Row, worker: str, lease_ms: int) -> Taken | None:
    entity_type, entity_id, mirror = found[1], found[2], found[12]
    known, pushed, doubt = found[18], found[19], bool(found[20])
    loaded = ENTITIES[entity_type].load(tx, tx.company, entity_id)
    if loaded is None or entity_type not in found[16].split():
        if known is None and not doubt:
            end(tx, row, DROPPED, "there is nothing of it that is mirrored")
            return None
        act, number, fields = DELETE, _number_sent(tx, mirror, entity_type, entity_id), {}
    else:
        number, values = loaded
        mapping = _mapping(found[15], found[16], found[14])
        fields = mirror_mapping.apply(mapping, entity_type, values)
        act = CREATE if known is None else UPDATE
    content = digest(fields)
    if act == UPDATE and not doubt and pushed is not None and bytes(pushed) == content:
        end(tx, row, COMPLETED, "")
        return None
    token = token_of(tx.company, row, act, found[14], content)
    payload = _text({"number": number, "fields": fields})
    intent = receipt_id(tx.now_ms, tx.head.no, tx.head.receipt_seq + 1)
    tx.run(
        "update outbox_v2 set status='processing', action=?, payload=?, payload_hash=?, "
        "push_token=?, fence=fence+1, tries=tries+1, worker=?, lease_until=?, processed_at=?, "
        "updated_at=?, kernel_receipt=? where id=? and status='pending'",
        (
            act, payload, content, token, worker, tx.now_ms + lease_ms, tx.now_ms, tx.now_ms,
            intent, row,
        ),
    )  # fmt: skip
    _emit(tx, row, found, "sending")
    return Taken(
        row, mirror, entity_type, entity_id, number, act, fields, content, token, known,
        found[7] + 1, doubt, found[8] + 1, found[9],
    )  # fmt: skip


def samples(rx: Rx, mirror: Mirror, limit: int) -> list[Taken]:
    """What the next pushes would carry, of a few entities; nothing is leased."""
    mapping = _mapping(mirror.mapping, " ".join(mirror.entities), mirror.target_type)
    found = []
    for name in mirror.entities:
        for id_ in ENTITIES[name].listed(rx, mirror.company, "", limit):
            loaded = ENTITIES[name].load(rx, mirror.company, id_)
            if loaded is None:
                continue
            fields = mirror_mapping.apply(mapping, name, loaded[1])
            content, receipt = digest(fields), _receipt(rx, mirror.id, name, id_)
            act = CREATE if receipt is None else UPDATE
            token = token_of(mirror.company, "", act, mirror.target_type, content)
            found.append(
                Taken("", mirror.id, name, id_, loaded[0], act, fields, content, token, receipt,
                      0, False, 0, 0)
            )  # fmt: skip
    return found


def _receipt(rx: Rx, mirror: str, entity_type: str, entity_id: str) -> str | None:
    row = rx.one(
        "select receipt from mirrored where mirror=? and entity_type=? and entity_id=?",
        (mirror, entity_type, entity_id),
    )
    return None if row is None else row[0]


def _number_sent(tx: Tx, mirror: str, entity_type: str, entity_id: str) -> str:
    row = tx.one(
        "select number from mirrored where mirror=? and entity_type=? and entity_id=?",
        (mirror, entity_type, entity_id),
    )
    return "" if row is None else str(row[0])


def _look_up(tx: Tx, row: str, found: Row, worker: str, lease_ms: int) -> Taken | None:
    """What was sent stands: it is looked up, and sent again as it was where it is not there."""
    intent = receipt_id(tx.now_ms, tx.head.no, tx.head.receipt_seq + 1)
    taken = tx.run(
        "update outbox_v2 set fence=fence+1, tries=tries+1, worker=?, lease_until=?, "
        "processed_at=?, updated_at=?, kernel_receipt=? "
        "where id=? and status='unknown' and lease_until is null",
        (worker, tx.now_ms + lease_ms, tx.now_ms, tx.now_ms, intent, row),
    )
    if not taken:
        return None
    carried = json.loads(found[4])
    _emit(tx, row, found, "looking")
    return Taken(
        row, found[12], found[1], found[2], carried["number"], found[3], carried["fields"],
        bytes(found[5]), found[6], found[18], found[7] + 1, True, found[8] + 1, found[9],
    )  # fmt: skip


def _emit(tx: Tx, row: str, found: Row, state: str) -> None:
    tx.about(task=found[2] if found[1] == "task" else None, trace=found[10])
    tx.emit("outbox_row", row, {"mirror": found[13], "state": state})


# -- settled -------------------------------------------------------------------------------


def settle(tx: Tx, taken: Taken, how: Settlement) -> bool:
    """The outcome; False: the lease was lost (somebody dropped it, or another worker has it)."""
    done = how.status == COMPLETED
    held = (taken.id, taken.fence)
    if done:
        found = tx.one(_COMPLETE, (tx.now_ms, tx.now_ms, how.receipt, *held))
    else:
        found = tx.one(_HELD, held)
    if found is None:
        return False
    if done:
        _pushed(tx, taken, how)
        for text in how.notes:
            mirror_conflicts.note(tx, taken.mirror, taken.entity_type, taken.entity_id, text, {})
    else:
        _not_pushed(tx, taken, how)
    if not done or how.notes:
        tx.emit("outbox_row", taken.id, {"mirror": taken.mirror, "state": how.status})
    _outcome(tx, taken, found, how)
    return True


def _not_pushed(tx: Tx, taken: Taken, how: Settlement) -> None:
    if how.gone:
        _forget(tx, taken)
    elif how.found is not None:
        _remember(tx, taken, how.found)
    if how.status == FAILED:
        end(tx, taken.id, FAILED, how.why)
        tx.run(
            "update outbox_v2 set retry_count=retry_count+? where id=?",
            (int(how.spends), taken.id),
        )
        name = taken.number or taken.entity_id
        mirror_alerts.tell(tx, taken.mirror, mirror_alerts.FAILED, f"{name}: {how.why}"[:MAX_ERROR])
    elif how.status == UNKNOWN:
        tx.run(
            "update outbox_v2 set status='unknown', scheduled_at=?, lease_until=null, "
            "error_msg=?, updated_at=? where id=?",
            (how.at_ms, how.why[:MAX_ERROR], tx.now_ms, taken.id),
        )
    else:
        _wait_again(tx, taken, how)


def _outcome(tx: Tx, taken: Taken, found: Row, how: Settlement) -> None:
    """The outcome row of the intent."""
    outcome = {COMPLETED: Outcome.DONE, UNKNOWN: Outcome.UNKNOWN}.get(how.status, Outcome.FAILED)
    receipts.write_outcome(
        tx, row_address(found[0])[2], tx.actor, PUSH, f"mirror:{found[1]}", outcome,
        effect=Effect.EXTERNAL_WRITE, reason=how.why or None,
        task=taken.entity_id if taken.entity_type == "task" else None, trace=found[2],
    )  # fmt: skip


def _pushed(tx: Tx, taken: Taken, how: Settlement) -> None:
    if taken.act == DELETE:
        tx.run(
            "delete from mirrored where mirror=? and entity_type=? and entity_id=?",
            (taken.mirror, taken.entity_type, taken.entity_id),
        )
        return
    tx.run(
        "insert into mirrored(mirror, entity_type, entity_id, number, receipt, payload_hash, "
        "fields, doubt, pushed_ms) values(?,?,?,?,?,?,?,0,?) "
        "on conflict(mirror, entity_type, entity_id) do update set receipt=excluded.receipt, "
        "number=excluded.number, payload_hash=excluded.payload_hash, fields=excluded.fields, "
        "doubt=0, pushed_ms=excluded.pushed_ms",
        (
            taken.mirror, taken.entity_type, taken.entity_id, taken.number, how.receipt,
            taken.digest, _text(taken.fields), tx.now_ms,
        ),
    )  # fmt: skip


def _remember(tx: Tx, taken: Taken, receipt: str) -> None:
    """The target holds it, in some state; what it is to hold is yet to be sent."""
    tx.run(
        "insert into mirrored(mirror, entity_type, entity_id, number, receipt) values(?,?,?,?,?) "
        "on conflict(mirror, entity_type, entity_id) do update set receipt=excluded.receipt, "
        "payload_hash=null",
        (taken.mirror, taken.entity_type, taken.entity_id, taken.number, receipt),
    )


def _forget(tx: Tx, taken: Taken) -> None:
    """The target lost it: the next push makes it anew, after a look."""
    doubt(tx, taken.mirror, taken.entity_type, taken.entity_id, taken.number)
    tx.run(
        "update mirrored set receipt=null where mirror=? and entity_type=? and entity_id=?",
        (taken.mirror, taken.entity_type, taken.entity_id),
    )


def _wait_again(tx: Tx, taken: Taken, how: Settlement) -> None:
    """Nothing was written: it waits again, and takes in the change that came meanwhile."""
    newer = tx.one(
        "select id, action, priority from outbox_v2 where entity_type=? and entity_id=? "
        "and mirror_id=? and status='pending'",
        (taken.entity_type, taken.entity_id, taken.mirror),
    )
    act, least = taken.act, _LEAST
    if newer is not None:
        act, least = folded(taken.act, newer[1]), newer[2]
        tx.run("delete from outbox_v2 where id=?", (newer[0],))
    tx.run(
        "update outbox_v2 set status='pending', action=?, scheduled_at=?, lease_until=null, "
        "retry_count=retry_count+?, error_msg=?, updated_at=?, "
        "priority=case when priority<? then ? else priority end where id=?",
        (
            act, how.at_ms, int(how.spends), how.why[:MAX_ERROR], tx.now_ms,
            least, least, taken.id,
        ),
    )  # fmt: skip


# -- after a crash -------------------------------------------------------------------------


def companies_lost(rx: Rx, alone: bool) -> list[str]:
    """Companies with rows whose worker is gone. `alone`: no other daemon works on this store."""
    rows = rx.all(
        "select distinct company_id from outbox_v2 where status in ('processing', 'unknown') "
        "and lease_until is not null and (lease_until<? or ?=1)",
        (rx.now_ms, int(alone)),
    )
    return [row[0] for row in rows]


def recover(tx: Tx, limit: int, alone: bool) -> int:
    """What a worker that died had leased may have been written: it is unknown; how many."""
    rows = tx.all(
        "select id, status, kernel_receipt, entity_type, entity_id, trace_id, target_type "
        "from outbox_v2 where company_id=? and status in ('processing', 'unknown') "
        "and lease_until is not null and (lease_until<? or ?=1) order by id limit ?",
        (tx.company, tx.now_ms, int(alone), limit),
    )
    why = "the worker ended before the target had answered"
    for row, _, intent, entity_type, entity_id, trace, target in rows:
        tx.run(
            "update outbox_v2 set status='unknown', scheduled_at=?, lease_until=null, "
            "error_msg=?, updated_at=? where id=?",
            (tx.now_ms, why, tx.now_ms, row),
        )
        receipts.write_outcome(
            tx, row_address(intent)[2], tx.actor, PUSH, f"mirror:{target}", Outcome.UNKNOWN,
            effect=Effect.EXTERNAL_WRITE, reason=why,
            task=entity_id if entity_type == "task" else None, trace=trace,
        )  # fmt: skip
        tx.emit("outbox_row", row, {"state": UNKNOWN})
    return len(rows)
