"""Heartbeats by the gateway: the last one, the switch of all, waking (gateway contract, 8)."""

import asyncio
from typing import Any

import pytest

from homarus.company import heartbeats
from homarus.flows.heartbeats import PROMPT
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


@pytest.mark.parametrize(
    ("given", "every", "seconds", "prompt", "target", "chars"),
    [
        ({}, ("30m", 1_800_000), 1_800, PROMPT, "main", 300),
        ({"every": "2h", "prompt": "Look.", "target": "last", "ackMaxChars": 7},
         ("2h", 7_200_000), 7_200, "Look.", "last", 7),
        ({"enabled": False}, ("disabled", None), 0, PROMPT, "main", 300),
    ],
)  # fmt: skip
async def test_health_and_status_tell_how_it_is_set(
    daemon: Daemon, given: dict[str, Any], every: tuple[str, int | None], seconds: int,
    prompt: str, target: str, chars: int,
) -> None:  # fmt: skip
    await run_here(daemon, "One", **given)
    await daemon.owner.post(
        "/api/v1/agents", json={"name": "Two", "executor": "llm"}, headers=key()
    )
    short = {"enabled": every[1] is not None, "every": every[0], "everyMs": every[1]}
    off = {"enabled": False, "every": "disabled", "everyMs": None}
    async with joined(daemon) as client:
        health = await client.call("health", {"probe": True})
        assert health["heartbeatSeconds"] == seconds
        full = {a["agentId"]: a["heartbeat"] for a in health["agents"]}
        more = {"prompt": prompt, "target": target, "ackMaxChars": chars}
        assert full["one"] == short | more
        assert full["two"] == off | {"prompt": PROMPT, "target": "main", "ackMaxChars": 300}
        status = (await client.call("status"))["heartbeat"]["agents"]
        assert {a.pop("agentId"): a for a in status} == {"one": short, "two": off}


async def test_the_switch_of_all_is_told_too(daemon: Daemon) -> None:
    await run_here(daemon, "One")
    async with joined(daemon) as client:
        await client.call("set-heartbeats", {"enabled": False})
        health = await client.call("health", {"probe": True})
        assert health["heartbeatSeconds"] == 0
        assert health["agents"][0]["heartbeat"]["enabled"] is False


@pytest.mark.parametrize("scopes", [(), ("operator.approvals",), ("operator.read",)])
async def test_one_that_came_to_something_is_told_to_everybody(
    daemon: Daemon, scopes: tuple[str, ...]
) -> None:
    await run_here(daemon, "One")
    async with joined(daemon) as client, joined(daemon, scopes=scopes) as other:
        await client.call("wake", {"mode": "now", "text": "look"})
        told = await other.event("heartbeat")
        assert told["status"] == "failed"
        assert told == await client.call("last-heartbeat")


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
