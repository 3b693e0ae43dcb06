"""The store's file: what is refused at the start leaves it as it was, what can be saved is."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from homarus.base.errors import HomarusError
from homarus.kernel.keys import MasterKey
from homarus.store.migrations import OLDEST_CODE
from homarus.store.port import Tx
from homarus.store.sqlite.engine import SqliteStore
from homarus.testing.stores import OpenStore, opened
from tests.contract_store import units

pytestmark = pytest.mark.contract

CHILD_S = 60


def file_of(home: Path) -> Path:
    return home / "local-ssot" / "ssot.db"


def names(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir()]


async def made(home: Path, writes: int = 1) -> Path:
    """A store that was stopped in order."""
    async with opened(SqliteStore, home) as store:
        for n in range(writes):
            await store.store.write(store.action(), units.put, "x", n)
    return file_of(home)


async def refusal(home: Path) -> HomarusError:
    with pytest.raises(HomarusError) as caught:
        async with opened(SqliteStore, home):
            pass
    return caught.value


def edit(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def sql(path: Path, *statements: str) -> None:
    conn = apsw.Connection(str(path))
    for statement in statements:
        conn.execute(statement)
    conn.close()


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("empty", lambda p: os.truncate(p, 0), "store.truncated"),
    ("fifty bytes", lambda p: os.truncate(p, 50), "store.truncated"),
    ("one page", lambda p: os.truncate(p, 4096), "store.truncated"),
    ("last byte", lambda p: os.truncate(p, p.stat().st_size - 1), "store.truncated"),
    ("other file", lambda p: edit(p, 0, b"PK\x03\x04" * 25), "store.corrupt"),
    ("other application", lambda p: edit(p, 68, b"\0\0\0\0"), "store.corrupt"),
    ("no page size", lambda p: edit(p, 16, b"\0\0"), "store.corrupt"),
    ("huge page count", lambda p: edit(p, 28, b"\xff" * 4), "store.truncated"),
    ("schema page", lambda p: edit(p, 100, b"\xff" * 300), "store.corrupt"),
    (
        "newer",
        lambda p: sql(p, f"update meta set value='{OLDEST_CODE + 1}' where key='oldest_code'"),
        "store.newer",
    ),
    (
        "changed migration",
        lambda p: sql(p, "update migration set sha256='0' where no=1"),
        "store.migration_changed",
    ),
]


@pytest.mark.parametrize(("damage", "code"), [d[1:] for d in DAMAGES], ids=[d[0] for d in DAMAGES])
async def test_a_file_that_cannot_be_trusted_is_refused_and_untouched(
    tmp_path: Path, damage: Callable[[Path], None], code: str
) -> None:
    path = await made(tmp_path)
    damage(path)
    before = path.read_bytes()
    error = await refusal(tmp_path)
    assert (error.code, error.status) == (code, 503)
    assert error.remedy
    assert path.read_bytes() == before


async def test_a_log_without_its_file_is_not_taken_for_a_new_store(tmp_path: Path) -> None:
    """A new file beside it would take up the old log's pages."""
    path = await made(tmp_path)
    wal = Path(f"{path}-wal")
    shutil.move(path, tmp_path / "moved")
    shutil.copy(tmp_path / "moved", wal)
    assert (await refusal(tmp_path)).code == "store.stray_wal"
    assert names(path.parent) == [f"{path.name}-wal"]


async def test_a_stop_leaves_one_file(tmp_path: Path) -> None:
    path = await made(tmp_path, writes=50)
    assert names(path.parent) == [path.name]


async def test_a_checkpoint_cut_short_is_not_a_truncated_file(tmp_path: Path) -> None:
    """Page 1 with the new size is written first; the pages behind the old end come last."""
    path = await made(tmp_path)
    old_bytes = path.stat().st_size
    home = tmp_path / "killed"
    async with opened(SqliteStore, tmp_path) as store:
        for n in range(60):
            await store.store.write(store.action(), units.put, f"{n:04}" * 200, n)
        file_of(home).parent.mkdir(parents=True)
        shutil.copy(path, file_of(home))
        shutil.copy(f"{path}-wal", f"{file_of(home)}-wal")
        shutil.copytree(tmp_path / "run", home / "run")
    finished = path.read_bytes()
    assert len(finished) > old_bytes
    edit(file_of(home), 0, finished[:4096])
    async with opened(SqliteStore, home) as store:
        assert await store.store.read(units.value, store.company, "0059" * 200) == 59
        assert await store.store.check() == "ok"


