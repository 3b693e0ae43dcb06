"""Lifecycles in process: each worker claims a task and reports it done, over and over."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from bench.office import Office
from homarus.base.action import Action
from homarus.flows import claiming as claims
from homarus.flows import reporting as reports
from homarus.service.serve import SWITCH_INTERVAL_S
from homarus.store.port import Tx
from homarus.store.sqlite.engine import SqliteStore

OUTPUT = {"words": 1_234}


class Run(msgspec.Struct):
    """`cpu_s`, `writer_cpu_s`: CPU time of the process, of the store's writer thread; `empty`:
    claims that got nothing."""

    done: int
    empty: int
    wall_s: float
    cpu_s: float
    writer_cpu_s: float
    batches: int

    @property
    def rate(self) -> float:
        return self.done / self.wall_s


def claim(tx: Tx, owner: str) -> tuple[str, int] | None:
    claimed = claims.claim(tx, claims.ClaimRequest(owner=owner))
    return None if claimed is None else (claimed.task.id, claimed.task.token)


def complete(tx: Tx, task: str, lease_token: int) -> str:
    request = reports.ResultRequest(task, "done", OUTPUT, lease_token=lease_token)
    return reports.result(tx, request).id


def claiming(company: str, token: str) -> Action:
    return Action(company, "task.claim", "task:", credential=token)


def reporting(company: str, token: str, task: str) -> Action:
    return Action(company, "task.result", f"task:{task}", credential=token, task=task)


async def lifecycles(store: SqliteStore, office: Office, each: int) -> Run:
    """`each` lifecycles by every worker of the office, side by side."""
    empty = 0

    async def worker(agent: str, token: str) -> None:
        nonlocal empty
        action = claiming(office.company, token)
        for _ in range(each):
            got = await store.write(action, claim, agent)
            if got is None:
                empty += 1
                continue
            await store.write(reporting(office.company, token, got[0]), complete, *got)

    batches = store.batches
    cpu = _writer_clock()
    writer_s, process_s = time.clock_gettime(cpu), time.process_time()
    began = time.perf_counter()
    await asyncio.gather(*(worker(w.agent, w.token) for w in office.workers))
    return Run(
        done=each * len(office.workers) - empty,
        empty=empty,
        wall_s=time.perf_counter() - began,
        cpu_s=time.process_time() - process_s,
        writer_cpu_s=time.clock_gettime(cpu) - writer_s,
        batches=store.batches - batches,
    )


def _writer_clock() -> int:
    writer = next(t for t in threading.enumerate() if t.name == "store-writer")
    assert writer.ident is not None
    return time.pthread_getcpuclockid(writer.ident)


@contextmanager
def as_the_daemon_switches() -> Iterator[None]:
    """Threads take turns as they do in the daemon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
