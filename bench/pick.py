"""A claim's pick (the best head of the agent's lanes) while more and more tasks are queued.

They lie in 20 projects, half of them for a role that the agent does not have.
"""

import asyncio
import time
from statistics import median

import apsw

from bench import office
from bench.aims import Outcome
from bench.office import Office
from bench.scratch import scratch
from homarus.company import projects
from homarus.store.port import Tx
from homarus.tasks import lanes

QUEUED = (1_000, 100_000, 1_000_000)
QUICK_QUEUED = QUEUED[:2]
PROJECTS = 20
OTHER_ROLE = "marketer"
PICKS_A_UNIT = 20
UNITS, QUICK_UNITS = 40, 10


def measure(quick: bool) -> Outcome:
    took_us: list[float] = []
    steps = QUICK_QUEUED if quick else QUEUED
    with scratch() as folder:
        seed = office.found(folder / "home", 1, 1)
        asyncio.run(_spread(seed))
        there = 1 + 2 * PROJECTS
        for queued in steps:
            office.load_queue(office.database(seed.home), queued - there)
            there = queued
            took_us.append(asyncio.run(_picks(seed, QUICK_UNITS if quick else UNITS)))
        plan = _plan(seed)
    times = [f"{n:,}: {us:.1f} us" for n, us in zip(steps, took_us, strict=True)]
    return Outcome(
        figures={"growth": took_us[-1] / took_us[0]},
        notes=["; ".join(times)],
        profile=lambda: plan,
    )


async def _spread(seed: Office) -> None:
    opened = office.store(seed.home)
    await opened.start()
    try:
        action = office.system(seed.company, "company.create")
        for _ in range(PROJECTS):
            await opened.write(action, _project)
    finally:
        await opened.stop()


def _project(tx: Tx) -> None:
    project = projects.create(tx, {"goal": "Count other words"})
    for role in (office.ROLE, OTHER_ROLE):
        office.create_task(tx, project.id, role)


async def _picks(seed: Office, units: int) -> float:
    """Median microseconds of one pick."""
    opened = office.store(seed.home)
    await opened.start()
    try:
        action = office.system(seed.company, "company.create")
        worker = seed.workers[0].agent
        found = [await opened.write(action, _pick, worker) for _ in range(units)]
        return median(found[1:])
    finally:
        await opened.stop()


def _pick(tx: Tx, agent: str) -> float:
    began = time.perf_counter()
    for _ in range(PICKS_A_UNIT):
        head = lanes.best_head(
            tx, agent=agent, role=office.ROLE, skills=frozenset(), strict_role=True
        )
    if head is None:
        raise AssertionError("nothing to pick")
    return 1e6 * (time.perf_counter() - began) / PICKS_A_UNIT


def _plan(seed: Office) -> list[str]:
    """How SQLite looks for the heads."""
    conn = apsw.Connection(str(office.database(seed.home)), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = conn.execute(f"explain query plan {lanes.HEADS}", ("", "", 1, "", "")).fetchall()
        return [str(row[-1]) for row in rows]
    finally:
        conn.close()
