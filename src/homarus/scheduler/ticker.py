"""The ticker: fires jobs when they are due, and has what is claimed done (`flows/firing.py`).

It sleeps until the next moment that concerns it, or until a commit may have changed when that is;
where no job waits for the clock it does nothing at all. Several daemons on one store may all wake:
the rows, read in the unit, let one of them act.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final

import msgspec
import structlog

from homarus.base.clock import Clock
from homarus.base.errors import HomarusError
from homarus.base.failpoint import failpoint
from homarus.base.waking import Wake
from homarus.dispatch.halting import LiveRun, LiveRuns
from homarus.flows import firing, firing_ends
from homarus.flows.firing import Taken
from homarus.jobs import runs, service
from homarus.jobs.model import TURN, Run
from homarus.scheduler.log import CronLog
from homarus.scheduler.works import Works, system
from homarus.store.port import Rx, Store

log = structlog.get_logger("cron")

MAX_RUNS: Final = 64
"""Runs that this daemon has in hand at once; more wait for one to end."""
MAX_COMPANIES: Final = 10_000
MAX_UNITS: Final = 500
"""Units of one kind for a company in one look; more follow at once."""
RECOVER_ROWS: Final = 50
MAX_SLEEP_S: Final = 20.0
"""While a job waits for the clock: the machine may have slept, or its clock may have been set, and
neither shows in the time that sleeping counts."""
RETRY_S: Final = 1.0
DRAIN_S: Final = 5.0
GAP_S: Final = 0.02
"""Commits that come close together are one reason to look."""


class Ticker:
    """One a daemon. `run` until cancelled; `tick` does what is due now. `most`: runs in hand."""

    def __init__(
        self, store: Store, clock: Clock, works: Works, lines: CronLog, *, most: int = MAX_RUNS
    ) -> None:
        self._store = store
        self._clock = clock
        self._works = works
        self._lines = lines
        self._most = most
        self._wake = Wake(GAP_S)
        self._lives = LiveRuns(store)
        self._ended = asyncio.Event()
        self._running: dict[str, LiveRun] = {}
        self._alone = store.url == "sqlite"
        self._leaving = False

    async def run(self) -> None:
        """A failure is logged and tried again: it never ends the daemon."""
        undo = self._store.listen(self._wake.set)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._lives.watch())
                while True:
                    wait_s: float | None = RETRY_S
                    try:
                        await self.tick(group)
                        wait_s = await self.rest_s()
                    except HomarusError as error:
                        log.warning("cron_failed", code=error.code)
                    await self._wake.wait(wait_s)
        finally:
            undo()
            self._lines.close()

    def leave(self) -> None:
        """Fire and claim no more; what runs goes on."""
        self._leaving = True

    async def drain(self) -> None:
        """End what still runs, and wait until it is handed back, DRAIN_S at most."""
        self.leave()
        self._works.leaving = True
        for live in self._running.values():
            live.stop()
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._running:
                    await self._ended.wait()
                    self._ended.clear()
        except TimeoutError:
            log.warning("runs_not_handed_back", count=len(self._running))

    async def tick(self, group: asyncio.TaskGroup) -> None:
        """Fire what is due, claim what may start, have it done in `group`."""
        if self._leaving:
            return
        look = await self._store.read(_look, self._alone, frozenset(self._running))
        alone, self._alone = self._alone, False
        for company in look.lost:
            await self._guarded(company, self._recover(company, alone))
        for company in look.due:
            await self._guarded(company, self._fire(company))
        if look.due:
            failpoint("cron.fired")
        for company in dict.fromkeys((*look.urgent, *look.ready, *look.due, *look.lost)):
            await self._guarded(company, self._take(group, company, company in look.urgent))
        for run in look.stopping:
            await self._guarded(run.company, self._stop(run))

    async def _guarded(self, company: str, work: Awaitable[None]) -> None:
        """One company's fault is not the others'."""
        try:
            await work
        except HomarusError as error:
            log.warning("cron_failed", company=company, code=error.code)

    async def _recover(self, company: str, alone: bool) -> None:
        action = system(company, "job.settle", f"company:{company}")
        for _ in range(MAX_UNITS):
            held = frozenset(self._running)
            settled = await self._store.write(
                action, firing_ends.recover, RECOVER_ROWS, alone, held
            )
            if settled < RECOVER_ROWS:
                return

    async def _fire(self, company: str) -> None:
        action = system(company, "job.fire", f"company:{company}")
        for _ in range(MAX_UNITS):
            fired = await self._store.write(action, firing.fire)
            for run in fired.runs:
                self._line("fired", run)
            if not fired.more:
                return

    async def _take(self, group: asyncio.TaskGroup, company: str, urgent: bool) -> None:
        action = system(company, "job.fire", f"company:{company}")
        for _ in range(MAX_UNITS):
            room = min(firing.TAKEN_A_UNIT, self._most - len(self._running))
            if room <= 0:
                if urgent:
                    await self._store.write(action, firing.make_room, frozenset(self._running))
                return
            taken = await self._store.write(action, firing.take, room)
            if taken:
                failpoint("cron.taken")
            for one in taken:
                live = self._works.live(one)
                self._running[one.run.id] = live
                group.create_task(self._work(one, live))
            if len(taken) < room:
                return

    async def _work(self, taken: Taken, live: LiveRun) -> None:
        """One run to its end. A fault of ours leaves it to its lease."""
        self._lives.add(live)
        self._line("started", taken.run)
        try:
            ended = await self._works.do(taken, live)
            if ended is not None:
                self._line("ended", ended)
        except HomarusError as error:
            log.warning("run_failed", run=taken.run.number, code=error.code)
        except Exception as error:
            log.error("run_broke", run=taken.run.number, exc_info=error)
        finally:
            self._lives.remove(live)
            if self._running.get(taken.run.id) is live:
                del self._running[taken.run.id]
            self._ended.set()
            self._wake.set()

    async def _stop(self, run: Run) -> None:
        """It makes room for one of priority P0."""
        live = self._running.get(run.id)
        if run.what == TURN:
            await self._store.write(
                system(run.company, "job.settle", f"job:{run.job}"), firing.yield_turn, run.id
            )
        elif live is not None and not live.stopped:
            live.stop()

    async def rest_s(self) -> float | None:
        """Until the next moment that concerns it; None: there is none."""
        at_ms = await self._store.read(_next_ms)
        if at_ms is None:
            return None
        left_ms = at_ms - self._clock.now_ms()
        return min(MAX_SLEEP_S, left_ms / 1000) if left_ms > 0 else RETRY_S

    def _line(self, event: str, run: Run) -> None:
        self._lines.line(
            event, run=run.number, job=run.job, agent=run.agent or None, state=run.state.value,
            scheduledMs=run.scheduled_ms, attempt=run.attempt or None, reason=run.reason,
            error=run.error, cpuMs=run.cpu_ms, exitCode=run.exit_code,
            preemptedBy=run.preempted_by,
        )  # fmt: skip


class _Look(msgspec.Struct, frozen=True):
    """Companies with runs whose worker is gone, with jobs that are due, with runs that may start,
    with such of P0; and the runs that are to make room."""

    lost: list[str]
    due: list[str]
    ready: list[str]
    urgent: list[str]
    stopping: list[Run]


def _look(rx: Rx, alone: bool, held: frozenset[str]) -> _Look:
    ready = runs.companies_due(rx, MAX_COMPANIES)
    return _Look(
        runs.companies_with_lost(rx, alone, held),
        service.companies_due(rx, MAX_COMPANIES),
        ready,
        runs.companies_due(rx, MAX_COMPANIES, firing.PREEMPTS) if ready else [],
        runs.stopping(rx, MAX_RUNS),
    )


def _next_ms(rx: Rx) -> int | None:
    known = [at for at in (service.next_ms(rx), runs.next_due_ms(rx)) if at is not None]
    return min(known, default=None)
