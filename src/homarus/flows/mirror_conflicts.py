"""What somebody changed at a target, and what an adapter had to leave aside.

The company's own record wins (redline R1): a foreign change is kept as a conflict for a person to
see, and ours is pushed again. Own writes that come back are known by their values.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.flows import mirror_rows
from homarus.flows.mirror_entities import UPDATE
from homarus.flows.mirrors import Mirror, need
from homarus.store.paging import newest, when
from homarus.store.port import Rx, Tx

MAX_WHAT: Final = 500
MAX_THEIRS: Final = 20_000
MAX_NOTE: Final = 2_000
_COLUMNS: Final = (
    "c.id, c.no, c.mirror, m.name, c.entity_type, c.entity_id, c.what, c.theirs, c.state, c.note, "
    "c.created_ms, c.resolved_ms, c.resolved_by"
)
_FROM: Final = "from mirror_conflict c join mirror m on m.id=c.mirror"


class Row(msgspec.Struct, frozen=True):
    id: str
    no: int
    mirror: str
    mirror_name: str
    entity_type: str
    entity_id: str
    what: str
    theirs: dict[str, Any]
    state: str
    note: str | None
    created_ms: int
    resolved_ms: int | None
    resolved_by: str | None


class Foreign(msgspec.Struct, frozen=True):
    """As `outbox.port.Foreign`: an entity as somebody else left it at the target."""

    entity_type: str
    marker: str
    receipt: str
    fields: Mapping[str, Any]


def _row(values: tuple[Any, ...]) -> Row:
    given = list(values)
    given[7] = json.loads(given[7])
    return Row(*given)


def listed(
    rx: Rx, company: str, *, limit: int, mirror: str | None = None, every: bool = False,
    before: int | None = None,
) -> list[Row]:  # fmt: skip
    """Newest first; open ones, or `every` one."""
    rows = newest(
        rx, f"select {_COLUMNS} {_FROM} where c.company=?", (company,),
        {"c.mirror=?": mirror} | when("c.state='open'", not every),
        limit=limit, before=before, by="c.no",
    )  # fmt: skip
    return [_row(row) for row in rows]


def resolve(tx: Tx, no: int, note: str) -> Row:
    """A person has seen it. Raises `mirror.no_conflict`, `mirror.resolved`."""
    found = tx.one(
        f"select {_COLUMNS} {_FROM} where c.company=? and c.no=?",
        (tx.company, no),
    )
    if found is None:
        raise NotFound("mirror.no_conflict", f"no conflict {no}", "See `homarus mirror conflicts`.")
    row = _row(found)
    if row.state != "open":
        raise Conflict("mirror.resolved", f"conflict {no} is resolved", "Nothing is left to do.")
    tx.run(
        "update mirror_conflict set state='resolved', note=?, resolved_ms=?, resolved_by=? "
        "where id=?",
        (note[:MAX_NOTE] or None, tx.now_ms, tx.actor.key, row.id),
    )
    tx.emit("mirror_conflict", row.id, {"no": no, "state": "resolved"})
    return msgspec.structs.replace(row, state="resolved")


def note(tx: Tx, mirror: str, entity_type: str, entity_id: str, what: str, theirs: Any) -> None:
    """Keep it for a person, unless the same is open."""
    text = json.dumps(theirs, ensure_ascii=False, sort_keys=True)
    if len(text) > MAX_THEIRS:
        text = json.dumps({"cut": text[:MAX_THEIRS]}, ensure_ascii=False)
    what = what[:MAX_WHAT]
    same = tx.one(
        "select 1 from mirror_conflict where mirror=? and entity_type=? and entity_id=? "
        "and state='open' and what=? and theirs=?",
        (mirror, entity_type, entity_id, what, text),
    )
    if same is not None:
        return
    id_, no = tx.new_id(), tx.number("mirror_conflict")
    tx.run(
        "insert into mirror_conflict(id, no, company, mirror, entity_type, entity_id, what, "
        "theirs, state, created_ms) values(?,?,?,?,?,?,?,?,'open',?)",
        (id_, no, tx.company, mirror, entity_type, entity_id, what, text, tx.now_ms),
    )
    tx.emit("mirror_conflict", id_, {"no": no, "state": "open"})


def take_in(tx: Tx, mirror: str, changes: list[Foreign], cursor: str) -> int:
    """A page of foreign changes, and where the next begins; how many were not our own."""
    row = need(tx, tx.company, mirror)
    foreign = sum(_take_in(tx, row, change) for change in changes)
    if cursor != row.cursor:
        tx.run("update mirror set cursor=? where id=?", (cursor, row.id))
    return foreign


def _take_in(tx: Tx, row: Mirror, change: Foreign) -> bool:
    found = tx.one(
        "select entity_id, fields, number from mirrored where mirror=? and entity_type=? "
        "and receipt=?",
        (row.id, change.entity_type, change.receipt),
    )
    if found is None:
        return False
    entity, ours = found[0], json.loads(found[1])
    theirs = {name: value for name, value in change.fields.items() if ours.get(name) != value}
    if not theirs:
        return False
    what = f"{found[2]}: {', '.join(sorted(theirs))} changed at {row.name}; ours is kept"
    note(tx, row.id, change.entity_type, entity, what, theirs)
    tx.run(
        "update mirrored set payload_hash=null where mirror=? and entity_type=? and entity_id=?",
        (row.id, change.entity_type, entity),
    )
    mirror_rows.enqueue(tx, row.goal, change.entity_type, entity, UPDATE)
    return True
