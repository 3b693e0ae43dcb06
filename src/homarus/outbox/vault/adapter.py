"""The Obsidian vault as a mirror: one note a task, calendar event and wiki document.

    place.py   where, and may we            notes.py     notes made, changed, archived, found
    shape.py   entity -> values and text    index.py     whose note is where
    note.py    the note's text              manifest.py  what we remember, a cache
    swap.py    writing what people write    pages.py     `Tasks.base` and `Today.md`

A person's text stays whatever happens; an edit of what is ours goes to a conflict copy beside, and
the operator is told (`Done.notes`). Equal content writes nothing. See mirrors contract, 6.
"""

import asyncio
import contextlib
import errno
from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog

from homarus.outbox.port import (
    Absent,
    Act,
    Change,
    Done,
    Fetched,
    Found,
    Health,
    Later,
    Looked,
    Manifest,
    Means,
    Outcome,
    Refused,
)
from homarus.outbox.vault import note
from homarus.outbox.vault.manifest import Manifest as Memory
from homarus.outbox.vault.notes import ALONE_MS, Notes, YoungError
from homarus.outbox.vault.pages import Pages
from homarus.outbox.vault.place import ARCHIVE, FOLDERS, VaultConfig, config_of, problem
from homarus.outbox.vault.swap import BusyError, Disk, TooBigError

T = TypeVar("T")
log = structlog.get_logger(__name__)

LOOK_MS: Final = 60_000
"""How often a look after the vault's health walks it, for renamed notes and conflict copies."""
PAGE_S: Final = 30.0
"""How old `Today.md` may be while changes go on."""
DOWN_S: Final = 30.0
EVERYWHERE: Final = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ENODEV", "ENXIO", "ESTALE", "EMFILE",
                 "ENFILE", "ETIMEDOUT")
    if hasattr(errno, name)
)  # fmt: skip
"""What the file system says that concerns the vault, and no note of its own."""

MANIFEST: Final = Manifest(
    target_type="obsidian",
    entities=frozenset(FOLDERS),
    create_guard="client_id",
    lookup="by_marker_list",
    update="set",
    delete="archive",
    changes="none",
    serial_by="entity",
    delay_s=300.0,
)


