"""Pass after pass while more is due; rows of a pass are leased and settled together, and none
depends on what becomes of its neighbours."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.flows import mirror_acts, mirror_rows
from homarus.flows.mirror_resyncs import RESYNC_PRIORITY
from homarus.flows.mirror_rows import Goal
from homarus.flows.outbox_desk import RETRY_PRIORITY
from homarus.outbox.lane import LEASE_MS, RULED_MS
from homarus.outbox.looking import AT_A_PASS
from homarus.outbox.port import Change, Outcome, Refused
from homarus.store.port import Rx, Tx
from homarus.testing.mirrors import FakeMirror
from homarus.testing.shop import OWNER
from tests.support.engines import BOTH
from tests.support.mirrored import Mirrored, mirrored
from tests.support.traced import Explaining

WAIT_S = 60.0
SERIAL_BY = pytest.mark.parametrize("serial_by", ["entity", "mirror"])


def at_push(m: Mirrored, numbers: dict[str, Callable[[], Awaitable[Outcome | None]]]) -> None:
    """In the push of T-n something happens first, once: its answer, if any, is the target's."""

    class Meddled(FakeMirror):
        async def push(self, change: Change) -> Outcome:
            meddle = numbers.pop(change.number, None)
            told = None if meddle is None else await meddle()
            return await super().push(change) if told is None else told

    manifest = m.kind.manifest
    m.kind = msgspec.structs.replace(
        m.kind, open=lambda config, means: Meddled(m.target, manifest, means)
    )
    m.outbox = m.worker()


async def made(m: Mirrored, number: int) -> list[str]:
    """Ids of so many new tasks, each a millisecond after the one before."""
    ids = []
    for _ in range(number):
        m.ground.clock.advance(1)
        ids.append((await m.shop.task()).id)
    return ids


async def statuses(m: Mirrored) -> list[str]:
    return [row[0] for row in await m.rows("status")]


@SERIAL_BY
async def test_a_turn_goes_on_while_more_is_due(tmp_path: Path, serial_by: str) -> None:
    async with mirrored(tmp_path, serial_by=serial_by) as m:
        await m.add()
        await m.until_empty()
        await made(m, 2 * AT_A_PASS + 5)
        await m.outbox.once()
        assert await m.differences() == []
        assert m.target.calls == 2 * AT_A_PASS + 5


@SERIAL_BY
async def test_of_a_mirror_that_is_paused_meanwhile_only_what_is_leased_goes(
    tmp_path: Path, serial_by: str
) -> None:
    async with mirrored(tmp_path, serial_by=serial_by) as m:
        await m.add()
        await m.until_empty()
        await made(m, AT_A_PASS + 5)

        async def pause() -> None:
            await m.shop.do("mirror.change", OWNER, mirror_acts.pause, "board", "a look at it")

        at_push(m, {"T-3": pause})
        await m.outbox.once()
        sent = m.target.calls
        assert sent < AT_A_PASS + 5
        found = await statuses(m)
        assert (found.count("completed"), found.count("pending")) == (sent, AT_A_PASS + 5 - sent)
        await m.outbox.once()
        assert m.target.calls == sent
        await m.shop.do("mirror.change", OWNER, mirror_acts.resume, "board")
        await m.until_empty()
        assert (await m.differences(), m.target.calls) == ([], AT_A_PASS + 5)


@SERIAL_BY
async def test_a_row_that_cannot_be_leased_or_is_refused_holds_up_no_other(
    tmp_path: Path, serial_by: str
) -> None:
    async with mirrored(tmp_path, serial_by=serial_by) as m:
        await m.add()
        await m.until_empty()
        tasks = await made(m, 5)
        (spec,) = await m.ground.write("company.update", _exchange, tasks[1], "{ no JSON")

        async def refused() -> Outcome:
            return Refused("bad", "422 not this one")

        at_push(m, {"T-4": refused})
        await m.outbox.once()
        assert await m.rows("status", "error_msg") == [
            ("completed", ""), ("pending", ""), ("completed", ""),
            ("pending", "422 not this one"), ("completed", ""),
        ]  # fmt: skip
        await m.ground.write("company.update", _exchange, tasks[1], spec)
        m.ground.clock.advance(RULED_MS)
        await m.until_empty()
        assert (await m.differences(), m.target.lookups) == ([], 0)


