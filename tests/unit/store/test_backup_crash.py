"""Killed at every step: a backup is whole or not listed, a restore is finished by running again."""

import os
import signal
import subprocess
import sys

import pytest

from homarus.store import backup
from homarus.store.restore import restore, verify
from homarus.testing.ground import ground
from tests.unit.store.test_backup import fill, listed

CHILD_S = 60
TAKE = """
import asyncio, sys
from pathlib import Path
from homarus.store import backup
from homarus.testing.ground import ground
async def main(home):
    async with ground(home) as g:
        await backup.take(g.store, home, home / "backups" / "two", 0)
asyncio.run(main(Path(sys.argv[1])))
"""
RESTORE = """
import sys
from pathlib import Path
from homarus.store.restore import restore
restore(Path(sys.argv[1]), Path(sys.argv[2]), force=True)
"""


def child(code, point, *args):
    """Run `code` until it dies at `point`."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=os.environ | {"HOMARUS_FAILPOINT": point, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=CHILD_S,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.fixture
async def home(tmp_path):
    async with ground(tmp_path / "home") as g:
        await fill(g)
        await backup.take(g.store, g.home, g.home / "backups" / "one", 0)
        await fill(g, 5)
    return tmp_path / "home"


@pytest.mark.crash
@pytest.mark.parametrize(
    ("point", "whole"),
    [("backup.snapshot", False), ("backup.blobs", False), ("backup.manifest", False),
     ("backup.renamed", True)],
)  # fmt: skip
async def test_a_backup_killed_at(home, point, whole):
    child(TAKE, point, home)
    names = [path.name for path, _ in backup.listed(home)]
    assert ("two" in names) is whole
    for name in names:
        assert verify(home / "backups" / name)[1] == []
    async with ground(home) as g:
        await backup.take(g.store, home, home / "backups" / "three", 0)
    assert not list((home / "backups").glob("*.partial"))


@pytest.mark.crash
@pytest.mark.parametrize(
    ("point", "old"),
    [("restore.staged", True), ("restore.marked", None), ("restore.aside", None),
     ("restore.moved", None)],
)  # fmt: skip
async def test_a_restore_killed_at(home, point, old):
    child(RESTORE, point, home / "backups" / "one", home)
    if old:
        async with ground(home) as g:
            assert len(await g.read(listed, g.company)) == 8
        return
    with pytest.raises(Exception, match=r"store\.restore_unfinished"):
        async with ground(home):
            pass
    restore(home / "backups" / "one", home)
    async with ground(home) as g:
        assert len(await g.read(listed, g.company)) == 3
