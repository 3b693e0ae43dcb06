"""10,000 jobs spread over an hour: how late their runs are claimed, and what a look costs.

The jobs fire at their seconds of each hour by the machine's clock, for as long as is measured; each
does housekeeping that does nothing, so that what is timed is cron and not what it runs.
"""

import asyncio
import time
from pathlib import Path
from statistics import median, quantiles

from bench import office
from bench.aims import Outcome
from bench.scratch import scratch
from homarus.base.clock import SystemClock
from homarus.flows import scheduling
from homarus.jobs.model import CRON, MAINTENANCE, JobChange
from homarus.scheduler.log import CronLog
from homarus.scheduler.ticker import Ticker
from homarus.scheduler.works import Works
from homarus.store.port import Rx, Tx

JOBS = 10_000
HOUR_S = 3_600
MEASURED_S, QUICK_S = 120, 20
SETTLE_S = 15
LOOKS = 200
JOBS_A_UNIT = 5
_LATE = "select claimed_ms-scheduled_ms from job_run where scheduled_ms>=? and claimed_ms>0"


def measure(quick: bool) -> Outcome:
    seconds = QUICK_S if quick else MEASURED_S
    with scratch() as folder:
        seed = office.found(folder / "home", 1, 1)
        (seed.home / "logs").mkdir(exist_ok=True)
        late, looks = asyncio.run(_measure(seed.home, seed.company, seconds))
    expected = seconds * JOBS // HOUR_S
    return Outcome(
        figures={"late": quantiles(late, n=100)[98] if len(late) > 1 else 0.0,
                 "look": median(looks)},
        notes=[
            f"{len(late)} firings in {seconds} s (about {expected} expected), median "
            f"{median(late or [0]):.0f} ms, slowest {max(late, default=0):.0f} ms; a look with "
            f"nothing due: median of {LOOKS}"
        ],
        failures=max(0, expected // 2 - len(late)),
    )  # fmt: skip


async def _measure(home: Path, company: str, seconds: int) -> tuple[list[float], list[float]]:
    opened = office.store(home)
    await opened.start()
    clock = SystemClock()
    works = Works(opened, home, None, {"trust": _nothing})
    ticker = Ticker(opened, clock, works, CronLog(home / "logs", clock))
    try:
        for first in range(0, JOBS, JOBS_A_UNIT):
            await opened.write(office.system(company, "company.create"), _define, first)
        ticking = asyncio.create_task(ticker.run())
        await asyncio.sleep(SETTLE_S)  # what came due while they were defined
        began_ms = clock.now_ms()
        await asyncio.sleep(seconds)
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        late = [float(ms) for (ms,) in await opened.read(_late, began_ms)]
        return late, [await _look(ticker) for _ in range(LOOKS)]
    finally:
        await opened.stop()


async def _nothing() -> None:
    return None


def _define(tx: Tx, first: int) -> None:
    for n in range(first, first + JOBS_A_UNIT):
        second = n * HOUR_S // JOBS
        scheduling.define(tx, CRON, JobChange(
            name=f"job {n}", key=f"job-{n}", what=MAINTENANCE, does={"duty": "trust"},
            cron=f"{second % 60} {second // 60} * * * *", concurrent=10,
        ))  # fmt: skip


def _late(rx: Rx, since_ms: int) -> list[tuple[int]]:
    return rx.all(_LATE, (since_ms,))  # type: ignore[return-value]


async def _look(ticker: Ticker) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await ticker.rest_s()
    return (time.perf_counter() - began) * 1000
