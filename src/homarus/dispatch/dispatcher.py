"""The dispatcher: does the work of agents whose executor is no turn of ours (design, 7).

It wakes on commits, claims for each such agent what it may take, runs what the agent's executor
has prepared (`dispatch/executor.py`), and records the outcome. Claim, intent and outcome are units;
nothing is held in memory that a crash could lose. A task that no executor fits gets a note and
stays open.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Final

import structlog

from homarus.base.action import Action
from homarus.base.canonical import canonical
from homarus.base.errors import Conflict, HomarusError, Refused
from homarus.base.failpoint import failpoint
from homarus.base.waking import REST_S, Wake
from homarus.company import agents
from homarus.company.executors import CLAUDE_CODE, OPENRESPONSES
from homarus.dispatch.by_command import Commands
from homarus.dispatch.claude_code import ClaudeCodes
from homarus.dispatch.executor import Executor
from homarus.dispatch.halting import LiveRun, LiveRuns
from homarus.dispatch.openresponses import Gateways
from homarus.egress.proxy import Egress
from homarus.flows import claiming, creating, leases, running, taking
from homarus.flows.reaching import Run
from homarus.records.blobs import Blobs
from homarus.store.port import Rx, Store, Tx
from homarus.tasks.model import LEASE_MS, Task

log = structlog.get_logger("dispatcher")

WORKER: Final = "dispatcher"
MAX_RUNS: Final = 24
RENEW_S: Final = LEASE_MS / 3000
RETRY_S: Final = 30.0
"""After a fault of ours the queue is looked at again; otherwise only commits wake it."""
RECOVER_ROWS: Final = 100


class Dispatcher:
    """One a daemon. `run` is its only task; runs are children of its TaskGroup."""

    def __init__(
        self, store: Store, blobs: Blobs, home: Path, egress: Egress | None = None
    ) -> None:
        self._store = store
        self._executors: dict[str, Executor] = {
            "command": Commands(store, blobs, home, egress),
            OPENRESPONSES: Gateways(store, egress),
            CLAUDE_CODE: ClaudeCodes(store, blobs, home, egress),
        }
        self._wake = Wake(REST_S)
        self._slots = asyncio.Semaphore(MAX_RUNS)
        self._busy: set[str] = set()
        self._live = LiveRuns(store)

    async def run(self) -> None:
        """Until cancelled: settle what a dead daemon left, then work."""
        undo = self._store.listen(self._wake.set)
        try:
            await self._recover()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._live.watch())
                while True:
                    wait_s: float | None = None
                    try:
                        await self._offer(group)
                    except HomarusError as error:
                        log.warning("dispatch_failed", code=error.code)
                        wait_s = RETRY_S
                    await self._wake.wait(wait_s)
        finally:
            undo()

    async def _recover(self) -> None:
        for company in await self._store.read(running.companies_with_runs):
            action = Action(company, "task.dispatch", "task:", system=WORKER)
            alone = self._store.url == "sqlite"
            settled = RECOVER_ROWS
            while settled == RECOVER_ROWS:
                settled = await self._store.write(action, running.recover, RECOVER_ROWS, alone)

    async def _offer(self, group: asyncio.TaskGroup) -> None:
        """Claim one task for each idle agent of ours; each claim that succeeds is a run."""
        for row in await self._store.read(taking.ready, *self._executors):
            company, agent = row.company, row.id
            if agent in self._busy or self._slots.locked():
                continue
            action = Action(company, "task.claim", "task:", acting=agent, system=WORKER)
            try:
                claimed = await self._store.write(action, _claim, agent)
            except Refused as refusal:
                log.info("claim_refused", agent=agent, code=refusal.code)
                continue
            if claimed is not None:
                self._busy.add(agent)
                await self._slots.acquire()
                group.create_task(self._work(company, agent, claimed))

    async def _work(self, company: str, agent: str, claimed: creating.Claim) -> None:
        """One claimed task to its end. A fault of ours leaves it to its lease."""
        renewal = asyncio.create_task(self._renew(company, agent, claimed.task.id))
        try:
            await self._execute(company, agent, claimed)
        except HomarusError as error:
            log.warning(
                "run_failed",
                task=claimed.task.number,
                code=error.code,
                trace_id=claimed.task.trace,
            )
        except Exception as error:
            log.error(
                "run_broke", task=claimed.task.number, trace_id=claimed.task.trace, exc_info=error
            )
        finally:
            renewal.cancel()
            self._slots.release()
            self._busy.discard(agent)
            self._wake.set()

    async def _renew(self, company: str, agent: str, task: str) -> None:
        action = Action(company, "agent.heartbeat", "agent:self", acting=agent, system=WORKER)
        while True:
            await asyncio.sleep(RENEW_S)
            await self._store.write(action, leases.renew, agent, task)

    async def _execute(self, company: str, agent: str, claimed: creating.Claim) -> None:
        task = claimed.task
        executor = await self._store.read(_executor_of, company, agent)
        try:
            prepared = await self._executors[executor].prepare(company, agent, claimed)
            intent = Action(
                company, prepared.capability, f"task:{task.id}", prepared.effect, acting=agent,
                task=task.id, trace=task.trace, system=WORKER, what=prepared.what,
                arguments=hashlib.sha256(canonical(list(prepared.argv))).digest(),
            )  # fmt: skip
            run = await self._store.write(
                intent, running.start, task.id, task.token, prepared.capability, prepared.argv,
                prepared.restartable,
            )  # fmt: skip
        except Conflict:
            raise
        except HomarusError as error:
            if not isinstance(error, Refused) or error.rule not in ("approval", "stop"):
                await self._hand_off(company, agent, claimed, str(error))
            elif error.rule == "stop":
                await self._put_aside(company, claimed)
            else:  # the refusal parked it; the answer queues it again
                log.info("run_waits", task=task.number, code=error.code)
            return
        failpoint("run.started")
        live = LiveRun.of_task(agent, task)
        self._live.add(live)
        try:
            ended = await prepared.do(
                Run(run.id, company, agent, prepared.capability, task.id, task.trace), live
            )
        finally:
            self._live.remove(live)
        failpoint("run.ended")
        await self._report(company, agent, task, ended)

    async def _report(self, company: str, agent: str, task: Task, ended: running.Ended) -> None:
        """Under STOP nothing is reported on the agent's behalf; the daemon records the outcome."""
        settling = Action(company, "task.dispatch", f"task:{task.id}", system=WORKER)
        if ended.unknown:
            await self._store.write(settling, running.unknown, ended)
            return
        if ended.cancelled:
            await self._store.write(settling, running.halted, ended)
            return
        report = Action(
            company, "task.result", f"task:{task.id}", acting=agent, task=task.id, system=WORKER
        )
        try:
            await self._store.write(report, running.end, ended)
        except Refused as refusal:
            if refusal.rule == "stop":
                await self._store.write(settling, running.halted, ended)
            else:
                await self._store.write(settling, running.settle, ended, refusal.code)

    async def _put_aside(self, company: str, claimed: creating.Claim) -> None:
        """STOP came between claim and start: the task waits for its end."""
        task = claimed.task
        action = Action(company, "task.dispatch", f"task:{task.id}", system=WORKER)
        await self._store.write(action, running.put_aside, task.id, task.token)

    async def _hand_off(self, company: str, agent: str, claimed: creating.Claim, why: str) -> None:
        task = claimed.task
        action = Action(
            company, "task.note", f"task:{task.id}", acting=agent, task=task.id, system=WORKER
        )
        await self._store.write(action, running.hand_off, task.id, task.token, why)


def _executor_of(rx: Rx, company: str, agent: str) -> str:
    return agents.need(rx, company, agent).executor


def _claim(tx: Tx, agent: str) -> creating.Claim | None:
    return claiming.claim(tx, claiming.ClaimRequest(owner=agent))
