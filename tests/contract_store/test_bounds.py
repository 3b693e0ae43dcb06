"""Queues and reads have bounds, and reads see one state and change none."""

import asyncio
import threading

import pytest

from homarus.base.errors import Busy, HomarusError, Unavailable
from homarus.store.port import MAX_WAITING_READS, MAX_WAITING_UNITS, Rx, Tx
from homarus.testing.stores import OpenStore
from tests.contract_store import units

pytestmark = pytest.mark.contract

WAIT_S = 30


class Gate:
    """Holds a thread of the store inside a unit or a read; a fault, not a way to write units."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.open = threading.Event()

    def wait(self) -> None:
        self.reached.release()
        assert self.open.wait(WAIT_S)

    async def is_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.acquire, timeout=WAIT_S)


def held(tx: Tx, gate: Gate) -> None:
    gate.wait()


async def test_the_queue_of_writes_is_bounded_and_what_is_in_it_is_kept(store: OpenStore) -> None:
    gate = Gate()
    first = store.store.write(store.action(), held, gate)
    await gate.is_reached()
    waiting = []
    with pytest.raises(Busy) as caught:
        for n in range(MAX_WAITING_UNITS + 1):
            waiting.append(store.store.write(store.action(), add_quietly, n))
    assert (caught.value.code, caught.value.status) == ("store.busy", 429)
    assert len(waiting) == MAX_WAITING_UNITS
    gate.open.set()
    await first
    assert await asyncio.gather(*waiting) == list(range(MAX_WAITING_UNITS))
    assert await store.store.write(store.action(), units.put, "x") == 1


def add_quietly(tx: Tx, n: int) -> int:
    return n


def read_held(rx: Rx, gate: Gate) -> None:
    gate.wait()


async def test_the_queue_of_reads_is_bounded(store: OpenStore) -> None:
    gate = Gate()
    waiting = [
        asyncio.ensure_future(store.store.read(read_held, gate)) for _ in range(MAX_WAITING_READS)
    ]
    await gate.is_reached()
    with pytest.raises(Busy) as caught:
        await store.store.read(units.value, store.company, "x")
    assert caught.value.code == "store.busy"
    gate.open.set()
    await asyncio.gather(*waiting)
    assert await store.store.read(units.value, store.company, "x") is None


def read_twice(rx: Rx, company: str, gate: Gate) -> tuple[int | None, int | None]:
    before = units.value(rx, company, "x")
    gate.wait()
    return before, units.value(rx, company, "x")


async def test_a_read_sees_one_state(store: OpenStore) -> None:
    gate = Gate()
    await store.store.write(store.action(), units.put, "x", 1)
    reading = asyncio.ensure_future(store.store.read(read_twice, store.company, gate))
    await gate.is_reached()
    await store.store.write(store.action(), units.put, "x", 2)
    gate.open.set()
    assert await reading == (1, 1)
    assert await store.store.read(units.value, store.company, "x") == 2


def write_by_reading(rx: Rx) -> None:
    rx.all("insert into counter(company_no, kind, n) values(1, 'x', 1)")


async def test_a_read_cannot_write(store: OpenStore) -> None:
    with pytest.raises(Unavailable) as caught:
        await store.store.read(write_by_reading)
    assert caught.value.code == "store.read_only"
    assert await store.store.read(units.value, store.company, "x") is None


def endless(rx: Rx) -> None:
    rx.one(
        "with recursive n(i) as (select 1 union all select i+1 from n where i < 1000000000) "
        "select count(*) from n"
    )


async def test_a_read_that_takes_too_long_is_ended(store: OpenStore) -> None:
    with pytest.raises(Unavailable) as caught:
        await store.store.read(endless)
    assert caught.value.code == "store.read_too_long"
    assert await store.store.read(units.value, store.company, "x") is None


def fails(rx: Rx) -> None:
    raise HomarusError("test.error", "no", "")


async def test_an_error_of_a_read_reaches_the_caller_and_frees_the_reader(
    store: OpenStore,
) -> None:
    for _ in range(10):
        with pytest.raises(HomarusError) as caught:
            await store.store.read(fails)
        assert caught.value.code == "test.error"


async def test_a_text_that_cannot_be_stored_cannot_be_looked_up(store: OpenStore) -> None:
    with pytest.raises(HomarusError) as caught:
        await store.store.read(units.value, store.company, "\ud800")
    assert (caught.value.code, caught.value.status) == ("store.bad_text", 400)
