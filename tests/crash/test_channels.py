"""A daemon killed while it talks on a channel: what people said is neither lost nor answered twice,
and what it says arrives once, or is an operator's to decide."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from homarus.app import build
from homarus.config.settings import load
from homarus.conversations import outgoing
from homarus.store.port import Rx
from homarus.testing import blank
from homarus.testing.channel_talk import RULE, answer_to, platform, text_of
from homarus.testing.recount import recount, verify
from tests.support.profile import chosen_profile

SEEDS = chosen_profile().pick(ci=5, full=200)
CHILD_S: Final = 60
MESSAGES: Final = 6
PARTS: Final = {n: outgoing.parts(answer_to(text_of(n)), RULE) for n in range(MESSAGES)}
ALL: Final = [part for parts in PARTS.values() for part in parts]
MOST: Final = {"channel.received": MESSAGES, "turn.finished": MESSAGES, "delivery.begun": MESSAGES,
               "delivery.acted": len(ALL), "delivery.settled": len(ALL)}  # fmt: skip
POINTS: Final = tuple(MOST)

pytestmark = pytest.mark.crash


def life(home: Path, folder: Path, *, ask: bool, point: str = "") -> None:
    blank.lay(home)
    done = subprocess.run(
        [sys.executable, "-m", "homarus.testing.channel_talk", str(home), str(folder),
         *(["ask"] if ask else [])],
        env=os.environ | {"HOMARUS_FAILPOINT": point}, timeout=CHILD_S, capture_output=True,
        check=False,
    )  # fmt: skip
    wanted = -signal.SIGKILL if point else 0
    assert done.returncode == wanted, done.stderr.decode("utf-8", "replace")[-3000:]


def _rows(rx: Rx, sql: str) -> list[Any]:
    return rx.all(sql)


async def examine(home: Path) -> Counter[str]:
    """The states of deliveries; what must hold of turns and the ledger is asserted."""
    app = build(load(home, {}, port=0))
    await app.store.start()
    try:
        read = app.store.read
        asked = await read(_rows, "select text from message where sender_type='human'")
        assert Counter(row[0] for row in asked) == Counter(text_of(n) for n in range(MESSAGES))
        turns = await read(_rows, "select state, count(*) from turn group by state")
        assert turns == [("done", MESSAGES)]
        company = (await read(_rows, "select id from company where no>0"))[0][0]
        assert await read(recount, company) == []
        assert await read(verify, company) == []
        return Counter(row[0] for row in await read(_rows, "select state from delivery"))
    finally:
        await app.store.stop()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_a_point_of_talk(seed: int, tmp_path: Path) -> None:
    choice = random.Random(seed)
    ask = seed % 2 == 0
    point = POINTS[seed % len(POINTS)]
    home, folder = tmp_path / "home", tmp_path / "platform"
    people = platform(folder, lookup=ask)
    for n in range(MESSAGES):
        people.say(text_of(n))
    life(home, folder, ask=ask, point=f"{point}:{choice.randint(1, MOST[point])}")
    life(home, folder, ask=ask)
    states = asyncio.run(examine(home))
    posted = people.texts()
    assert not people.unheard()
    assert set(Counter(posted).values()) == {1}, posted
    if ask:
        assert posted == ALL and states == {"sent": MESSAGES}
    else:
        missing = [part for part in ALL if part not in posted]
        assert posted == [part for part in ALL if part in posted], "order is kept"
        assert states["unknown"] <= 1 and states["sent"] == MESSAGES - states["unknown"]
        assert len(missing) <= 2 * states["unknown"], missing
