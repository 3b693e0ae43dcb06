"""Durable claim + complete in process: ours, the floor beneath it, and a peer, in turns."""

import asyncio
import cProfile
from pathlib import Path
from statistics import median

import apsw

from bench import huey_peer, office, replay
from bench.aims import Outcome
from bench.office import Office
from bench.profiles import top_functions
from bench.scratch import copied, scratch
from bench.working import Run, as_the_daemon_switches, lifecycles
from homarus.store.sqlite.engine import SqliteStore

PRODUCERS = 64
ROUNDS, QUICK_ROUNDS = 7, 3
EACH, QUICK_EACH = 40, 15
HUEY_LIFECYCLES = 400
TOP = 12


def measure(quick: bool) -> Outcome:
    each = QUICK_EACH if quick else EACH
    runs: list[Run] = []
    floors: list[float] = []
    floor_cpu_s: list[float] = []
    peers: list[float] = []
    with scratch() as folder, as_the_daemon_switches():
        seed = office.found(folder / "seed", PRODUCERS, PRODUCERS * each)
        statements = record(seed, folder / "recorded", each)
        for n in range(QUICK_ROUNDS if quick else ROUNDS):
            runs.append(run(seed, folder / f"ours-{n}", each))
            home = copied(seed.home, folder / f"floor-{n}")
            wall_s, cpu_s = replay.replay(office.database(home), statements)
            floors.append(PRODUCERS * each / wall_s)
            floor_cpu_s.append(cpu_s)
            (folder / f"peer-{n}").mkdir()
            peers.append(huey_peer.rate(folder / f"peer-{n}", HUEY_LIFECYCLES))
    rates = [r.rate for r in runs]
    units = 2 * PRODUCERS * each
    return Outcome(
        figures={
            "rate": median(rates),
            "of_replay": median(a / b for a, b in zip(rates, floors, strict=True)),
            "of_huey": median(a / b for a, b in zip(rates, peers, strict=True)),
        },
        notes=[
            f"medians of {len(runs)} turns: ours {median(rates):,.0f}/s (best {max(rates):,.0f}), "
            f"replay {median(floors):,.0f}/s, huey {median(peers):,.0f}/s",
            f"CPU: writer {1e6 * median(r.writer_cpu_s for r in runs) / units:.1f} us a unit, "
            f"replay {1e6 * median(floor_cpu_s) / units:.1f} us, all of the process "
            f"{1e6 * median(r.cpu_s for r in runs) / units:.1f} us",
            f"{units / median(r.batches for r in runs):.0f} units a commit, "
            f"{len(statements) / (units / 2):.1f} statements a lifecycle "
            "(savepoints, seals and commits included)",
        ],
        failures=sum(r.empty for r in runs),
        profile=lambda: profile(each),
    )


def run(seed: Office, home: Path, each: int) -> Run:
    """One run on a copy of the seed."""
    copied(seed.home, home)
    return asyncio.run(working(office.store(home), seed, each))


async def working(store: SqliteStore, seed: Office, each: int) -> Run:
    await store.start()
    try:
        return await lifecycles(store, seed, each)
    finally:
        await store.stop()


def record(seed: Office, home: Path, each: int) -> list[replay.Statement]:
    """All that the writer executes in one run on a copy of the seed."""
    copied(seed.home, home)
    store = office.store(home, replay.RecordingStore)
    asyncio.run(working(store, seed, each))
    return store.statements


class ProfiledStore(SqliteStore):
    """Its writer thread runs under `profiler`."""

    def _write_loop(self, conn: apsw.Connection) -> None:
        self.profiler = cProfile.Profile()
        self.profiler.runcall(super()._write_loop, conn)


def profile(each: int) -> list[str]:
    """SQLite's statements by time (replayed alone), then the writer's Python functions."""
    with scratch() as folder, as_the_daemon_switches():
        seed = office.found(folder / "seed", PRODUCERS, PRODUCERS * each)
        statements = record(seed, folder / "recorded", each)
        home = copied(seed.home, folder / "replayed")
        lines = ["statements, by time in SQLite:"]
        lines += replay.by_statement(office.database(home), statements, TOP)
        store = office.store(copied(seed.home, folder / "profiled"), ProfiledStore)
        asyncio.run(working(store, seed, each))
    lines.append("functions of the writer thread, by own time (cProfile):")
    return lines + top_functions(store.profiler, TOP)
