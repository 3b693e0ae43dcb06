"""What follows for the mirrors from what a unit emitted: the one place that fills the outbox.

Called by the kernel behind every unit, in its transaction: a change and its outbox rows commit
together or not at all (governance contract, R3). A row says which entity and what happened; what
the target is given is read when the row is leased (`mirror_rows.take`).
"""

from collections.abc import Sequence
from typing import Any, Final

from homarus.flows import mirror_resyncs, mirror_rows
from homarus.flows.mirror_entities import BY_EVENT, SHOWN
from homarus.flows.mirror_rows import Goal
from homarus.flows.mirrors import ACTIVE, CHANGED, PAUSED
from homarus.store.port import Head, Tx

MAX_CACHED: Final = 10_000

Emitted = Sequence[tuple[str, str, dict[str, Any] | None]]


class Mirroring:
    """One a daemon. What it keeps of a company holds as long as the writer keeps that company's
    head: on SQLite until something changes it, on PostgreSQL for a batch."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Head, tuple[Goal, ...]]] = {}

    def follow(self, tx: Tx, emitted: Emitted) -> None:
        """Enqueue what the unit changed. Without a mirror this is one look into a dictionary."""
        goals = self._goals(tx, CHANGED in [kind for kind, _, _ in emitted])
        if goals:
            _enqueue(tx, goals, emitted)

    def _goals(self, tx: Tx, changed: bool) -> tuple[Goal, ...]:
        """`changed`: by this very unit, so that they are kept again once it is committed."""
        known = self._known.get(tx.company)
        if changed:
            self._known.pop(tx.company, None)
        elif known is not None and known[0] is tx.head:
            return known[1]
        goals = _read(tx)
        if not changed:
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            self._known[tx.company] = (tx.head, goals)
        return goals

    def forget(self) -> None:
        """A batch was rolled back."""
        self._known.clear()


def _read(tx: Tx) -> tuple[Goal, ...]:
    """Mirrors that are to be kept up: of a paused one the rows wait."""
    rows = tx.all(
        "select id, target_type, delay_ms, entities from mirror where company=? "
        "and state in (?, ?) order by id",
        (tx.company, ACTIVE, PAUSED),
    )
    return tuple(Goal(row[0], row[1], row[2], frozenset(row[3].split())) for row in rows)


def _enqueue(tx: Tx, goals: tuple[Goal, ...], emitted: Emitted) -> None:
    acts: dict[tuple[str, str], str] = {}
    for kind, subject, data in emitted:
        known = BY_EVENT.get(kind)
        if known is not None:
            entity, act = known
            before = acts.get((entity, subject))
            acts[entity, subject] = act if before is None else mirror_rows.folded(before, act)
        if kind in SHOWN:
            _show_again(tx, goals, kind, subject, data or {})
    for (entity, subject), act in acts.items():
        for goal in goals:
            if entity in goal.entities:
                mirror_rows.enqueue(tx, goal, entity, subject, act)


def _show_again(
    tx: Tx, goals: tuple[Goal, ...], kind: str, subject: str, data: dict[str, Any]
) -> None:
    """What tasks show of their agent or project has changed: the worker compares them, in chunks,
    however many there are."""
    what, field = SHOWN[kind]
    if field in data.get("fields", ()):
        for goal in goals:
            if "task" in goal.entities:
                mirror_resyncs.compare(tx, goal.mirror, what, subject)