class Vault:
    """A `Mirror`. Calls run in threads, one at a time but for waits for the disk (`Disk.turn`)."""

    manifest = MANIFEST

    def __init__(self, config: VaultConfig, means: Means, disk: Disk | None = None) -> None:
        self._config = config
        self._home = means.home
        self._now_ms = means.now_ms
        self._vault = config.vault
        disk = disk or Disk()
        disk.keep_within(config.vault)
        self._turn = disk.turn
        self._memory = Memory(means.home / "run" / "vaults" / f"{means.mirror}.jsonl")
        self._notes = Notes(config, disk, self._memory, means.now_ms)
        self._pages = Pages(config, disk, self._memory, self._notes, means.now_ms)
        self._paging: asyncio.Task[None] | None = None

    # -- the port --------------------------------------------------------------------------

    async def push(self, change: Change) -> Outcome:
        outcome = await self._in_thread(self._push, change)
        if self._paging is None and isinstance(outcome, Done):
            self._paging = asyncio.create_task(self._keep_page())
        return outcome

    async def lookup(self, change: Change) -> Looked:
        return await self._in_thread(self._lookup, change)

    async def fetch_changes(self, cursor: str | None) -> Fetched:
        return Fetched((), cursor or "")

    async def health(self) -> Health:
        return await self._in_thread(self._health)

    async def dry_run(self, change: Change) -> tuple[str, ...]:
        return await self._in_thread(self._dry_run, change)

    async def aclose(self) -> None:
        if self._paging is not None:
            self._paging.cancel()
            await asyncio.wait([self._paging])
            await self._in_thread(self._write_page)

    async def _keep_page(self) -> None:
        """The day's page, after changes and when a day begins, until `aclose`."""
        while True:
            await asyncio.sleep(PAGE_S)
            await self._in_thread(self._write_page)

    async def _in_thread(self, fn: Callable[..., T], *args: Any) -> T:
        """A call that is given up goes on in its thread to the end, and keeps its turn."""

        def run() -> T:
            with self._turn:
                return fn(*args)

        return await asyncio.to_thread(run)

    # -- pushing ---------------------------------------------------------------------------

    def _push(self, change: Change) -> Outcome:
        why = self._problem()
        if why is not None:
            return Later(why, DOWN_S)
        try:
            self._notes.ready(writing=True)
            if change.act is Act.DELETE:
                receipt = self._notes.archive(change)
            else:
                receipt, new = self._notes.write(change)
                if new:
                    self._pages.write_base()
            looked_ms = self._pages.looked_ms
            if looked_ms is None or self._now_ms() - looked_ms >= PAGE_S * 1000:
                self._pages.write_today()
        except YoungError as young:
            return Later(f"{young} was edited just now", young.left_ms / 1000, alone=True)
        except BusyError as busy:
            with contextlib.suppress(OSError, TooBigError):
                self._notes.recover()
            return Later(f"{busy} is being edited", ALONE_MS / 1000, alone=True)
        except TooBigError as big:
            return Refused("operator", f"{big}: make it shorter, or move the text elsewhere")
        except OSError as error:
            return self._refused(error)
        return Done(receipt, self._notes.told(change.entity_id))

    def _problem(self) -> str | None:
        """What keeps us from writing there now."""
        why = problem(self._config, self._home)
        return None if why is None else f"{why[0]}. {why[1]}"

    def _refused(self, error: OSError) -> Later:
        """By the file system: this note alone, or everything here."""
        why = self._problem()
        if why is not None:
            return Later(why, DOWN_S)
        alone = error.errno not in EVERYWHERE
        return Later(f"{error.strerror}: {error.filename}", DOWN_S, alone=alone)

    # -- looking ---------------------------------------------------------------------------

    def _lookup(self, change: Change) -> Looked:
        why = self._problem()
        if why is not None:
            return Later(why, DOWN_S)
        try:
            self._notes.ready()
            path, found = self._notes.locate(change)
        except TooBigError as big:
            return Later(str(big), DOWN_S, alone=True)
        except OSError as error:
            return self._refused(error)
        if path is None or found is None:
            return Absent()
        archived = self._notes.archived(path)
        if change.act is Act.DELETE:
            return Found(path, archived)
        return Found(path, not archived and self._standing(found).is_as(self._digest(change)))

    def _digest(self, change: Change) -> str:
        return self._notes.shape(change).ours.digest

    def _standing(self, found: bytes) -> note.Standing:
        return note.standing(note.parse(note.text_of(found)))

    def _health(self) -> Health:
        why = self._problem()
        if why is not None:
            return Health(False, why)
        try:
            self._notes.ready()
            walked_ms = self._notes.walked_ms
            if walked_ms is not None and self._now_ms() - walked_ms >= LOOK_MS:
                self._notes.walk()
        except OSError as error:
            return Health(False, f"{error}. See that the daemon's user may read it.")
        return Health(True)

    def _dry_run(self, change: Change) -> tuple[str, ...]:
        why = self._problem()
        if why is not None:
            return (f"nothing: {why}",)
        self._notes.ready()
        path, found = self._notes.locate(change)
        told = self._notes.to_tell(change.entity_id)
        if change.act is Act.DELETE:
            if path is None or self._notes.archived(path):
                return ("nothing: there is no note to archive", *told)
            return (f"move {path} to {self._config.folder}/{ARCHIVE}", *told)
        made = self._notes.shape(change)
        if path is None or found is None:
            return (f"create {self._notes.new_path(change, made)}", *told)
        standing = self._standing(found)
        if standing.is_as(made.ours.digest):
            return (f"nothing: {path} is equal", *told)
        keep = (f"keep the edit of {path} in a conflict copy",) if standing.touched else ()
        return (*keep, f"write {path}", *told)

    def _write_page(self) -> None:
        if self._vault.is_dir():
            try:
                self._pages.write_today()
            except (OSError, TooBigError, BusyError) as error:
                log.warning("vault_page_waits", error=str(error))


def open_vault(config: dict[str, Any], means: Means) -> Vault:
    return Vault(config_of(config), means)
