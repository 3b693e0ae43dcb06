"""The daemon's housekeeping: anchors, folded refusals, old keys and contents, leases, sessions.

Each duty is one coroutine that repeats with a named period; `Maintenance.run` is their one owner.
A duty that fails is logged and tried again at its next time: housekeeping never ends the daemon.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.clock import Clock
from homarus.company import secrets, sessions
from homarus.flows import (
    approving,
    due,
    leases,
    lending,
    regating,
    spending,
    stopping,
    trusting,
    watching,
)
from homarus.kernel import anchors, approval_queries, receipts, reservations
from homarus.kernel import uses as noting
from homarus.kernel.kernel import Kernel
from homarus.kernel.uses import Uses
from homarus.records import emptying
from homarus.records import sweep as contents
from homarus.records.blobs import Blobs
from homarus.store.port import IDEMPOTENCY_KEPT_MS, Rx, Store, Tx

log = structlog.get_logger("maintenance")

FLUSH_S: Final = 60.0
USES_S: Final = 2.0
SWEEP_S: Final = 3_600.0
SWEEP_ROWS: Final = 500
MAX_SWEEPS: Final = 2_000
MAX_FLUSHES: Final = 50
EXPIRE_ROWS: Final = 100
EXPIRE_RESERVATIONS: Final = 25
WATCH_S: Final = 60.0
WATCH_ROWS: Final = 25
MAX_EXPIRE_UNITS: Final = 100
MAX_COMPANIES: Final = 10_000

Chunk = Callable[[Tx, int], int]
"""`fn(tx, limit)` does at most `limit` rows of a company's due work and says how many it did."""


class Periods(msgspec.Struct, frozen=True):
    """How often each duty runs, in seconds."""

    anchor_s: float = 600.0
    lease_s: float = 1.0
    session_s: float = 15.0


