"""An agent's workspace as its tools see it: a folder out of which no path leads.

Every part of a path is opened by itself, from the folder above it, and no link is followed: not one
that stands there, nor one that somebody puts there meanwhile. Files are read and replaced whole;
pipes, devices and sockets are refused before they are opened for reading. Blocks: call it in a
thread.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from homarus.base.errors import Conflict, HomarusError, Invalid, NotFound, TooLarge, Unavailable

MAX_PATH: Final = 400
MAX_PART_BYTES: Final = 255
MAX_PARTS: Final = 32
MAX_READ_BYTES: Final = 8 * 1024 * 1024
MAX_WRITE_BYTES: Final = 2 * 1024 * 1024
MAX_ENTRIES: Final = 1_000
MAX_WALKED: Final = 20_000
DRAFT: Final = ".homarus-draft-"
"""Files that are being written; left over after a crash, they are in no list."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOW: Final = "Name a plain file below your workspace, such as `notes/today.md`."


def of_agent(home: Path, agent: str) -> Path:
    """Where the workspace of an agent (its id) is."""
    return home / "agents" / agent / "workspace"


class Entry(msgspec.Struct, frozen=True):
    """`path` from the workspace; `kind`: file, folder, link or special; `size_bytes` of a file."""

    path: str
    kind: str
    size_bytes: int = 0


class Content(msgspec.Struct, frozen=True):
    path: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def parts_of(path: str) -> tuple[str, ...]:
    """The names in a path; none for the workspace itself. Raises `workspace.path`."""
    text = path.strip("\n").removeprefix("workspace:")
    if len(text) > MAX_PATH or text.startswith("/") or text.startswith("~"):
        raise _path(path, "it is absolute, or too long")
    names = tuple(name for name in text.split("/") if name not in ("", "."))
    if len(names) > MAX_PARTS:
        raise _path(path, f"it is more than {MAX_PARTS} folders deep")
    for name in names:
        if name == "..":
            raise _path(path, "it climbs out with `..`")
        if "\\" in name or any(ord(char) < 32 or ord(char) == 127 for char in name):
            raise _path(path, "it holds a control character or a backslash")
        try:
            long = len(name.encode()) > MAX_PART_BYTES
        except UnicodeEncodeError:
            raise _path(path, "it is no Unicode") from None
        if long or name.startswith(DRAFT):
            raise _path(path, "a name in it cannot be used")
    return names


def target_of(path: str) -> str:
    """How receipts and rules name it: `workspace:notes/a.md`, blanks as `%20`."""
    names = "/".join(parts_of(path))
    return "workspace:" + names.replace("%", "%25").replace(" ", "%20").replace("\u00a0", "%C2%A0")


def _path(path: str, why: str) -> Invalid:
    return Invalid("workspace.path", f"{path[:100]!r} is no path in your workspace: {why}", _HOW)


class Space:
    """One agent's. `root` is made when it is missing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    # -- reading ---------------------------------------------------------------------------

    def read(self, path: str, most: int = MAX_READ_BYTES) -> Content:
        """A whole file. Raises `workspace.*`."""
        names = parts_of(path)
        if not names:
            raise _kind(path, "it is the workspace itself")
        with self._folder(names[:-1], path) as above, _told(path):
            fd = os.open(names[-1], _READ, dir_fd=above)
            try:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode):
                    raise _kind(path, _word(found.st_mode))
                if found.st_size > most:
                    raise _large(path, found.st_size, most)
                data = _all(fd, most)
            finally:
                os.close(fd)
        if len(data) > most:
            raise _large(path, len(data), most)
        return Content("/".join(names), data)

    def entries(self, path: str, depth: int) -> tuple[list[Entry], bool]:
        """What lies there, by path, `depth` folders deep; and whether that is all of it."""
        found: list[Entry] = []
        for entry in self._walk(parts_of(path), path, depth):
            if len(found) == MAX_ENTRIES:
                return found, False
            found.append(entry)
        return found, True

    def files(self, path: str) -> Iterator[Entry]:
        """Every plain file at or below a path, at most MAX_WALKED entries looked at."""
        names = parts_of(path)
        if names and self._is_file(names, path):
            yield Entry("/".join(names), "file", 0)
            return
        for n, entry in enumerate(self._walk(names, path, MAX_PARTS)):
            if n == MAX_WALKED:
                return
            if entry.kind == "file":
                yield entry

    def _is_file(self, names: tuple[str, ...], path: str) -> bool:
        with self._folder(names[:-1], path) as above, _told(path):
            return stat.S_ISREG(os.stat(names[-1], dir_fd=above, follow_symlinks=False).st_mode)

    def _walk(self, names: tuple[str, ...], path: str, depth: int) -> Iterator[Entry]:
        """Depth first and in order. A folder that vanishes meanwhile is passed over."""
        todo = [(names, 1)]
        while todo:
            here, level = todo.pop()
            try:
                with self._folder(here, path) as fd, _told(path):
                    rows = _scanned(fd)
            except HomarusError:
                if here == names:
                    raise
                continue
            below = []
            for name, kind, size in rows:
                full = (*here, name)
                yield Entry("/".join(full), kind, size)
                if kind == "folder" and level < depth and len(full) < MAX_PARTS:
                    below.append((full, level + 1))
            todo += reversed(below)

    # -- writing ---------------------------------------------------------------------------

    def write(self, path: str, data: bytes, expected: str | None = None) -> bool:
        """Replace or make a file, whole or not at all; False: it held exactly this already.

        `expected`: SHA-256 of what it must hold now, "" for: nothing must be there. Folders above
        it are made. Raises `workspace.*`.
        """
        names = parts_of(path)
        if not names:
            raise _kind(path, "it is the workspace itself")
        if len(data) > MAX_WRITE_BYTES:
            raise _large(path, len(data), MAX_WRITE_BYTES)
        with self._folder(names[:-1], path, make=True) as above, _told(path):
            before, mode = _present(above, names[-1], path)
            if before == data:
                return False
            if expected is not None:
                _check_expected(path, before, expected)
            _replace(above, names[-1], data, mode)
        return True

    @contextlib.contextmanager
    def _folder(self, names: tuple[str, ...], path: str, *, make: bool = False) -> Iterator[int]:
        """A descriptor of the folder, reached part by part."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self._root, _FOLDER)
        try:
            for name in names:
                with _told(path):
                    if make:
                        with contextlib.suppress(FileExistsError):
                            os.mkdir(name, 0o700, dir_fd=fd)
                    below = os.open(name, _FOLDER, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)


