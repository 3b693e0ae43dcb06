"""Heartbeats by the gateway: the last one, the switch of all, waking (gateway contract, 8)."""

import asyncio
from typing import Any

import pytest

from homarus.company import heartbeats
from homarus.testing.daemon import Daemon, key
from tests.gateway.ws.client import SOON_S, Client, joined


async def run_here(daemon: Daemon, name: str, **heartbeat: Any) -> str:
    """An agent that this daemon runs, with its heartbeat on: its id."""
    body = {"name": name, "executor": "llm"}
    reply = await daemon.owner.post("/api/v1/agents", json=body, headers=key())
    agent = str(reply.json()["agent"]["id"])
    given = {"enabled": True} | heartbeat
    reply = await daemon.owner.put(f"/api/v1/agents/{agent}/heartbeat", json=given, headers=key())
    assert reply.status_code == 200, reply.text
    return agent


async def test_a_wake_up_for_later_is_kept(daemon: Daemon) -> None:
    first, second = await run_here(daemon, "One"), await run_here(daemon, "Two")
    read = daemon.app.talk.hub.means.store.read
    async with joined(daemon) as client:
        wake = {"mode": "next-heartbeat", "text": "look at the mail"}
        assert await client.call("wake", wake | {"agentId": "one"}) == {"ok": True}
        assert (await read(heartbeats.of, first)).wakes == ("look at the mail",)
        assert (await read(heartbeats.of, second)).wakes == ()
        assert await client.call("wake", wake) == {"ok": True}
        assert (await read(heartbeats.of, second)).wakes == ("look at the mail",)


async def test_a_wake_up_now_and_the_last_heartbeat(daemon: Daemon) -> None:
    """It has no model, which is what is told of it."""
    agent = await run_here(daemon, "One")
    async with joined(daemon) as client:
        assert await client.call("last-heartbeat") is None
        wake = {"mode": "now", "text": "look", "sessionKey": "agent:one:main"}
        assert await client.call("wake", wake) == {"ok": True}
        found = await _told(daemon, client)
        assert (found["agentId"], found["status"]) == (agent, "failed")


async def _told(daemon: Daemon, client: Client) -> dict[str, Any]:
    feed = daemon.app.talk.hub.means.feed
    async with asyncio.timeout(SOON_S):
        while True:
            seq = await feed.head(daemon.company_id)
            found = await client.call("last-heartbeat")
            if found is not None:
                return dict(found)
            await feed.wait(daemon.company_id, seq, SOON_S)


async def test_the_switch(daemon: Daemon) -> None:
    async with joined(daemon) as client:
        for enabled in (False, True):
            reply = await client.call("set-heartbeats", {"enabled": enabled})
            assert reply == {"ok": True, "enabled": enabled}
            seen = (await daemon.owner.get("/api/v1/heartbeats")).json()
            assert seen["enabled"] is enabled


@pytest.mark.parametrize(
    ("scopes", "name", "params", "code"),
    [
        (("operator.read",), "wake", {"mode": "now", "text": "x"}, "MISSING_SCOPE"),
        (("operator.write",), "set-heartbeats", {"enabled": False}, "MISSING_SCOPE"),
        (("operator.admin",), "wake", {"mode": "now", "text": "x" * 10_000}, "heartbeat.wake"),
        (("operator.admin",), "wake", {"mode": "later", "text": "x"}, None),
        (("operator.admin",), "wake", {"mode": "now", "text": "x", "agentId": "no"}, None),
    ],
)
async def test_refused(
    daemon: Daemon, scopes: tuple[str, ...], name: str, params: dict[str, Any], code: str | None
) -> None:
    async with joined(daemon, scopes=scopes) as client:
        error = await client.error(name, params)
        assert error.get("details", {}).get("code") == code or code is None
