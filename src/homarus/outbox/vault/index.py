"""Which notes of a vault are whose, by their own `hm_id`: a walk over all of it, wherever people
moved them. A file that has not changed since the last walk is not read again."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from homarus.outbox.vault import names, note

MAX_FILES: Final = 200_000
MAX_HEAD_BYTES: Final = 65_536
"""Frontmatter that is longer is not looked through."""


class _Seen(NamedTuple):
    size: int
    mtime_ns: int
    id: str | None


class Index:
    """`others`: conflict copies that sync services made; `paths`: below the vault, with `/`."""

    def __init__(self, vault: Path) -> None:
        self._vault = vault
        self._seen: dict[str, _Seen] = {}
        self._ids: dict[str, list[str]] = {}
        self.others: list[str] = []

    def paths(self, id_: str) -> list[str]:
        """All notes that say they are this entity's, as the last walk found them."""
        return self._ids.get(id_, [])

    def all_paths(self) -> list[str]:
        return [path for paths in self._ids.values() for path in paths]

    def walk(self) -> None:
        seen: dict[str, _Seen] = {}
        ids: dict[str, list[str]] = {}
        others: list[str] = []
        for entry in _files(self._vault):
            name = Path(entry.path).relative_to(self._vault).as_posix()
            if names.is_others(entry.name):
                others.append(name)
                continue
            try:
                found = entry.stat(follow_symlinks=False)
                known = self._seen.get(name)
                if known is None or known[:2] != (found.st_size, found.st_mtime_ns):
                    known = _Seen(found.st_size, found.st_mtime_ns, _id_in(entry.path))
            except OSError:
                continue  # it went away in the meantime
            seen[name] = known
            if known.id is not None:
                ids.setdefault(known.id, []).append(name)
        self._seen, self._ids, self.others = seen, ids, sorted(others)

    def place(self, id_: str, path: str, before: str | None = None) -> None:
        """A note of ours was written or moved."""
        at = self._ids.setdefault(id_, [])
        if before is not None and before in at:
            at.remove(before)
        if path not in at:
            at.append(path)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Notes below a folder; hidden names and symbolic links are not followed."""
    waiting, left = [str(folder)], MAX_FILES
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue  # it went away, or nobody may look
        for entry in entries:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.name.lower().endswith(names.SUFFIX):
                left -= 1
                if left < 0:
                    return
                yield entry


def _id_in(path: str) -> str | None:
    with Path(path).open("rb") as file:
        head = file.read(MAX_HEAD_BYTES)
    if note.ID.encode() not in head:
        return None
    found = note.value_of(note.parse(note.text_of(head)), note.ID)
    return found if isinstance(found, str) else None
