"""Mirrors of a company: their rows, the worker's units on them, how far each lags behind.

What an operator does with them is in `mirror_acts.py`, rows of the outbox are in `mirror_rows.py`.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import NotFound
from homarus.base.ids import is_uuid
from homarus.flows.mirror_rows import NOT_SENT, Goal
from homarus.store.port import Row, Rx, Tx

ACTIVE: Final = "active"
PAUSED: Final = "paused"
REMOVED: Final = "removed"
CHANGED: Final = "mirror_changed"
"""Event of a mirror that was added, paused, resumed, removed, or is resynced."""

MAX_MIRRORS: Final = 50
"""Of one company."""
MAX_COUNT: Final = 10_000
LEFT: Final = ("pending", "processing", "unknown", "failed")
"""Statuses of rows that are not over."""
_COLUMNS: Final = (
    "id, company, name, target_type, place, config, hosts, secrets, mapping, entities, state, "
    "reason, held, held_ms, delay_ms, cursor, resync, month, calls, incident, created_ms, "
    "created_by, updated_ms, last_ok_ms"
)


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a resync: entities of a kind, and then of the next, from the one behind `after` on.
    `look`: the target is asked for each; `of`: tasks of an `agent` or `project`, by its id."""

    entity: str
    after: str = ""
    look: bool = False
    of: tuple[str, str] | None = None


_PARTS: Final = msgspec.json.Decoder(tuple[Part, ...] | Part)
"""One part alone: as a version before kept it."""


class Mirror(msgspec.Struct, frozen=True):
    """A row. `secrets`: names of handles with the resources that they mean; `held`: why nothing is
    pushed at present; `resync`: what of one is still to be done; times in Unix ms."""

    id: str
    company: str
    name: str
    target_type: str
    place: str
    config: dict[str, Any]
    hosts: tuple[str, ...]
    secrets: dict[str, str]
    mapping: str
    entities: tuple[str, ...]
    state: str
    reason: str | None
    held: str | None
    held_ms: int | None
    delay_ms: int
    cursor: str | None
    resync: tuple[Part, ...]
    month: str | None
    calls: int
    incident: str | None
    created_ms: int
    created_by: str
    updated_ms: int
    last_ok_ms: int | None

    @property
    def target(self) -> str:
        """As actions name it: what redline R3 judges."""
        return f"mirror:{self.target_type}/{self.name}"

    @property
    def record(self) -> str:
        """As actions name the row, which reach no target."""
        return f"mirrors:{self.name}"

    @property
    def goal(self) -> Goal:
        return Goal(self.id, self.target_type, self.delay_ms, frozenset(self.entities))


def _mirror(row: Row) -> Mirror:
    values = list(row)
    values[5] = json.loads(values[5])
    values[6], values[7] = tuple(json.loads(values[6])), json.loads(values[7])
    values[9] = tuple(values[9].split())
    parts = () if values[16] is None else _PARTS.decode(values[16])
    values[16] = (parts,) if isinstance(parts, Part) else parts
    return Mirror(*values)


def find(rx: Rx, company: str, ref: str) -> Mirror | None:
    """By name or id; a removed one by id alone."""
    column = "id=?" if is_uuid(ref.lower()) else "state<>'removed' and name=?"
    row = rx.one(
        f"select {_COLUMNS} from mirror where company=? and {column}",  # noqa: S608
        (company, ref.lower() if is_uuid(ref.lower()) else ref),
    )
    return None if row is None else _mirror(row)


def need(rx: Rx, company: str, ref: str) -> Mirror:
    """Raises `mirror.unknown`."""
    found = find(rx, company, ref)
    if found is None:
        raise NotFound(
            "mirror.unknown",
            f"no mirror {ref[:80]!r} in this company",
            "See `homarus mirror list`.",
        )
    return found


def listed(rx: Rx, company: str) -> list[Mirror]:
    """All that are not removed, by name."""
    rows = rx.all(
        f"select {_COLUMNS} from mirror where company=? and state<>'removed' order by name limit ?",  # noqa: S608
        (company, MAX_MIRRORS),
    )
    return [_mirror(row) for row in rows]


def at_work(rx: Rx, limit: int) -> list[Mirror]:
    """Active ones of every company."""
    rows = rx.all(
        f"select {_COLUMNS} from mirror where state='active' order by id limit ?",  # noqa: S608
        (limit,),
    )
    return [_mirror(row) for row in rows]


# -- the worker's units --------------------------------------------------------------------


def note(tx: Tx, mirror: str, *, calls: int, ok: bool, held: str | None) -> None:
    """What a pass came to: how many calls it made, whether one was taken, why it is held."""
    row = need(tx, tx.company, mirror)
    month = month_of(tx.now_ms)
    tx.run(
        "update mirror set calls=?, month=?, last_ok_ms=?, held=?, held_ms=? where id=?",
        (
            calls + (row.calls if row.month == month else 0), month,
            tx.now_ms if ok else row.last_ok_ms, held,
            None if held is None else (row.held_ms if row.held else tx.now_ms), row.id,
        ),
    )  # fmt: skip
    if (held is None) != (row.held is None):
        tx.emit("mirror_health", row.id, {"name": row.name, "held": held})


# -- how it stands -------------------------------------------------------------------------


def waiting(rx: Rx, mirror: str) -> dict[str, int]:
    """Rows that are not over, by status, each counted to MAX_COUNT."""
    counts = {}
    for status in LEFT:
        row = rx.one(
            "select count(*) from (select 1 from outbox_v2 where mirror_id=? and status=? "
            "limit ?) x",
            (mirror, status, MAX_COUNT),
        )
        counts[status] = 0 if row is None else int(row[0])
    return counts


class Trouble(msgspec.Struct, frozen=True):
    """A row that is not over, and what it ended with when it was tried last."""

    status: str
    row: str
    number: str
    error: str
    tries: int
    created_ms: int
    scheduled_ms: int


def troubles(rx: Rx, mirror: str) -> list[Trouble]:
    """Of each status the oldest row that was tried and not taken, among MAX_COUNT."""
    found = []
    for status in LEFT:
        row = rx.one(
            "select id, payload, error_msg, tries, created_at, scheduled_at from "  # noqa: S608
            "(select id, payload, error_msg, tries, created_at, scheduled_at from outbox_v2 "
            f"where mirror_id=? and status='{status}' limit ?) x "
            "where error_msg not in ('', ?) order by created_at, id limit 1",
            (mirror, MAX_COUNT, NOT_SENT),
        )
        if row is not None:
            number = json.loads(row[1]).get("number", "")
            found.append(Trouble(status, row[0], number, *row[2:]))
    return found


def month_of(now_ms: int) -> str:
    """`2026-05`, in UTC."""
    return iso_ms(now_ms)[:7]


def lag_ms(rx: Rx, mirror: str) -> int:
    """How long the oldest change waits that the target does not have; 0: none does."""
    row = rx.one(
        "select min(created_at) from outbox_v2 where mirror_id=? "
        "and status in ('pending', 'processing', 'unknown')",
        (mirror,),
    )
    return 0 if row is None or row[0] is None else max(0, rx.now_ms - int(row[0]))
