"""Backups of a home: the store, the contents it refers to, the master key. Online, consistent.

    <target>/manifest.json   sizes and SHA-256 of all files, heads of the ledgers, versions
             ssot.db         the store as of one moment
             blobs/…         the contents that its rows refer to
             master.key, keys.json, anchors.jsonl

A backup is written to `<target>.partial` and renamed when all of it is on disk, so a folder without
that ending is whole. It holds the master key: keep it as carefully as the home. `restore.py` is the
way back.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, Unavailable
from homarus.base.failpoint import failpoint
from homarus.store.migrations import OLDEST_CODE
from homarus.store.port import Store
from homarus.store.sqlite import files

FORMAT: Final = "homarus-backup/1"
FOLDER: Final = "backups"
PARTIAL: Final = ".partial"
MANIFEST: Final = "manifest.json"
STORE_FILE: Final = "ssot.db"
KEY_FILE: Final = "master.key"
PUBLIC_KEYS: Final = "keys.json"
ANCHORS_FILE: Final = "anchors.jsonl"
COPY_BYTES: Final = 1_048_576
MAX_MANIFEST_BYTES: Final = 268_435_456
MAX_LISTED: Final = 1_000

_CONTENTS: Final = (
    "select sha256 from artifact where stored=1 and deleted_ms is null "
    "union select sha256 from artifact_version order by sha256"
)
_HEADS: Final = (
    "select c.id, h.seal_no, h.seal_hash, k.public from company c "
    "join company_head h on h.company_no=c.no "
    "left join company_key k on k.company_no=c.no order by c.no"
)


class FileEntry(msgspec.Struct, frozen=True):
    """`path` inside the backup, with `/`; `sha256` in hexadecimal."""

    path: str
    size: int
    sha256: str


class SealHead(msgspec.Struct, frozen=True):
    """Where a company's ledger ended ("" is the instance)."""

    company: str
    no: int
    hash: str


class Manifest(msgspec.Struct, frozen=True):
    """`missing`: contents that rows refer to and that were not whole on disk when it was taken."""

    format: str
    made_at: str
    version: str
    oldest_code: int
    migrations: dict[str, str]
    files: list[FileEntry]
    seals: list[SealHead]
    missing: list[str]

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.files)


class Taken(msgspec.Struct, frozen=True):
    path: Path
    manifest: Manifest


