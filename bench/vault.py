"""The Obsidian vault: notes made, looked at and written anew in a second, 16 pushes side by side.

Every note is a synced file in a synced folder, so the disk bounds it: its own figure is beside.
"""

import asyncio
import cProfile
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench.aims import Outcome
from bench.profiles import top_functions
from bench.scratch import scratch
from homarus.outbox.port import Done
from homarus.testing.vaults import VaultBench

ROUNDS, QUICK_ROUNDS = 3, 1
NOTES, QUICK_NOTES = 1_000, 200
AT_ONCE = 16
SYNCS = 100
TOP = 15
FIELDS = {
    "description": "Both of them, and:\n\n- the left one first\n- then the right one\n",
    "priority": 50, "project": "House", "agent": "ada", "skills": ["doors", "windows"],
    "created": "2026-11-20T11:50:00.000Z", "due": "2026-11-21T11:50:00.000Z",
}  # fmt: skip


def measure(quick: bool) -> Outcome:
    notes = QUICK_NOTES if quick else NOTES
    made: list[float] = []
    equal: list[float] = []
    changed: list[float] = []
    failures = 0
    with scratch() as folder:
        for n in range(QUICK_ROUNDS if quick else ROUNDS):
            bench = VaultBench(folder / f"round-{n}")
            for rates, state in ((made, "queued"), (equal, "queued"), (changed, "done")):
                rate, missed = asyncio.run(_push(bench, notes, state))
                rates.append(rate)
                failures += missed
        sync_ms = _sync_ms(folder / "sync")
    return Outcome(
        figures={"rate": min(median(made), median(changed))},
        notes=[
            f"{notes} notes, {AT_ONCE} pushes at once: {median(made):,.0f}/s made, "
            f"{median(changed):,.0f}/s written anew, {median(equal):,.0f}/s equal",
            f"a synced write of one file takes this disk {sync_ms:.1f} ms",
        ],
        failures=failures,
        profile=lambda: profile(notes),
    )


async def _push(bench: VaultBench, notes: int, state: str) -> tuple[float, int]:
    """Pushes a second, and how many did not end well."""
    room = asyncio.Semaphore(AT_ONCE)
    missed = 0

    async def one(no: int) -> None:
        nonlocal missed
        async with room:
            outcome = await bench.push("task", no, title=f"Shut door {no}", state=state, **FIELDS)
            missed += not isinstance(outcome, Done)

    begin = time.perf_counter()
    await asyncio.gather(*(one(no) for no in range(notes)))
    return notes / (time.perf_counter() - begin), missed


def _sync_ms(path: Path) -> float:
    taken = []
    for _ in range(SYNCS):
        begin = time.perf_counter()
        with path.open("wb") as file:
            file.write(b"x" * 500)
            file.flush()
            os.fsync(file.fileno())
        taken.append(1_000 * (time.perf_counter() - begin))
    return median(taken)


def profile(notes: int) -> list[str]:
    """Where the time of the pushes goes, in one thread."""
    profiler = cProfile.Profile()

    async def run(bench: VaultBench) -> None:
        pool = ThreadPoolExecutor(1, initializer=profiler.enable)
        asyncio.get_running_loop().set_default_executor(pool)
        for state in ("queued", "done"):
            await _push(bench, notes, state)

    with scratch() as folder:
        asyncio.run(run(VaultBench(folder)))
    return ["functions of the thread that writes, by own time:", *top_functions(profiler, TOP)]
