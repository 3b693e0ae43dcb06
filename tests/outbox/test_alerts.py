"""Who is told of a mirror: one incident while something lasts, resolved when it is over."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.flows import mirror_acts, mirrors
from homarus.flows.mirror_alerts import WAIT_MS
from homarus.outbox.port import (
    Absent,
    Change,
    Health,
    Later,
    Limit,
    Looked,
    Outcome,
    Refused,
    Unknown,
)
from homarus.testing.mirrors import FakeMirror
from homarus.testing.shop import OWNER
from tests.support.engines import BOTH
from tests.support.mirrored import Mirrored, mirrored

MIN_MS = 60_000
Told = list[tuple[str, str, str]]


class Answering(FakeMirror):
    """Is well, and answers a push and a lookup with what is `given`, where something is."""

    given: dict[str, Any]

    async def push(self, change: Change) -> Outcome:
        told: Outcome | None = self.given.get("push")
        return await super().push(change) if told is None else told

    async def lookup(self, change: Change) -> Looked:
        told: Looked | None = self.given.get("lookup")
        return await super().lookup(change) if told is None else told

    async def health(self) -> Health:
        return Health(True)


def answering(m: Mirrored, **given: Any) -> dict[str, Any]:
    """What the target answers from now on; it may be changed."""
    manifest = m.kind.manifest

    def opened(config: dict[str, Any], means: Any) -> FakeMirror:
        mirror = Answering(m.target, manifest, means)
        mirror.given = given
        return mirror

    m.kind = msgspec.structs.replace(m.kind, open=opened)
    m.outbox = m.worker()
    return given


async def passes(m: Mirrored, minutes: int) -> None:
    for _ in range(minutes):
        await m.outbox.once()
        m.ground.clock.advance(MIN_MS)


async def told(m: Mirrored) -> Told:
    found: Told = await m.ground.read(
        lambda rx: rx.all("select reason_code, status, summary from incident order by no")
    )
    return found


@BOTH
@pytest.mark.parametrize(
    "given, why",
    [
        ({"push": Later("503 disk full")}, "503 disk full"),
        ({"push": Later("429", 30.0)}, "429"),
        ({"push": Later("429", 24 * 3_600.0)}, "429"),
        ({"push": Later("the file is locked", 30.0, alone=True)}, "the file is locked"),
        ({"push": Unknown("504"), "lookup": Unknown("404 to a lookup")}, "404 to a lookup"),
        ({"push": Unknown("504"), "lookup": Later("429")}, "429"),
    ],
)  # fmt: skip
async def test_a_change_that_never_gets_through_is_told_once(
    tmp_path: Path, given: dict[str, Any], why: str, opener: Any
) -> None:
    async with mirrored(tmp_path, delay_s=300.0, opener=opener) as m:
        await m.add()
        await m.until_empty()
        answers = answering(m, **given)
        await m.shop.task()
        await passes(m, 14)
        assert await told(m) == []
        await passes(m, 20)
        said = f"mirror board: a change waits for more than 15 minutes: {why}"
        await m.shop.do("mirror.change", OWNER, mirror_acts.resync, "board")
        await passes(m, 5)
        assert await told(m) == [("mirror_late", "open", said)]
        answers.clear()
        m.ground.clock.advance(24 * 60 * MIN_MS)
        await m.until_empty()
        await passes(m, 12)
        assert await told(m) == [("mirror_late", "resolved", said)]
        answers["push"] = Later("503")
        await m.shop.task()
        await passes(m, 30)
        assert [row[:2] for row in await told(m)] == [
            ("mirror_late", "resolved"), ("mirror_late", "open"),
        ]  # fmt: skip


async def test_one_of_many_is_enough(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        answers = answering(m, push=Unknown("504"))
        await m.shop.task()
        await m.outbox.once()
        del answers["push"]
        answers["lookup"] = Unknown("404 to a lookup")
        for _ in range(12):
            await m.shop.task()
            await passes(m, 1)
        assert len(m.target.records) > 9
        assert [row[0] for row in await told(m)] == ["mirror_late"]
        answers["lookup"] = Absent()
        await m.until_empty()
        await passes(m, 12)
        assert [row[1] for row in await told(m)] == ["resolved"]


async def test_what_is_paused_or_stopped_is_not_late(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        await m.shop.do("mirror.change", OWNER, mirror_acts.pause, "board", "moving house")
        task = await m.shop.task()
        await passes(m, 30)
        held = await m.shop.stop("task", task.id)
        await m.shop.do("mirror.change", OWNER, mirror_acts.resume, "board")
        await passes(m, 30)
        assert await told(m) == []
        whole = await m.shop.stop("company", "")
        await m.shop.lift(held)
        await passes(m, 30)
        assert await told(m) == []
        await m.shop.lift(whole)


async def test_what_waits_its_turn_is_not_late(tmp_path: Path) -> None:
    async with mirrored(tmp_path, limits=(Limit(1, 60.0),)) as m:
        for _ in range(25):
            await m.shop.task()
        await m.add()
        await passes(m, 20)
        assert 10 < len(m.target.records) < 25
        assert await told(m) == []
        await m.ground.write("company.update", _forbidden)
        await passes(m, 20)
        assert [row[0] for row in await told(m)] == ["mirror_late"]


def _forbidden(tx: Any) -> None:
    """Redline R3 lets nothing out any more."""
    tx.run("update company set level='enforce' where id=?", (tx.company,))
    tx.emit("company_updated", tx.company, {})


async def test_a_target_that_is_down_is_told_and_over_when_it_is_well(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        m.target.down = True
        await m.shop.task()
        await passes(m, WAIT_MS // MIN_MS - 1)
        assert await told(m) == []
        await passes(m, 60)
        assert [row[:2] for row in await told(m)] == [("mirror_held", "open")]
        m.target.down = False
        await m.until_empty()
        await passes(m, 12)
        assert [row[:2] for row in await told(m)] == [("mirror_held", "resolved")]


async def test_a_credential_that_is_not_taken_holds_the_mirror_and_costs_nothing(
    tmp_path: Path,
) -> None:
    """Also of a target that says that it is well."""
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        refused = Refused("auth", "the receiver answered 401")
        answers = answering(m, push=refused)
        for _ in range(5):
            await m.shop.task()
        await passes(m, 24 * 60)
        assert {row[0] for row in await m.rows("status")} == {"pending"}
        assert {row[0] for row in await m.rows("retry_count")} == {0}
        row = await m.ground.read(mirrors.need, m.ground.company, "board")
        assert row.held == refused.why and row.held_ms is not None
        assert m.ground.clock.now_ms() - row.held_ms > 23 * 60 * MIN_MS
        said = f"mirror board: {refused.why}"
        assert await told(m) == [("mirror_held", "open", said)]
        answers.clear()
        await m.until_empty(step_ms=MIN_MS)
        assert await m.differences() == []
        row = await m.ground.read(mirrors.need, m.ground.company, "board")
        assert row.held is None
        await passes(m, 12)
        assert await told(m) == [("mirror_held", "resolved", said)]


async def test_what_is_told_of_a_mirror_that_is_removed_is_over(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        m.target.down = True
        await m.shop.task()
        await passes(m, 30)
        await m.shop.do("mirror.remove", OWNER, _remove, "board")
        assert [row[:2] for row in await told(m)] == [("mirror_held", "resolved")]


def _remove(tx: Any, name: str) -> mirrors.Mirror:
    return mirror_acts.remove(tx, name, drop="the house is sold")


async def test_after_a_rest_of_the_daemon_it_has_as_long_again(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        answers = answering(m, push=Later("503"))
        await m.shop.task()
        await passes(m, 5)
        m.ground.clock.advance(24 * 60 * MIN_MS)
        await passes(m, 9)
        assert await told(m) == []
        await passes(m, 2)
        assert [row[0] for row in await told(m)] == ["mirror_late"]
        answers.clear()
