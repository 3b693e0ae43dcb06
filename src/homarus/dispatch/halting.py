"""Which processes and turns of ours run now, and their end when STOP covers them.

A STOP is a row; the watch looks at the rows when the store says that something was committed, and
only while something runs. Each covered process gets TERM at once and KILL after its grace
(`base/process.py`); what a turn waits for is closed (`agents/cut.py`).
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from homarus.base.errors import HomarusError
from homarus.kernel import stop
from homarus.kernel.stop import Stop
from homarus.store.port import Store
from homarus.tasks.model import Task

log = structlog.get_logger("halting")

RETRY_S: Final = 0.05
"""After a read that failed; a STOP is not forgotten for it."""


class Handle(Protocol):
    """What runs: a process, a turn. `stop` is called once, and does not wait."""

    def stop(self) -> None: ...


class LiveRun:
    """A run between its intent and its outcome. `stopped`: STOP has covered it, or somebody else
    has ended it. `subjects`: what a STOP of each scope names when it covers it."""

    def __init__(self, company: str, subjects: Mapping[str, str | None]) -> None:
        self.company = company
        self.stopped = False
        self._handle: Handle | None = None
        self._more: set[str] = set()
        self._subjects = {"company": company, **subjects}

    @classmethod
    def of_task(cls, agent: str, task: Task) -> "LiveRun":
        subjects = {"project": task.project, "task": task.id, "trace": task.trace}
        return cls(task.company, {"agent": agent, **subjects})

    def also(self, subjects: frozenset[str]) -> None:
        """It works on another task besides: a STOP on that one, its trace or project covers it
        too."""
        self._more |= subjects

    def covered(self, stops: list[Stop]) -> bool:
        return any(
            self._subjects.get(row.scope) == row.subject or row.subject in self._more
            for row in stops
        )

    def started(self, handle: Handle) -> None:
        """Called with the process; one that is stopped already ends at once."""
        self._handle = handle
        if self.stopped:
            handle.stop()

    def stop(self) -> None:
        self.stopped = True
        if self._handle is not None:
            self._handle.stop()


class LiveRuns:
    """All of them; `watch` is the one task that stops any."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: set[LiveRun] = set()
        self._wake = asyncio.Event()

    def add(self, run: LiveRun) -> None:
        self._runs.add(run)
        self._wake.set()

    def remove(self, run: LiveRun) -> None:
        self._runs.discard(run)

    async def watch(self) -> None:
        """Until cancelled."""
        undo = self._store.listen(lambda _: self._wake.set())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._look()
        finally:
            undo()

    async def _look(self) -> None:
        for company in {run.company for run in self._runs if not run.stopped}:
            try:
                stops = await self._store.read(stop.active, company)
            except HomarusError as error:
                log.error("stop_unread", company=company, code=error.code)
                await asyncio.sleep(RETRY_S)
                self._wake.set()
                continue
            for run in [run for run in self._runs if run.company == company]:
                if not run.stopped and run.covered(stops):
                    run.stop()
