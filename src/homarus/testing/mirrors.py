"""Targets of mirrors for tests, and the adapter that writes to them.

    target = FaultyTarget(ManualClock(), seed=7, faults=ALL)
    kind = target.kind()                   # what `Outbox(kind=lambda _: kind)` opens

A target remembers every record by its own id, so that what was made twice is seen twice. It has no
idempotency: whatever arrives is written. Faults are drawn from the seed, so that a seed replays.
"""

import json
import random
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.clock import Clock
from homarus.base.errors import Invalid
from homarus.outbox.port import (
    Absent,
    Act,
    Change,
    Done,
    Fetched,
    Found,
    Health,
    Kind,
    Later,
    Looked,
    Manifest,
    Means,
    Outcome,
    Place,
    Refused,
    Unknown,
)

TARGET_TYPE: Final = "fake"
OK: Final = "ok"
THROTTLED: Final = "throttled"  # 429 with the time of its reset
DOWN: Final = "down"  # 5xx, nothing written
LOST_BEFORE: Final = "lost_before"  # no answer, nothing written
LOST_AFTER: Final = "lost_after"  # no answer, all written
PARTIAL: Final = "partial"  # no answer, half of the fields written
REFUSED: Final = "refused"  # 4xx
ALL: Final = (THROTTLED, DOWN, LOST_BEFORE, LOST_AFTER, PARTIAL)
OUTAGE_MS: Final = 24 * 3_600_000


class Crash(BaseException):
    """The process that asks ends here; nothing of it goes on."""


class Record(msgspec.Struct):
    """What the target holds. `writes`: the fields as they stood after each write."""

    receipt: str
    marker: str
    fields: dict[str, Any]
    writes: list[dict[str, Any]]


