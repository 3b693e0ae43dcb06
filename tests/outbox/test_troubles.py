"""What goes wrong in one mirror stays there: it is held with a reason, the others go on, and it is
tried again later and later."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.flows import mirror_rows, mirrors, outbox_desk
from homarus.outbox.lane import HELD_FIRST_MS, HELD_MOST_MS
from homarus.outbox.port import Change, Health, Refused, Unknown
from homarus.testing.mirrors import FakeMirror, FaultyTarget
from homarus.testing.shop import OWNER
from homarus.testing.stores import Opener
from homarus.testing.waiting import eventually
from tests.support.engines import BOTH
from tests.support.mirrored import Mirrored, mirrored

Meddle = Callable[[FakeMirror], Any]


class Meddled(FakeMirror):
    """`meddled`: what stands in for a method of the mirror `bad`, by its name."""

    meddled: dict[str, Meddle]

    async def _told(self, name: str) -> Any:
        found = self.meddled.get(name)
        return None if found is None else (found(self),)

    async def push(self, change: Change) -> Any:
        told = await self._told("push")
        return await super().push(change) if told is None else told[0]

    async def lookup(self, change: Change) -> Any:
        told = await self._told("lookup")
        return await super().lookup(change) if told is None else told[0]

    async def health(self) -> Any:
        told = await self._told("health")
        return await super().health() if told is None else told[0]

    async def aclose(self) -> None:
        await self._told("aclose")


def raises(error: Exception) -> Meddle:
    def meddle(_: FakeMirror) -> Any:
        raise error.with_traceback(None)  # raised again, it would keep those of before

    return meddle


def answers(value: Any) -> Meddle:
    return lambda _: value


async def two(m: Mirrored) -> mirrors.Mirror:
    """`good` and `bad`, which is answered."""
    await m.add("good")
    bad = await m.add("bad")
    await m.until_empty()
    return bad


def meddle(m: Mirrored, bad: str, **meddled: Meddle) -> None:
    """From now on, in the mirror `bad`, which has a target of its own."""
    manifest, other = m.kind.manifest, FaultyTarget(m.ground.clock)

    def opened(config: dict[str, Any], means: Any) -> FakeMirror:
        mirror = Meddled(other if means.mirror == bad else m.target, manifest, means)
        mirror.meddled = meddled if means.mirror == bad else {}
        if "open" in mirror.meddled:
            mirror.meddled["open"](mirror)
        return mirror

    m.kind = msgspec.structs.replace(m.kind, open=opened)
    m.outbox = m.worker()


async def held(m: Mirrored, name: str) -> str | None:
    row = await m.ground.read(mirrors.need, m.ground.company, name)
    return row.held


TROUBLES: list[tuple[str, dict[str, Meddle], str]] = [
    ("push raises", {"push": raises(OSError("x"))}, "the adapter failed: OSError"),
    ("push answers none", {"push": answers(None)}, "the adapter failed: it answered NoneType"),
    ("push answers a health", {"push": answers(Health(True))},
     "the adapter failed: it answered Health"),
    ("lookup answers none", {"push": answers(Unknown("?")), "lookup": answers(None)},
     "the adapter failed: it answered NoneType"),
    ("lookup answers an act", {"push": answers(Unknown("?")), "lookup": answers(True)},
     "the adapter failed: it answered bool"),
    ("health raises", {"health": raises(OSError("x"))}, "the adapter failed: OSError"),
    ("health answers none", {"health": answers(None)}, "the adapter failed: it answered NoneType"),
    ("it is not opened", {"open": raises(OSError("x"))}, "the mirror failed: OSError"),
    ("it is not closed", {"push": answers(None), "aclose": raises(OSError("x"))},
     "the adapter failed: it answered NoneType"),
]  # fmt: skip


@pytest.mark.parametrize("meddled, why", [t[1:] for t in TROUBLES], ids=[t[0] for t in TROUBLES])
async def test_it_is_held_alone_and_goes_on_once_it_is_mended(
    tmp_path: Path, meddled: dict[str, Meddle], why: str
) -> None:
    async with mirrored(tmp_path) as m:
        bad = await two(m)
        meddle(m, bad.id, **meddled)
        running = asyncio.create_task(m.outbox.run())
        for n in (1, 2):
            await m.shop.task()
            await eventually(lambda n=n: len(m.target.records) == n or running.done())  # type: ignore[misc]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(m.target.records) == 2
        m.outbox = m.worker()
        for _ in range(9):
            await m.outbox.once()
            m.ground.clock.advance(1_000)
        assert await held(m, "bad") == why
        assert await held(m, "good") is None
        assert "failed" not in [row[0] for row in await m.rows("status")]
        meddle(m, bad.id)
        m.ground.clock.advance(2 * HELD_MOST_MS)
        await m.shop.task()
        await m.until_empty()
        assert await held(m, "bad") is None
        assert {row[0] for row in await m.rows("status")} == {"completed"}


async def test_a_trouble_is_tried_later_and_later_with_one_row(tmp_path: Path) -> None:
    calls = []

    def fails(mirror: FakeMirror) -> Any:
        calls.append(mirror.target.clock.now_ms())

    async with mirrored(tmp_path, serial_by="mirror") as m:
        bad = await two(m)
        meddle(m, bad.id, push=fails, lookup=fails)
        for _ in range(20):
            await m.shop.task()
        for _ in range(3_600):
            await m.outbox.once()
            m.ground.clock.advance(1_000)
        waits = [after - before for before, after in pairwise(calls)]
        assert waits[0] >= HELD_FIRST_MS and min(waits[8:]) >= HELD_MOST_MS
        assert 10 < len(calls) < 30


@dataclass
class Ailing:
    """A target that says no to every push until it is well; how often it was asked for its health,
    and `then` what happens with a push."""

    ok: bool = False
    healths: int = 0
    then: Callable[[], object] = lambda: None

    def health(self, _: FakeMirror) -> Health:
        self.healths += 1
        return Health(self.ok, "" if self.ok else "the list is gone: make it again")

    def push(self, mirror: FakeMirror) -> Any:
        self.then()
        return Refused("operator", "404")


async def test_a_lone_row_that_wants_an_operator_shows_why_and_when_it_is_over(
    tmp_path: Path,
) -> None:
    async with mirrored(tmp_path) as m:
        bad, target = await two(m), Ailing()
        meddle(m, bad.id, push=target.push, health=target.health)
        await m.shop.task()
        target.ok = True
        target.then = lambda: setattr(target, "ok", False)
        await m.outbox.once()
        assert (await held(m, "bad"), target.healths) == ("the list is gone: make it again", 2)
        await seconds(m, 61)
        assert (await held(m, "bad"), target.healths) == ("the list is gone: make it again", 3)
        target.ok = True
        await seconds(m, 58)  # the row itself is tried after 120 s
        assert (await held(m, "bad"), target.healths) == ("the list is gone: make it again", 3)
        await seconds(m, 2)
        assert (await held(m, "bad"), target.healths) == (None, 4)


async def test_a_target_that_is_well_is_asked_only_when_something_is_sent(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        bad, target = await two(m), Ailing(ok=True)
        meddle(m, bad.id, health=target.health)
        await seconds(m, 600)
        assert target.healths == 0
        await m.shop.task()
        await seconds(m, 600)
        assert target.healths == 1
        meddle(m, bad.id, health=target.health, push=target.push)
        await m.shop.task()
        await seconds(m, 600)
        assert await held(m, "bad") is None
        assert target.healths == 1 + 1 + 3  # a worker's first, and behind each of three tries


async def test_a_worker_that_ends_asks_nothing_more(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        bad, target = await two(m), Ailing(ok=True)
        meddle(m, bad.id, push=target.push, health=target.health)
        ends: list[asyncio.Future[None]] = []
        target.then = lambda: ends.append(asyncio.ensure_future(m.outbox.drain()))
        await m.shop.task()
        await m.outbox.once()
        await asyncio.gather(*ends)
        assert (len(ends), target.healths) == (1, 1)


class Picky(FakeMirror):
    """Answers what `wrong` says for the entities `bad`."""

    bad: set[str]
    wrong: Meddle

    async def push(self, change: Change) -> Any:
        return self.wrong(self) if change.entity_id in self.bad else await super().push(change)


def picky(m: Mirrored, wrong: Meddle) -> set[str]:
    """From now on; the entities that are bad, none yet."""
    manifest, bad = m.kind.manifest, set[str]()

    def opened(config: dict[str, Any], means: Any) -> FakeMirror:
        mirror = Picky(m.target, manifest, means)
        mirror.bad, mirror.wrong = bad, wrong
        return mirror

    m.kind = msgspec.structs.replace(m.kind, open=opened)
    m.outbox = m.worker()
    return bad


async def seconds(m: Mirrored, n: int) -> None:
    for _ in range(n):
        await m.outbox.once()
        m.ground.clock.advance(1_000)


async def told(m: Mirrored) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = await m.ground.read(
        lambda rx: rx.all("select reason_code, status from incident order by no")
    )
    return found


WRONG: dict[str, Meddle] = {
    "raises": raises(ValueError("x")),
    "403": answers(Refused("auth", "403 for this record")),
}


@pytest.mark.parametrize("serial_by", ["mirror", "entity"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("n", [1, 5, 20])
async def test_bad_rows_hold_up_no_others(
    tmp_path: Path, n: int, wrong: Meddle, serial_by: str
) -> None:
    async with mirrored(tmp_path, serial_by=serial_by) as m:
        await m.add()
        await m.until_empty()
        bad = picky(m, wrong)
        bad.update([(await m.shop.task()).id for _ in range(n)])
        for sent in range(1, 21):
            await m.shop.task()
            await seconds(m, 120)
            assert len(m.target.records) == sent or sent < 8
        assert await m.waits() == n
        assert await held(m, "board") is None
        await seconds(m, 600)
        assert await told(m) == [("mirror_late", "open")]
        bad.clear()
        await m.until_empty()
        assert await m.differences() == []


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_mirror_is_well_again_once_its_bad_rows_are_dropped(
    tmp_path: Path, wrong: Meddle, restarts: bool
) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        bad = picky(m, wrong)
        bad.update([(await m.shop.task()).id for _ in range(2)])
        await seconds(m, 1_500)
        assert await held(m, "board") is not None
        assert await told(m) == [("mirror_held", "open")]
        rows = [row for row, at in await m.rows("id", "entity_id") if at in bad]
        await m.shop.do("outbox.drop", OWNER, outbox_desk.drop, rows[0], "it is bad")
        await seconds(m, 600)
        assert await told(m) == [("mirror_held", "open")]
        await m.shop.do("outbox.drop", OWNER, outbox_desk.drop, rows[1], "it is bad")
        if restarts:
            m.outbox = m.worker()
        await seconds(m, 1_500)
        assert await held(m, "board") is None
        assert await told(m) == [("mirror_held", "resolved")]


async def test_what_falls_over_outside_of_its_adapter_is_no_others_matter(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        bad = await two(m)
        m.outbox = m.worker()
        at = '{"entity": "no such", "after": ""}'
        await m.ground.write("company.update", _resyncs, bad.id, at)
        await m.shop.task()
        await m.outbox.once()
        assert await held(m, "bad") == "the mirror failed: Internal"
        assert [row[0] for row in await m.rows("status")].count("completed") == 1
        before = m.ground.clock.now_ms()
        await m.outbox.once()
        assert m.ground.clock.now_ms() == before
        await m.ground.write("company.update", _resyncs, bad.id, None)
        m.ground.clock.advance(HELD_MOST_MS)
        await m.until_empty()
        assert await held(m, "bad") is None


def _resyncs(tx: Any, mirror: str, at: str | None) -> None:
    tx.run("update mirror set resync=? where id=?", (at, mirror))
    tx.emit("mirror_resync", mirror, {})


@BOTH
async def test_why_rows_are_left_is_told_of_the_oldest_of_each_status(
    tmp_path: Path, opener: Opener
) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        row = await m.add()
        await m.until_empty()
        why = "422 no such column"
        bad = picky(m, lambda _: Refused("bad", why))
        for _ in range(2):
            bad.add((await m.shop.task()).id)
            m.ground.clock.advance(1_000)
        await m.until_empty()
        assert await left(m, row.id) == [("failed", "T-1", "422 no such column", 3)]
        why = "404"
        for _ in range(2):
            bad.add((await m.shop.task()).id)
            await m.outbox.once()
            m.ground.clock.advance(1_000)
        await m.shop.task()
        told = [("pending", "T-3", "404", 1), ("failed", "T-1", "422 no such column", 3)]
        assert await left(m, row.id) == told
        await m.ground.write("company.update", _handed_back)
        assert await left(m, row.id) == told[1:]
        bad.clear()
        for (id_,) in await m.rows("id"):
            await m.shop.do("outbox.drop", OWNER, mirror_rows.drop, id_, "enough")
        assert await left(m, row.id) == []


async def left(m: Mirrored, mirror: str) -> list[tuple[str, str, str, int]]:
    found = await m.ground.read(mirrors.troubles, mirror)
    return [(each.status, each.number, each.error, each.tries) for each in found]


def _handed_back(tx: Any) -> None:
    tx.run("update outbox_v2 set error_msg=? where status='pending'", (mirror_rows.NOT_SENT,))
    tx.emit("company_updated", tx.company, {})
