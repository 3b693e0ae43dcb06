"""A backup is whole or not there; a restore gives back what was backed up, or changes nothing."""

import json
import os
import shutil

import apsw
import pytest

from homarus.base.errors import Conflict, HomarusError, Unavailable
from homarus.records import artifacts
from homarus.records.artifact_fields import Content, NewArtifact
from homarus.records.blobs import Blobs
from homarus.store import backup
from homarus.store.restore import MARKER, restore, verify
from homarus.store.sqlite.engine import SqliteStore
from homarus.testing.ground import ground

CONTENT = b"the content of an artifact"


def store_content(home, content=CONTENT):
    blobs = Blobs(home / "blobs")
    blobs.start()
    draft = blobs.draft()
    draft.write(content)
    return draft.keep()


def create(tx, sha, size):
    return artifacts.create(
        tx,
        NewArtifact(
            kind="r", content_type="text/plain", sha256=sha, size_bytes=size, stored=True
        ),
    )  # fmt: skip


async def fill(g, n=3):
    for i in range(n):
        content = CONTENT + b"%d" % i
        sha = store_content(g.home, content)
        await g.write("artifact.create", create, sha, len(content))


def listed(rx, company):
    return artifacts.listed(rx, company, {}, limit=100)


@pytest.fixture
async def made(tmp_path):
    """`(home, backup folder)` of a stopped daemon."""
    home = tmp_path / "home"
    async with ground(home) as g:
        await fill(g)
        taken = await backup.take(g.store, home, home / "backups" / "one", g.clock.now_ms())
    return home, taken.path


async def test_a_backup_holds_all_that_a_new_home_needs(made, tmp_path):
    home, folder = made
    manifest, problems = verify(folder)
    assert problems == []
    assert manifest.missing == []
    assert sum(f.path.startswith("blobs/") for f in manifest.files) == 3
    restored = restore(folder, tmp_path / "new")
    assert restored.aside is None
    async with ground(tmp_path / "new") as g:
        rows = await g.read(listed, g.company)
        assert [Blobs(g.home / "blobs").check(r.sha256, r.size_bytes) for r in rows]
        await fill(g, 1)
        assert len(await g.read(listed, g.company)) == 4
    assert home.exists()


async def test_a_backup_holds_the_earlier_contents_of_replaced_artifacts(tmp_path):
    async with ground(tmp_path) as g:
        await fill(g, 1)
        row = (await g.read(listed, g.company))[0]
        sha = store_content(g.home, b"second")
        content = Content(sha, 6, "text/plain", "a.txt", None)
        await g.write("artifact.update", artifacts.replace, row.id, content)
        taken = await backup.take(g.store, tmp_path, tmp_path / "backups" / "x", 0)
    kept = {f.sha256 for f in taken.manifest.files if f.path.startswith("blobs/")}
    assert kept == {sha, row.sha256}


async def test_a_backup_is_taken_while_writes_go_on(tmp_path):
    async with ground(tmp_path) as g:
        writes = [g.write("artifact.create", create, "a" * 64, 1) for _ in range(200)]
        taken = await backup.take(g.store, tmp_path, tmp_path / "backups" / "x", 0)
        for one in writes:
            await one
    _, problems = verify(taken.path)
    assert problems == []
    assert taken.manifest.missing in ([], ["a" * 64])


