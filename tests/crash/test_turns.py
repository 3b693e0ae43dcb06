"""A daemon killed in the middle of turns with tools and an approval: each message is answered once,
no effect happens twice, the transcript stays readable."""

import asyncio
import json
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
from homarus.conversations import sessions, transcript
from homarus.conversations.turns import State
from homarus.store.port import Rx
from homarus.testing import blank
from homarus.testing.recount import recount, verify
from homarus.testing.turns import (
    AGENT,
    DEPLOYS,
    EFFECTS,
    MESSAGES,
    answer_to,
    answered,
    text_of,
)
from tests.support.profile import chosen_profile

SEEDS = chosen_profile().pick(ci=15, full=200)
CHILD_S: Final = 60
POINTS: Final = (
    "turn.started", "turn.asked", "turn.answered", "turn.tool_began", "turn.finished",
)  # fmt: skip
MOST: Final = {"turn.started": 11, "turn.asked": 34, "turn.answered": 34, "turn.tool_began": 23,
               "turn.finished": 11}  # fmt: skip

pytestmark = pytest.mark.crash


def start(home: Path, *arguments: str, point: str = "") -> "subprocess.Popen[bytes]":
    blank.lay(home)
    return subprocess.Popen(
        [sys.executable, "-m", "homarus.testing.turns", str(home), *arguments],
        env=os.environ | {"HOMARUS_FAILPOINT": point},
        stdout=subprocess.PIPE,
        stderr=(home.parent / "stderr").open("ab"),
    )  # fmt: skip


def life(home: Path, *, point: str = "") -> None:
    child = start(home, point=point)
    child.communicate(timeout=CHILD_S)
    wanted = -signal.SIGKILL if point else 0
    log = (home.parent / "stderr").read_text("utf-8", "replace")
    assert child.returncode == wanted, log[-3000:]


def _entries(rx: Rx, company: str) -> list[transcript.Entry]:
    session = sessions.need(rx, company, f"agent:{AGENT}:main")
    return transcript.since(rx, session.id, 1)


def _said(rx: Rx, company: str) -> list[str]:
    rows = rx.all(
        "select text from message where company=? and sender_type='agent' order by seq", (company,)
    )
    return [row[0] for row in rows]


def _titles(rx: Rx) -> Counter[str]:
    rows = rx.all("select s.input from task_spec s where s.type='chat_task'")
    return Counter(json.loads(row[0])["title"] for row in rows)


def unreadable(entries: list[transcript.Entry]) -> list[str]:
    """What a model could not be shown: a call without its one result, a result without its call."""
    wrong: list[str] = []
    open_: list[str] = []
    for entry in entries:
        message = entry.message
        if message["role"] == "toolResult":
            if message["toolCallId"] not in open_:
                wrong.append(f"{entry.seq}: a result without a call")
            else:
                open_.remove(message["toolCallId"])
            continue
        wrong += [f"{entry.seq}: {ref} has no result" for ref in open_]
        open_ = []
        if message["role"] == "assistant":
            open_ = [p["id"] for p in message["content"] if p["type"] == "toolCall"]
    return wrong + [f"{ref} has no result" for ref in open_]


async def examine(home: Path) -> None:
    app = build(load(home, {}, port=0))
    await app.store.start()
    try:
        row = await app.store.read(lambda rx: rx.one("select id from company where no>0"))
        assert row is not None
        company = row[0]
        rows = await app.store.read(answered, company)
        assert {key: row.state for key, row in rows.items()} == {
            f"key-{n}": State.DONE for n in range(MESSAGES)
        }
        said = Counter(await app.store.read(_said, company))
        assert said == Counter(answer_to(text_of(n)) for n in range(MESSAGES))
        titles = await app.store.read(_titles)
        assert titles == Counter(text_of(n) for n in range(MESSAGES))
        assert unreadable(await app.store.read(_entries, company)) == []
        assert await app.store.read(recount, company) == []
        assert await app.store.read(verify, company) == []
        await app.transcripts.check()
        _views(home, len(await app.store.read(_entries, company)))
    finally:
        await app.store.stop()
    effects = Counter((home / EFFECTS).read_text().splitlines())
    wanted = {f"mark {text_of(n)}" for n in range(MESSAGES)} | {f"deploy {text_of(DEPLOYS)}"}
    assert set(effects) <= wanted and set(effects.values()) == {1}, effects
    assert len(wanted - set(effects)) <= 1, "only the act that was cut short may be missing"


def _views(home: Path, count: int) -> None:
    (path,) = home.glob("agents/*/sessions/*.jsonl")
    lines: list[Any] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(lines) == count + 1


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_a_point_of_a_turn(seed: int, tmp_path: Path) -> None:
    choice = random.Random(seed)
    point = POINTS[seed % len(POINTS)]
    home = tmp_path / "home"
    life(home, point=f"{point}:{choice.randint(1, MOST[point])}")
    life(home)
    asyncio.run(examine(home))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_ten_messages_behind_a_running_turn(end: signal.Signals, tmp_path: Path) -> None:
    home = tmp_path / "home"
    child = start(home, "hang")
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(MESSAGES + 1)]
    assert said[-1] == b"hanging\n"
    child.send_signal(end)
    child.communicate(timeout=CHILD_S)
    assert child.returncode == (0 if end is signal.SIGTERM else -signal.SIGKILL)
    life(home)
    asyncio.run(examine(home))
