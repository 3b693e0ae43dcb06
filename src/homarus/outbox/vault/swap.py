"""Writing a file that people write too, so that nothing of theirs is lost (mirrors contract, 6.3).

The new content is a synced file beside the old before it takes its place. On Linux the two change
places in one step (`renameat2`), and what came out is compared with what was read: if somebody
saved in between, his text is merged and swapped in again. Elsewhere the file is looked at as late
as possible and then replaced. A crash leaves the old or the new; what a swap took out stays beside
it as `.homarus-SHA-N.tmp` until its content is known to be in place (`strays`).
"""

import contextlib
import ctypes
import errno
import hashlib
import itertools
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from homarus.base.failpoint import failpoint

MAX_SWAPS: Final = 8
"""How often in one write somebody may save in between; then he is left to it for now."""
MAX_FILE_BYTES: Final = 8_388_608
REPLACE_TRIES: Final = 5

_PREFIX: Final = ".homarus-"
_PART: Final = ".part"
_TMP: Final = ".tmp"
_AT_FDCWD: Final = -100
_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_UNSUPPORTED: Final = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)

Hook = Callable[[str, Path], None]


class TooBigError(Exception):
    """A note that nobody wrote by hand."""


class BusyError(Exception):
    """It is saved again and again while we write."""


def _drop(first: bytes, last: bytes) -> None:
    """There is nothing of anybody's in it."""


def _nothing(point: str, path: Path) -> None:
    """Nobody watches."""


