"""Spenders killed in the middle: nothing is oversubscribed, what is held is what was reserved and
not settled, and it comes back when its time is over.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from homarus.client.http import Client
from homarus.demo.children import Daemon
from homarus.kernel import budgets, reservations
from homarus.store.port import Rx
from homarus.testing.ground import START_MS, ManualClock, ground
from homarus.testing.purse import LIMIT, SPENDERS
from homarus.testing.recount import recount, verify
from homarus.testing.shop import open_shop
from homarus.testing.stores import postgres_store, sqlite_store
from tests.support.profile import chosen_profile

SEEDS = chosen_profile().pick(ci=6, full=100)
POSTGRES_SEEDS = chosen_profile().pick(ci=2, full=30)
CHILD_S = 60
LEASE_MS = 900_000
MINUTE_MS = 60_000
Fact = dict[str, Any]

pytestmark = pytest.mark.crash


def life(folder: Path, url: str, seed: int, start_ms: int, point: str) -> list[Fact]:
    """What a child acknowledged until it died at the failpoint, or ended."""
    child = subprocess.run(
        [sys.executable, "-m", "homarus.testing.purse", str(folder), str(seed), str(start_ms),
         *([url] if url else [])],
        env=os.environ | {"HOMARUS_FAILPOINT": point},
        capture_output=True, timeout=CHILD_S, check=False,
    )  # fmt: skip
    wanted = -signal.SIGKILL if point else 0
    assert child.returncode == wanted, child.stderr.decode()[-2000:]
    return [json.loads(line) for line in child.stdout.split(b"\n")[:-1]]


def _money(rx: Rx, company: str) -> tuple[int, int, dict[str, Any]]:
    [budget] = budgets.listed(rx, company, limit=10)
    rows = rx.all("select id, state, money, spent_money from reservation")
    return budget.spent, budget.reserved, {row[0]: row[1:] for row in rows}


async def examine(folder: Path, url: str, told: list[Fact]) -> None:
    opener = postgres_store(url) if url else sqlite_store
    async with ground(folder, ManualClock(START_MS + 2 * MINUTE_MS), opener) as g:
        spent, reserved, rows = await g.read(_money, g.company)
        assert spent + reserved <= LIMIT
        assert reserved == sum(most for state, most, _ in rows.values() if state == "held")
        assert spent == sum(actual or 0 for *_, actual in rows.values())
        for fact in told:
            if fact["act"] == "reserved":
                assert rows[fact["id"]][1] == fact["money"]
            if fact["act"] == "settled":
                assert rows[fact["id"]][::2] == ("settled", fact["money"])
        assert await g.read(recount, g.company) == []
        assert await g.read(verify, g.company) == []
        shop = await open_shop(g)
        g.clock.advance(LEASE_MS)
        held = sum(state == "held" for state, *_ in rows.values())
        assert await shop.do("budget.expire", "system", reservations.expire_due, 500) == held
        after, reserved, _ = await g.read(_money, g.company)
        assert (after, reserved) == (spent, 0)
        assert await g.read(recount, g.company) == []


def live_and_die(folder: Path, url: str, seed: int) -> None:
    """Killed between reserve and settle, then at any point of a second life on what it left."""
    told = life(folder, url, seed, START_MS, f"purse.between:{1 + seed % 10}")
    assert any(fact["act"] == "reserved" for fact in told)
    told += life(folder, url, seed, START_MS + MINUTE_MS, f"*:{150 + 17 * seed}")
    asyncio.run(examine(folder, url, told))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_spenders_killed_at_any_point(tmp_path: Path, seed: int) -> None:
    live_and_die(tmp_path / "home", "", seed)


@pytest.mark.postgres
@pytest.mark.parametrize("seed", range(POSTGRES_SEEDS))
def test_spenders_killed_on_postgresql(tmp_path: Path, postgres_url: str, seed: int) -> None:
    live_and_die(tmp_path / "home", postgres_url, seed)


ASKED: Final = 70_000
HEARD = 5
"""Acknowledgements before the daemon is killed, of 14 that fit."""


async def race(daemon: Daemon, owner: str, heard: list[str], until: int) -> None:
    """50 reservations at once over HTTP; the daemon dies when so many were acknowledged."""
    headers = {"Authorization": f"Bearer {owner}"}
    async with httpx2.AsyncClient(base_url=daemon.ready.url, headers=headers) as client:

        async def one() -> None:
            reply = await client.post("/api/v1/reservations", json={"moneyMicros": ASKED})
            if reply.status_code == 201:
                heard.append(reply.json()["reservation"]["id"])
                if len(heard) == until:
                    daemon.kill()

        await asyncio.gather(*(one() for _ in range(SPENDERS)), return_exceptions=True)


def test_a_daemon_killed_among_fifty_requests(tmp_path: Path) -> None:
    """1.00, 0.07 each: what was acknowledged is held, and all lives together hold 14 of them."""
    home, log = tmp_path / "home", tmp_path / "log"
    daemon = Daemon(home, log)
    body = {"scope": "company", "unit": "money", "period": "total", "limit": LIMIT}
    owner = (home / "run" / "owner.token").read_text().strip()
    Client(daemon.ready.url, owner).put("/budgets", body)
    heard: list[str] = []
    asyncio.run(race(daemon, owner, heard, HEARD))
    daemon = Daemon(home, log)
    try:
        client = Client(daemon.ready.url, owner)
        [budget] = client.get("/budgets")["budgets"]
        assert HEARD * ASKED <= budget["reserved"] <= LIMIT
        asyncio.run(race(daemon, owner, heard, 0))
        [budget] = client.get("/budgets")["budgets"]
        assert (budget["spent"], budget["reserved"]) == (0, 14 * ASKED)
        for reservation in heard:
            row = client.get(f"/reservations/{reservation}")["reservation"]
            assert (row["state"], row["reserved"]["moneyMicros"]) == ("held", ASKED)
            client.post(f"/reservations/{reservation}/settle", {"moneyMicros": ASKED})
        [budget] = client.get("/budgets")["budgets"]
        assert budget["spent"] == len(heard) * ASKED
        assert budget["spent"] + budget["reserved"] == 14 * ASKED
    finally:
        daemon.stop()


def test_a_life_that_nobody_ends_spends_and_is_refused(tmp_path: Path) -> None:
    """So that the kills above fall among spenders who race for what is left."""
    told = life(tmp_path / "home", "", 1, START_MS, "")
    acts = {fact["act"] for fact in told}
    assert acts == {"reserved", "settled", "refused"}
    assert {fact["code"] for fact in told if fact["act"] == "refused"} == {"budget.exhausted"}
    assert sum(fact["act"] == "reserved" for fact in told) < SPENDERS * 3
    asyncio.run(examine(tmp_path / "home", "", told))
