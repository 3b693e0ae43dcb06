"""A daemon killed between the row of a heartbeat and its act, or anywhere later: one turn."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homarus.app import build
from homarus.company import heartbeats as rows
from homarus.config.settings import load
from homarus.conversations import turns
from homarus.conversations.turns import State
from homarus.store.port import Rx
from homarus.testing import blank
from homarus.testing.heartbeats import ANSWER, REQUESTS
from tests.support.profile import chosen_profile

CHILD_S = 60
POINTS = ("heartbeat.looked", "turn.started", "turn.asked", "turn.answered", "turn.finished")

pytestmark = pytest.mark.crash


def life(home: Path, point: str = "") -> None:
    blank.lay(home)
    child = subprocess.run(
        [sys.executable, "-m", "homarus.testing.heartbeats", str(home)],
        env=os.environ | {"HOMARUS_FAILPOINT": point}, capture_output=True, timeout=CHILD_S,
        check=False,
    )  # fmt: skip
    assert child.returncode == (-signal.SIGKILL if point else 0), child.stderr[-2000:]


def _found(rx: Rx) -> Any:
    (company, agent) = rx.one("select company, id from agent where name='ada'") or ("", "")
    said = rx.all("select text from message where sender=?", (agent,))
    return turns.listed(rx, company, limit=10), rows.of(rx, agent), [row[0] for row in said]


@pytest.mark.parametrize("point", chosen_profile().pick(ci=POINTS[:1], full=POINTS))
async def test_it_is_one_turn_wherever_the_daemon_dies(tmp_path: Path, point: str) -> None:
    home = tmp_path / "home"
    life(home, f"{point}:1")
    life(home)
    app = build(load(home, {}, port=0))
    await app.store.start()
    try:
        found, row, said = await app.store.read(_found)
    finally:
        await app.store.stop()
    assert [(turn.origin, turn.state) for turn in found] == [("heartbeat", State.DONE)]
    assert (row.outcome, row.turns, row.wakes, said) == ("sent", 1, (), [ANSWER])
    asked = (home / REQUESTS).read_text("utf-8").splitlines()
    assert len(asked) == 1, "an answer that was kept is not asked for again"