class Disk:
    """The file system as the adapter uses it. `hook(point, path)` is called between the steps, for
    tests that write at the worst moment; `exchange` False does without the swap in one step. Who
    holds `turn` while he works here lends it to others during waits for the disk: of whatever he
    knew, only the files that he names may be relied on, and those are compared."""

    def __init__(self, hook: Hook = _nothing, *, exchange: bool | None = None) -> None:
        self.turn = threading.Lock()
        self._count = itertools.count(time.time_ns())
        self._hook = hook
        self._vault: Path | None = None
        self._renameat2 = _renameat2() if exchange is not False else None

    def keep_within(self, vault: Path) -> None:
        """Nothing is read or written where a link leads out of it."""
        self._vault = vault

    def holds(self, folder: Path) -> bool:
        """Whether it lies in the vault, links followed; looked at anew each time."""
        if self._vault is None:
            return True
        real, vault = Path(os.path.realpath(folder)), Path(os.path.realpath(self._vault))
        return real == vault or vault in real.parents

    def _check(self, path: Path) -> None:
        """Raises OSError where somebody has put a link that leads out of the vault."""
        if not self.holds(path.parent):
            raise OSError(errno.ELOOP, "a link leads out of the vault", str(path.parent))

    def read(self, path: Path) -> bytes | None:
        """None: no regular file of the vault. Raises TooBigError."""
        if not self.holds(path.parent):
            return None
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # a symbolic link is nobody's note
                return None
            raise
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return None
            if found.st_size > MAX_FILE_BYTES:
                raise TooBigError(f"{path.name} has {found.st_size} bytes")
            return file.read(MAX_FILE_BYTES + 1)

    def create(self, path: Path, content: bytes) -> bool:
        """False: there is something of that name, and it stays."""
        self._check(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = self._staged(path.parent, content)
        self._hook("create", path)
        try:
            self._check(path)
            made = self._place(staged, path)
        finally:
            staged.unlink(missing_ok=True)
        self._sync(path.parent)
        return made

    def move(self, old: Path, new: Path) -> bool:
        """False: the new name is taken, or the old one gone."""
        self._check(old)
        self._check(new)
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            moved = self._rename_new(old, new)
        except FileNotFoundError:
            return False
        if moved:
            self._sync(new.parent)
            self._sync(old.parent)
        return moved

    def update(
        self,
        path: Path,
        found: bytes,
        merge: Callable[[bytes], bytes],
        spare: Callable[[bytes, bytes], None] = _drop,
    ) -> bytes | None:
        """Put `merge(found)` in the place of `found`; the content that is there at last.

        `merge` makes of any content the one that shall replace it, and is asked again when somebody
        saved in between. Who saves twice may have read what we wrote before his first text was in
        it: `spare(first, last)` is told of what came out and may be missing in the last content.
        None: the file went away, and is not made again. Raises BusyError.
        """
        held: list[Path] = []
        saved: list[bytes] = []
        last = self._put(path, found, merge, held, saved)
        for content in saved if last is None else saved[:-1]:
            spare(content, last or b"")
        for temp in held:
            failpoint("vault.dropping")
            temp.unlink(missing_ok=True)
        return last

    def _put(
        self,
        path: Path,
        expected: bytes,
        merge: Callable[[bytes], bytes],
        held: list[Path],
        saved: list[bytes],
    ) -> bytes | None:
        """`update` without its end: `held` has what swaps took out, `saved` of it what a person had
        saved in between, the last of which is merged into what is there now."""
        new = merge(expected)
        for _ in range(MAX_SWAPS):
            if new == expected:
                return expected
            self._check(path)
            staged = self._staged(path.parent, new, like=path)
            failpoint("vault.staged")
            self._hook("swap", path)
            try:
                self._check(path)
            except OSError:
                staged.unlink(missing_ok=True)
                raise
            try:
                out = self._swap(staged, path, expected)
            except FileNotFoundError:
                staged.unlink(missing_ok=True)
                return None
            if out is None:  # looked at late: it has changed, and nothing was written
                staged.unlink(missing_ok=True)
                again = self.read(path)
                if again is None:
                    return None
                expected, new = again, merge(again)
                continue
            failpoint("vault.swapped")
            self._hook("swapped", path)
            self._sync(path.parent)
            held.append(staged)
            if out == expected:
                return new
            saved.append(out)
            expected, new = new, merge(out)
        raise BusyError(path.name)

    def _swap(self, staged: Path, path: Path, expected: bytes) -> bytes | None:
        """What came out, and is now in `staged`; None: it was not as expected, and stayed."""
        if self._renameat2 is not None:
            try:
                self._renameat2(staged, path, _EXCHANGE)
                return self.read(staged) or b""
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                self._renameat2 = None
        if self.read(path) != expected:
            return None
        _replace(staged, path)
        return expected

    def _place(self, staged: Path, path: Path) -> bool:
        """A second name at first, so that nothing is replaced; the first goes then."""
        try:
            os.link(staged, path, follow_symlinks=False)
        except FileExistsError:
            return False
        except (OSError, NotImplementedError):  # a file system without hard links
            return self._rename_new(staged, path)
        return True

    def _rename_new(self, old: Path, new: Path) -> bool:
        """Rename where the new name is free."""
        if self._renameat2 is not None:
            try:
                self._renameat2(old, new, _NOREPLACE)
                return True
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
        if os.path.lexists(new):
            return False
        old.rename(new)
        return True

    def _staged(self, folder: Path, content: bytes, like: Path | None = None) -> Path:
        """A synced file of that content, named by its hash only once it is whole. `like`: whoever
        may read and write that file may this one."""
        name = f"{_hashed(content)}{next(self._count)}"
        part, whole = folder / f"{name}{_PART}", folder / f"{name}{_TMP}"
        with part.open("wb") as file:
            file.write(content)
            if like is not None and sys.platform != "win32":
                with contextlib.suppress(OSError):
                    os.fchmod(file.fileno(), stat.S_IMODE(like.stat().st_mode))
            file.flush()
            self._wait_for(file.fileno())
        _replace(part, whole)
        return whole

    def _sync(self, folder: Path) -> None:
        if sys.platform == "win32":
            return
        with contextlib.suppress(OSError):  # a file system that cannot is as safe as it gets
            fd = os.open(folder, os.O_RDONLY)
            try:
                self._wait_for(fd)
            finally:
                os.close(fd)

    def _wait_for(self, fd: int) -> None:
        held = self.turn.locked()
        if held:
            self.turn.release()
        try:
            os.fsync(fd)
        finally:
            if held:
                self.turn.acquire()


def strays(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """What a crash left beside the notes of a folder and may hold a person's text. What holds ours
    only is removed."""
    for path in sorted(folder.glob(f"{_PREFIX}*")):
        if path.suffix not in (_PART, _TMP) or path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == _PART or path.name.startswith(_hashed(content)):
            path.unlink(missing_ok=True)
        else:
            yield path, content


def _hashed(content: bytes) -> str:
    """How names of files with this content begin, until a swap gives them another."""
    return f"{_PREFIX}{hashlib.sha256(content).hexdigest()[:32]}-"


def _replace(old: Path, new: Path) -> None:
    """Windows refuses for a moment while somebody looks at the file."""
    for left in reversed(range(REPLACE_TRIES)):
        try:
            old.replace(new)
            return
        except PermissionError:
            if left == 0 or sys.platform != "win32":
                raise


def _renameat2() -> Callable[[Path, Path, int], None] | None:
    """`renameat2` of the C library (Linux 3.15); None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p,
                         ctypes.c_uint)  # fmt: skip
    function.restype = ctypes.c_int

    def call(old: Path, new: Path, flags: int) -> None:
        if function(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(old), None, str(new))

    return call
