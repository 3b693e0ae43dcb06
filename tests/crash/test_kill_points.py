"""Must hold whatever the moment of death: what was acknowledged is there, nothing happened twice.

A child works on a real store and is killed with SIGKILL at a seeded passage of a failpoint, twice
on one home (so that recovery is killed too); then the home is opened and looked at.
"""

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homarus.store import backup, restore
from homarus.testing.ground import START_MS, ground
from homarus.testing.recount import recount, verify
from tests.support.profile import chosen_profile

SEEDS = chosen_profile().pick(ci=20, full=300)
PASSES = 420
"""About as many failpoints as a whole run of the child passes."""
CHILD_S = 60
LIVES = 2
DAY_MS = 86_400_000
FAILED_SEEDS: tuple[int, ...] = ()
"""Seeds that once failed stay here."""


def live(home: Path, seed: int, life: int) -> list[dict[str, Any]]:
    """One life of the child; what it acknowledged before it was killed."""
    choice = random.Random(f"{seed}:{life}")
    point = f"*:{choice.randrange(1, PASSES)}"
    environment = dict(os.environ, HOMARUS_FAILPOINT=point)
    child = subprocess.run(
        [sys.executable, "-m", "homarus.testing.crash", str(home), str(seed * LIVES + life),
         str(START_MS + life * DAY_MS)],
        env=environment, capture_output=True, timeout=CHILD_S, check=False,
    )  # fmt: skip
    assert child.returncode in (0, -signal.SIGKILL), f"seed {seed}: {child.stderr.decode()[-2000:]}"
    whole = child.stdout.decode().split("\n")[:-1]
    return [json.loads(line) for line in whole]


async def examine(home: Path, told: list[dict[str, Any]]) -> list[str]:
    """What is wrong in a home after all that was acknowledged."""
    wrong: list[str] = []
    async with ground(home) as g:
        wrong += await g.read(recount, g.company)
        wrong += await g.read(verify, g.company)
        states = dict(await g.read(lambda rx: rx.all("select id, state from task")))
        tokens = dict(await g.read(lambda rx: rx.all("select id, token from task")))
        titles = await g.read(lambda rx: rx.all("select input from task_spec"))
        messages = {r[0] for r in await g.read(lambda rx: rx.all("select id from message"))}
        files = dict(await g.read(lambda rx: rx.all("select id, sha256 from artifact")))
        done_twice = await g.read(
            lambda rx: rx.all(
                "select subject, count(*) from event where kind='task_done' "
                "group by subject having count(*)>1"
            )
        )
    names = [json.loads(text)["title"] for (text,) in titles]
    wrong += [f"two tasks {name}" for name in set(names) if names.count(name) > 1]
    wrong += [f"done twice: {subject!r}" for subject, _ in done_twice]
    created: dict[str, str] = {}
    for fact in told:
        match fact["act"]:
            case "create":
                if created.setdefault(fact["title"], fact["task"]) != fact["task"]:
                    wrong.append(f"one key, two tasks: {fact}")
                if fact["task"] not in states:
                    wrong.append(f"lost: {fact}")
            case "claim" if tokens.get(fact["task"], 0) < fact["token"]:
                wrong.append(f"lost: {fact}")
            case "done" if states.get(fact["task"]) != "done":
                wrong.append(f"lost: {fact}")
            case "message" if fact["id"] not in messages:
                wrong.append(f"lost: {fact}")
            case "upload" if files.get(fact["id"]) != fact["sha256"]:
                wrong.append(f"lost: {fact}")
            case "backup" if restore.verify(home / "backups" / fact["path"])[1]:
                wrong.append(f"broken: {fact}")
    for sha in set(files.values()):
        path = home / "blobs" / sha[:2] / sha
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha:
            wrong.append(f"no content {sha}")
    return wrong + [f"backup {p.name}" for p, _ in backup.listed(home) if restore.verify(p)[1]]


def killed(home: Path, seed: int) -> None:
    told = [fact for life in range(LIVES) for fact in live(home, seed, life)]
    wrong = asyncio.run(examine(home, told))
    assert wrong == [], f"seed {seed}: {wrong[:10]}"


@pytest.mark.crash
@pytest.mark.parametrize("seed", sorted({*range(SEEDS), *FAILED_SEEDS}))
def test_killed_at_any_point(tmp_path: Path, seed: int) -> None:
    killed(tmp_path / "home", seed)


@pytest.mark.crash
@pytest.mark.parametrize("nth", range(1, 10))
def test_killed_while_the_store_is_made(tmp_path: Path, nth: int) -> None:
    """Migrations and the first rename: the next start begins anew, or goes on."""
    home = tmp_path / "home"
    environment = dict(os.environ, HOMARUS_FAILPOINT=f"*:{nth}")
    command = [sys.executable, "-m", "homarus.testing.crash", str(home), "0", str(START_MS)]
    child = subprocess.run(
        command, env=environment, capture_output=True, timeout=CHILD_S, check=False
    )
    assert child.returncode == -signal.SIGKILL
    assert asyncio.run(examine(home, [])) == []
