"""The worker killed for real (kill -9) at each of its points, and begun again: nothing is made
twice, nothing is lost."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from homarus.testing.ground import START_MS, ManualClock, ground
from homarus.testing.mirroring import MIRROR, TARGET
from homarus.testing.mirrors import FileTarget
from homarus.testing.recount import recount, verify
from tests.support.mirrored import expected
from tests.support.profile import chosen_profile

SEEDS = chosen_profile().pick(ci=2, full=30)
LIVES = 4
CHILD_S = 100
DAY_MS = 86_400_000
POINTS = ("outbox.leased", "outbox.sent", "outbox.settled", "outbox.looked", "store.before_commit",
          "store.after_commit")  # fmt: skip

pytestmark = pytest.mark.crash


def live(home: Path, seed: int, number: int, point: str = "", rounds: int = 12) -> int:
    words = (home, seed, rounds, START_MS + number * DAY_MS)
    child = subprocess.run(
        [sys.executable, "-m", "homarus.testing.mirroring", *map(str, words)],
        env=os.environ | {"HOMARUS_FAILPOINT": point}, capture_output=True, timeout=CHILD_S,
    )  # fmt: skip
    wanted = (0, -signal.SIGKILL) if point else (0,)
    assert child.returncode in wanted, child.stderr.decode()[-3000:]
    return child.returncode


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_killed_at_its_points_and_begun_again(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    home = tmp_path / "home"
    deaths = 0
    for life in range(LIVES):
        point = f"{POINTS[(seed + life) % len(POINTS)]}:{chance.randrange(1, 12)}"
        deaths += live(home, seed * 100 + life, life, point) != 0
    live(home, seed, LIVES, rounds=2)
    assert deaths > 0
    async with ground(home, ManualClock()) as g:
        target = FileTarget(home / TARGET, ManualClock())
        held = target.held()
        wanted = await g.read(expected, g.company, MIRROR)
        assert {marker: [fields] for marker, fields in wanted.items()} == held
        assert await g.read(recount, g.company) + await g.read(verify, g.company) == []
    for record in target.records.values():
        times = [fields["updated"] for fields in record.writes if "updated" in fields]
        assert times == sorted(times)
