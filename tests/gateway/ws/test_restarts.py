"""Restarts that clients ask for: shared, spaced, and told of afterwards (gateway contract, 15)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from homarus.gateway.ws import restarts
from homarus.gateway.ws.restarts import Restarts
from homarus.testing.daemon import Daemon, running
from tests.gateway.ws.client import joined
from tests.gateway.ws.conftest import ONE_LOOP
from tests.gateway.ws.talking import over, said, talking

pytestmark = ONE_LOOP
SOON_S = 20.0
SAID = {"kind": "restart", "status": "ok", "ts": 1}


async def nothing(payload: dict[str, Any]) -> None:
    _ = payload


@pytest.mark.parametrize(
    ("delay_ms", "delays"), [(None, 2_000), (0, 0), (500, 500), (-5, 0), (10**9, 60_000)]
)
async def test_when_it_is_due(tmp_path: Path, delay_ms: int | None, delays: int) -> None:
    due = await Restarts(tmp_path).ask("x", SAID, delay_ms)
    assert delays - 5 <= due["delayMs"] <= delays and not due["coalesced"]


async def test_who_asks_meanwhile_shares_it(tmp_path: Path) -> None:
    happened = asyncio.Event()
    asked = Restarts(tmp_path)
    asked.restart = happened.set
    running_ = asyncio.create_task(asked.run())
    first = await asked.ask("first", SAID, 60_000)
    second = await asked.ask("second", SAID | {"kind": "other"}, 0)
    assert (first["coalesced"], second["coalesced"], second["delayMs"]) == (False, True, 0)
    kept = json.loads((tmp_path / restarts.SENTINEL).read_text())
    assert kept["payload"] == SAID, "the first who asked is told"
    async with asyncio.timeout(SOON_S):
        await happened.wait()
    third = await asked.ask("third", SAID, 0)
    assert 29_000 < third["cooldownMsApplied"] <= third["delayMs"] <= 30_000
    running_.cancel()


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"payload": 5}'])
async def test_a_sentinel_that_says_nothing(tmp_path: Path, kept: str) -> None:
    path = tmp_path / restarts.SENTINEL
    path.parent.mkdir()
    path.write_text(kept)
    asked = Restarts(tmp_path)
    await asked.report(nothing)
    assert not (asked.last or {}) and path.exists() == (kept == "")


async def test_asked_for_and_told_to_the_session(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with talking(home, "Yes.") as (ask, client):
        await client.call("chat.send", said("Hi", "k1"))
        await over(client, "k1")
        before = await client.call("gateway.restart.preflight")
        assert (before["safe"], before["blockers"]) == (True, [])
        more = {"sessionKey": "agent:ada:main", "note": "For the new key.", "restartDelayMs": 0}
        done = await client.call("gateway.restart.request", {"reason": "keys"} | more)
        assert (done["status"], done["restart"]["reason"]) == ("scheduled", "keys")
        async with asyncio.timeout(SOON_S):
            await ask.daemon.service.restart_asked.wait()
        assert (await client.call("update.status"))["sentinel"] is None
    async with running(home) as daemon, joined(daemon) as client:
        await client.call("sessions.messages.subscribe", {"key": "agent:ada:main"})
        text = await told(client)
        assert text == "The gateway has restarted (restart). For the new key."
        status = await client.call("update.status")
        assert status["sentinel"]["message"] == "For the new key."


async def told(client: Any) -> str:
    """The last line of the session, once there are three."""
    async with asyncio.timeout(SOON_S):
        while True:
            page = await client.call("chat.history", {"sessionKey": "agent:ada:main"})
            if len(page["messages"]) == 3:
                return str(page["messages"][-1]["content"][0]["text"])
            await client.event("session.message")


@pytest.mark.parametrize(
    ("scope", "method", "needs"),
    [
        ("operator.read", "gateway.restart.request", "operator.admin"),
        ("operator.read", "update.status", "operator.admin"),
        ("operator.pairing", "gateway.restart.preflight", "operator.read"),
    ],
)
async def test_who_may(shared: Daemon, scope: str, method: str, needs: str) -> None:
    async with joined(shared, scopes=(scope,)) as client:
        assert (await client.error(method, {}))["details"]["missingScope"] == needs
