"""Reads the daemon's log while it is written and rotated: the last lines, then those that come.

    with LogReader(path) as log:
        log.last(50)             the newest lines, older files included
        for line in log.follow(wait): ...

Lines are bytes without their end. A line that is still being written is given when it is whole.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

from homarus.base.rotate import generations

BLOCK_BYTES: Final = 65_536
MAX_LAST_BYTES: Final = 16 * 1024 * 1024
"""The most that is read to find the last lines; fewer lines are given then."""
MAX_LINE_BYTES: Final = 1024 * 1024
"""A longer one is given in parts."""


class LogReader:
    """At a place in one file of the log. It holds that file open, whatever its name becomes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._part = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def last(self, count: int) -> list[bytes]:
        """Up to `count` lines before the end, oldest first; `follow` goes on behind them."""
        self._open(self.path)
        if self._file is None:
            return []
        end = self._file.seek(0, os.SEEK_END)
        lines, self._part, left = _lines_before(self._file, end, count + 1, MAX_LAST_BYTES)
        files = generations(self.path)
        for path in reversed(files[:-1] if files[-1:] == [self.path] else files):
            if len(lines) >= count or left <= 0:
                break
            with path.open("rb") as file:
                if _same(file, self._file):  # it was rotated a moment ago
                    continue
                older, part, left = _lines_before(
                    file, file.seek(0, os.SEEK_END), count - len(lines) + 1, left
                )
            lines = older + ([part] if part else []) + lines
        return lines[len(lines) - min(count, len(lines)) :]

    def follow(self, wait: Callable[[], object]) -> Iterator[bytes]:
        """What is written from here on, for ever. `wait` is called where there is nothing new, and
        returns when to look again; what it raises ends this."""
        while True:
            block = self._read()
            if block:
                yield from self._whole(block)
            elif not self._next():
                wait()

    def _read(self) -> bytes:
        if self._file is None:
            return b""
        here = self._file.tell()
        if os.fstat(self._file.fileno()).st_size < here:  # cut by a person: begins anew
            self._part = b""
            self._file.seek(0)
        return self._file.read(BLOCK_BYTES)

    def _whole(self, block: bytes) -> list[bytes]:
        *lines, self._part = (self._part + block).split(b"\n")
        if len(self._part) > MAX_LINE_BYTES:
            lines.append(self._part)
            self._part = b""
        return lines

    def _next(self) -> bool:
        """At the end of a file: whether there is more. The writer renames a file when its last line
        is in it, so what is read after a newer one was seen is the rest of it."""
        newer = self._newer()
        if newer is None:
            return False
        if self._file is not None and self._file.tell() < os.fstat(self._file.fileno()).st_size:
            return True
        self._open(newer)
        self._part = b""
        return self._file is not None

    def _newer(self) -> Path | None:
        """The file that follows the one that is read. Where that one is none of the log's any more
        (moved elsewhere, removed), it is the one that is written."""
        files = generations(self.path)
        if self._file is None:
            return files[-1] if files else None
        for number, path in enumerate(files):
            if _is(path, self._file):
                return files[number + 1] if number + 1 < len(files) else None
        return self.path if self.path in files else None

    def _open(self, path: Path) -> None:
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError:
            return
        if self._file is not None:
            self._file.close()
        self._file = file


def _lines_before(
    file: BinaryIO, end: int, count: int, budget: int
) -> tuple[list[bytes], bytes, int]:
    """Lines that end before `end`, the part behind the last line break, and what is left of the
    bytes that may be read. `count` line breaks are enough."""
    start, found, blocks = end, 0, []
    while start > 0 and budget > 0 and found < count:
        size = min(BLOCK_BYTES, start, budget)
        start -= size
        budget -= size
        file.seek(start)
        blocks.append(file.read(size))
        found += blocks[-1].count(b"\n")
    file.seek(end)
    *lines, part = b"".join(reversed(blocks)).split(b"\n")
    return lines[1:] if start > 0 else lines, part, budget  # the first began before


def _same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.sameopenfile(one.fileno(), other.fileno())


def _is(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
