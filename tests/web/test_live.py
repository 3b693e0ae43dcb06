"""The stream of a tab: everything once and in order, a bound for those who do not read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.store.port import Tx
from homarus.testing.stores import OpenStore, opened, sqlite_store
from homarus.web.stream import MAX_FRAMES, Company, Frame, Tab, subject_of


def frames_of(message: bytes | None) -> list[tuple[int, str]]:
    return [] if message is None else [(f["seq"], f["kind"]) for f in msgspec.json.decode(message)]


def numbered(first: int, last: int) -> list[Frame]:
    return [Frame(seq, "task_note", f"task:{seq}") for seq in range(first, last + 1)]


@pytest.mark.parametrize(
    ("kind", "noun"),
    [
        ("task_claimed", "task:id"),
        ("lease_expired_retry", "task:id"),
        ("dead_lettered", "task:id"),
        ("agent_updated", "agent:id"),
        ("stop_set", "stop:id"),
    ],
)
def test_subjects_say_what_kind_of_thing_changed(kind: str, noun: str) -> None:
    assert subject_of(kind, "id") == noun


def test_a_tab_gets_each_frame_once_and_in_order() -> None:
    tab = Tab(2)
    tab.put(numbered(1, 4))
    tab.put(numbered(4, 5))
    assert frames_of(tab.take(5)) == [(3, "task_note"), (4, "task_note"), (5, "task_note")]
    assert tab.take(5) is None


def test_what_was_missed_comes_first() -> None:
    tab = Tab(0)
    tab.put(numbered(3, 4))
    tab.put_first(numbered(1, 3))
    assert [seq for seq, _ in frames_of(tab.take(4))] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("waiting", "kinds"),
    [(MAX_FRAMES, {"task_note"}), (MAX_FRAMES + 1, {"resync"})],
)
def test_a_tab_that_does_not_read_is_told_to_resync(waiting: int, kinds: set[str]) -> None:
    tab = Tab(0)
    for seq in range(1, waiting + 1):
        tab.put(numbered(seq, seq))
    told = frames_of(tab.take(waiting))
    assert {kind for _, kind in told} == kinds
    assert told[-1][0] == waiting
    tab.put(numbered(waiting + 1, waiting + 1))
    assert frames_of(tab.take(waiting + 1)) == [(waiting + 1, "task_note")]


# -- with a store ----------------------------------------------------------------------------


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[OpenStore]:
    async with opened(sqlite_store, tmp_path) as made:
        yield made


async def emit(ground: OpenStore, n: int = 1) -> None:
    def some(tx: Tx) -> None:
        for _ in range(n):
            tx.emit("task_note", tx.new_id())

    await ground.store.write(ground.action(), some)


class Listening:
    """A company's feed in use, as the hub has it."""

    def __init__(self, ground: OpenStore, seq: int) -> None:
        self.company = Company(ground.store, ground.company, 1, seq)
        self.undo: Callable[[], None] = ground.store.listen(self._committed)
        self._id = ground.company

    def _committed(self, heads: dict[str, int]) -> None:
        if self._id in heads:
            self.company.committed(heads[self._id])

    async def join(self, after: int) -> Tab:
        tab = Tab(after)
        self.company.tabs.add(tab)
        await self.company.join(tab)
        return tab

    async def next(self, tab: Tab) -> list[tuple[int, str]]:
        async with asyncio.timeout(5):
            while True:
                await self.company.advance()
                message = tab.take(self.company.seq)
                if message is not None:
                    return frames_of(message)
                await tab.wake.wait()
                tab.wake.clear()


async def head_of(ground: OpenStore) -> int:
    row: Any = await ground.store.read(
        lambda rx: rx.one("select event_seq from company_head where company_no=1")
    )
    return int(row[0])


async def test_changes_before_and_after_joining_all_arrive(ground: OpenStore) -> None:
    start = await head_of(ground)
    await emit(ground, 3)
    listening = Listening(ground, start)
    tab = await listening.join(start)
    await emit(ground, 2)
    seen: list[int] = []
    while len(seen) < 5:
        seen += [seq for seq, _ in await listening.next(tab)]
    assert seen == list(range(start + 1, start + 6))


@pytest.mark.parametrize("after", [-MAX_FRAMES - 1, 10_000])
async def test_a_page_too_far_off_resyncs(ground: OpenStore, after: int) -> None:
    """Far behind, or ahead of a store that was restored."""
    listening = Listening(ground, await head_of(ground))
    tab = await listening.join(await head_of(ground) + after)
    assert await listening.next(tab) == [(await head_of(ground), "resync")]


async def test_a_burst_is_one_resync_for_all(ground: OpenStore) -> None:
    listening = Listening(ground, await head_of(ground))
    tabs = [await listening.join(await head_of(ground)) for _ in range(3)]
    for _ in range(MAX_FRAMES // 50 + 1):
        await emit(ground, 50)
    for tab in tabs:
        told = await listening.next(tab)
        assert told[-1] == (await head_of(ground), "resync") or len(told) <= MAX_FRAMES


async def test_a_refusal_is_told_though_it_is_no_event(ground: OpenStore) -> None:
    listening = Listening(ground, await head_of(ground))
    refused = await ground.refused_action(ground.company)
    tab = await listening.join(await head_of(ground))
    with pytest.raises(Exception, match="may not"):
        await ground.store.write(refused, emit)
    assert await listening.next(tab) == [(await head_of(ground), "receipt")]