def _present(above: int, name: str, path: str) -> tuple[bytes | None, int]:
    """What a plain file holds now, and its permission bits; None: nothing is there."""
    try:
        fd = os.open(name, _READ, dir_fd=above)
    except FileNotFoundError:
        return None, 0o600
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _kind(path, _word(found.st_mode))
        return _all(fd, MAX_READ_BYTES), stat.S_IMODE(found.st_mode) & 0o777
    finally:
        os.close(fd)


def _check_expected(path: str, before: bytes | None, expected: str) -> None:
    now = "" if before is None else hashlib.sha256(before).hexdigest()
    if now != expected:
        raise Conflict(
            "workspace.changed",
            f"{path[:100]!r} is not as expected: it holds {now[:12] or 'nothing'}",
            "Read it again, then write what it is to be now.",
            sha256=now,
        )


def _replace(above: int, name: str, data: bytes, mode: int) -> None:
    draft = f"{DRAFT}{os.urandom(8).hex()}"
    fd = os.open(draft, _NEW, 0o600, dir_fd=above)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(draft, name, src_dir_fd=above, dst_dir_fd=above)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=above)
        raise
    os.fsync(above)


def _all(fd: int, most: int) -> bytes:
    """To its end, or one byte past `most`."""
    data = bytearray()
    while len(data) <= most and (more := os.read(fd, min(1 << 20, most + 1 - len(data)))):
        data += more
    return bytes(data)


def _scanned(fd: int) -> list[tuple[str, str, int]]:
    """`(name, kind, size)` by name."""
    found: list[tuple[str, str, int]] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.name.startswith(DRAFT) or not _shown(entry.name):
                continue
            if len(found) == MAX_WALKED:
                break
            try:
                about = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            kind = _word(about.st_mode)
            found.append((entry.name, kind, about.st_size if kind == "file" else 0))
    return sorted(found)


def _shown(name: str) -> bool:
    """Whether a name can be said and used again."""
    try:
        parts_of(name)
    except Invalid:
        return False
    return True


def _word(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "special"


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """What the system says of a path, as an error that tells what to do."""
    try:
        yield
    except HomarusError:
        raise
    except OSError as error:
        shown = path[:100]
        match error.errno:
            case errno.ENOENT:
                raise NotFound("workspace.missing", f"{shown!r} is not there",
                               "List the folder to see what is.") from None  # fmt: skip
            case errno.ELOOP | errno.EMLINK:
                raise _kind(path, "link") from None
            case errno.ENOTDIR:
                raise _kind(path, "link, or a file where a folder should be") from None
            case errno.EISDIR:
                raise _kind(path, "folder") from None
            case errno.ENXIO:
                raise _kind(path, "special") from None
            case _:
                raise Unavailable(
                    "workspace.failed", f"{shown!r}: {os.strerror(error.errno or 0)}",
                    "Try again later; an operator sees why in the daemon's log.",
                ) from error  # fmt: skip


def _kind(path: str, found: str) -> Invalid:
    return Invalid("workspace.kind", f"{path[:100]!r} is no plain file or folder: {found}", _HOW)


def _large(path: str, size: int, most: int) -> TooLarge:
    return TooLarge("workspace.large", f"{path[:100]!r} has {size} bytes", f"At most {most}.")
