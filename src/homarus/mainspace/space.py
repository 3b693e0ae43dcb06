"""Files of one main space: looked at without following links, written whole or not at all.

Everything here blocks; the guard calls it in a thread. Nobody else's link or folder is followed,
and what stands in the way is set aside, never removed.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

import msgspec

from homarus.base.failpoint import failpoint
from homarus.flows.governing_documents import MARK_BEGIN, MARK_END
from homarus.kernel.documents import AGENTS_FILE, KIND_OF_FOLDER, class_of, is_path
from homarus.kernel.documents import GOVERNED as GOVERNED_CLASS
from homarus.mainspace.rules import ABSENT, ODD
from homarus.records.documents import MAX_DOCUMENT_BYTES

MAX_FILE_BYTES: Final = 2 * MAX_DOCUMENT_BYTES
"""AGENTS.md carries a generated part besides its governed text."""
MAX_SCANNED: Final = 10_000
MAX_LINK: Final = 200
BACK_NS: Final = 1_000_000_000
"""A file of ours is dated so far back: any edit, even within one tick of the file system's clock,
gives it another time."""

Signature = tuple[int, ...]


class Seen(msgspec.Struct, frozen=True):
    """What lies at a path. `text` None: nothing, or nothing readable; `note` then says what.
    `signature` changes when somebody touches it."""

    sha256: str
    text: str | None = None
    note: str = ""
    signature: Signature = ()


def signature(root: Path, path: str) -> Signature:
    """Of the thing itself and of the folders above it, links not followed."""
    found: list[int] = []
    at = root
    parts = path.split("/")
    for n, part in enumerate(parts, 1):
        at = at / part
        try:
            row = at.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return tuple(found)
        found.append(stat.S_IFMT(row.st_mode))
        if n == len(parts):
            found += [row.st_ino, row.st_size, row.st_mtime_ns, row.st_ctime_ns]
    return tuple(found)


def look(root: Path, path: str) -> Seen:
    """The governed text of a file and its digest."""
    sign = signature(root, path)
    at = root
    for part in path.split("/")[:-1]:
        at = at / part
        if at.is_symlink() or (os.path.lexists(at) and not at.is_dir()):
            return Seen(ODD, None, f"{_what(at)} where the folder {part} should be", sign)
    at = root / path
    if not os.path.lexists(at):
        return Seen(ABSENT, None, "", sign)
    if at.is_symlink() or not at.is_file():
        return Seen(ODD, None, f"{_what(at)} instead of a file", sign)
    try:
        fd = os.open(at, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Seen(ODD, None, f"a file that cannot be read ({error.strerror})", sign)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return Seen(ODD, None, "no file", sign)
        data = file.read(MAX_FILE_BYTES + 1)
    return _text(path, data, sign)


def _text(path: str, data: bytes, sign: Signature) -> Seen:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Seen(ODD, None, "a file that is no UTF-8 text", sign)
    if path == AGENTS_FILE:
        text = governed_part(text)
    if len(data) > MAX_FILE_BYTES or len(text.encode()) > MAX_DOCUMENT_BYTES:
        return Seen(ODD, None, f"a file of more than {MAX_DOCUMENT_BYTES} bytes", sign)
    if "\0" in text:
        return Seen(ODD, None, "a file that holds the character U+0000", sign)
    return Seen(hashlib.sha256(text.encode()).hexdigest(), text, "", sign)


def _what(at: Path) -> str:
    if at.is_symlink():
        return f"a symbolic link to {str(at.readlink())[:MAX_LINK]!r}"
    return "a folder" if at.is_dir() else "a file" if at.is_file() else "something else"


def governed_part(text: str) -> str:
    """AGENTS.md without its generated part; all of it where the marks are not as we wrote them."""
    head, begin, rest = text.partition("\n" + MARK_BEGIN)
    if not begin or MARK_BEGIN in rest or rest.count(MARK_END) != 1:
        return text
    tail = rest.partition(MARK_END)[2]
    return head + tail.removeprefix("\n")


def with_generated(text: str, generated: str) -> str:
    """The governed text and the generated part below it."""
    return f"{text}\n{MARK_BEGIN}\n{generated.strip()}\n{MARK_END}\n"


def make_root(root: Path) -> None:
    """The main space's folder, for its owner alone."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)


def put(root: Path, path: str, text: str, aside: Path) -> Signature:
    """Write it beside, fsync, rename over. What is no plain file or folder goes `aside` first.

    Returns the signature of what was written; an empty one, which fits nothing, when somebody has
    touched it since.
    """
    at = root / path
    clear(root, path, aside)
    at.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = at.with_name(f".{at.name}.homarus-new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(text.encode())
        file.flush()
        written = os.fstat(fd)
        os.utime(fd, ns=(written.st_atime_ns, written.st_mtime_ns - BACK_NS))
        written = os.fstat(fd)
        failpoint("mainspace.draft")
        os.fsync(fd)
    draft.rename(at)
    failpoint("mainspace.renamed")
    _sync(at.parent)
    now = signature(root, path)
    return now if now[-4:-1] == (written.st_ino, written.st_size, written.st_mtime_ns) else ()


def remove(root: Path, path: str, aside: Path) -> Signature:
    """Take a file out of its place. Returns a signature as `put` does."""
    clear(root, path, aside)
    at = root / path
    at.unlink(missing_ok=True)
    if at.parent.is_dir():
        _sync(at.parent)
    now = signature(root, path)
    return () if os.path.lexists(at) else now


def clear(root: Path, path: str, aside: Path) -> None:
    """Move what is no folder on the way, and no plain file at its end, out of the way."""
    at = root
    parts = path.split("/")
    for n, part in enumerate(parts, 1):
        at = at / part
        last = n == len(parts)
        if not os.path.lexists(at):
            return
        fits = not at.is_symlink() and (at.is_file() if last else at.is_dir())
        if not fits:
            set_aside(at, aside)
            return


def set_aside(at: Path, aside: Path) -> Path:
    """Keep a thing under another name outside the main space."""
    aside.mkdir(parents=True, exist_ok=True, mode=0o700)
    for n in range(MAX_SCANNED):
        target = aside / f"{at.name}.{n}"
        if not os.path.lexists(target):
            at.rename(target)
            _sync(aside)
            return target
    raise OSError(f"{aside} is full")


def keep_copy(root: Path, path: str, aside: Path) -> Path | None:
    """Move an unreadable file aside, where there is one to move."""
    at = root / path
    return set_aside(at, aside) if os.path.lexists(at) and not at.is_symlink() else None


def strangers(root: Path, known: frozenset[str]) -> list[str]:
    """Files at governed places that no document has, by path."""
    found = []
    folders = [root] if root.is_dir() and not root.is_symlink() else []
    left = MAX_SCANNED
    while folders and left > 0:
        folder = folders.pop()
        for entry in os.scandir(folder):
            left -= 1
            path = str(Path(entry.path).relative_to(root))
            if left <= 0:
                break
            if not is_path(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                first = path.split("/")[0].casefold()
                folders += [Path(entry.path)] if first in KIND_OF_FOLDER else []
            elif path not in known and class_of(path) == GOVERNED_CLASS:
                found.append(path)
    return sorted(found)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
