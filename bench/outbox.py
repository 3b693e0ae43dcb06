"""The outbox: what a mirror costs the work, how fast its rows drain, how far it lags.

The target takes everything and keeps nothing, so that the figures are the worker's own.
"""

import asyncio
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench import office
from bench.aims import Outcome
from bench.office import Office
from bench.scratch import copied, scratch
from bench.working import as_the_daemon_switches, lifecycles
from homarus.base.clock import SystemClock
from homarus.flows import editing, mirror_acts, mirror_resyncs
from homarus.outbox.credentials import Credentials
from homarus.outbox.worker import Outbox
from homarus.store.port import Rx, Tx
from homarus.store.sqlite.engine import SqliteStore
from homarus.testing.mirrors import NULL

PRODUCERS = 64
ROUNDS, QUICK_ROUNDS = 7, 3
EACH, QUICK_EACH = 40, 15
ROWS, QUICK_ROWS = 8_000, 2_000
PACED_S, QUICK_PACED_S = 20, 5
A_SECOND = 100
WITHIN_S = 120.0


def measure(quick: bool) -> Outcome:
    each = QUICK_EACH if quick else EACH
    without: list[float] = []
    mirrored: list[float] = []
    with scratch() as folder, as_the_daemon_switches():
        seed = office.found(folder / "seed", PRODUCERS, PRODUCERS * each)
        for n in range(QUICK_ROUNDS if quick else ROUNDS):
            without.append(rate(seed, folder / f"plain-{n}", each, mirror=False))
            mirrored.append(rate(seed, folder / f"mirrored-{n}", each, mirror=True))
        rows = QUICK_ROWS if quick else ROWS
        full = office.found(folder / "full", 1, rows)
        drained = asyncio.run(drain(full))
        few = office.found(folder / "few", 1, A_SECOND)
        paced_s = QUICK_PACED_S if quick else PACED_S
        lags_ms = asyncio.run(paced(few, paced_s))
    overhead = 1 - median(mirrored) / median(without)
    return Outcome(
        {
            "enqueue": 100 * overhead,
            "drain": drained,
            "lag_p99": quantiles(lags_ms, n=100)[98] / 1_000,
        },
        [
            f"lifecycles/s: {median(without):,.0f} without, {median(mirrored):,.0f} with a mirror",
            f"{rows:,} rows drained; lag at {A_SECOND} changes a second for {paced_s} s: "
            f"p50 {median(lags_ms):,.0f} ms, worst {max(lags_ms):,.0f} ms",
        ],
        failures=0 if len(lags_ms) >= A_SECOND else 1,
    )


def add(tx: Tx) -> str:
    tx.run("update company set level='observe' where id=?", (tx.company,))
    manifest = NULL.manifest
    checked = mirror_acts.Checked("null", "null:", (), (), manifest.entities, 0)
    return mirror_acts.add(tx, mirror_acts.NewMirror("null", {"place": "null"}, "", checked)).id


def rate(seed: Office, home: Path, each: int, *, mirror: bool) -> float:
    copied(seed.home, home)
    return asyncio.run(_rate(office.store(home), seed, each, mirror))


async def _rate(store: SqliteStore, seed: Office, each: int, mirror: bool) -> float:
    await store.start()
    try:
        if mirror:
            await store.write(office.system(seed.company), add)
        return (await lifecycles(store, seed, each)).rate
    finally:
        await store.stop()


def worker(store: Any, home: Path) -> Outbox:
    return Outbox(store, SystemClock(), home, Credentials(store, _NoKey()), kind=lambda _: NULL)


class _NoKey:
    def unseal(self, sealed: bytes, about: bytes) -> bytes:
        raise AssertionError("no secret is used here")


def left(rx: Rx) -> int:
    row = rx.one(
        "select (select count(*) from outbox_v2 where status in ('pending', 'processing', "
        "'unknown')) + (select count(*) from mirror where resync is not null)"
    )
    return 0 if row is None else int(row[0])


async def drain(seed: Office) -> float:
    """Rows a second, from a full outbox to an empty one."""
    store = office.store(seed.home)
    await store.start()
    try:
        mirror = await store.write(office.system(seed.company), add)
        settling = office.system(seed.company, "mirror.settle")
        while await store.write(settling, mirror_resyncs.chunk, mirror):
            continue
        rows = await store.read(left)
        began = time.perf_counter()
        running = asyncio.create_task(worker(store, seed.home).run())
        await _until_empty(store)
        took_s = time.perf_counter() - began
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return rows / took_s
    finally:
        await store.stop()


async def _until_empty(store: SqliteStore) -> None:
    changed = asyncio.Event()
    undo = store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                changed.clear()
                if not await store.read(left):
                    return
                await changed.wait()
                await asyncio.sleep(0.05)  # the look is not to be what is measured
    finally:
        undo()


async def paced(seed: Office, seconds: int) -> list[float]:
    """Milliseconds from each change to its settled push, at A_SECOND changes a second."""
    store = office.store(seed.home)
    await store.start()
    try:
        await store.write(office.system(seed.company), add)
        running = asyncio.create_task(worker(store, seed.home).run())
        await _until_empty(store)
        began_ms = await store.read(lambda rx: rx.now_ms)
        tasks = await store.read(lambda rx: [r[0] for r in rx.all("select id from task")])
        began = time.perf_counter()
        for n in range(seconds * A_SECOND):
            wait_s = began + n / A_SECOND - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            task = tasks[n % len(tasks)]
            action = office.system(seed.company, "mirror.settle")
            await store.write(action, _change, task, n)
        await _until_empty(store)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return await store.read(_lags, began_ms)
    finally:
        await store.stop()


def _change(tx: Tx, task: str, n: int) -> None:
    editing.patch(tx, task, editing.TaskPatch(priority=n % 1_000))


def _lags(rx: Rx, since_ms: int) -> list[float]:
    rows = rx.all(
        "select completed_at-created_at from outbox_v2 where status='completed' and created_at>=?",
        (since_ms,),
    )
    return [float(row[0]) for row in rows]
