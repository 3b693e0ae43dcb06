"""One writer thread: takes a company that has waiting units, commits them together, takes the next.

The company's advisory lock is held from the first statement to the commit, so that a company has
one writer at a time across all replicas. Its head is read after the lock, by a statement of its
own: another replica may have moved it, and a statement sees what was committed before it began.
"""

import hashlib
import random
import threading
import time
from typing import Final, Protocol

import psycopg
import structlog
from psycopg import errors

from homarus.base.clock import Clock
from homarus.base.errors import HomarusError, NotFound, Unavailable
from homarus.base.failpoint import failpoint
from homarus.store import heads
from homarus.store.port import MAX_BATCH_S, MAX_BATCH_UNITS, Governor, Head
from homarus.store.postgres.driver import (
    CHANNEL,
    Connection,
    connect,
    described,
    engine_error,
    lost,
    translate,
    unavailable,
)
from homarus.store.postgres.queues import CompanyQueues
from homarus.store.postgres.tx import STATEMENT_HARD_S, UNIT_HARD_S, UNIT_SOFT_S, PostgresTx
from homarus.store.unit import BatchLost, Unit, execute, outcome_unknown, unexpected

log = structlog.get_logger("store")

LOCK_WAIT_S: Final = 10.0
MAX_RUNS: Final = 3
"""Of a batch that was lost before its commit: units may run again (design, 4)."""
RUN_AGAIN: Final = frozenset({"store.unavailable", "store.contended"})
RECONNECT_FIRST_S: Final = 0.1
RECONNECT_MAX_S: Final = 5.0


class Owner(Protocol):
    """The store, as its writers see it. Called from their threads."""

    def committed(self, batch: list[Unit], company: str, event_seq: int | None) -> None: ...

    def failed(self, batch: list[Unit], error: HomarusError) -> None: ...

    def broke(self, batch: list[Unit], raised: BaseException) -> None: ...


