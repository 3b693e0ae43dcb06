"""Units: acknowledged means stored, and no unit sees or harms another."""

import asyncio
import threading
from pathlib import Path

import pytest

from homarus.base.errors import Conflict, HomarusError, Refused
from homarus.store.port import Tx
from homarus.testing.ground import ManualClock
from homarus.testing.stores import Opener, OpenStore, opened
from tests.contract_store import units

pytestmark = pytest.mark.contract


async def test_an_acknowledged_write_is_seen_by_the_next_read(store: OpenStore) -> None:
    for n in range(20):
        assert await store.store.write(store.action(), units.put, "x", n) == n
        assert await store.store.read(units.value, store.company, "x") == n


async def test_an_acknowledged_write_is_there_after_a_restart(
    opener: Opener, tmp_path: Path
) -> None:
    async with opened(opener, tmp_path) as first:
        await first.store.write(first.action(), units.put, "x", 7)
    async with opened(opener, tmp_path) as second:
        assert second.company == first.company
        assert await second.store.read(units.value, second.company, "x") == 7


async def test_a_failing_unit_leaves_receipt_and_outcome_and_no_state(store: OpenStore) -> None:
    batch = [
        store.store.write(store.action(), units.put, "before"),
        store.store.write(store.action(), units.put_and_fail, "conflict"),
        store.store.write(store.action(), units.put_and_break, "bug"),
        store.store.write(store.action(), units.put, "after"),
    ]
    before, conflict, bug, after = await asyncio.gather(*batch, return_exceptions=True)
    assert (before, after) == (1, 1)
    assert isinstance(conflict, Conflict) and conflict.code == "test.conflict"
    assert isinstance(bug, HomarusError) and bug.code == "internal.unit"
    assert "a bug" not in str(bug)
    values = [
        await store.store.read(units.value, store.company, name)
        for name in ("before", "conflict", "bug", "after")
    ]
    assert values == [1, None, None, 1]
    rows = await store.store.read(units.receipts, store.company)
    assert [(r["of_seq"], r["code"], r["outcome"]) for r in rows] == [
        (None, None, None),
        (None, None, None),
        (2, "test.conflict", 1),
        (None, None, None),
        (4, "internal.unit", 1),
        (None, None, None),
    ]


async def test_a_refusal_leaves_its_receipt_and_no_state(store: OpenStore) -> None:
    action = await store.refused_action(store.company)
    with pytest.raises(Refused) as caught:
        await store.store.write(action, units.put, "x")
    assert caught.value.code == "permission.capability"
    assert await store.store.read(units.value, store.company, "x") is None
    rows = await store.store.read(units.receipts, store.company)
    assert [(r["verdict"], r["code"]) for r in rows[-1:]] == [(1, "permission.capability")]
    assert caught.value.receipt is not None


async def test_equal_refusals_are_counted_and_leave_one_more_receipt(
    opener: Opener, tmp_path: Path
) -> None:
    """The first is written at once, the others of a minute are one row (governance contract, 1)."""
    clock = ManualClock()
    async with opened(opener, tmp_path, clock) as made:
        refused = await made.refused_action(made.company)
        answers = await asyncio.gather(
            *(made.store.write(refused, units.put, "x") for _ in range(5)), return_exceptions=True
        )
        assert len({a.receipt for a in answers if isinstance(a, Refused)}) == 1
        clock.advance(60_000)
        assert made.kernel.waiting(clock.now_ms()) == {made.company}
        await made.store.write(made.action("ledger.flush"), made.kernel.flush)
        assert made.kernel.waiting(clock.now_ms()) == set()
        rows = await made.store.read(units.receipts, made.company)
    assert [r["repeats"] for r in rows if r["code"]] == [None, 4]


async def test_events_have_no_gap_under_64_producers(store: OpenStore) -> None:
    async def produce(n: int) -> None:
        for _ in range(5):
            await store.store.write(store.action(), units.add, "shared")
            with pytest.raises(Conflict):
                await store.store.write(store.action(), units.put_and_fail, f"p{n}")

    await asyncio.gather(*(produce(n) for n in range(64)))
    rows = await store.store.read(units.events, store.company)
    assert [seq for seq, _ in rows] == list(range(1, 64 * 5 + 1))
    assert await store.store.read(units.value, store.company, "shared") == 64 * 5
    receipts = await store.store.read(units.receipts, store.company)
    assert [r["seq"] for r in receipts] == list(range(1, 64 * 5 * 3 + 1))
    assert await store.store.read(units.head, store.company) == (64 * 5, 64 * 5 * 3)


async def test_companies_do_not_share_sequences(store: OpenStore) -> None:
    others = [await store.found(f"c{n}") for n in range(5)]
    writes = [
        store.store.write(store.action(company=company), units.add, "x")
        for company in others
        for _ in range(10)
    ]
    await asyncio.gather(*writes)
    for company in others:
        rows = await store.store.read(units.events, company)
        assert [seq for seq, _ in rows] == list(range(1, 11))
        assert await store.store.read(units.value, company, "x") == 10


