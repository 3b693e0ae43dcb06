"""Waiting for a company's feed to move, over a real store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homarus.base.errors import NotFound
from homarus.control_plane import feed
from homarus.control_plane.feed import Feed
from homarus.store.port import Tx
from homarus.testing.ground import Ground, ground
from homarus.testing.waiting import eventually

SOON_S = 10.0


@pytest.fixture
async def g(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground(tmp_path) as made:
        yield made


@pytest.fixture
async def news(g: Ground) -> AsyncIterator[Feed]:
    made = Feed(g.store)
    made.start()
    yield made
    made.stop()


def say(tx: Tx, n: int) -> None:
    for _ in range(n):
        tx.emit("said", tx.new_id(), {"n": n})


async def waiters(news: Feed, count: int) -> None:
    await eventually(lambda: news.waiting >= count)


async def test_a_wait_wakes_at_once_on_a_commit(g: Ground, news: Feed) -> None:
    head = await news.head(g.company)
    waits = [asyncio.create_task(news.wait(g.company, head, 60.0)) for _ in range(3)]
    await waiters(news, 3)
    await g.write("task.expire", say, 2)
    async with asyncio.timeout(SOON_S):
        assert await asyncio.gather(*waits) == [head + 2] * 3
    assert news.waiting == 0


async def test_what_is_there_already_is_not_waited_for(g: Ground, news: Feed) -> None:
    await g.write("task.expire", say, 1)
    head = await news.head(g.company)
    assert await news.wait(g.company, head - 1, 60.0) == head


async def test_other_companies_do_not_wake_it_and_time_ends_it(g: Ground, news: Feed) -> None:
    head = await news.head("")
    wait = asyncio.create_task(news.wait("", head, 0.05))
    await waiters(news, 1)
    await g.write("task.expire", say, 1)
    async with asyncio.timeout(SOON_S):
        assert await wait == head
    assert news.waiting == 0


async def test_a_cancelled_wait_leaves_no_trace(g: Ground, news: Feed) -> None:
    wait = asyncio.create_task(news.wait(g.company, 10**9, 60.0))
    await waiters(news, 1)
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    assert news.waiting == 0
    await g.write("task.expire", say, 1)


async def test_stopping_ends_every_wait_with_the_head_unmoved(g: Ground, news: Feed) -> None:
    head = await news.head(g.company)
    wait = asyncio.create_task(news.wait(g.company, head, 60.0))
    await waiters(news, 1)
    news.stop()
    async with asyncio.timeout(SOON_S):
        assert await wait == head
        assert await news.wait(g.company, head, 60.0) == head


async def test_an_unknown_company(news: Feed) -> None:
    with pytest.raises(NotFound):
        await news.wait("01a1f978-acee-72aa-8763-e53ee771c702", 0, 1.0)


async def test_pages_are_in_order_and_bounded(g: Ground, news: Feed) -> None:
    for _ in range(6):
        await g.write("task.expire", say, 100)
    no, head = await g.read(feed.head, g.company)
    first = await g.read(feed.page, no, 0, 10_000)
    assert len(first) == feed.MAX_PAGE
    rest = await g.read(feed.page, no, first[-1].seq)
    seqs = [event.seq for event in [*first, *rest]]
    assert seqs == list(range(1, head + 1))
    assert [e.seq for e in await g.read(feed.page, no, 3, 10, 5)] == [4, 5]
    assert len({event.id for event in [*first, *rest]}) == head
