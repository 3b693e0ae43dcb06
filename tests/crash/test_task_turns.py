"""A daemon killed in the middle of tasks that a model works on: each is done once, with one
artifact and no effect twice, and no lease is left."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from os import environ
from pathlib import Path
from typing import Any, Final

import pytest

from homarus.app import build
from homarus.config.settings import load
from homarus.records import artifacts
from homarus.store.port import Rx
from homarus.tasks import sql
from homarus.tasks.model import State
from homarus.testing import blank
from homarus.testing.recount import recount, verify
from homarus.testing.task_turns import DEPLOYS, TASKS, answer_to, title_of
from homarus.testing.turns import EFFECTS
from tests.support.profile import chosen_profile

SEEDS = chosen_profile().pick(ci=4, full=60)
CHILD_S: Final = 60
POINTS: Final = (
    "turn.tool_began", "turn.finished", "task.taken", "turn.answered", "turn.started",
    "turn.asked",
)  # fmt: skip
MOST: Final = {"task.taken": 4, "turn.started": 4, "turn.asked": 12, "turn.answered": 12,
               "turn.tool_began": 8, "turn.finished": 4}  # fmt: skip

pytestmark = pytest.mark.crash


def life(home: Path, *, point: str = "") -> None:
    blank.lay(home)
    child = subprocess.run(
        [sys.executable, "-m", "homarus.testing.task_turns", str(home)],
        env=environ | {"HOMARUS_FAILPOINT": point}, capture_output=True, timeout=CHILD_S,
        check=False,
    )  # fmt: skip
    wanted = -signal.SIGKILL if point else 0
    assert child.returncode == wanted, child.stderr.decode("utf-8", "replace")[-3000:]


def _jobs(rx: Rx, company: str) -> list[Any]:
    rows = rx.all("select task from task_spec where type='job'")
    return [sql.with_spec(rx, company, row[0]) for row in rows]


def _turns(rx: Rx, task: str) -> list[Any]:
    return rx.all("select state, ended_ms from turn where work=?", (task,))


async def examine(home: Path) -> None:
    app = build(load(home, {}, port=0))
    await app.store.start()
    read = app.store.read
    try:
        row = await read(lambda rx: rx.one("select id from company where no>0"))
        assert row is not None
        company = row[0]
        jobs = await read(_jobs, company)
        assert Counter(spec.input["title"] for _, spec in jobs) == Counter(
            title_of(n) for n in range(TASKS)
        )
        for task, spec in jobs:
            title = spec.input["title"]
            assert (task.state, task.lease_until_ms) == (State.DONE, None), title
            result = await read(sql.result_of, task.id)
            assert result.output["text"] == answer_to(title)
            assert len(await read(artifacts.of_task, task.id)) == 1, title
            assert [state for state, _ in await read(_turns, task.id)] == ["done"], title
        assert await read(lambda rx: rx.one("select sum(active) from agent")[0]) == 0
        assert await read(recount, company) == []
        assert await read(verify, company) == []
    finally:
        await app.store.stop()
    effects = Counter((home / EFFECTS).read_text().splitlines())
    wanted = {f"mark {title_of(n)}" for n in range(TASKS)} | {f"deploy {title_of(DEPLOYS)}"}
    assert set(effects) <= wanted and set(effects.values()) == {1}, effects
    assert len(wanted - set(effects)) <= 1, "only the act that was cut short may be missing"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_a_point_of_a_task(seed: int, tmp_path: Path) -> None:
    choice = random.Random(seed)
    point = POINTS[seed % len(POINTS)]
    home = tmp_path / "home"
    life(home, point=f"{point}:{choice.randint(1, MOST[point])}")
    life(home)
    asyncio.run(examine(home))