async def test_modes_are_for_the_owner_only(made):
    for path in [made[1], *made[1].rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


async def test_contents_that_are_not_whole_are_named_and_left_out(tmp_path):
    async with ground(tmp_path) as g:
        await fill(g)
        rows = await g.read(listed, g.company)
        blobs = Blobs(tmp_path / "blobs")
        blobs.path(rows[0].sha256).unlink()
        blobs.path(rows[1].sha256).write_bytes(b"damaged")
        taken = await backup.take(g.store, tmp_path, tmp_path / "backups" / "x", 0)
    assert sorted(taken.manifest.missing) == sorted([rows[0].sha256, rows[1].sha256])
    assert verify(taken.path)[1] == []


async def test_what_cannot_be_taken(tmp_path):
    async with ground(tmp_path) as g:
        folder = tmp_path / "backups"
        await backup.take(g.store, tmp_path, folder / "x", 0)
        with pytest.raises(Conflict, match=r"backup\.exists"):
            await backup.take(g.store, tmp_path, folder / "x", 0)
        with backup._alone(folder), pytest.raises(Conflict, match=r"backup\.running"):
            await backup.take(g.store, tmp_path, folder / "y", 0)
        (tmp_path / "run" / "master.key").unlink()
        with pytest.raises(Unavailable, match=r"backup\.failed"):
            await backup.take(g.store, tmp_path, folder / "z", 0)
    assert [p.name for p in sorted(folder.iterdir())] == [".lock", "x"]


async def test_drafts_that_a_crash_left_go_with_the_next_backup(tmp_path):
    stale = tmp_path / "backups" / "old.partial"
    stale.mkdir(parents=True)
    (stale / "ssot.db").write_bytes(b"half")
    async with ground(tmp_path) as g:
        await backup.take(g.store, tmp_path, tmp_path / "backups" / "new", 0)
    assert not stale.exists()
    assert [p.name for p, _ in backup.listed(tmp_path)] == ["new"]


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def rewrite(change):
    def edit(path):
        manifest = json.loads(path.read_bytes())
        change(manifest)
        path.write_bytes(json.dumps(manifest).encode())

    return edit


def escape(manifest):
    manifest["files"][0]["path"] = "../../etc/passwd"


def newer(path):
    """A store that a newer Homarus wrote, and a manifest that agrees with it."""
    conn = apsw.Connection(str(path))
    conn.execute("update meta set value='99' where key='oldest_code'")
    conn.close()
    manifest = path.parent / "manifest.json"
    entry = backup.entry_of(path, "ssot.db")

    def agree(found):
        found["files"][0] |= {"size": entry.size, "sha256": entry.sha256}

    rewrite(agree)(manifest)


DAMAGES = [
    ("store cut", "ssot.db", truncate, "backup.file_changed"),
    ("store flipped", "ssot.db", flip, "backup.file_changed"),
    ("key gone", "master.key", lambda p: p.unlink(), "backup.file_missing"),
    ("key a link", "master.key", lambda p: (p.unlink(), p.symlink_to("/etc/hosts")),
     "backup.file_missing"),
    ("content flipped", "blobs", lambda p: flip(next(f for f in p.rglob("*") if f.is_file())),
     "backup.file_changed"),
    ("manifest gone", "manifest.json", lambda p: p.unlink(), "backup.manifest"),
    ("manifest cut", "manifest.json", truncate, "backup.manifest"),
    ("manifest of another format", "manifest.json",
     rewrite(lambda m: m.update(format="x")), "backup.manifest"),
    ("a path out of it", "manifest.json", rewrite(escape), "backup.manifest"),
    ("other heads", "manifest.json",
     rewrite(lambda m: m["seals"][0].update(no=99)), "backup.seals"),
    ("no store named", "manifest.json",
     rewrite(lambda m: m["files"].pop(0)), "backup.file_missing"),
    ("a newer store", "ssot.db", newer, "store.newer"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "name", "damage", "code"), DAMAGES, ids=[d[0] for d in DAMAGES])
async def test_a_backup_that_is_not_whole_is_refused_and_nothing_touched(
    made, tmp_path, what, name, damage, code
):
    damage(made[1] / name)
    home = tmp_path / "new"
    with pytest.raises(HomarusError) as caught:
        restore(made[1], home)
    assert caught.value.code == code
    assert not home.exists()


async def test_a_home_with_a_store_is_kept_unless_forced(made):
    home, folder = made
    with pytest.raises(Conflict, match=r"restore\.store_exists"):
        restore(folder, home)
    async with ground(home) as g:
        await fill(g, 5)
    restored = restore(folder, home, force=True)
    async with ground(home) as g:
        assert len(await g.read(listed, g.company)) == 3
    assert (restored.aside / "local-ssot" / "ssot.db").exists()
    assert (restored.aside / "master.key").exists()


async def test_a_running_daemon_is_named_and_left_alone(made):
    home, folder = made
    async with ground(home) as g:
        with pytest.raises(Unavailable, match=f"store.locked.*{os.getpid()}"):
            restore(folder, home, force=True)
        assert len(await g.read(listed, g.company)) == 3


async def test_a_daemon_does_not_start_in_the_middle_of_a_restore(made):
    home, folder = made
    (home / "run" / MARKER).write_text("{}")
    shutil.move(home / "local-ssot", home / "elsewhere")
    with pytest.raises(Unavailable, match=r"store\.restore_unfinished"):
        async with ground(home, opener=SqliteStore):
            pass
    assert not (home / "local-ssot").exists()
    restore(folder, home)
    async with ground(home) as g:
        assert len(await g.read(listed, g.company)) == 3
