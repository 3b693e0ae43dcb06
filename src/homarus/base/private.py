"""Small files that only their owner reads: whole or absent, on disk when the call returns."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 65_536


def write(path: Path, text: str, last_look: Callable[[], None] | None = None) -> None:
    """Write `text` with mode 0600, by rename. `last_look` is called just before, and may raise:
    nothing is changed then. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if last_look is not None:
            last_look()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> str:
    """The text without surrounding space; "" when there is no file."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