async def take(store: Store, home: Path, target: Path, at_ms: int) -> Taken:
    """Make a backup of `home` in the new folder `target`, while the daemon works.

    Raises `backup.exists`, `backup.running`, `backup.failed`, `store.snapshot` (PostgreSQL: use its
    own tools, and copy blobs/ and run/master.key); leaves nothing then.
    """
    partial = target.with_name(target.name + PARTIAL)
    try:
        with _alone(target.parent):
            await asyncio.to_thread(_prepare, target, partial)
            try:
                await store.snapshot(partial / STORE_FILE)
                failpoint("backup.snapshot")
                manifest = await asyncio.to_thread(_fill, home, partial, at_ms)
                await asyncio.to_thread(_publish, partial, target)
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
                raise
    except (OSError, apsw.Error) as error:
        raise Unavailable(
            "backup.failed",
            f"the backup could not be written: {error}",
            "Check free space and rights of the backup folder, then repeat.",
        ) from error
    return Taken(target, manifest)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One backup at a time in a folder. Raises `backup.running`."""
    make_folders(folder)
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(
                "backup.running", "a backup is being taken already", "Wait until it is done."
            ) from error
        yield
    finally:
        os.close(fd)


def _prepare(target: Path, partial: Path) -> None:
    """An empty draft folder; what earlier crashes left is removed."""
    if target.exists():
        raise Conflict("backup.exists", f"{target} exists already", "Choose another name.")
    for leftover in target.parent.glob(f"*{PARTIAL}"):
        shutil.rmtree(leftover)
    partial.mkdir(mode=0o700)


def _fill(home: Path, partial: Path, at_ms: int) -> Manifest:
    """Everything but the store's copy, which is there already; then the manifest."""
    entries = [_seal_file(partial, STORE_FILE)]
    conn = files.open_reader(partial / STORE_FILE)
    try:
        contents = [str(row[0]) for row in conn.execute(_CONTENTS)]
        heads = conn.execute(_HEADS).fetchall()
        migrations = {str(no): sha for no, sha in files.applied(conn).items()}
    finally:
        conn.close()
    entries.append(copy(home / "run" / KEY_FILE, partial / KEY_FILE, KEY_FILE))
    anchors = home / "run" / ANCHORS_FILE
    if anchors.exists():
        entries.append(copy(anchors, partial / ANCHORS_FILE, ANCHORS_FILE))
    public = {str(c): bytes(key).hex() for c, _, _, key in heads if isinstance(key, bytes)}
    write_new(partial / PUBLIC_KEYS, msgspec.json.encode(public, order="sorted"))
    entries.append(_seal_file(partial, PUBLIC_KEYS))
    missing = _copy_contents(home, partial, contents, entries)
    failpoint("backup.blobs")
    manifest = Manifest(
        format=FORMAT,
        made_at=iso_ms(at_ms),
        version=__version__,
        oldest_code=OLDEST_CODE,
        migrations=migrations,
        files=entries,
        seals=[SealHead(str(c), int(str(no)), _hex(digest)) for c, no, digest, _ in heads],
        missing=missing,
    )
    write_new(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    failpoint("backup.manifest")
    return manifest


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else ""


def _copy_contents(
    home: Path, partial: Path, contents: list[str], entries: list[FileEntry]
) -> list[str]:
    """Copy each content, checking it; those that are gone or damaged are named, not copied."""
    missing = []
    for sha256 in contents:
        name = f"blobs/{sha256[:2]}/{sha256}"
        target = partial / name
        make_folders(target.parent)
        try:
            entry = copy(home / name, target, name)
        except FileNotFoundError:
            missing.append(sha256)
            continue
        if entry.sha256 == sha256:
            entries.append(entry)
        else:
            target.unlink()
            missing.append(sha256)
    for folder in (partial / "blobs").rglob("*"):
        if folder.is_dir():
            sync_folder(folder)
    return missing


def _publish(partial: Path, target: Path) -> None:
    if (partial / "blobs").exists():
        sync_folder(partial / "blobs")
    sync_folder(partial)
    partial.rename(target)
    failpoint("backup.renamed")
    sync_folder(target.parent)


# -- files ---------------------------------------------------------------------------------


def copy(source: Path, target: Path, name: str) -> FileEntry:
    """Copy one file (0600, on disk when it returns), digesting what was read."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as writer:
            while chunk := reader.read(COPY_BYTES):
                digest.update(chunk)
                writer.write(chunk)
                size += len(chunk)
            writer.flush()
            os.fsync(writer.fileno())
    return FileEntry(name, size, digest.hexdigest())


def _seal_file(folder: Path, name: str) -> FileEntry:
    """The entry of a file that is there already; 0600 and on disk when it returns."""
    path = folder / name
    path.chmod(0o600)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return entry_of(path, name)


def entry_of(path: Path, name: str) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(COPY_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return FileEntry(name, size, digest.hexdigest())


def write_new(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_folders(folder: Path) -> None:
    """The folder and those above it that are missing, for the owner only."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(exist_ok=True, mode=0o700)


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def listed(home: Path) -> list[tuple[Path, Manifest]]:
    """Whole backups in the home's own folder, newest first, at most `MAX_LISTED`."""
    found = []
    for folder in (home / FOLDER).glob(f"*/{MANIFEST}"):
        if folder.parent.name.endswith(PARTIAL):
            continue
        try:
            found.append((folder.parent, read_manifest(folder.parent)))
        except Unavailable:
            continue
    found.sort(key=lambda one: one[1].made_at, reverse=True)
    return found[:MAX_LISTED]


def described(path: Path, manifest: Manifest) -> dict[str, Any]:
    """A backup as surfaces show it."""
    return {
        "name": path.name,
        "path": str(path),
        "madeAt": manifest.made_at,
        "version": manifest.version,
        "bytes": manifest.bytes,
        "files": len(manifest.files),
        "seals": msgspec.to_builtins(manifest.seals),
        "missing": manifest.missing,
    }


def read_manifest(backup: Path) -> Manifest:
    """Raises `backup.manifest`."""
    path = backup / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise msgspec.DecodeError("it is too large")
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        if manifest.format != FORMAT:
            raise msgspec.DecodeError(f"format {manifest.format[:40]!r} is not {FORMAT}")
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(
            "backup.manifest",
            f"{backup} is no backup that can be read: {error}",
            "Name a folder made by `homarus backup`.",
        ) from error
    return manifest
