"""Where the network lets no socket through, a bridge polls; when one returns, it stops polling.

The proxy is ours, on loopback; it blocks nothing but the upgrade.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homarus.bridge.bridge import Bridge
from homarus.testing.daemon import Daemon
from tests.support.bridged import ANSWERS, WAIT_S, Place, Recorder, place
from tests.support.proxy import Proxy, Upgrades, proxy

REPLY = (sys.executable, "-c", ANSWERS)
SYNC = "/messages/sync"


@pytest.fixture
async def here(daemon: Daemon, tmp_path: Path) -> AsyncIterator[Place]:
    yield await place(daemon, tmp_path)


@pytest.fixture
async def wall(daemon: Daemon) -> AsyncIterator[Proxy]:
    async with proxy(daemon.url) as made:
        yield made


def polls(wall: Proxy) -> int:
    return sum(SYNC in line for line in wall.requests)


async def until_polled(wall: Proxy, more: int = 1) -> None:
    target = polls(wall) + more
    async with asyncio.timeout(WAIT_S):
        while polls(wall) < target:  # noqa: ASYNC110 - the proxy has no signal for it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["refuse", "swallow"])
async def test_it_falls_back_to_polling_and_returns(
    here: Place, wall: Proxy, how: Upgrades
) -> None:
    """Ten messages across a wall that goes up, comes down and cuts: each answered, once."""
    wall.upgrades = how
    tell = Recorder()
    made = Bridge(here.settings(url=wall.url, reply=REPLY, exec=here.does(), open_s=0.5), tell)
    running = asyncio.create_task(made.run())
    try:
        await tell.until("reconnecting")
        said: list[str] = []

        async def say(times: int) -> None:
            for _ in range(times):
                said.append(f"m{len(said)}")
                await here.say(said[-1])

        await say(3)
        assert await here.replies(3) == [f"You said: {text}" for text in said]
        assert polls(wall) > 0
        assert wall.refused > 0
        assert here.journal()["reconnectAttempt"] > 0
        task = await here.task("behind the wall")
        await here.becomes(task, "done")

        wall.upgrades = "pass"
        await tell.until("connected")
        assert here.journal()["reconnectAttempt"] == 0
        before = polls(wall)
        await say(3)
        assert len(await here.replies(6)) == 6
        assert polls(wall) == before, "never both"

        wall.upgrades = how
        wall.drop_sockets()
        await tell.until("socket_lost", times=tell.count("socket_lost") + 1)
        await say(2)
        assert len(await here.replies(8)) == 8
        assert polls(wall) > before

        wall.upgrades = "pass"
        await tell.until("connected", times=2)
        await say(2)
        assert await here.replies(10) == [f"You said: {text}" for text in said]
    finally:
        made.end()
        await running
    assert here.done() == [task]
    assert len([m for m in await here.messages() if m["senderType"] == "agent"]) == 10


async def test_what_happened_between_two_sockets_is_replayed(here: Place, wall: Proxy) -> None:
    """Without a poll: the cursor of the feed alone brings it."""
    async with here.bridge(url=wall.url, reply=REPLY) as tell:
        for n in range(3):
            wall.drop_sockets()
            await here.say(f"m{n}")
            await tell.until("connected", times=n + 2)
        assert await here.replies(3) == ["You said: m0", "You said: m1", "You said: m2"]


async def test_a_feed_that_cannot_be_replayed(here: Place, wall: Proxy) -> None:
    """`resync`: messages are asked for by time; nothing is lost, nothing comes twice."""
    async with here.bridge(reply=REPLY):
        await here.say("one")
        await here.replies(1)
    path = here.folder / "bridge-state.json"
    text = path.read_text()
    at = text.index('"feedSeq": ') + len('"feedSeq": ')
    path.write_text(text[:at] + "99999999" + text[text.index(",", at) :])
    await here.say("two")
    async with here.bridge(reply=REPLY) as tell:
        await tell.until("resync")
        assert await here.replies(2) == ["You said: one", "You said: two"]
        await here.say("three")
        assert await here.replies(3) == ["You said: one", "You said: two", "You said: three"]


async def test_the_daemon_may_come_later(daemon: Daemon, here: Place) -> None:
    """A bridge that is started first waits, and starts when somebody answers."""
    async with proxy(daemon.url) as made:
        url = made.url
    tell = Recorder()
    bridge = Bridge(here.settings(url=url), tell)
    running = asyncio.create_task(bridge.run())
    await tell.until("waiting_for_daemon")
    bridge.end()
    await running
    assert tell.count("started") == 0
