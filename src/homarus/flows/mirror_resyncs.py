"""Comparing again what a mirror shows, in chunks: everything, or the tasks of one agent or project.

A resync is a list of parts (`mirrors.Part`) in the mirror's row; each turn of the worker takes the
next RESYNC_ROWS of the first. What is equal to what was pushed last costs no call. Where the
memory of it is not trusted (`look`) the target is asked first, and only what differs is written.
"""

from typing import Final

import msgspec

from homarus.flows import mirror_rows, mirrors
from homarus.flows.mirror_entities import DELETE, ENTITIES, UPDATE, tasks_of
from homarus.flows.mirror_rows import Goal
from homarus.flows.mirrors import Mirror, Part
from homarus.store.port import Tx

RESYNC_ROWS: Final = 100
RESYNC_PRIORITY: Final = -10
MAX_PARTS: Final = 20
"""Where more were to wait, everything is compared instead."""
_LEFT: Final = "left"
"""The last part of a whole resync: what the target holds and the store no longer shows."""


def whole(entities: tuple[str, ...], *, look: bool) -> tuple[Part, ...]:
    return (Part(min(entities), look=look),)


def text(parts: tuple[Part, ...]) -> str | None:
    """As the mirror's row keeps it."""
    return msgspec.json.encode(parts).decode() if parts else None


def compare(tx: Tx, mirror: str, kind: str, subject: str) -> None:
    """The tasks of an `agent` or `project`, which show its name, once more."""
    row = mirrors.need(tx, tx.company, mirror)
    part = Part("task", of=(kind, subject))
    if part in row.resync:
        return
    parts = (*row.resync, part)
    if len(parts) > MAX_PARTS:
        parts = whole(row.entities, look=any(each.look for each in parts))
    tx.run("update mirror set resync=? where id=?", (text(parts), row.id))


def chunk(tx: Tx, mirror: str) -> bool:
    """Enqueue the next RESYNC_ROWS entities; False: it has come to its end."""
    row = mirrors.need(tx, tx.company, mirror)
    if not row.resync or row.state != mirrors.ACTIVE:
        return False
    part, *others = row.resync
    goal = Goal(row.id, row.target_type, 0, frozenset(row.entities))
    ids = _left_behind(tx, row, goal, part) if part.entity == _LEFT else _again(tx, goal, part)
    at = _next(row, part, ids)
    parts = (*others,) if at is None else (at, *others)
    tx.run("update mirror set resync=? where id=?", (text(parts), row.id))
    tx.emit("mirror_resync", row.id, {"name": row.name, "rows": len(ids), "done": not parts})
    return bool(parts)


def _again(tx: Tx, goal: Goal, part: Part) -> list[str]:
    if part.of is None:
        ids = ENTITIES[part.entity].listed(tx, tx.company, part.after, RESYNC_ROWS)
    else:
        ids = tasks_of(tx, tx.company, *part.of, part.after, RESYNC_ROWS)
    for id_ in ids:
        if part.look:
            mirror_rows.distrust(tx, goal.mirror, part.entity, id_)
        mirror_rows.enqueue(tx, goal, part.entity, id_, UPDATE, RESYNC_PRIORITY)
    return ids


def _next(row: Mirror, part: Part, ids: list[str]) -> Part | None:
    """Where this part goes on; None: it is over."""
    if len(ids) == RESYNC_ROWS:
        return msgspec.structs.replace(part, after=ids[-1])
    if part.entity == _LEFT or part.of is not None:
        return None
    more = [name for name in row.entities if name > part.entity]
    return Part(min(more, default=_LEFT), look=part.look)


def _left_behind(tx: Tx, row: Mirror, goal: Goal, part: Part) -> list[str]:
    """What the target holds and the store no longer shows; the ids that were looked at."""
    rows = tx.all(
        "select entity_id, entity_type from mirrored where mirror=? and entity_id>? "
        "order by entity_id limit ?",
        (row.id, part.after, RESYNC_ROWS),
    )
    for id_, entity in rows:
        if entity not in row.entities or ENTITIES[entity].load(tx, tx.company, id_) is None:
            mirror_rows.enqueue(tx, goal, entity, id_, DELETE, RESYNC_PRIORITY)
    return [id_ for id_, _ in rows]
