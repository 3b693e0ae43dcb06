"""A daemon killed at each step of a firing: it has one row, runs, and is not silently lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from homarus.app import build
from homarus.config.settings import load
from homarus.jobs import runs
from homarus.testing import blank
from homarus.testing.cron import RAN
from tests.support.profile import chosen_profile

CHILD_S = 60
pytestmark = pytest.mark.crash

CASES = [
    # where it dies, whether the command may be done again, the state and how often it ran
    ("cron.fired", "once", "done", 1),
    ("cron.taken", "once", "done", 1),
    ("cron.started", "once", "dead", 0),
    ("cron.ran", "once", "dead", 1),
    ("cron.started", "restartable", "done", 1),
    ("cron.ran", "restartable", "done", 2),
]


def life(home: Path, kind: str, point: str = "") -> None:
    blank.lay(home)
    child = subprocess.run(
        [sys.executable, "-m", "homarus.testing.cron", str(home), kind],
        env=os.environ | {"HOMARUS_FAILPOINT": point}, capture_output=True, timeout=CHILD_S,
        check=False,
    )  # fmt: skip
    assert child.returncode == (-signal.SIGKILL if point else 0), child.stderr[-2000:]


@pytest.mark.parametrize(
    ("point", "kind", "state", "ran"), chosen_profile().pick(ci=CASES[1:4:2], full=CASES)
)
async def test_a_firing_is_one_row_wherever_the_daemon_dies(
    tmp_path: Path, point: str, kind: str, state: str, ran: int
) -> None:
    home = tmp_path / "home"
    life(home, kind, f"{point}:1")
    life(home, kind)
    app = build(load(home, {}, port=0))
    await app.store.start()
    try:
        company = (await app.store.read(lambda rx: rx.one("select company from job")))[0]
        (run,) = await app.store.read(lambda rx: runs.listed(rx, company, limit=10))
    finally:
        await app.store.stop()
    assert (run.state, run.n) == (state, 0)
    marks = [path.read_text() for path in home.glob(f"agents/*/workspace/*/{RAN}")]
    assert "".join(marks).count("ran") == ran
