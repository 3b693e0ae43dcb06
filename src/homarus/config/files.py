"""The files of a configuration as they are on disk: read whole, bounded, and told apart from what
only looks like one."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Final

import msgspec

from homarus.config.problem import Place, Problem

MAX_FILE_BYTES: Final = 262_144
MAX_SECRET_BYTES: Final = 65_536
_BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


class OnDisk(msgspec.Struct, frozen=True):
    """`text` without its byte order mark; `digest`: SHA-256 of the bytes; `bom`: it had one."""

    text: str
    digest: str
    bom: bool


def read(path: Path, name: str) -> OnDisk | None:
    """None where there is nothing by that name. `name`: what people call it. Raises Problem
    `settings.file`: a directory, no permission, too large, not UTF-8, a link to nowhere."""
    raw = _raw(path, name, MAX_FILE_BYTES)
    if raw is None:
        return None
    bom = raw.startswith(_BOM)
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        wide = raw[:2] in _UTF16
        place = Place(name) if wide else _place_of_byte(raw, error.start, name)
        raise _problem(
            place, "it is UTF-16" if wide else "a byte here is not UTF-8", "UTF-8 text",
            "Save it as UTF-8.",
        ) from error  # fmt: skip
    return OnDisk(text, hashlib.sha256(raw).hexdigest(), bom)


def read_secret(path: Path, place: Place, key: str) -> str:
    """The text of a file that holds a secret, without the last newline. Raises Problem
    `settings.secret`, also where others may read the file."""
    try:
        raw = _raw(path, str(path), MAX_SECRET_BYTES)
    except Problem as problem:
        raise _secret(place, key, f"{path}: {problem.message}", problem.remedy) from problem
    if raw is None:
        raise _secret(place, key, f"there is no file {path}", "Make it, or correct `id`.")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise _secret(place, key, f"others may read {path}", f"chmod 600 {path}")
    return raw.decode("utf-8", "replace").rstrip("\r\n")


def _secret(place: Place, key: str, what: str, remedy: str) -> Problem:
    return Problem("settings.secret", what, remedy, place=place, path=key)


def signature(path: Path) -> tuple[int, ...]:
    """Changes whenever the file does; () where there is none."""
    try:
        at = path.stat()
    except OSError:
        return ()
    return (at.st_ino, at.st_dev, at.st_size, at.st_mtime_ns, at.st_ctime_ns)


def _raw(path: Path, name: str, most: int) -> bytes | None:
    place = Place(name)
    try:
        # without O_NONBLOCK, a pipe by that name would hold the daemon up for ever
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise _problem(
                place, "it is a link to a file that is not there", "a file", "Correct the link."
            ) from None
        return None
    except OSError as error:
        remedy = "Let this user read it: chmod u+r." if error.errno == errno.EACCES else ""
        what = f"it cannot be read ({error.strerror})"
        raise _problem(place, what, "a file that this user reads", remedy) from error
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        what = "it is a directory" if stat.S_ISDIR(mode) else "it is no file"
        raise _problem(place, what, "a file", "Move it away.")
    with os.fdopen(fd, "rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise _problem(
            place, f"it is larger than {most} bytes", f"at most {most} bytes", "Shorten it."
        )
    return raw


def _place_of_byte(raw: bytes, at: int, name: str) -> Place:
    head = raw[:at].removeprefix(_BOM).decode("utf-8")
    lines = head.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Place(name, len(lines), len(lines[-1]) + 1)


def _problem(place: Place, what: str, expected: str, remedy: str) -> Problem:
    return Problem("settings.file", what, remedy or "Correct it.", place=place, expected=expected)
