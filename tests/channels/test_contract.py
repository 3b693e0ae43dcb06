"""What every adapter of a channel keeps to (`channels/port.py`). A new one: a line of ADAPTERS."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from homarus.base.errors import Busy
from homarus.channels.port import Account, Channel, Incoming, Outgoing, Sent, Taken
from homarus.testing.fake_channel import FakeChannel

ADAPTERS: dict[str, Callable[[Path], FakeChannel]] = {
    "memory": lambda folder: FakeChannel(),
    "disk": lambda folder: FakeChannel(folder=folder / "platform"),
}
ACCOUNT = Account("telegram", "default")


@pytest.fixture(params=ADAPTERS)
def channel(request: pytest.FixtureRequest, tmp_path: Path) -> FakeChannel:
    return ADAPTERS[request.param](tmp_path)


class Inbox:
    """Keeps what it is given; `full`: how many times it says no first."""

    def __init__(self, full: int = 0) -> None:
        self.full = full
        self.kept: list[Incoming] = []
        self.news = asyncio.Event()

    async def __call__(self, came: Incoming) -> Taken:
        if self.full:
            self.full -= 1
            raise Busy("turn.many", "too many wait", "Later.")
        self.kept.append(came)
        self.news.set()
        return Taken("taken")

    async def until(self, count: int) -> list[Incoming]:
        async with asyncio.timeout(10):
            while len(self.kept) < count:
                self.news.clear()
                await self.news.wait()
        return self.kept


@asynccontextmanager
async def running(channel: Channel, inbox: Inbox) -> Any:
    up = asyncio.Event()
    task = asyncio.create_task(channel.run(ACCOUNT, inbox, up.set))
    async with asyncio.timeout(10):
        await up.wait()
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def out(token: str, text: str = "hello", **more: Any) -> Outgoing:
    return Outgoing(token=token, account="default", target="7", text=text, **more)


async def test_what_comes_in_has_its_ids_and_its_way_back(channel: FakeChannel) -> None:
    inbox = Inbox()
    async with running(channel, inbox):
        ref = channel.say("hello", sender="7", name="Mia")
        (came,) = await inbox.until(1)
    assert (came.id, came.sender, came.text, came.peer.kind) == (ref, "7", "hello", "direct")
    assert (came.route.target, came.route.reply_to) == ("7", ref)


async def test_in_order_and_acknowledged_once_it_is_kept(channel: FakeChannel) -> None:
    inbox = Inbox(full=2)
    refs = [channel.say("one"), channel.say("two")]
    async with running(channel, inbox):
        assert [came.text for came in await inbox.until(2)] == ["one", "two"]
        await channel.heard(refs[1])
    assert channel.acknowledged == refs


async def test_what_was_not_acknowledged_comes_again(channel: FakeChannel) -> None:
    channel.say("one")
    async with running(channel, Inbox(full=1_000)):
        pass
    inbox = Inbox()
    async with running(channel, inbox):
        assert len(await inbox.until(1)) == 1


async def test_a_token_is_sent_once_and_found(channel: FakeChannel) -> None:
    async with running(channel, Inbox()):
        first = await channel.send(out("t1"))
        assert isinstance(first, Sent)
        assert await channel.send(out("t1")) == first
        assert await channel.send(out("t2")) != first
        assert await channel.lookup("default", "t1") == first
        assert await channel.lookup("default", "t3") is None
    assert [each.token for each in channel.sent()] == ["t1", "t2"]


async def test_a_probe_says_whether_it_works(channel: FakeChannel) -> None:
    assert (await channel.probe(ACCOUNT))["ok"] is True
    channel.starts = False
    assert (await channel.probe(ACCOUNT))["ok"] is False
