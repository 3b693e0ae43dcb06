"""The worker's promises, one by one, against a fake target on a simulated clock."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.base.errors import HomarusError
from homarus.flows import mirror_acts, mirror_conflicts, mirrors, outbox_desk
from homarus.kernel import settings
from homarus.outbox.lane import HELD_FIRST_MS, SEND_MS
from homarus.outbox.port import Change, Done, Limit, Outcome
from homarus.testing.mirrors import OK, REFUSED, THROTTLED, FakeMirror
from homarus.testing.shop import OWNER
from tests.support.engines import BOTH
from tests.support.mirrored import Mirrored, mirrored

HOUR_MS = 3_600_000


def scripted(m: Mirrored, *faults: str) -> None:
    """What the next calls come to; afterwards all is well."""
    left = list(faults)

    def next_fault() -> str:
        m.target.calls += 1
        return left.pop(0) if left else OK

    m.target.next_fault = next_fault  # type: ignore[method-assign]


@BOTH
async def test_folding_and_order(tmp_path: Path, opener: Any) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        await m.add()
        await m.until_empty()
        one, two = await m.shop.task(), await m.shop.task()
        await m.shop.patch(one.id, priority=5)
        await m.shop.archive(two.id)
        assert sorted(await m.rows("status", "action")) == [
            ("dropped", "create"), ("pending", "create"),
        ]  # fmt: skip
        await m.outbox.once()
        await m.shop.patch(one.id, priority=6)
        await m.shop.patch(one.id, priority=7)
        await m.shop.archive(one.id)
        await m.until_empty()
        assert ("completed", "delete") in await m.rows("status", "action")
        assert (m.target.held(), m.target.deleted) == ({}, ["homarus:task:T-1"])
        assert m.target.calls == 2


async def test_a_refusal_spends_a_retry_and_the_third_fails_with_an_incident(
    tmp_path: Path,
) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        scripted(m, REFUSED, REFUSED, REFUSED)
        task, began = await m.shop.task(), m.ground.clock.now_ms()
        await m.until_empty(step_ms=1)
        assert 6 * 60_000 <= m.ground.clock.now_ms() - began <= 7 * 60_000
        assert await m.rows("status", "retry_count", "error_msg") == [
            ("failed", 3, "422 the field is not known")
        ]
        rows = await m.ground.read(lambda rx: rx.all("select reason_code, summary from incident"))
        assert rows == [("mirror_failed", "mirror board: T-1: 422 the field is not known")]
        other = await m.shop.task()
        scripted(m, REFUSED, REFUSED, REFUSED)
        await m.until_empty()
        assert len(await m.ground.read(lambda rx: rx.all("select id from incident"))) == 1
        (row,) = await m.ground.read(
            lambda rx: outbox_desk.listed(rx, m.ground.company, limit=9, entity=task.id)
        )
        await m.shop.do("outbox.retry", OWNER, outbox_desk.retry, row.id)
        await m.until_empty()
        assert list(m.target.held()) == ["homarus:task:T-1"]
        await m.shop.patch(other.id, priority=1)
        await m.until_empty()
        assert await m.differences() == []


async def test_throttling_and_an_outage_spend_none(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        scripted(m, THROTTLED)
        await m.shop.task()
        await m.outbox.once()
        ((status, due_ms),) = await m.rows("status", "scheduled_at")
        assert status == "pending" and due_ms > m.ground.clock.now_ms()
        m.target.down = True
        m.ground.clock.advance(HOUR_MS)
        for _ in range(40):
            await m.outbox.once()
            m.ground.clock.advance(HELD_FIRST_MS * 4)
        row = await m.ground.read(mirrors.need, m.ground.company, "board")
        assert row.held == "the target is down; it is asked again"
        assert await m.rows("retry_count", "tries") == [(0, 1)]
        told = await m.ground.read(lambda rx: rx.all("select reason_code from incident"))
        assert told == [("mirror_held",)]
        m.target.down = False
        await m.until_empty()
        assert await m.differences() == []
        row = await m.ground.read(mirrors.need, m.ground.company, "board")
        assert row.held is None and row.last_ok_ms is not None


async def test_a_rate_budget_is_kept(tmp_path: Path) -> None:
    async with mirrored(tmp_path, limits=(Limit(3, 10.0),)) as m:
        await m.add()
        for _ in range(7):
            await m.shop.task()
        spent = []
        for _ in range(60):
            await m.outbox.once()
            spent.append((m.ground.clock.now_ms(), m.target.calls))
            m.ground.clock.advance(1_000)
        assert await m.differences() == []
        for at_ms, calls in spent:
            before = [n for then_ms, n in spent if then_ms <= at_ms - 10_000]
            assert calls - (before[-1] if before else 0) <= 3


@pytest.mark.parametrize("scope", ["company", "task", "project"])
async def test_stop_halts_pushes(tmp_path: Path, scope: str) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        task = await m.shop.task()
        subject = {"company": "", "task": task.id, "project": m.shop.project_id}[scope]
        held = await m.shop.stop(scope, subject)
        await m.outbox.once()
        assert m.target.calls == 0
        await m.shop.lift(held)
        m.ground.clock.advance(HOUR_MS)
        await m.shop.give_back()
        await m.until_empty()
        assert await m.differences() == []


async def test_r3_names_the_targets(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.ground.write("company.update", _enforce)
        with pytest.raises(HomarusError, match="governed setting"):
            await m.add()
        await m.ground.write("company.update", settings.put, "mirrors", ["fake"])
        await m.add()
        await m.shop.task()
        await m.until_empty()
        assert len(m.target.records) == 1
        await m.ground.write("company.update", settings.put, "mirrors", [])
        await m.shop.task()
        await m.outbox.once()
        assert len(m.target.records) == 1
        refused = await m.ground.read(
            lambda rx: rx.all("select actor, capability from receipt where code like 'R3.%'")
        )
        assert refused == [("system:outbox", "mirror.push")]


def _enforce(tx: Any) -> None:
    tx.run("update company set level='enforce' where id=?", (tx.company,))
    tx.emit("company_updated", tx.company, {})


async def test_each_push_is_an_intent_and_an_outcome(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        task = await m.shop.task()
        await m.until_empty()
        found = await m.ground.read(
            lambda rx: rx.all(
                "select seq, of_seq, actor, target, outcome from receipt "
                "where capability='mirror.push' order by seq"
            )
        )
        (intent, outcome) = found
        assert intent[1:] == (None, "system:outbox", "mirror:fake/board", None)
        assert outcome[1:3] == (intent[0], "system:outbox") and outcome[4] == 0
        ((receipt, at),) = await m.rows("kernel_receipt", "receipt_id")
        assert at == "rec1" and receipt
        about = await m.ground.read(lambda rx: rx.all("select task from receipt where of_seq>0"))
        assert [bytes(row[0]).hex() for row in about] == [task.id.replace("-", "")]


async def test_what_is_leased_and_not_sent_is_handed_back_on_the_way_out(tmp_path: Path) -> None:
    async with mirrored(tmp_path, serial_by="mirror") as m:
        await m.add()
        await m.until_empty()
        for _ in range(5):
            await m.shop.task()
        sending, go = asyncio.Event(), asyncio.Event()

        class Slow(FakeMirror):
            async def push(self, change: Change) -> Outcome:
                sending.set()
                await go.wait()
                return await super().push(change)

        m.kind = _opened_as(m, Slow)
        m.outbox = m.worker()
        running = asyncio.create_task(m.outbox.run())
        await sending.wait()
        # Comes when `drain` first waits: by then it has said that nothing more is taken up.
        asyncio.get_running_loop().call_soon(go.set)
        await m.outbox.drain()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        statuses = [row[0] for row in await m.rows("status")]
        assert statuses.count("completed") == 1 and statuses.count("pending") == 4
        assert {row[0] for row in await m.rows("retry_count")} == {0}


async def test_what_was_leased_long_ago_is_not_sent(tmp_path: Path) -> None:
    """Another daemon may have taken it over: it is leased anew."""
    async with mirrored(tmp_path, serial_by="mirror") as m:
        await m.add()
        await m.until_empty()
        for _ in range(3):
            await m.shop.task()

        class Slow(FakeMirror):
            async def push(self, change: Change) -> Outcome:
                m.ground.clock.advance(SEND_MS + 1)
                return await super().push(change)

        m.kind = _opened_as(m, Slow)
        m.outbox = m.worker()
        await m.outbox.once()
        statuses = [row[0] for row in await m.rows("status")]
        assert statuses.count("completed") == 1 and statuses.count("pending") == 2
        await m.until_empty()
        assert await m.differences() == []


def _opened_as(m: Mirrored, made: Any) -> Any:
    manifest = msgspec.structs.replace(m.kind.manifest, serial_by="mirror")
    return msgspec.structs.replace(
        m.kind, open=lambda config, means: made(m.target, manifest, means)
    )


@BOTH
async def test_a_resync_compares_all_in_chunks_and_finds_what_is_left_behind(
    tmp_path: Path, opener: Any
) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        tasks = [await m.shop.task() for _ in range(7)]
        await m.add()
        await m.until_empty()
        assert (await m.differences(), m.target.calls) == ([], 7)
        await m.shop.do("mirror.change", OWNER, mirror_acts.resync, "board")
        await m.until_empty()
        assert (m.target.calls, m.target.lookups) == (14, 7)
        await m.shop.do("mirror.remove", OWNER, _remove, "board")
        await m.shop.archive(tasks[0].id)
        await m.shop.patch(tasks[1].id, priority=3)
        await m.add()
        await m.until_empty()
        assert await m.differences() == []
        assert (m.target.calls - m.target.lookups, m.target.lookups) == (9, 13)


def _remove(tx: Any, name: str) -> None:
    mirror_acts.remove(tx, name, drop=None)


@BOTH
async def test_an_unknown_row_that_is_dropped_is_looked_up_before_the_next(
    tmp_path: Path, opener: Any
) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        await m.add()
        await m.until_empty()
        scripted(m, "lost_after")
        task = await m.shop.task()
        await m.outbox.once()
        ((row, status),) = await m.rows("id", "status")
        assert status == "unknown"
        await m.shop.patch(task.id, priority=3)
        await m.shop.do("outbox.drop", OWNER, outbox_desk.drop, row, "seen by hand")
        await m.until_empty()
        assert (await m.differences(), len(m.target.records)) == ([], 1)
        assert m.target.lookups == 1


@BOTH
async def test_what_others_changed_is_a_conflict_and_ours_goes_out_again(
    tmp_path: Path, opener: Any
) -> None:
    async with mirrored(tmp_path, opener=opener) as m:
        row = await m.add()
        await m.shop.task()
        await m.until_empty()
        own = mirror_conflicts.Foreign("task", "homarus:task:T-1", "rec1", {"title": "t"})
        other = mirror_conflicts.Foreign("task", "homarus:task:T-1", "rec1", {"title": "theirs"})
        m.target.records["rec1"].fields["title"] = "theirs"
        take_in, both = mirror_conflicts.take_in, [own, other]
        assert await m.ground.write("mirror.settle", take_in, row.id, both, "7") == 1
        await m.until_empty()
        assert await m.differences() == []
        (found,) = await m.ground.read(_conflicts, m.ground.company)
        assert (found.theirs, found.state) == ({"title": "theirs"}, "open")
        await m.shop.do("mirror.change", OWNER, mirror_conflicts.resolve, found.no, "told her")
        assert await m.ground.read(_conflicts, m.ground.company) == []


def _conflicts(rx: Any, company: str) -> list[mirror_conflicts.Row]:
    return mirror_conflicts.listed(rx, company, limit=9)


async def test_an_adapter_that_fails_holds_up_its_own_mirror_alone(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.add("other")
        await m.until_empty()

        class Broken(FakeMirror):
            async def push(self, change: Change) -> Outcome:
                if self.means.mirror == broken:
                    raise ZeroDivisionError
                return Done(change.receipt or change.token)

        broken = (await m.ground.read(mirrors.need, m.ground.company, "other")).id
        m.kind = _opened_as(m, Broken)
        m.outbox = m.worker()
        await m.shop.task()
        await m.outbox.once()
        assert sorted(await m.rows("status", "error_msg")) == [
            ("completed", ""), ("unknown", "the adapter failed: ZeroDivisionError"),
        ]  # fmt: skip


async def test_a_months_calls_are_not_passed(tmp_path: Path) -> None:
    async with mirrored(tmp_path, monthly=4) as m:
        await m.add()
        for _ in range(7):
            await m.shop.task()
        for _ in range(30):
            await m.outbox.once()
            m.ground.clock.advance(HOUR_MS)
        row = await m.ground.read(mirrors.need, m.ground.company, "board")
        assert (row.held, len(m.target.records)) == ("the 4 calls of this month are spent", 3)
        m.ground.clock.advance(31 * 24 * HOUR_MS)
        await m.until_empty()
        assert await m.differences() == []


async def test_what_a_stop_holds_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.until_empty()
        held = [await m.shop.task() for _ in range(3)]
        stops = [await m.shop.stop("task", task.id) for task in held]
        await m.outbox.once()
        await m.outbox.once()
        refused = await m.ground.read(
            lambda rx: rx.all("select count(*) from receipt where code='stop.task'")
        )
        await m.outbox.once()
        await m.shop.task()
        await m.outbox.once()
        assert list(m.target.held()) == ["homarus:task:T-4"]
        assert refused[0][0] <= 3
        await m.shop.lift(stops[0])
        await m.outbox.once()
        assert sorted(m.target.held()) == ["homarus:task:T-1", "homarus:task:T-4"]
