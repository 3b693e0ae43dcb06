"""Walk a directory within bounds, in one order, whatever lies in it.

Links are not followed, special files never opened, other file systems not entered; what cannot be
read is counted, not fatal. Names are kept as the system has them (`_job.show` makes them text).
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILES_MAX = 200_000
DEPTH_MAX = 64
TEXT_BYTES_MAX = 2 * 1024 * 1024
"""A longer file is not read as text."""
BINARY_PROBE_BYTES = 8192
READ_BYTES = 256 * 1024

SKIPPED_NAMES = frozenset(
    {".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__", ".tox", ".nox", ".hypothesis"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache"}
)
"""Directories of tools, which say nothing about the work; and any that holds a `pyvenv.cfg`."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file. `path` is relative to the root, with `/`."""

    path: str
    absolute: str
    size: int
    inode: tuple[int, int]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """`.py` of `a/B.PY`; empty for none and for dot files."""
        return os.path.splitext(self.name)[1].lower()  # noqa: PTH122 - a name, not a path


class Walk:
    """Iterate over the files once; `skipped` and `directories` are complete afterwards."""

    def __init__(self, root: Path) -> None:
        self.skipped: Counter[str] = Counter()
        self.directories = 0
        self._root = os.fspath(root)
        self._device = root.stat().st_dev
        self._files = 0

    def __iter__(self) -> Iterator[File]:
        pending: list[tuple[str, int]] = [("", 0)]
        while pending:
            relative, depth = pending.pop()
            entries = self._entries(relative)
            if relative and any(entry.name == "pyvenv.cfg" for entry in entries):
                self.skipped["tool directories"] += 1
                continue
            self.directories += 1
            below: list[tuple[str, int]] = []
            for entry in entries:
                path = f"{relative}/{entry.name}" if relative else entry.name
                try:
                    info = entry.stat(follow_symlinks=False)
                except OSError:
                    self.skipped["unreadable"] += 1
                    continue
                reason = self._reason_to_skip(entry.name, info, depth)
                if reason:
                    self.skipped[reason] += 1
                elif stat.S_ISDIR(info.st_mode):
                    below.append((path, depth + 1))
                else:
                    self._files += 1
                    yield File(path, entry.path, info.st_size, (info.st_dev, info.st_ino))
            pending += reversed(below)

    def _entries(self, relative: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(os.path.join(self._root, relative)) as found:  # noqa: PTH118
                return sorted(found, key=lambda entry: os.fsencode(entry.name))
        except OSError:
            self.skipped["unreadable"] += 1
            return []

    def _reason_to_skip(self, name: str, info: os.stat_result, depth: int) -> str:
        if stat.S_ISLNK(info.st_mode):
            return "links"
        if name in SKIPPED_NAMES:
            return "tool directories"
        if info.st_dev != self._device:
            return "other file systems"
        if stat.S_ISDIR(info.st_mode):
            return "too deep" if depth >= DEPTH_MAX else ""
        if not stat.S_ISREG(info.st_mode):
            return "special files"
        return "too many" if self._files >= FILES_MAX else ""

    def read(self, file: File) -> Iterator[bytes]:
        """The contents in blocks; ends early, and counts the file, when it cannot be read."""
        try:
            fd = os.open(file.absolute, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            self.skipped["unreadable"] += 1
            return
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):  # replaced since it was listed
                self.skipped["unreadable"] += 1
                return
            while block := os.read(fd, READ_BYTES):
                yield block
        except OSError:
            self.skipped["unreadable"] += 1
        finally:
            os.close(fd)

    def text(self, file: File) -> str | None:
        """The contents as text, or None for a binary, overlong or unreadable file (counted)."""
        if file.size > TEXT_BYTES_MAX:
            self.skipped["too long to read"] += 1
            return None
        unreadable = self.skipped["unreadable"]
        data = bytearray()
        for block in self.read(file):
            data += block
            if len(data) > TEXT_BYTES_MAX:  # it has grown since it was listed
                self.skipped["too long to read"] += 1
                return None
        if self.skipped["unreadable"] > unreadable:
            return None
        if b"\0" in data[:BINARY_PROBE_BYTES]:
            self.skipped["binary"] += 1
            return None
        return data.decode("utf-8", "replace").removeprefix("\ufeff")


def lines_of(text: str) -> list[str]:
    """Lines as editors count them: only \\n and \\r\\n end one."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
