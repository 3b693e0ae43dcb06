"""The database file before it is trusted: header, creation by rename, migrations, lock."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

import apsw

from homarus.base.errors import Conflict, Unavailable
from homarus.base.failpoint import failpoint
from homarus.store.migrations import OLDEST_CODE, Migration, load, verify
from homarus.store.sqlite.tx import pragma

MAGIC: Final = b"SQLite format 3\x00"
APPLICATION_ID: Final = 0x484F4D41  # "HOMA"
HEADER_BYTES: Final = 100
PAGE_SIZES: Final = frozenset(2**n for n in range(9, 17))
WAL_HEADER_BYTES: Final = 32
WAL_FRAME_HEADER_BYTES: Final = 24
PAGE_CHECKPOINT: Final = 1_000
STATEMENT_CACHE: Final = 256
LOCK_FILE: Final = "daemon.lock"
RESTORING: Final = "restoring"
"""In `run/` from the first to the last move of a restore (`store/restore.py`)."""
# No thread shares a connection, so SQLite need not lock it at every call.
_WRITING: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
RESTORE: Final = "The file was left as it is. Restore a backup with `homarus restore`."


def folder_error(error: OSError) -> Unavailable:
    """What it means that something in the state directory could not be made or written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(
            "store.disk_full",
            "the disk that holds the state directory is full",
            "Free space on it, then start again.",
        )
    return Unavailable(
        "store.read_only",
        f"the state directory cannot be written: {error.strerror}",
        "Make it writable for this user, or name another with --home.",
    )