async def test_units_of_a_company_run_in_the_order_they_came(store: OpenStore) -> None:
    await asyncio.gather(
        *(store.store.write(store.action(), units.put, "x", n) for n in range(300))
    )
    assert await store.store.read(units.value, store.company, "x") == 299


async def test_an_unknown_company_is_named_and_harms_nobody(store: OpenStore) -> None:
    nowhere = store.store.write(store.action(company="nowhere"), units.put, "x")
    good = store.store.write(store.action(), units.put, "x")
    unknown, done = await asyncio.gather(nowhere, good, return_exceptions=True)
    assert isinstance(unknown, HomarusError) and unknown.code == "company.unknown"
    assert done == 1


@pytest.mark.parametrize("slow", [units.spin, units.spin_writing])
async def test_a_unit_that_takes_too_long_is_refused_and_its_neighbours_commit(
    store: OpenStore, slow: object
) -> None:
    batch = [
        store.store.write(store.action(), units.put, "before"),
        store.store.write(store.action(), slow, "slow"),  # type: ignore[arg-type]
        store.store.write(store.action(), units.put, "after"),
    ]
    before, refused, after = await asyncio.gather(*batch, return_exceptions=True)
    assert isinstance(refused, HomarusError) and refused.code == "store.unit_too_long"
    assert (before, after) == (1, 1)
    assert await store.store.read(units.value, store.company, "slow") is None
    rows = await store.store.read(units.receipts, store.company)
    assert [(r["of_seq"], r["code"]) for r in rows] == [
        (None, None),
        (None, None),
        (2, "store.unit_too_long"),
        (None, None),
    ]
    assert store.store.health()["state"] == "ok"


async def test_a_cancelled_caller_does_not_cancel_the_unit(store: OpenStore) -> None:
    waiting = asyncio.ensure_future(store.store.write(store.action(), units.put, "x", 3))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.store.write(store.action(), units.put, "y")
    assert await store.store.read(units.value, store.company, "x") == 3


async def test_listeners_hear_of_a_commit_after_it(store: OpenStore) -> None:
    heard: asyncio.Queue[dict[str, int]] = asyncio.Queue()
    undo = store.store.listen(heard.put_nowait)
    for n in range(1, 4):
        await store.store.write(store.action(), units.put, "x", n)
        heads: dict[str, int] = {}
        while heads.get(store.company, 0) < n:
            heads |= await asyncio.wait_for(heard.get(), 10)
        assert heads[store.company] == n
        rows = await store.store.read(units.events, store.company)
        assert len(rows) == n
    undo()
    undo()
    await store.store.write(store.action(), units.put, "x")
    assert heard.empty()


async def test_a_thread_without_a_loop_may_write(store: OpenStore) -> None:
    done: list[int] = []
    thread = threading.Thread(
        target=lambda: done.append(store.store.write_wait(store.action(), units.put, "x", 4))
    )
    thread.start()
    await asyncio.to_thread(thread.join, 10)
    assert done == [4]


async def test_after_stop_a_write_is_refused(opener: Opener, tmp_path: Path) -> None:
    async with opened(opener, tmp_path) as made:
        waiting = [made.store.write(made.action(), units.put, "x", n) for n in range(50)]
    assert [await w for w in waiting] == list(range(50))
    with pytest.raises(HomarusError) as caught:
        await made.store.write(made.action(), units.put, "x")
    assert caught.value.code == "store.stopping"


def put_text(tx: Tx, text: str) -> None:
    tx.run(units.PUT, (tx.head.no, text, 1))


def put_number(tx: Tx, number: int) -> None:
    tx.run(units.PUT, (tx.head.no, "n", number))


@pytest.mark.parametrize(
    ("unit", "value", "code"),
    [(put_text, "half \ud800", "store.bad_text"), (put_number, 2**63, "store.bad_number")],
)
async def test_values_that_no_column_holds_are_bad_requests(
    store: OpenStore, unit: object, value: object, code: str
) -> None:
    with pytest.raises(HomarusError) as caught:
        await store.store.write(store.action(), unit, value)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.status) == (code, 400)


async def test_a_fault_in_the_judge_fails_one_unit_only(store: OpenStore) -> None:
    """The judge reads with what the caller sent: it must not end the writer."""
    action = await store.refused_action(store.company)
    bad = store.action(credential="\ud800", system=None)
    batch = [
        store.store.write(store.action(), units.put, "before"),
        store.store.write(bad, units.put, "bad"),
        store.store.write(action, units.put, "refused"),
        store.store.write(store.action(), units.put, "after"),
    ]
    before, fault, refused, after = await asyncio.gather(*batch, return_exceptions=True)
    assert (before, after) == (1, 1)
    assert isinstance(fault, HomarusError) and fault.code == "store.bad_text"
    assert isinstance(refused, Refused)
    assert store.store.health()["state"] == "ok"
