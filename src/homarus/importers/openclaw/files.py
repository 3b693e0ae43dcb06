"""Files of a directory that somebody else wrote: bounded, and no link leads out of it."""

import os
import stat
from pathlib import Path
from typing import Any, Final

import msgspec

MAX_JSON_BYTES: Final = 64 * 1024 * 1024
MAX_FOUND: Final = 10_000


class Unusable(Exception):
    """Why a file cannot be taken, in plain words."""


class Finding(msgspec.Struct, frozen=True):
    """Something of the source that is not taken (or not whole). `what`: where it stands; `remedy`:
    what to do, if anything can be done."""

    what: str
    why: str
    remedy: str = ""


def why_not(error: OSError) -> str:
    return f"cannot be read: {os.strerror(error.errno) if error.errno else error}"


def inside(root: Path, path: Path) -> bool:
    """Whether a path, all links followed, is in a directory. A link that leads to itself is not."""
    try:
        return path.resolve(strict=True).is_relative_to(root.resolve(strict=True))
    except (OSError, RuntimeError):
        return False


def is_there(path: Path) -> bool:
    """Whether anything has that name. Raises Unusable where that cannot be seen."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise Unusable(why_not(error)) from error
    return True


def is_folder(path: Path) -> bool:
    """Links followed; what cannot be seen is none."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def check_plain(root: Path, path: Path) -> None:
    """Raises Unusable unless it is a plain file whose place is in the directory."""
    try:
        if path.is_symlink() and not inside(root, path):
            raise Unusable("it is a link that leads out of the directory, or nowhere")
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unusable("it is no plain file")
        if not inside(root, path):
            raise Unusable("a folder above it is a link that leads out of the directory")
    except OSError as error:
        raise Unusable(why_not(error)) from error


def json_object(root: Path, path: Path) -> dict[str, Any]:
    """Raises FileNotFoundError, Unusable."""
    if not is_there(path):
        raise FileNotFoundError(path)
    check_plain(root, path)
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise Unusable(f"it has more than {MAX_JSON_BYTES} bytes")
        value = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise Unusable(why_not(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unusable(f"it is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Unusable("it holds no object")
    return value


def folders(root: Path, path: Path) -> list[str]:
    """Names of the folders in a folder, sorted; none where it cannot be read."""
    try:
        names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except OSError:
        return []
    return [name for name in names if inside(root, path / name)][:MAX_FOUND]


def names(path: Path) -> list[str]:
    """What lies in a folder, sorted; none where it cannot be read."""
    try:
        return sorted(entry.name for entry in os.scandir(path))[:MAX_FOUND]
    except OSError:
        return []
