"""Contents of artifacts: files named by their SHA-256, whole or not there at all.

    blobs/<aa>/<sha256>     a content; never changed, readable by the owner only
    blobs/tmp/<random>      a draft: being received; the daemon's start removes what a crash left

A content is on disk (fsync, rename, fsync of the folder) before the row that refers to it commits,
so no row ever names a content that is missing. One that no row names is swept later. Methods
block: call them from a thread. One `Blobs` a daemon: it knows which contents are being referred to.
"""

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from homarus.base.errors import TooLarge, Unavailable
from homarus.base.failpoint import failpoint

MAX_FILE_BYTES: Final = 104_857_600
"""100 MiB (control-plane contract, 10)."""
SWEEP_AGE_S: Final = 3_600
MAX_SWEPT: Final = 10_000
MAX_DRAFTS: Final = 8
READ_BYTES: Final = 1_048_576
HEAD_BYTES: Final = 8_192


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _disk(error: OSError, doing: str) -> Unavailable:
    return Unavailable(
        "artifact.disk",
        f"the content could not be {doing}: {error.strerror}",
        "Check free space and rights of the folder blobs/, then repeat the request.",
    )


class Draft:
    """One content on its way in. `write` it, then `keep` or `discard`; `discard` is harmless."""

    def __init__(self, blobs: "Blobs", path: Path) -> None:
        self._blobs = blobs
        self._path = path
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _disk(error, "stored") from error
        self._file = os.fdopen(fd, "wb", buffering=0)
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.head = b""
        """The first HEAD_BYTES."""

    @property
    def sha256(self) -> str:
        """Hexadecimal, of what was written so far."""
        return self._sha256.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Raises `artifact.too_large`, `artifact.disk`."""
        self.size += len(chunk)
        if self.size > MAX_FILE_BYTES:
            raise TooLarge(
                "artifact.too_large",
                f"the file is larger than {MAX_FILE_BYTES} bytes",
                "Split it, or record a reference (POST /artifacts) to where it is kept.",
                max_bytes=MAX_FILE_BYTES,
            )
        self._sha256.update(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        try:
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _disk(error, "written") from error

    def keep(self) -> str:
        """On disk under its name; returns the SHA-256. Raises `artifact.disk`."""
        sha = self.sha256
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            failpoint("blob.synced")
            self._blobs.put(self._path, sha)
        except OSError as error:
            raise _disk(error, "kept") from error
        finally:
            self.discard()
        return sha

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
        self._blobs.closed(self)


class Blobs:
    """The folder `blobs/` of one home."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tmp = root / "tmp"
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._holds = 0
        self._drafts: set[Draft] = set()

    def start(self) -> None:
        """Make the folder and remove drafts of a daemon that died. Raises `artifact.disk`."""
        try:
            for folder in (self._root, self._tmp):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for leftover in self._tmp.iterdir():
                leftover.unlink()
        except OSError as error:
            raise _disk(error, "prepared") from error

    def path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256

    def draft(self) -> Draft | None:
        """A new draft; None when `MAX_DRAFTS` are open."""
        with self._lock:
            if len(self._drafts) >= MAX_DRAFTS:
                return None
            try:
                self._tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise _disk(error, "stored") from error
            draft = Draft(self, self._tmp / os.urandom(16).hex())
            self._drafts.add(draft)
        return draft

    def closed(self, draft: Draft) -> None:
        with self._lock:
            self._drafts.discard(draft)

    def put(self, draft: Path, sha256: str) -> None:
        """Give a finished draft its name; equal contents are one file. The caller holds it."""
        target = self.path(sha256)
        if target.exists() and self._sound(sha256):
            return
        made = not target.parent.exists()
        target.parent.mkdir(exist_ok=True, mode=0o700)
        draft.rename(target)
        failpoint("blob.renamed")
        _sync_folder(target.parent)
        if made:
            _sync_folder(self._root)

    @contextmanager
    def hold(self, sha256: str) -> Iterator[None]:
        """Keep a content from being removed until the row that will refer to it is committed."""
        with self._lock:
            self._held[sha256] += 1
            self._holds += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[sha256] -= 1
                if not self._held[sha256]:
                    del self._held[sha256]

    def ticket(self) -> int:
        """Take it before asking the store who refers to a content; see `remove`."""
        with self._lock:
            return self._holds

    def remove(self, sha256: str, ticket: int) -> bool:
        """Remove a content that no row refers to; False when somebody began to hold one since."""
        with self._lock:
            if self._held[sha256] or self._holds != ticket:
                return False
            self.path(sha256).unlink(missing_ok=True)
            return True

    def old(self, after: str = "", now_s: float | None = None) -> list[str]:
        """Contents at least an hour old, in order from the one after `after`; at most
        `MAX_SWEPT`."""
        limit = (time.time() if now_s is None else now_s) - SWEEP_AGE_S
        found: list[str] = []
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            if folder.name < after[:2]:
                continue
            for path in sorted(folder.iterdir()):
                if path.name > after and path.stat().st_mtime < limit:
                    found.append(path.name)
                if len(found) >= MAX_SWEPT:
                    return found
        return found

    def check(self, sha256: str, size: int) -> Path:
        """The file of a content, read whole and found to be it.

        Raises `artifact.blob_missing`, `artifact.blob_damaged`.
        """
        path = self.path(sha256)
        try:
            whole = path.stat().st_size == size and self._sound(sha256)
        except OSError as error:
            raise Unavailable(
                "artifact.blob_missing",
                f"the content {sha256[:16]}… is not in the folder blobs/",
                "Restore it from a backup; its record is unharmed.",
            ) from error
        if not whole:
            raise Unavailable(
                "artifact.blob_damaged",
                f"the content {sha256[:16]}… no longer gives its checksum; it was not sent",
                "Restore it from a backup, or upload it again.",
            )
        return path

    def _sound(self, sha256: str) -> bool:
        digest = hashlib.sha256()
        with self.path(sha256).open("rb") as file:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
        return digest.hexdigest() == sha256
