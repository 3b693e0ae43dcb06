"""Files of the companion directory: whole or absent, private, and never at the cost of an edit."""

import hashlib
import os
from pathlib import Path
from typing import Final

from homarus.base.errors import Conflict, Invalid
from homarus.base.ids import new_id

PRIVATE: Final = 0o600
PROGRAM: Final = 0o700
FOLDER: Final = 0o700
MAX_COPIES: Final = 50
"""Copies kept of one file's former contents; beyond it the oldest goes."""
_DIGEST: Final = 12


def folder(path: Path, *, own: bool = False) -> None:
    """Make the directory for its owner alone. `own`: part of the layout, so no link to elsewhere.

    Raises `companion.link`, `companion.directory`.
    """
    if own and path.is_symlink():
        raise Conflict(
            "companion.link",
            f"{path} is a link to {path.readlink()}; private files are not written through it",
            "Remove the link, or name the real place with EMPEROR_CLAW_STATE_DIR.",
        )
    try:
        path.mkdir(parents=True, exist_ok=True, mode=FOLDER)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> Invalid:
    return Invalid(
        "companion.directory",
        f"{path} cannot be used: {error.strerror or error}",
        "Make it readable and writable for this user, or name another directory with "
        "EMPEROR_CLAW_COMPANION_DIR.",
    )


def replace(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Put `content` in place by rename; of several writers at once each leaves a whole file.

    Raises `companion.directory`.
    """
    try:
        draft = _draft(path, content, mode)
        try:
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritable(path, error) from error


def create(path: Path, content: bytes) -> bool:
    """Put `content` in place unless something is there; whether it did.

    Raises `companion.directory`.
    """
    if os.path.lexists(path):
        return False
    try:
        draft = _draft(path, content, PRIVATE)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return True


def renew(path: Path, content: bytes, mode: int, copies: Path) -> Path | None:
    """Put `content` in place; what differs is kept below `copies` first. The copy, or None.

    A copy's name holds a digest of what it keeps, so the same edit is kept once.
    """
    try:
        former = path.read_bytes()
    except FileNotFoundError:
        replace(path, content, mode)
        return None
    except OSError as error:
        raise unwritable(path, error) from error
    if former == content:
        path.chmod(mode)
        return None
    kept = copies / f"{path.name}.{hashlib.sha256(former).hexdigest()[:_DIGEST]}"
    folder(copies, own=True)
    replace(kept, former)
    _forget(path.name, copies)
    replace(path, content, mode)
    return kept


def _forget(name: str, copies: Path) -> None:
    """Leave the newest MAX_COPIES copies of one file."""
    kept = sorted(copies.glob(f"{name}.*"), key=lambda at: at.stat().st_mtime_ns, reverse=True)
    for old in kept[MAX_COPIES:]:
        old.unlink(missing_ok=True)


def _draft(path: Path, content: bytes, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{new_id()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    fd = os.open(draft, flags, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