class Maintenance:
    """All duties over one store; `run_folder` is where anchors go."""

    def __init__(
        self,
        store: Store,
        kernel: Kernel,
        clock: Clock,
        run_folder: Path,
        periods: Periods,
        blobs: Blobs,
        uses: Uses | None = None,
    ) -> None:
        self._store = store
        self._kernel = kernel
        self._clock = clock
        self._anchors = run_folder / anchors.FILE_NAME
        self._periods = periods
        self._blobs = blobs
        self._uses = Uses() if uses is None else uses

    async def run(self) -> None:
        """Until cancelled."""
        periods = self._periods
        async with asyncio.TaskGroup() as group:
            group.create_task(_repeat("anchor", periods.anchor_s, self.anchor))
            group.create_task(_repeat("flush", FLUSH_S, self.flush))
            group.create_task(_repeat("uses", USES_S, self.note_uses))
            group.create_task(_repeat("sweep", SWEEP_S, self.sweep))
            group.create_task(_repeat("notes", SWEEP_S, self.forget_notes))
            group.create_task(_repeat("contents", SWEEP_S, self.sweep_contents))
            group.create_task(_repeat("leases", periods.lease_s, self.expire_leases))
            group.create_task(_repeat("approvals", periods.lease_s, self.expire_approvals))
            group.create_task(_repeat("stops", periods.lease_s, self.give_back))
            group.create_task(_repeat("reservations", periods.lease_s, self.expire_reservations))
            group.create_task(_repeat("trust", SWEEP_S, self.recompute_trust))
            group.create_task(_repeat("gates", periods.lease_s, self.look_at_gates))
            group.create_task(_repeat("folders", FLUSH_S, self.empty_folders))
            group.create_task(_repeat("deadlines", periods.lease_s, self.watch_deadlines))
            group.create_task(_repeat("unclaimed", WATCH_S, self.watch_unclaimed))
            group.create_task(_repeat("sessions", periods.session_s, self.watch_sessions))
            group.create_task(_repeat("secrets", periods.lease_s, self.end_secret_leases))
            group.create_task(_repeat("attempts", SWEEP_S, self.forget_attempts))
            group.create_task(_repeat("runs", SWEEP_S, self.forget_runs))
            group.create_task(_repeat("deliveries", SWEEP_S, self.forget_deliveries))

    async def anchor(self) -> None:
        """Put the last seal of each ledger beside the store (governance contract, 1)."""
        rows = await self._store.read(anchors.heads_to_anchor)
        await asyncio.to_thread(anchors.append, self._anchors, rows)

    async def flush(self, least_ms: int = receipts.FOLD_MS) -> None:
        """Write the counts of repeated refusals that are as old as that."""
        for _ in range(MAX_FLUSHES):
            companies = self._kernel.waiting(self._clock.now_ms(), least_ms)
            for company in companies:
                await self._store.write(
                    _system(company, "ledger.flush", "refusals"), self._kernel.flush, least_ms
                )
            if not companies:
                return

    async def note_uses(self) -> None:
        """Write when tokens were used (control-plane contract, 2)."""
        for company, rows in self._uses.take():
            await self._store.write(_system(company, "token.touch", "uses"), noting.write, rows)

    async def sweep(self) -> None:
        """Forget idempotency keys older than a week, in units of SWEEP_ROWS."""
        before = self._clock.now_ms() - IDEMPOTENCY_KEPT_MS
        for _ in range(MAX_SWEEPS):
            found = await self._store.read(_old_keys, before)
            if found is None:
                return
            company, keys = found
            await self._store.write(
                _system(company, "store.sweep", "idempotency"), _forget_keys, keys, before
            )

    async def forget_notes(self) -> None:
        """Forget routing notes used a month ago (governance contract, 4)."""
        for company in await self._store.read(due.used_notes, MAX_COMPANIES):
            await self._in_chunks(company, "store.sweep", "notes", due.forget_notes)

    async def sweep_contents(self) -> None:
        """Remove contents that no artifact has: deleted ones, and those of cut-off uploads."""
        removed = await contents.sweep(self._store, self._blobs)
        if removed:
            log.info("contents_swept", removed=removed)

    async def empty_folders(self) -> None:
        """Go on removing what removed folders held, where whoever removed them was cut off."""
        for company in await self._store.read(emptying.due, MAX_COMPANIES):
            await self._in_chunks(
                company, "folder.empty", "folders", emptying.some_rows, emptying.ROWS_A_UNIT
            )

    async def expire_leases(self) -> None:
        """Take back what expired; each unit checks again (control-plane contract, 18.8)."""
        for company in await self._store.read(due.leases, MAX_COMPANIES):
            await self._in_chunks(company, "task.expire", "leases", leases.expire_due)

    async def give_back(self) -> None:
        """Queue what a lifted STOP still holds: lifting itself gives back only the first tasks."""
        for company in await self._store.read(due.stopped, MAX_COMPANIES):
            await self._in_chunks(company, "task.expire", "stops", stopping.give_back)

    async def expire_reservations(self) -> None:
        """Give back what was reserved and never settled (design, 1)."""
        for company in await self._store.read(reservations.due, MAX_COMPANIES):
            await self._in_chunks(
                company, "budget.expire", "budgets", spending.expire_due, EXPIRE_RESERVATIONS
            )

    async def expire_approvals(self) -> None:
        """Close approvals whose time is up; each unit checks again."""
        for company in await self._store.read(approval_queries.due, MAX_COMPANIES):
            await self._in_chunks(company, "approval.expire", "approvals", approving.expire_due)

    async def look_at_gates(self) -> None:
        """Evaluate tasks that a gate holds, when they are due (contract, 7)."""
        for company in await self._store.read(regating.due, MAX_COMPANIES):
            await self._in_chunks(company, "task.gate", "gates", regating.look)

    async def watch_deadlines(self) -> None:
        """Open incidents about tasks that are due and not done (control-plane contract, 6.7)."""
        for company in await self._store.read(watching.late, MAX_COMPANIES):
            await self._in_chunks(
                company, "task.watch", "deadlines", watching.tell_late, WATCH_ROWS
            )

    async def watch_unclaimed(self) -> None:
        """Open incidents about tasks that nobody claims (control-plane contract, 6.7)."""
        for company in await self._store.read(watching.unclaimed, MAX_COMPANIES):
            await self._in_chunks(
                company, "task.watch", "unclaimed", watching.tell_unclaimed, WATCH_ROWS
            )

    async def watch_sessions(self) -> None:
        """Ask sessions past their deadline again, or give them up (contract, 4.4)."""
        for company in await self._store.read(_late_sessions):
            await self._in_chunks(company, "session.monitor", "sessions", sessions.degrade_late)

    async def end_secret_leases(self) -> None:
        """End leases of secrets that are over, by whatever cause; each unit looks again."""
        for company in await self._store.read(lending.due, MAX_COMPANIES):
            await self._in_chunks(company, "lease.expire", "secrets", lending.settle)

    async def forget_attempts(self) -> None:
        """Forget who asked for a secret more than a year ago."""
        for company in await self._store.read(secrets.old, MAX_COMPANIES):
            await self._in_chunks(company, "store.sweep", "attempts", secrets.forget_old)

    async def forget_runs(self) -> None:
        """Forget runs of jobs that ended two weeks ago; dead letters stay until somebody acts."""
        for company in await self._store.read(due.old_runs, MAX_COMPANIES):
            await self._in_chunks(company, "store.sweep", "runs", due.forget_runs)

    async def forget_deliveries(self) -> None:
        """Forget what was delivered or dropped a quarter of a year ago."""
        for company in await self._store.read(due.old_deliveries, MAX_COMPANIES):
            await self._in_chunks(company, "store.sweep", "deliveries", due.forget_deliveries)

    async def recompute_trust(self) -> None:
        """Compute the scores whose week is over (governance contract, 12)."""
        for company in await self._store.read(trusting.due, MAX_COMPANIES):
            await self._in_chunks(
                company, "trust.recompute", "trust", trusting.recompute_due, trusting.AGENTS_A_UNIT
            )

    async def _in_chunks(
        self, company: str, capability: str, worker: str, fn: Chunk, rows: int = EXPIRE_ROWS
    ) -> None:
        for _ in range(MAX_EXPIRE_UNITS):
            done = await self._store.write(_system(company, capability, worker), fn, rows)
            if done < rows:
                return


async def _repeat(name: str, period_s: float, duty: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(period_s)
        try:
            await duty()
        except Exception as error:
            log.error("duty_failed", duty=name, exc_info=error)


def _system(company: str, capability: str, worker: str) -> Action:
    return Action(company, capability, f"company:{company}", system=worker)


def _late_sessions(rx: Rx) -> list[str]:
    return sessions.late(rx, limit=MAX_COMPANIES)


def _old_keys(rx: Rx, before_ms: int) -> tuple[str, list[tuple[bytes, bytes]]] | None:
    """The first company with old keys, and up to SWEEP_ROWS of them."""
    for no, company in rx.all("select no, id from company order by no limit ?", (MAX_COMPANIES,)):
        rows = rx.all(
            "select id, body from idempotency where company_no=? and at_ms<? limit ?",
            (no, before_ms, SWEEP_ROWS),
        )
        if rows:
            return company, [(bytes(key), bytes(body)) for key, body in rows]
    return None


def _forget_keys(tx: Tx, keys: list[tuple[bytes, bytes]], before_ms: int) -> None:
    for key, body in keys:
        tx.run(
            "delete from idempotency where company_no=? and id=? and body=? and at_ms<?",
            (tx.head.no, key, body, before_ms),
        )
