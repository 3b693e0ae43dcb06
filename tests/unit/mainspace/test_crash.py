"""Killed at every step of a switch and of a restore: the old or the new version is whole, and what
somebody wrote by hand is neither lost nor recorded twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from homarus.mainspace import git
from homarus.testing.ground import START_MS, ManualClock, ground
from tests.unit.mainspace.test_guard import HOUSE, Scene

CHILD_S = 60
BEFORE = "the rule before\n" * 2_000
AFTER = "the rule after\n" * 2_000
BY_HAND = "by hand\n"
CODE = """
import asyncio, sys
from pathlib import Path
from homarus.testing.ground import ManualClock, ground
from tests.unit.mainspace.test_crash import live
async def main(home, at_ms):
    async with ground(home, ManualClock(at_ms)) as g:
        await live(g)
asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""
POINTS = (
    *(f"unit.before_receipt:{n}" for n in range(1, 6)),
    *(f"mainspace.draft:{n}" for n in range(1, 3)),
    *(f"mainspace.renamed:{n}" for n in range(1, 3)),
    "mainspace.found:1",
    "mainspace.committed:1",
    "unit.before_release:4",
)


async def live(g):  # type: ignore[no-untyped-def]
    """What the child does: a switch whose file follows, then an edit by hand that is restored."""
    scene = Scene(g)
    await scene.change(HOUSE, AFTER)
    await scene.look()
    (scene.root / HOUSE).write_text(BY_HAND)
    await scene.look()


def child(home: Path, point: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(home), str(START_MS)],
        env=os.environ | {"HOMARUS_FAILPOINT": point, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=CHILD_S,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.crash
@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(tmp_path: Path, point: str) -> None:
    home = tmp_path / "home"
    async with ground(home) as g:
        scene = Scene(g)
        await scene.change(HOUSE, BEFORE)
        await scene.look()
        assert scene.text() == BEFORE
    child(home, point)
    async with ground(home, ManualClock(START_MS + 1)) as g:
        scene = Scene(g)
        on_disk = scene.text()
        assert on_disk in (BEFORE, AFTER, BY_HAND), "a file is whole whenever one looks"
        approved = await scene.approved()
        assert approved in (BEFORE, AFTER)
        assert on_disk != AFTER or approved == AFTER, "the row goes first"
        await scene.look()
        assert scene.text() == approved
        found = [change.patch["content"] for change in await scene.found()]
        assert found in ([], [BY_HAND])
        assert on_disk != BY_HAND or found == [BY_HAND]
        if git.program() is not None:
            titles = scene.git("log", "--format=%s", "main").splitlines()
            assert len(titles) == len(set(titles)) == (2 if approved == AFTER else 1)
