"""The way back from a backup. Nothing of the home is touched before the whole backup was checked.

    check -> copy to <home>/restore.partial -> move the old aside -> move the new in -> done

From the first move to the last the file `run/restoring` stands; a daemon that finds it does not
start (`store.restore_unfinished`), so a restore that was killed half-way is simply run again.
"""

import re
import shutil
from pathlib import Path
from typing import Final

import apsw
import msgspec

from homarus.base.clock import Clock, SystemClock, iso_ms
from homarus.base.errors import Conflict, HomarusError, Unavailable
from homarus.base.failpoint import failpoint
from homarus.store.backup import (
    ANCHORS_FILE,
    KEY_FILE,
    PUBLIC_KEYS,
    STORE_FILE,
    FileEntry,
    Manifest,
    SealHead,
    copy,
    entry_of,
    make_folders,
    read_manifest,
    sync_folder,
    write_new,
)
from homarus.store.migrations import load
from homarus.store.sqlite import files

STAGE: Final = "restore.partial"
MARKER: Final = files.RESTORING
_PATH: Final = re.compile(
    rf"{re.escape(STORE_FILE)}|{re.escape(KEY_FILE)}|{re.escape(PUBLIC_KEYS)}"
    rf"|{re.escape(ANCHORS_FILE)}|blobs/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}"
)
_HEADS: Final = (
    "select c.id, h.seal_no, h.seal_hash from company c "
    "join company_head h on h.company_no=c.no order by c.no"
)


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a backup. `path` inside it."""

    code: str
    path: str
    message: str


class Restored(msgspec.Struct, frozen=True):
    """`aside`: where what was there before lies now; None when there was nothing."""

    home: Path
    aside: Path | None
    manifest: Manifest


def verify(backup: Path) -> tuple[Manifest, list[Problem]]:
    """Read all of a backup; what is wrong with it, in order. Raises `backup.manifest`."""
    manifest = read_manifest(backup)
    problems = [p for entry in manifest.files if (p := _file_problem(backup, entry)) is not None]
    here = {entry.path for entry in manifest.files}
    problems += [
        Problem("backup.file_missing", name, f"{name} is not part of it")
        for name in (STORE_FILE, KEY_FILE)
        if name not in here
    ]
    if not any(p.path == STORE_FILE for p in problems):
        problems += _store_problems(backup / STORE_FILE, manifest)
    return manifest, problems


def _file_problem(backup: Path, entry: FileEntry) -> Problem | None:
    if not _PATH.fullmatch(entry.path):
        return Problem("backup.manifest", entry.path[:200], "it names a file that is none of ours")
    path = backup / entry.path
    if path.is_symlink() or not path.is_file():
        return Problem("backup.file_missing", entry.path, "the file is gone")
    try:
        found = entry_of(path, entry.path)
    except OSError as error:
        return Problem("backup.file_changed", entry.path, f"it cannot be read: {error.strerror}")
    if found != entry:
        return Problem(
            "backup.file_changed",
            entry.path,
            f"it has {found.size} bytes and SHA-256 {found.sha256[:16]}…, "
            f"not {entry.size} and {entry.sha256[:16]}…",
        )
    return None


def _store_problems(path: Path, manifest: Manifest) -> list[Problem]:
    """Whether the copied store is sound, known to this code, and ends where it should."""
    try:
        files.check_file(path)
        conn = files.open_reader(path)
        try:
            files.check_version(conn, load("sqlite"))
            check = [str(row[0]) for row in conn.execute("pragma quick_check(3)")]
            heads = [
                SealHead(str(c), int(str(no)), digest.hex() if isinstance(digest, bytes) else "")
                for c, no, digest in conn.execute(_HEADS)
            ]
        finally:
            conn.close()
    except HomarusError as error:
        return [Problem(error.code, STORE_FILE, error.message)]
    except apsw.Error as error:
        return [Problem("store.corrupt", STORE_FILE, f"it cannot be read: {error}")]
    if check != ["ok"]:
        return [Problem("store.corrupt", STORE_FILE, "; ".join(check))]
    if heads != manifest.seals:
        return [Problem("backup.seals", STORE_FILE, "its ledgers do not end where they did")]
    return []


def restore(
    backup: Path, home: Path, *, force: bool = False, clock: Clock | None = None
) -> Restored:
    """Put a backup into a home. `force`: where a store is already, move it aside.

    Raises `backup.*` for a backup that is not whole, `store.locked` while a daemon runs,
    `restore.store_exists`, `restore.disk`.
    """
    manifest, problems = verify(backup)
    if problems:
        first = problems[0]
        raise Unavailable(
            first.code,
            f"{len(problems)} thing(s) are wrong with {backup}; first, {first.path}: "
            f"{first.message}",
            "Use another backup. The home was not touched.",
            problems=[msgspec.to_builtins(p) for p in problems[:100]],
        )
    lock = files.InstanceLock(home / "run" / files.LOCK_FILE)
    try:
        lock.take()
    except Unavailable as error:
        if error.code == "store.locked":  # to use it instead is no way to restore
            error.remedy = (
                "Stop it (`homarus service stop`, or Ctrl-C where `homarus up` runs), then run the "
                "same restore again."
            )
        raise
    try:
        at = iso_ms((clock or SystemClock()).now_ms()).replace(":", "").replace(".", "")
        return _restore(backup, home, manifest, force, home / f"before-restore-{at}")
    except OSError as error:
        raise Unavailable(
            "restore.disk",
            f"the home could not be written: {error}",
            "Check free space and rights, then run the same restore again.",
        ) from error
    finally:
        lock.drop()


def _restore(backup: Path, home: Path, manifest: Manifest, force: bool, aside: Path) -> Restored:
    store, marker = home / "local-ssot", home / "run" / MARKER
    unfinished = marker.exists()
    if (store / STORE_FILE).exists() and not (force or unfinished):
        raise Conflict(
            "restore.store_exists",
            f"{home} has a store already",
            "Name an empty home with --home, or move the old store aside with --force.",
        )
    stage = home / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    _stage(backup, stage, manifest)
    failpoint("restore.staged")
    marker.unlink(missing_ok=True)
    write_new(marker, msgspec.json.encode({"backup": str(backup.absolute())}))
    sync_folder(marker.parent)
    failpoint("restore.marked")
    moved = _move_aside(home, aside)
    failpoint("restore.aside")
    _move_in(home, stage)
    failpoint("restore.moved")
    shutil.rmtree(stage)
    marker.unlink()
    sync_folder(marker.parent)
    return Restored(home, aside if moved else None, manifest)


def _stage(backup: Path, stage: Path, manifest: Manifest) -> None:
    """Copy everything below the home, checked once more as it is read."""
    stage.mkdir(mode=0o700)
    for entry in manifest.files:
        target = stage / entry.path
        make_folders(target.parent)
        if copy(backup / entry.path, target, entry.path) != entry:
            raise Unavailable(
                "backup.file_changed",
                f"{entry.path} changed while it was copied",
                "Run it again, or use another backup. The home was not touched.",
            )
    sync_folder(stage)


def _move_aside(home: Path, aside: Path) -> bool:
    """The old store, its key and its anchors into one folder; whether there was anything."""
    old = [
        path
        for path in (
            home / "local-ssot",
            home / "run" / KEY_FILE,
            home / "run" / ANCHORS_FILE,
        )
        if path.exists()
    ]
    if not old:
        return False
    aside.mkdir(mode=0o700)
    for path in old:
        path.rename(aside / path.name)
    sync_folder(aside)
    sync_folder(home)
    return True


def _move_in(home: Path, stage: Path) -> None:
    """Contents and key first, the store last."""
    for folder in sorted((stage / "blobs").glob("*")):
        target = home / "blobs" / folder.name
        make_folders(target)
        for path in sorted(folder.iterdir()):
            path.rename(target / path.name)
        sync_folder(target)
    for name in (KEY_FILE, ANCHORS_FILE):
        if (stage / name).exists():
            (stage / name).rename(home / "run" / name)
    sync_folder(home / "run")
    store = home / "local-ssot"
    store.mkdir(mode=0o700, exist_ok=True)
    (stage / STORE_FILE).rename(store / STORE_FILE)
    sync_folder(store)
    sync_folder(home)
