"""Numbers of events, and what becomes of a client that does not read (gateway contract, 5)."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from homarus.gateway.ws.hub import Policy
from homarus.gateway.ws.link import DROPPED, Link
from homarus.testing.daemon import Daemon, running
from tests.gateway.ws.client import TEST, Client, dialled, gateway_token, joined


def seqs(client: Client) -> list[int]:
    return [event["seq"] for event in client.events if "seq" in event]


# -- the bound -----------------------------------------------------------------------------


async def test_a_dropped_event_has_its_number() -> None:
    link = Link(lambda: 100)
    link.event("agent", b'"%s"' % (b"x" * 200))
    link.event("tick", b"{}")
    link.event("health", b"{}")
    assert (link.seq, link.dropped, link.ended.done()) == (3, 2, False)
    assert json.loads(await link.next())["seq"] == 1
    link.event("tick", b"{}")
    assert json.loads(await link.next())["seq"] == 4


@pytest.mark.parametrize("name", ["agent", "chat", "sessions.changed", "shutdown"])
async def test_what_may_not_be_missed_ends_the_connection(name: str) -> None:
    link = Link(lambda: 10)
    link.send("x" * 11)
    link.event(name, b"{}")
    assert (link.ended.result().code, link.ended.result().reason) == (1008, "slow consumer")
    link.send("more")
    assert link.left() == ["x" * 11]


async def test_a_delta_may_be_missed() -> None:
    link = Link(lambda: 10)
    link.send("x" * 11)
    link.event("chat", b"{}", droppable=True)
    assert not link.ended.done() and "chat" not in DROPPED


async def test_exactly_the_bound_is_within_it() -> None:
    link = Link(lambda: 10)
    link.send("x" * 10)
    link.send("y")
    assert not link.ended.done()
    link.send("z")
    assert link.ended.done()


# -- on the wire ---------------------------------------------------------------------------


async def test_numbers_are_each_connections_own_and_without_a_gap(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon:
        daemon.app.talk.hub.policy = Policy(tick_s=0.05)
        async with joined(daemon) as first:
            await first.event("tick", lambda payload: len(seqs(first)) >= 3)
            async with joined(daemon) as second:
                await second.event("tick")
                assert seqs(second)[0] == 1
                await first.event("tick", lambda payload: len(seqs(first)) >= 6)
            assert seqs(first) == list(range(1, len(seqs(first)) + 1))
            assert first.hello["policy"]["tickIntervalMs"] == 50


async def test_one_that_does_not_read_is_cut_and_others_go_on(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon:
        daemon.app.talk.hub.policy = Policy(max_buffered_bytes=200_000)
        async with joined(daemon) as good, dialled(daemon, max_queue=1) as slow:
            sock = slow.wire.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            assert (await slow.greet(gateway_token(daemon)))["ok"]
            slow.wire.transport.pause_reading()
            link = daemon.app.talk.hub.peers[slow.hello["server"]["connId"]].link
            while not link.ended.done():
                for _ in range(50):
                    link.event("sessions.changed", b'"%s"' % (b"x" * 10_000))
                assert (await good.call("health"))["ok"] is True
            assert link.ended.result().reason == "slow consumer"
            assert link.buffered_bytes <= 200_000 + 11_000
            slow.wire.transport.abort()
            assert (await good.call("status"))["runtimeVersion"]


async def test_a_stop_is_said_before_it_happens(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon, joined(daemon) as client:
        daemon.service.app.leave_waiters()
        assert await client.closed() == (1012, "service restart")
        assert client.events[-1]["event"] == "shutdown"
        assert client.events[-1]["payload"] == {"reason": "gateway stopping"}


async def test_a_daemon_that_stops_tells_its_clients(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon, joined(daemon) as client:
        stopping = asyncio.create_task(daemon.service.stop())
        assert await client.closed() == (1012, "service restart")
        assert client.events[-1]["event"] == "shutdown"
        await stopping


async def test_presence_and_its_version(daemon: Daemon) -> None:
    async with joined(daemon) as watcher:
        before = watcher.hello["snapshot"]["stateVersion"]["presence"]
        async with joined(daemon, client=TEST | {"instanceId": "i-1"}):
            told = await watcher.event("presence", lambda p: len(p["presence"]) == 2)
            assert (told["presence"][1]["instanceId"], told["presence"][1]["reason"]) == (
                "i-1", "connect",
            )  # fmt: skip
        told = await watcher.event(
            "presence", lambda p: p["presence"][-1].get("reason") == "disconnect"
        )
        versions = [e["stateVersion"] for e in watcher.events if e["event"] == "presence"]
        assert versions[0]["presence"] > before
        assert versions == sorted(versions, key=lambda v: v["presence"])
        listed = await watcher.call("system-presence")
        assert [entry["reason"] for entry in listed] == ["self", "disconnect"]
        assert not [entry for entry in listed if entry["mode"] == "cli"]


async def test_health_that_is_looked_at_anew_is_told(daemon: Daemon) -> None:
    async with joined(daemon) as client, joined(daemon) as other:
        first = await client.call("health")
        assert (await client.call("health"))["ts"] == first["ts"]
        fresh = await client.call("health", {"probe": True})
        assert fresh["ts"] >= first["ts"]
        told = await other.event("health", lambda p: p["ts"] == fresh["ts"])
        assert told["ok"] is True
        (event,) = [e for e in other.events if e["event"] == "health"][-1:]
        assert event["stateVersion"]["health"] > client.hello["snapshot"]["stateVersion"]["health"]
