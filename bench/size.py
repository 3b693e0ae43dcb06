"""How much the file grows by a run: create, claim, complete, checkpointed."""

import asyncio

import apsw

from bench import office
from bench.aims import Outcome
from bench.office import Office
from bench.scratch import scratch
from bench.working import lifecycles
from homarus.base.action import Action

AGENTS = 10
RUNS, QUICK_RUNS = 3_000, 1_000
WAITING = 10
MB = 1_000_000
TOP = 14


def measure(quick: bool) -> Outcome:
    runs = QUICK_RUNS if quick else RUNS
    with scratch() as folder:
        seed = office.found(folder / "home", AGENTS, 1)
        asyncio.run(_runs(seed, runs))
        before = _bytes(seed)
        asyncio.run(_runs(seed, runs))
        grown = _bytes(seed) - before
        tables = _by_table(seed, 2 * runs)
    return Outcome(
        figures={"per_1000": grown / runs * 1000 / MB},
        notes=[f"{grown / runs:,.0f} bytes a run, over {runs:,} runs after {runs:,} others"],
        profile=lambda: tables,
    )


async def _runs(seed: Office, runs: int) -> None:
    opened = office.store(seed.home)
    await opened.start()
    try:
        action = Action(seed.company, "task.create", "task:new", credential=seed.workers[0].token)
        for _ in range(runs // WAITING):
            creates = (
                opened.write(action, office.create_task, seed.project) for _ in range(WAITING)
            )
            await asyncio.gather(*creates)
        await lifecycles(opened, seed, runs // AGENTS)
    finally:
        await opened.stop()


def _bytes(seed: Office) -> int:
    """The file alone; closing the store has emptied its log into it."""
    return office.database(seed.home).stat().st_size


def _by_table(seed: Office, runs: int) -> list[str]:
    """Tables and indexes by the bytes that they hold a run."""
    conn = apsw.Connection(str(office.database(seed.home)), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = conn.execute(
            "select name, sum(pgsize) from dbstat group by name order by 2 desc limit ?", (TOP,)
        ).fetchall()
        return [f"{int(str(size)) / runs:7.0f} bytes a run  {name}" for name, size in rows]
    except apsw.SQLError as error:
        return [f"no table sizes: {error}"]
    finally:
        conn.close()