def _exchange(tx: Tx, task: str, text: str) -> tuple[str]:
    """The text of a task's input, damaged or mended; what it was."""
    row = tx.one("select input from task_spec where task=?", (task,))
    tx.run("update task_spec set input=? where task=?", (text, task))
    assert row is not None
    return (row[0],)


@SERIAL_BY
async def test_an_outcome_whose_lease_is_over_changes_nothing(
    tmp_path: Path, serial_by: str
) -> None:
    """Another daemon takes over while a call hangs: what had ended is completed, what hung is
    unknown until it is looked up, what came after it is not sent; nothing is made twice."""
    async with mirrored(tmp_path, serial_by=serial_by) as m:
        await m.add()
        await m.until_empty()
        await made(m, 4)
        other = m.worker()

        async def hangs() -> None:
            async with asyncio.timeout(WAIT_S):  # outcomes are handed in, and not waited for
                while (await statuses(m))[:2] != ["completed", "completed"]:
                    pass
            m.ground.clock.advance(LEASE_MS + 1)
            await other.recover(alone=False)

        at_push(m, {"T-3": hangs})
        await m.outbox.once()
        assert (await statuses(m))[:3] == ["completed", "completed", "unknown"]
        assert m.target.calls == 3 or serial_by == "entity"  # the fourth waits for no other
        m.outbox = other
        await m.until_empty()
        assert (await m.differences(), len(m.target.records)) == ([], 4)
        assert m.target.lookups >= 1


# -- what is due ---------------------------------------------------------------------------

WAITING = [
    # entity, priority, due in ms
    ("resynced", RESYNC_PRIORITY, -5_000),
    ("changed last", 0, -1_000),
    ("changed first", 0, -9_000),
    ("not yet", 0, 4_000),
    ("not yet, resynced", RESYNC_PRIORITY, 3_000),
    ("tried by hand", RETRY_PRIORITY, 0),
]
IN_ORDER = ["tried by hand", "changed first", "changed last", "resynced"]


def _wait(tx: Tx, mirror: str, more: int) -> None:
    for entity, priority, in_ms in WAITING:
        goal = Goal(mirror, "fake", in_ms, frozenset())
        mirror_rows.enqueue(tx, goal, "wiki_doc", entity, "update", priority)
    for n in range(more):
        goal = Goal(mirror, "fake", 60_000 + n, frozenset())
        mirror_rows.enqueue(tx, goal, "wiki_doc", f"later {n}", "update", n % 3)


@BOTH
async def test_what_is_due_comes_by_priority_and_time(tmp_path: Path, opener: Any) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        row = await m.add()
        await m.ground.write("mirror.settle", _wait, row.id, 3)
        due, next_ms = await m.ground.read(mirror_rows.due, row.id, AT_A_PASS)
        assert [each.entity_id for each in due] == IN_ORDER
        assert next_ms == m.ground.clock.now_ms() + 3_000
        due, _ = await m.ground.read(mirror_rows.due, row.id, 2)
        assert [each.entity_id for each in due] == IN_ORDER[:2]
        assert await m.ground.read(mirror_rows.due, "another mirror", 9) == ([], None)


async def test_what_waits_is_sought_in_its_own_index_and_never_sorted(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        row = await m.add()
        await m.ground.write("mirror.settle", _wait, row.id, 0)
        plans = await m.ground.read(_plans, row.id)
        steps = {step for sql, step in plans if "'pending'" in sql}
        assert any("COVERING INDEX outbox_v2_due (mirror_id=? AND priority=?" in s for s in steps)
        assert not [s for s in steps if "TEMP B-TREE" in s or "SCAN" in s or "status_sched" in s]


def _plans(rx: Rx, mirror: str) -> list[tuple[str, str]]:
    explaining = Explaining(rx)
    mirror_rows.due(explaining, mirror, AT_A_PASS)
    return explaining.plans