def lock_key(company: str) -> int:
    """The advisory lock of a company: 63 bits; a collision only makes two companies take turns."""
    digest = hashlib.sha256(b"homarus company " + company.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Writer:
    """Owns one connection; `run` is its thread's function and returns when the queues close."""

    def __init__(
        self, url: str, queues: CompanyQueues, governor: Governor, clock: Clock, owner: Owner
    ) -> None:
        self._url = url
        self._queues = queues
        self._governor = governor
        self._clock = clock
        self._owner = owner
        self._conn: Connection | None = None
        self._tx: PostgresTx | None = None
        self._not_before_s = 0.0
        self._backoff_s = RECONNECT_FIRST_S
        self.thread = threading.Thread(target=self.run, name="store-writer")

    def run(self) -> None:
        batch: list[Unit] = []
        try:
            while (taken := self._queues.take()) is not None:
                company, batch = taken
                try:
                    self._commit(company, batch)
                finally:
                    self._queues.done(company)
        except BaseException as raised:
            log.critical("writer_failed", exc_info=raised)
            self._owner.broke(batch, raised)
        finally:
            self._drop()

    # -- the connection --------------------------------------------------------------------

    def open(self) -> None:
        """Connect, unless the last attempt was too short a time ago. Raises `store.unavailable`."""
        if self._conn is not None and not lost(self._conn):
            return
        self._drop()
        if time.monotonic() < self._not_before_s:
            raise unavailable()
        try:
            limit_ms = round(STATEMENT_HARD_S * 1000)
            self._conn = connect(self._url, "writer", statement_timeout_ms=limit_ms)
        except Unavailable:
            wait_s = self._backoff_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            self._not_before_s = time.monotonic() + wait_s
            self._backoff_s = min(self._backoff_s * 2, RECONNECT_MAX_S)
            raise
        self._backoff_s = RECONNECT_FIRST_S
        self._tx = PostgresTx(self._conn, self._clock)

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
        self._conn = self._tx = None

    # -- a batch ---------------------------------------------------------------------------

    def _commit(self, company: str, batch: list[Unit]) -> None:
        """Run and commit. What was lost before its commit runs again, a bounded number of times."""
        taking = True
        for attempt in range(1, MAX_RUNS + 1):
            try:
                event_seq = self._transaction(company, batch, taking)
            except NotFound as unknown_company:
                self._roll_back()
                self._owner.failed(batch, unknown_company)
                return
            except Exception as raised:  # noqa: BLE001 - the writer supervises batches
                self._roll_back()
                self._governor.forget()
                error = _error(raised)
                if attempt == MAX_RUNS or error.code not in RUN_AGAIN:
                    log.error("batch_lost", code=error.code, units=len(batch), **described(raised))
                    self._owner.failed(batch, error)
                    return
                log.warning("batch_runs_again", code=error.code, attempt=attempt)
                taking = False
            else:
                self._owner.committed(batch, company, event_seq)
                return

    def _transaction(self, company: str, batch: list[Unit], taking: bool) -> int | None:
        """One transaction; the company's newest event if its feed or ledger moved on."""
        self.open()
        conn, tx = self._conn, self._tx
        if conn is None or tx is None:
            raise AssertionError("no connection after open")
        began = time.perf_counter()
        head = self._locked_head(conn, company)
        before = head.event_seq, head.receipt_seq
        tx.opened()
        for unit in batch:
            self._run_unit(tx, head, unit)
        while taking:
            left = MAX_BATCH_UNITS - len(batch)
            if left <= 0 or time.perf_counter() - began >= MAX_BATCH_S:
                break
            more = self._queues.more(company, left)
            if not more:
                break
            for unit in more:
                batch.append(unit)
                self._run_unit(tx, head, unit)
        moved = before != (head.event_seq, head.receipt_seq)
        if moved:
            tx.head = head
            tx.allow(UNIT_HARD_S)
            self._governor.seal(tx)
            heads.save(tx, head)
        failpoint("store.before_commit")
        self._end(conn, company, moved)
        failpoint("store.after_commit")
        return head.event_seq if moved else None

    def _locked_head(self, conn: Connection, company: str) -> Head:
        """Begin, lock, look: one round trip, three snapshots. Raises `company.unknown`."""
        with conn.pipeline():
            conn.execute("begin")
            conn.execute(f"set local statement_timeout={round(LOCK_WAIT_S * 1000)}".encode())
            conn.execute(b"select pg_advisory_xact_lock($1)", (lock_key(company),))
            conn.execute(f"set local statement_timeout={round(STATEMENT_HARD_S * 1000)}".encode())
            found = conn.execute(translate(heads.FIND), (company,))
        row = found.fetchone()
        if row is None:
            raise NotFound(
                "company.unknown", f"no company {company!r}", "List them: `homarus company list`."
            )
        no, events, receipts, seal_no, seal_hash, sealed = row
        return Head(no, company, events, receipts, seal_no, seal_hash, sealed)

    def _end(self, conn: Connection, company: str, moved: bool) -> None:
        """Commit, and wake the other replicas with it."""
        try:
            with conn.pipeline():
                if moved:
                    conn.execute(b"select pg_notify($1, $2)", (CHANNEL, company))
                done = conn.execute("commit")
        except psycopg.Error as raised:
            if lost(conn):
                cause = "the connection to the database broke"
                raise BatchLost(outcome_unknown(cause)) from raised
            raise
        if done.statusmessage != "COMMIT":
            raise AssertionError(f"the server answered a commit with {done.statusmessage}")

    def _run_unit(self, tx: PostgresTx, head: Head, unit: Unit) -> None:
        began = time.perf_counter()
        tx.begin(unit.action, head)
        execute(tx, self._governor, unit)
        took = time.perf_counter() - began
        if took > UNIT_SOFT_S:
            log.warning(
                "slow_unit",
                capability=unit.action.capability,
                ms=round(took * 1000, 1),
                trace_id=tx.trace,
            )

    def _roll_back(self) -> None:
        conn = self._conn
        if conn is None:
            return
        try:
            if not lost(conn):
                conn.execute("rollback")
        except psycopg.Error as raised:
            log.warning("rollback_failed", **described(raised))
            self._drop()


def _error(raised: Exception) -> HomarusError:
    match raised:
        case BatchLost():
            return raised.error
        case HomarusError():
            return raised
        case errors.QueryCanceled() | errors.LockNotAvailable():
            return Unavailable(
                "store.lock_wait",
                f"other replicas held this company's records for {LOCK_WAIT_S:g} s; "
                "nothing was written",
                "Repeat the request.",
            )
        case _:
            return engine_error(raised) or unexpected(raised)