class InstanceLock:
    """At most one daemon a home: an advisory lock on `run/daemon.lock`, which holds the pid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def take(self) -> None:
        """Raises `store.locked`, naming the process that holds it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise folder_error(error) from error
        try:
            self._lock(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            raise Unavailable(
                "store.locked",
                f"another daemon already runs on this home: process {pid}",
                "Use that one (`homarus status`), stop it, or name another home with --home.",
                pid=pid,
            ) from error
        try:
            os.ftruncate(fd, 0)
            os.write(fd, str(os.getpid()).encode())
        except OSError as error:
            raise folder_error(error) from error

    def drop(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def check_restored(run_folder: Path) -> None:
    """Raises `store.restore_unfinished` when a restore was cut off in the middle of its moves."""
    if (run_folder / RESTORING).exists():
        raise Unavailable(
            "store.restore_unfinished",
            "a restore into this home was interrupted",
            "Run the same `homarus restore` again; what was there before lies in before-restore-….",
        )


def check_file(path: Path) -> None:
    """Refuse a file that is not ours or not whole, before anything opens it for writing.

    Raises `store.truncated`, `store.corrupt` or `store.stray_wal`; changes nothing.
    """
    if not path.exists():
        if _size(wal_of(path)):
            raise Unavailable(
                "store.stray_wal",
                f"{path.name} is missing, but its write-ahead log {path.name}-wal is there",
                "Put the file back beside its log, or move the log away (it alone is no store).",
            )
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if size < HEADER_BYTES:
        raise Unavailable("store.truncated", f"{path.name} has only {size} bytes.", RESTORE)
    if header[:16] != MAGIC or int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise Unavailable("store.corrupt", f"{path.name} is not a store of Homarus.", RESTORE)
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    if page not in PAGE_SIZES:
        raise Unavailable("store.corrupt", f"{path.name} has a damaged header.", RESTORE)
    whole, pages = size // page, int.from_bytes(header[28:32], "big")
    # A kill in the middle of a checkpoint leaves pages that are so far only in the log.
    logged = pages_in_wal(wal_of(path)) if whole < pages else set()
    if pages - whole > len(logged) or not logged.issuperset(range(whole + 1, pages + 1)):
        raise Unavailable(
            "store.truncated", f"{path.name} has {size} of {page * pages} bytes.", RESTORE
        )


def wal_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def pages_in_wal(wal: Path) -> set[int]:
    """Numbers of the pages that the log's current frames carry (SQLite file format, 4.1)."""
    if _size(wal) <= WAL_HEADER_BYTES:
        return set()
    with wal.open("rb") as file:
        header = file.read(WAL_HEADER_BYTES)
        page, salts = int.from_bytes(header[8:12], "big"), header[16:24]
        found: set[int] = set()
        while len(frame := file.read(WAL_FRAME_HEADER_BYTES)) == WAL_FRAME_HEADER_BYTES:
            if frame[8:16] != salts:
                break
            found.add(int.from_bytes(frame[:4], "big"))
            file.seek(page, os.SEEK_CUR)
    return found


def _keep_plans(conn: apsw.Connection) -> None:
    """Plan a statement once. Without this, a parameter compared while SQLite looks for a partial
    index makes it prepare the statement anew at each use: 36 us instead of 4 for a claim's pick."""
    conn.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def open_writer(path: Path) -> apsw.Connection:
    """The one connection that writes: WAL, synchronous FULL, own checkpoints."""
    conn = apsw.Connection(str(path), flags=_WRITING, statementcachesize=STATEMENT_CACHE)
    _keep_plans(conn)
    conn.set_busy_timeout(2_000)
    if pragma(conn, "journal_mode", "wal") != "wal":
        conn.close()
        raise Unavailable(
            "store.io",
            "the file system of the state directory cannot do write-ahead logging",
            "Put the home on a local disk (--home); network shares do not do.",
        )
    pragma(conn, "synchronous", "full")
    pragma(conn, "foreign_keys", "off")
    pragma(conn, "temp_store", "memory")
    pragma(conn, "cache_size", -16_000)
    conn.wal_autocheckpoint(PAGE_CHECKPOINT)
    return conn


def open_reader(path: Path, *, query_only: bool = True) -> apsw.Connection:
    """A connection that cannot write the store; `vacuum into` needs more than `query_only`."""
    conn = apsw.Connection(
        str(path),
        flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOMUTEX,
        statementcachesize=STATEMENT_CACHE,
    )
    _keep_plans(conn)
    conn.set_busy_timeout(2_000)
    if query_only:
        pragma(conn, "query_only", "on")
    return conn


def create(path: Path) -> None:
    """A new, whole, migrated store appears under its name in one rename."""
    draft = path.with_suffix(".new")
    for leftover in (draft, Path(f"{draft}-wal"), Path(f"{draft}-shm")):
        leftover.unlink(missing_ok=True)
    conn = apsw.Connection(str(draft))
    try:
        pragma(conn, "application_id", APPLICATION_ID)
        migrate(conn, load("sqlite"))
        pragma(conn, "journal_mode", "wal")
    finally:
        conn.close()
    draft.chmod(0o600)
    failpoint("store.created")
    draft.rename(path)
    _sync_folder(path.parent)


def copy_store(path: Path, target: Path) -> None:
    """Write a compact copy of the store as it is now. Raises `backup.exists`, `backup.failed`."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as raised:
        raise Conflict(
            "backup.exists", f"{target} is there already", "Name a new file."
        ) from raised
    except OSError as raised:
        raise _not_copied(target, raised.strerror) from raised
    try:
        conn = open_reader(path, query_only=False)
        try:
            conn.execute("vacuum into ?", (str(target),))
        finally:
            conn.close()
        with target.open("rb") as file:
            os.fsync(file.fileno())
        _sync_folder(target.parent)
    except (apsw.Error, OSError) as raised:
        for left in (target, target.with_name(f"{target.name}-journal")):
            left.unlink(missing_ok=True)
        raise _not_copied(target, str(raised)) from raised


def _not_copied(target: Path, why: str | None) -> Unavailable:
    return Unavailable(
        "backup.failed",
        f"the copy {target} could not be written: {why}",
        "Free space there or name another place; the store itself is as it was.",
    )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def applied(conn: apsw.Connection) -> dict[int, str]:
    """Migrations that this file has had: number → SHA-256 of the text."""
    if not conn.execute("select 1 from sqlite_schema where name='migration'").fetchall():
        return {}
    rows = conn.execute("select no, sha256 from migration").fetchall()
    return {int(str(no)): str(sha) for no, sha in rows}


def check_version(conn: apsw.Connection, known: list[Migration]) -> None:
    """Raises `store.newer` or `store.migration_changed`; only reads."""
    row = conn.execute("select value from meta where key='oldest_code'").fetchall()
    verify(applied(conn), int(str(row[0][0])) if row else None, known)


def migrate(conn: apsw.Connection, known: list[Migration]) -> None:
    """Apply what is missing, in one transaction."""
    have = applied(conn)
    missing = [m for m in known if m.no not in have]
    if not missing:
        return
    conn.execute("begin immediate")
    try:
        for migration in missing:
            conn.execute(migration.sql).fetchall()
            failpoint("store.migrating")
            conn.execute(
                "insert into migration(no, name, sha256) values(?,?,?)",
                (migration.no, migration.name, migration.sha256),
            )
        conn.execute(
            "insert into meta(key, value) values('oldest_code', ?) "
            "on conflict(key) do update set value=excluded.value",
            (str(OLDEST_CODE),),
        )
        conn.execute("commit")
    finally:
        if conn.in_transaction:
            conn.execute("rollback")
    failpoint("store.migrated")
