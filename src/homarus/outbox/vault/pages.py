"""The files of a vault that are generated as a whole: `Tasks.base` and `Today.md`."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from homarus.base import local_time
from homarus.outbox.vault import bases, note, today
from homarus.outbox.vault.manifest import Manifest, sha256_of
from homarus.outbox.vault.notes import Notes, YoungError
from homarus.outbox.vault.place import ARCHIVE, VaultConfig
from homarus.outbox.vault.shape import KIND
from homarus.outbox.vault.swap import Disk


class Pages:
    """`looked_ms`: when `Today.md` was last seen to."""

    def __init__(
        self,
        config: VaultConfig,
        disk: Disk,
        memory: Manifest,
        notes: Notes,
        now_ms: Callable[[], int],
    ) -> None:
        self._config = config
        self._vault = config.vault
        self._zone = local_time.zone(config.timezone)
        self._disk = disk
        self._memory = memory
        self._notes = notes
        self._now_ms = now_ms
        self._told_of: Any = None
        self.looked_ms: int | None = None

    def write_base(self) -> None:
        """`Tasks.base`, once; ours anew only where nobody changed it."""
        name = f"{self._config.folder}/{bases.NAME}"
        content = bases.tasks_base(f"{self._config.folder}/{ARCHIVE}").encode()
        wrote = self._memory.files.get(name)
        if wrote == sha256_of(content):
            return
        found = self._disk.read(self._vault / name)
        if found is None and wrote is None:
            self._disk.create(self._vault / name, content)
        elif found is not None and found != content and sha256_of(found) == wrote:
            self._disk.update(
                self._vault / name, found, lambda now: content if now == found else now
            )
        self._memory.wrote(name, sha256_of(content))

    def write_today(self) -> None:
        """`Today.md`, when its day or what it tells of has changed. Nothing without notes."""
        now_ms = self._now_ms()
        at = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self._zone)
        of = (at.date(), self._notes.changes)
        self.looked_ms = now_ms
        kept = list(self._memory.notes())
        if of == self._told_of or not kept:
            return
        values = {note.ID: today.ID, KIND: "page"}
        ours = note.Ours(values, note.region_text(today.page(kept, at.replace(tzinfo=None))))
        path = f"{self._config.folder}/{today.NAME}"
        content = note.bytes_of(note.fresh(ours))
        found = self._disk.read(self._vault / path)
        written = self._memory.files.get(path)
        if found is None:
            made = self._disk.create(self._vault / path, content)
        else:
            try:
                content = self._notes.update(today.ID, "Today", path, found, ours, written)
                made = True
            except YoungError:
                made = False  # a later look writes it
        if made:
            self._memory.wrote(path, sha256_of(content))
            self._told_of = of
