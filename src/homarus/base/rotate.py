"""A log that begins a new file when the present one, `homarus.log`, is large or old. Before it came
`homarus.log.1`, before that `homarus.log.2`, and so on.

    RotatingFile          writes; a handler of the standard library's logging
    generations(path)     all files of the log that there are, oldest first

Readers follow by inode, not by name. A file that somebody else moved or removed (logrotate, a
person) is opened again under its name before the next line is written.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

FILE: Final = "homarus.log"
MAX_LOG_BYTES: Final = 20 * 1024 * 1024
MAX_LOG_AGE_S: Final = 7 * 86_400
KEPT_LOGS: Final = 8
"""Files beside the one that is written: two months of a quiet daemon, 180 MiB of a loud one."""
FIRST_LINE_BYTES: Final = 4_096


class RotatingFile(logging.StreamHandler[IO[str]]):
    """Mode 0600. `clock`: seconds since the epoch. Raises OSError when the file cannot be opened.

    A line is never cut in two: a file may be larger than `max_bytes` by one line.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = MAX_LOG_BYTES, max_age_s: float = MAX_LOG_AGE_S,
        kept: int = KEPT_LOGS, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.path = path
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.kept = kept
        self._clock = clock
        super().__init__(self._open())

    def emit(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock."""
        try:
            self._look()
        except OSError:
            self.handleError(record)
        super().emit(record)

    def close(self) -> None:
        with self.lock:  # type: ignore[union-attr]
            self.stream.close()
        super().close()

    def flush(self) -> None:
        if not self.stream.closed:
            super().flush()

    def _open(self) -> IO[str]:
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        found = os.fstat(fd)
        self._file = (found.st_dev, found.st_ino)
        self._began_s = _began_s(self.path) or self._clock()
        return os.fdopen(fd, "a", encoding="utf-8")

    def _look(self) -> None:
        """Whether the next line belongs into another file."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._file:
            self._reopen()
            return
        is_full = found.st_size >= self.max_bytes
        is_old = self._clock() - self._began_s >= self.max_age_s
        if found.st_size and (is_full or is_old):
            self._shift()
            self._reopen()

    def _reopen(self) -> None:
        """The old file stays open until there is a new one."""
        old, self.stream = self.stream, self._open()
        old.close()

    def _shift(self) -> None:
        """Each file moves one on; those beyond the number that is kept go, whoever made them."""
        files = _numbered(self.path)
        for number in sorted(files, reverse=True):
            if number >= self.kept:
                files[number].unlink(missing_ok=True)
            else:
                files[number].rename(_name(self.path, number + 1))
        if self.kept:
            self.path.rename(_name(self.path, 1))
        else:
            self.path.unlink(missing_ok=True)


def generations(path: Path) -> list[Path]:
    """Files of the log, oldest first; the one that is written comes last, if it is there."""
    files = _numbered(path)
    found = [files[number] for number in sorted(files, reverse=True)]
    return [*found, path] if path.exists() else found


def _numbered(path: Path) -> dict[int, Path]:
    found = {}
    for file in path.parent.glob(f"{path.name}.*"):
        suffix = file.name.removeprefix(f"{path.name}.")
        if suffix.isascii() and suffix.isdigit() and suffix == str(int(suffix)):
            found[int(suffix)] = file
    return found


def _name(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _began_s(path: Path) -> float | None:
    """The time of the first line; no file system keeps when a file was made for all to read."""
    with path.open("rb") as file:
        first = file.read(FIRST_LINE_BYTES)
    at = _at(first.partition(b"\n")[0])
    if at is None and first:
        return path.stat().st_mtime
    return at


def _at(line: bytes) -> float | None:
    try:
        value: Any = json.loads(line)
        return datetime.fromisoformat(value["at"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None