async def test_the_same_without_its_log_is_truncated(tmp_path: Path) -> None:
    path = await made(tmp_path)
    edit(path, 28, (path.stat().st_size // 4096 + 3).to_bytes(4, "big"))
    assert (await refusal(tmp_path)).code == "store.truncated"


async def test_a_second_start_applies_nothing(tmp_path: Path) -> None:
    path = await made(tmp_path)
    before = path.read_bytes()
    async with opened(SqliteStore, tmp_path):
        pass
    assert path.read_bytes() == before


async def test_a_second_daemon_on_one_home_is_refused_naming_the_first(tmp_path: Path) -> None:
    async with opened(SqliteStore, tmp_path) as store:
        error = await refusal(tmp_path)
        assert error.code == "store.locked"
        assert error.details["pid"] == str(os.getpid())
        assert str(os.getpid()) in error.message
        assert await store.store.write(store.action(), units.put, "x") == 1
    async with opened(SqliteStore, tmp_path) as store:
        assert await store.store.read(units.value, store.company, "x") == 1


async def test_damage_inside_is_found_in_the_background(tmp_path: Path) -> None:
    path = await made(tmp_path, writes=200)
    rows = apsw.Connection(str(path))
    [(root,)] = rows.execute("select rootpage from sqlite_schema where name='receipt'").fetchall()
    rows.close()
    edit(path, (root - 1) * 4096, b"\xee" * 4096)
    async with opened(SqliteStore, tmp_path) as store:
        assert await store.store.check() != "ok"
        assert store.store.health()["error"] == "store.corrupt"
        with pytest.raises(HomarusError) as caught:
            await store.store.write(store.action(), units.put, "x")
        assert caught.value.code == "store.corrupt"


# -- disks that are full or read-only --------------------------------------------------------------


def limit_pages(tx: Tx, pages: int | None) -> int:
    """The fault: the file may not grow beyond what it has (or may again)."""
    if pages is None:
        row = tx.one("pragma page_count")
        assert row is not None
        pages = row[0] + 2
    tx.all(f"pragma max_page_count={pages}")
    return pages


async def fill(store: OpenStore) -> tuple[HomarusError, int]:
    """Write until it is refused; the error and how many were acknowledged before."""
    for n in range(5_000):
        try:
            await store.store.write(store.action(), units.put, f"{n:05}" * 100, n)
        except HomarusError as error:
            return error, n
    raise AssertionError("it never filled up")


async def full_and_back(store: OpenStore, make_room: Callable[[], None]) -> None:
    error, acknowledged = await fill(store)
    assert (error.code, error.status) == ("store.disk_full", 503)
    assert store.store.health()["error"] == "store.disk_full"
    seen = await store.store.read(units.events, store.company)
    assert len(seen) == acknowledged
    make_room()
    assert await store.store.write(store.action(), units.put, "x", 7) == 7
    assert store.store.health()["state"] == "ok"
    rows = await store.store.read(units.events, store.company)
    assert [seq for seq, _ in rows] == list(range(1, acknowledged + 2))


async def test_a_store_that_may_not_grow_says_so_and_goes_on_later(tmp_path: Path) -> None:
    async with opened(SqliteStore, tmp_path) as store:
        await store.store.write(store.action(), limit_pages, None)
        error, acknowledged = await fill(store)
        assert error.code == "store.disk_full"
        assert store.store.health()["error"] == "store.disk_full"
        assert len(await store.store.read(units.events, store.company)) == acknowledged
        await store.store.write(store.action(), limit_pages, 1_000_000)
        assert await store.store.write(store.action(), units.put, "y", 7) == 7
        assert store.store.health()["state"] == "ok"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes (root only)."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=CHILD_S)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True, timeout=CHILD_S)


def read_only(place: Path) -> None:
    remount = ["mount", "-o", "remount,ro", str(place)]
    subprocess.run(remount, check=True, timeout=CHILD_S)


async def test_a_full_disk_is_named_and_survived(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 300_000)
    async with opened(SqliteStore, small_disk / "home") as store:
        await full_and_back(store, ballast.unlink)


def fill_disk(ballast: Path) -> None:
    fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, b"\0" * 4096):
            pass
    except OSError:
        os.close(fd)


async def test_no_store_is_begun_on_a_full_disk(small_disk: Path) -> None:
    home = small_disk / "home"
    MasterKey.from_file(home / "run" / "master.key")
    fill_disk(small_disk / "ballast")
    assert (await refusal(home)).code == "store.disk_full"
    assert not file_of(home).exists()
    (small_disk / "ballast").unlink()
    async with opened(SqliteStore, home) as store:
        assert await store.store.write(store.action(), units.put, "x") == 1


async def test_a_read_only_home_is_named(small_disk: Path) -> None:
    home = small_disk / "home"
    path = await made(home)
    before = path.read_bytes()
    read_only(small_disk)
    error = await refusal(home)
    assert error.code == "store.read_only"
    assert path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    path = await made(home)
    path.parent.chmod(0o500)
    try:
        assert (await refusal(home)).code == "store.read_only"
    finally:
        path.parent.chmod(0o700)


# -- copies ----------------------------------------------------------------------------------------


async def test_a_copy_taken_while_writes_go_on_is_a_whole_store(tmp_path: Path) -> None:
    other = tmp_path / "other"
    file_of(other).parent.mkdir(parents=True)
    async with opened(SqliteStore, tmp_path) as store:
        for n in range(30):
            await store.store.write(store.action(), units.put, "x", n)
        assert isinstance(store.store, SqliteStore)
        waiting = [store.store.write(store.action(), units.put, "y", n) for n in range(50)]
        await store.store.snapshot(file_of(other))
        for wait in waiting:
            await wait
        with pytest.raises(HomarusError) as caught:
            await store.store.snapshot(file_of(other))
        assert caught.value.code == "backup.exists"
    assert file_of(other).stat().st_mode & 0o777 == 0o600
    shutil.copytree(tmp_path / "run", other / "run")
    async with opened(SqliteStore, other) as store:
        assert await store.store.read(units.value, store.company, "x") == 29
        assert await store.store.check() == "ok"


async def test_a_copy_that_does_not_fit_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    async with opened(SqliteStore, tmp_path / "home") as store:
        for n in range(1_000):
            await store.store.write(store.action(), units.put, f"{n:05}" * 1_000, n)
        assert isinstance(store.store, SqliteStore)
        with pytest.raises(HomarusError) as caught:
            await store.store.snapshot(small_disk / "copy.db")
        assert caught.value.code == "backup.failed"
        assert names(small_disk) == []
        assert store.store.health()["state"] == "ok"
