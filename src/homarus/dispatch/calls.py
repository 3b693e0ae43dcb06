"""The worker of calls: runs what agents asked for by `POST /calls`, in the sandbox.

It wakes on commits. Intent, start and outcome are units; nothing is held in memory that a crash
could lose. Calls whose daemon died are settled at the start, and where several daemons share a
store whenever one is overdue.
"""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import structlog

from homarus.base.action import Action
from homarus.base.errors import HomarusError
from homarus.base.waking import REST_S, Wake
from homarus.dispatch import commands
from homarus.dispatch.halting import LiveRun, LiveRuns
from homarus.egress.proxy import Egress
from homarus.flows import calling
from homarus.flows.reaching import Run
from homarus.kernel import registry, search
from homarus.store.port import Rx, Store

log = structlog.get_logger("calls")

WORKER: Final = "caller"
MAX_CALLS: Final = 8
OUTPUT_CHARS: Final = 16_384
GRACE_MS: Final = 60_000
"""After the longest that a command may run, before another daemon takes its call for lost."""

LOOK_S: Final = 30.0
"""Commits wake the worker; overdue calls of other daemons do not."""

RECOVER_ROWS: Final = 100


class Calls:
    """One a daemon. `run` is its only task; calls are children of its TaskGroup."""

    def __init__(self, store: Store, home: Path, egress: Egress | None = None) -> None:
        self._store = store
        self._home = home
        self._runner = commands.Runner(egress)
        self._wake = Wake(REST_S)
        self._slots = asyncio.Semaphore(MAX_CALLS)
        self._taken: set[str] = set()
        self._live = LiveRuns(store)
        self._runs: dict[str, LiveRun] = {}

    async def run(self) -> None:
        """Until cancelled."""
        undo = self._store.listen(self._wake.set)
        alone = self._store.url == "sqlite"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._live.watch())
                while True:
                    try:
                        lost, ready = await self._store.read(_look, alone)
                        await self._recover(lost, alone)
                        alone = False
                        await self._offer(group, ready)
                        await self._stop_wanted()
                    except HomarusError as error:
                        log.warning("calls_failed", code=error.code)
                    await self._wake.wait(LOOK_S)
        finally:
            undo()

    async def _stop_wanted(self) -> None:
        """End what its agent has cancelled."""
        if not self._runs:
            return
        for call in await self._store.read(calling.stopping, MAX_CALLS * 2):
            live = self._runs.get(call)
            if live is not None and not live.stopped:
                live.stop()

    async def _recover(self, companies: list[str], alone: bool) -> None:
        for company in companies:
            settled = RECOVER_ROWS
            while settled == RECOVER_ROWS:
                settled = await self._store.write(
                    _settling(company, "calls"), calling.recover, RECOVER_ROWS, alone
                )

    async def _offer(self, group: asyncio.TaskGroup, ready: list[tuple[str, str]]) -> None:
        for company, call in ready:
            if call in self._taken:
                continue
            if self._slots.locked():
                return
            await self._slots.acquire()
            self._taken.add(call)
            group.create_task(self._work(company, call))

    async def _work(self, company: str, call: str) -> None:
        """One call to its end. A fault of ours leaves it running, to be recovered."""
        try:
            await self._execute(company, call)
        except HomarusError as error:
            log.warning("call_failed", call=call, code=error.code)
        except Exception as error:
            log.error("call_broke", call=call, exc_info=error)
        finally:
            self._slots.release()
            self._taken.discard(call)
            self._wake.set()

    async def _execute(self, company: str, call: str) -> None:
        action = _settling(company, f"call:{call}")
        row = await self._store.read(calling.need, company, call)
        until_ms = await self._store.read(_until, company, row.capability)
        started = await self._store.write(action, calling.start, call, until_ms)
        if started is None:
            return
        live = LiveRun.of_task(started.call.agent, started.task)
        self._live.add(live)
        self._runs[call] = live
        self._wake.set()  # it may have been cancelled meanwhile
        try:
            ok, reason, output = await self._outcome(started, live)
        finally:
            self._live.remove(live)
            del self._runs[call]
        attempt = started.call.attempts
        await self._store.write(action, calling.end, call, attempt, ok, reason, output)

    async def _outcome(
        self, started: calling.Started, live: LiveRun
    ) -> tuple[bool, str, dict[str, Any]]:
        capability, call = started.capability, started.call
        workspace = commands.workspace_of(self._home, call.agent, started.task.number)
        began = time.monotonic()
        try:
            command = await asyncio.to_thread(
                commands.prepare, capability, call.arguments, workspace, self._home
            )
        except HomarusError as error:
            return False, str(error), {"error": error.code}
        run = Run(
            call.id, call.company, call.agent, capability.id, call.task, started.task.trace
        )  # fmt: skip
        ran = await self._runner.run(capability, command, live, OUTPUT_CHARS, run)
        wall_ms = int((time.monotonic() - began) * 1000)
        return ran.ok, ran.comment, ran.output | {"wallMs": wall_ms}


def _look(rx: Rx, alone: bool) -> tuple[list[str], list[tuple[str, str]]]:
    """Companies with calls whose worker is gone; calls that wait. The capabilities' index is made
    anew here, where it holds up no write."""
    search.warm(rx)
    return calling.companies_with_lost(rx, alone), calling.ready(rx, MAX_CALLS * 2)


def _until(rx: Rx, company: str, capability: str) -> int:
    """By when a living worker has ended a call that starts now."""
    row = registry.by_id(rx, company, capability)
    wall_s = 0 if row is None else commands.limits_of(row).wall_s
    return rx.now_ms + wall_s * 1000 + GRACE_MS


def _settling(company: str, target: str) -> Action:
    return Action(company, "call.settle", target, system=WORKER)
