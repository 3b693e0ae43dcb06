"""SQLite transactions: the writer's `SqliteTx` and the readers' `SqliteRx`."""

import math
import time
from collections.abc import Callable
from typing import Any, Final

import apsw
import structlog

from homarus.base.clock import Clock
from homarus.base.errors import HomarusError, Unavailable
from homarus.store.port import UNIT_HARD_CPU_S, Params, Row
from homarus.store.unit import BatchLost, UnitTx, bad_value, too_long, unexpected

log = structlog.get_logger("store")

PROGRESS_STEPS: Final = 2_000


def engine_error(raised: BaseException) -> HomarusError | None:
    """The stable code of an engine failure that is not the unit's own fault; else None."""
    match raised:
        case apsw.FullError():
            return Unavailable(
                "store.disk_full",
                "the disk that holds the store is full; nothing was written",
                "Free space on it, then repeat the request.",
            )
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError():
            return Unavailable(
                "store.read_only",
                "the store's file or its folder cannot be written; nothing was written",
                "Make the state directory writable for the daemon, then repeat the request.",
            )
        case apsw.IOError():
            return Unavailable(
                "store.io",
                "the disk answered a write of the store with an error; nothing was written",
                "Check the disk (system log, free space), then repeat the request.",
            )
        case apsw.BusyError() | apsw.LockedError():
            return Unavailable(
                "store.contended",
                "another program holds the store's file locked; nothing was written",
                "Close what has it open (only the daemon may write it), then repeat the request.",
            )
        case apsw.CorruptError() | apsw.NotADBError():
            return Unavailable(
                "store.corrupt",
                "the store's file is damaged",
                "Stop the daemon and restore the last backup: `homarus restore`.",
            )
        case _:
            return None


class CpuLimit:
    """Ends SQL that burns more than its share of the thread's CPU time (store notes).

    Between `start` and `clear`; `ended` may end it sooner. The clock is first read when SQLite has
    gone PROGRESS_STEPS: reading it is a system call, and few units ever get that far.
    """

    def __init__(self, conn: apsw.Connection) -> None:
        self._limit_s = self._end_s = math.inf
        self._ended: Callable[[], bool] | None = None
        conn.set_progress_handler(self._passed, PROGRESS_STEPS)

    def _passed(self) -> bool:
        if self._ended is not None and self._ended():
            return True
        now_s = time.thread_time()
        if self._end_s == math.inf:
            self._end_s = now_s + self._limit_s
        return now_s > self._end_s

    def start(self, limit_s: float, ended: Callable[[], bool] | None = None) -> None:
        self._limit_s, self._end_s = limit_s, math.inf
        self._ended = ended

    def clear(self) -> None:
        self._limit_s = self._end_s = math.inf
        self._ended = None


class SqliteRx:
    """A read-only transaction on one of the readers' connections."""

    dialect = "sqlite"

    def __init__(self, conn: apsw.Connection, now_ms: Callable[[], int]) -> None:
        self._cursor = conn.cursor()
        self._now_ms = now_ms
        self.now_ms = 0

    def begin(self) -> None:
        self.now_ms = self._now_ms()

    def one(self, sql: str, params: Params = ()) -> Row | None:
        rows: list[Row] = self._cursor.execute(sql, params).fetchall()
        return rows[0] if rows else None

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        rows: list[Row] = self._cursor.execute(sql, params).fetchall()
        return rows


class SqliteTx(UnitTx):
    """The writer's transaction; one per store, reused for every unit."""

    dialect = "sqlite"

    def __init__(self, conn: apsw.Connection, clock: Clock) -> None:
        super().__init__(clock)
        self._conn = conn
        self._cursor = conn.cursor()
        self._execute = self._cursor.execute
        self.limit = CpuLimit(conn)
        self.statements = 0

    def one(self, sql: str, params: Params = ()) -> Row | None:
        self.statements += 1
        rows: list[Row] = self._execute(sql, params).fetchall()
        return rows[0] if rows else None

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        self.statements += 1
        rows: list[Row] = self._execute(sql, params).fetchall()
        return rows

    def run(self, sql: str, params: Params = ()) -> int:
        self.statements += 1
        self._execute(sql, params)
        return self._conn.changes()

    def savepoint(self) -> None:
        self._execute("savepoint unit")

    def release(self) -> None:
        self._execute("release unit")

    def rollback(self) -> None:
        self.limit.start(UNIT_HARD_CPU_S)
        self._execute("rollback to unit")
        self._execute("release unit")

    def failure(self, raised: Exception) -> HomarusError:
        interrupted = isinstance(raised, apsw.InterruptError)
        error = too_long(self.action.capability) if interrupted else engine_error(raised)
        if not self._conn.in_transaction:
            # SQLite ends the whole transaction when it interrupts a statement that writes.
            raise BatchLost(error or unexpected(raised), by_unit=interrupted) from raised
        if interrupted:
            return too_long(self.action.capability)
        if error is not None:
            raise BatchLost(error) from raised
        error = bad_value(raised)
        if error is None:
            log.error(
                "unit_failed",
                capability=self.action.capability,
                trace_id=self.trace,
                exc_info=raised,
            )
        return error or unexpected(raised)


def pragma(conn: apsw.Connection, name: str, value: Any = None) -> Any:
    """Read or set one pragma of the fixed set this engine uses."""
    return conn.pragma(name) if value is None else conn.pragma(name, value)
