"""From create to claimed, by an agent that waits: the commit tells the feed, the feed the waiter,
the waiter claims."""

import asyncio
import time
from statistics import median

from bench import office
from bench.aims import Outcome
from bench.office import Office
from bench.scratch import scratch
from bench.working import as_the_daemon_switches, claim, claiming, complete, reporting
from homarus.control_plane.feed import Feed
from homarus.store.sqlite.engine import SqliteStore

TIMES, QUICK_TIMES = 200, 40
WAIT_S = 5.0


def measure(quick: bool) -> Outcome:
    with scratch() as folder, as_the_daemon_switches():
        seed = office.found(folder / "home", 1, 1)
        took = asyncio.run(_measure(seed, QUICK_TIMES if quick else TIMES))
    ms = sorted(1000 * s for s in took if s is not None)
    return Outcome(
        figures={"latency": median(ms)} if ms else {},
        notes=[f"median of {len(ms)}; least {ms[0]:.1f} ms, 90 % {ms[len(ms) * 9 // 10]:.1f} ms"],
        failures=took.count(None),
    )


async def _measure(seed: Office, times: int) -> list[float | None]:
    opened = office.store(seed.home)
    await opened.start()
    feed = Feed(opened)
    feed.start()
    try:
        await _claim_and_finish(opened, seed)
        return [await _once(opened, feed, seed) for _ in range(times)]
    finally:
        feed.stop()
        await opened.stop()


async def _once(opened: SqliteStore, feed: Feed, seed: Office) -> float | None:
    """Seconds from handing in the create to having the claim; None: nothing was claimed."""
    waiting = asyncio.create_task(feed.wait(seed.company, await feed.head(seed.company), WAIT_S))
    await asyncio.sleep(0)
    began = time.perf_counter()
    creating = opened.write(
        office.system(seed.company, "company.create"), office.create_task, seed.project
    )
    await waiting
    worker = seed.workers[0]
    got = await opened.write(claiming(seed.company, worker.token), claim, worker.agent)
    took = time.perf_counter() - began
    await creating
    if got is None:
        return None
    await opened.write(reporting(seed.company, worker.token, got[0]), complete, *got)
    return took


async def _claim_and_finish(opened: SqliteStore, seed: Office) -> None:
    worker = seed.workers[0]
    got = await opened.write(claiming(seed.company, worker.token), claim, worker.agent)
    if got is not None:
        await opened.write(reporting(seed.company, worker.token, got[0]), complete, *got)