class FaultyTarget:
    """`faults`: what may go wrong; `often`: in how many of 100 calls. `crash_at`: the call, counted
    over pushes and lookups, in which the asking process ends, before or after the write."""

    def __init__(
        self, clock: Clock, seed: int = 0, faults: tuple[str, ...] = (), often: int = 30
    ) -> None:
        self.clock = clock
        self.chance = random.Random(seed)  # noqa: S311 - a seeded fake
        self.faults = faults
        self.often = often
        self.records: dict[str, Record] = {}
        self.calls = 0
        self.lookups = 0
        self.crash_at: int | None = None
        self.dead = False
        self.out_until_ms = 0
        self.down = False
        self.deleted: list[str] = []

    # -- what a test asks ------------------------------------------------------------------

    def held(self) -> dict[str, list[dict[str, Any]]]:
        """Marker -> the fields of each record that bears it."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in self.records.values():
            found.setdefault(record.marker, []).append(record.fields)
        return found

    def revive(self) -> None:
        """A new process asks."""
        self.dead, self.crash_at = False, None

    # -- what an adapter does ---------------------------------------------------------------

    def write(self, change: Change, fields: dict[str, Any] | None = None) -> str | None:
        """As the target does it: a create makes a record whatever there is. None: it is not
        there."""
        fields = dict(change.fields if fields is None else fields)
        if change.act is Act.CREATE:
            receipt = f"rec{len(self.records) + len(self.deleted) + 1}"
            self.records[receipt] = Record(receipt, change.marker, fields, [fields])
            self.kept(receipt)
            return receipt
        record = self.records.get(change.receipt or "")
        if record is None:
            return None
        if change.act is Act.DELETE:
            del self.records[record.receipt]
            self.deleted.append(record.marker)
        else:
            record.fields = {**record.fields, **fields}
            record.writes.append(record.fields)
        self.kept(record.receipt)
        return record.receipt

    def kept(self, receipt: str) -> None:
        """After each write; a target that outlives its process keeps it."""

    def by_marker(self, marker: str) -> Record | None:
        return next((r for r in self.records.values() if r.marker == marker), None)

    def next_fault(self) -> str:
        self.calls += 1
        if self.dead:
            raise Crash
        if self.clock.now_ms() < self.out_until_ms or self.down:
            return DOWN
        if self.faults and self.chance.randrange(100) < self.often:
            return self.chance.choice(self.faults)
        return OK

    def crashes(self) -> bool:
        """Whether the asking process ends in this call; then it does so for good."""
        self.dead = self.crash_at is not None and self.calls >= self.crash_at
        return self.dead

    def kind(self, **manifest: Any) -> Kind:
        """`manifest`: what is otherwise than usual."""
        told = msgspec.structs.replace(MANIFEST, **manifest)
        return Kind(told, check, lambda config, means: FakeMirror(self, told, means))


MANIFEST: Final = Manifest(
    target_type=TARGET_TYPE,
    entities=frozenset({"task"}),
    create_guard="none",
    lookup="by_marker_list",
    update="set",
    delete="hard",
    changes="none",
    serial_by="entity",
    delay_s=0.0,
)


def check(config: dict[str, Any], _: Path) -> Place:
    """`{"place": "a name"}`, and what it reaches and names."""
    place = config.get("place")
    if not isinstance(place, str) or not place:
        raise Invalid("mirror.config", "config.place: it names no place", "Give a text.")
    return Place(
        f"{TARGET_TYPE}:{place}", tuple(config.get("hosts", ())), tuple(config.get("secrets", ()))
    )


class FakeMirror:
    """The adapter of a `FaultyTarget`."""

    def __init__(self, target: FaultyTarget, manifest: Manifest, means: Means) -> None:
        self.manifest = manifest
        self.target = target
        self.means = means

    async def push(self, change: Change) -> Outcome:
        target = self.target
        fault = target.next_fault()
        if fault == THROTTLED:
            return Later("429", after_s=float(target.chance.randrange(1, 60)))
        if fault == DOWN:
            return Later("503")
        if fault == REFUSED:
            return Refused("bad", "422 the field is not known")
        written = fault not in (LOST_BEFORE,)
        if written and not (target.crashes() and target.chance.random() < 0.5):
            part = fault == PARTIAL and change.act is not Act.DELETE
            fields = dict(list(change.fields.items())[: len(change.fields) // 2]) if part else None
            receipt = target.write(change, fields)
        else:
            receipt = None
        if target.dead:
            raise Crash
        if fault != OK:
            return Unknown("no answer")
        return Refused("gone", "404") if receipt is None else Done(receipt)

    async def lookup(self, change: Change) -> Looked:
        target = self.target
        target.lookups += 1
        fault = target.next_fault()
        if target.crashes():
            raise Crash
        if fault == THROTTLED:
            return Later("429", after_s=float(target.chance.randrange(1, 60)))
        if fault != OK:
            return Unknown("no answer")
        record = target.by_marker(change.marker)
        if record is None:
            return Absent()
        return Found(record.receipt, record.fields == change.fields)

    async def fetch_changes(self, cursor: str | None) -> Fetched:
        return Fetched((), cursor or "")

    async def health(self) -> Health:
        target = self.target
        if target.dead:
            raise Crash
        if target.clock.now_ms() < target.out_until_ms or target.down:
            return Health(False, "the target is down; it is asked again")
        return Health(True)

    async def dry_run(self, change: Change) -> tuple[str, ...]:
        return (f"{change.act} {change.marker}: {', '.join(change.fields)}",)

    async def aclose(self) -> None:
        return None


class FileTarget(FaultyTarget):
    """One that outlives whoever writes to it: each write is a line of a file, on disk before it is
    acknowledged."""

    def __init__(
        self, path: Path, clock: Clock, seed: int = 0, faults: tuple[str, ...] = ()
    ) -> None:
        super().__init__(clock, seed, faults)
        self._path = path
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                self._apply(json.loads(line))

    def _apply(self, line: dict[str, Any]) -> None:
        if line["fields"] is None:
            record = self.records.pop(line["receipt"], None)
            self.deleted.append(line["marker"] if record is None else record.marker)
            return
        record = self.records.setdefault(
            line["receipt"], Record(line["receipt"], line["marker"], {}, [])
        )
        record.fields = line["fields"]
        record.writes.append(record.fields)

    def kept(self, receipt: str) -> None:
        record = self.records.get(receipt)
        line = {
            "receipt": receipt,
            "marker": self.deleted[-1] if record is None else record.marker,
            "fields": None if record is None else record.fields,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class NullMirror:
    """Takes everything and keeps nothing."""

    manifest = msgspec.structs.replace(MANIFEST, target_type="null")

    async def push(self, change: Change) -> Outcome:
        return Done(change.receipt or change.token)

    async def lookup(self, change: Change) -> Looked:
        return Absent()

    async def fetch_changes(self, cursor: str | None) -> Fetched:
        return Fetched((), cursor or "")

    async def health(self) -> Health:
        return Health(True)

    async def dry_run(self, change: Change) -> tuple[str, ...]:
        return (f"{change.act} {change.marker}",)

    async def aclose(self) -> None:
        return None


NULL: Final = Kind(NullMirror.manifest, check, lambda config, means: NullMirror())
