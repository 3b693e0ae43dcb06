"""PostgreSQL transactions: a writer's `PostgresTx` and the readers' `PostgresRx`."""

import time
from collections.abc import Callable
from typing import Final

import psycopg
import structlog
from psycopg import errors

from homarus.base.action import Action
from homarus.base.clock import Clock
from homarus.base.errors import HomarusError
from homarus.store.port import Head, Params, Row
from homarus.store.postgres.driver import (
    Connection,
    described,
    engine_error,
    lost,
    translate,
    unavailable,
    value_error,
)
from homarus.store.unit import BatchLost, UnitTx, too_long, unexpected

log = structlog.get_logger("store")

STATEMENT_HARD_S: Final = 1.0
"""Of one statement, ended by the server: time on its clock, which passes on a busy machine too."""
UNIT_SOFT_S: Final = 0.050
UNIT_HARD_S: Final = 2.0
"""Of a whole unit, looked at between its statements. A round trip costs a hundred times what a
statement costs on SQLite, and a long unit holds up its own company only."""


class UnitTooLong(Exception):
    """The running unit has used up its time."""


class PostgresRx:
    """A read-only transaction on one of the readers' connections."""

    dialect = "postgres"

    def __init__(self, conn: Connection, now_ms: Callable[[], int]) -> None:
        self._cursor = conn.cursor()
        self._now_ms = now_ms
        self.now_ms = 0

    def begin(self) -> None:
        self.now_ms = self._now_ms()

    def one(self, sql: str, params: Params = ()) -> Row | None:
        return self._cursor.execute(translate(sql), params).fetchone()

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        return self._cursor.execute(translate(sql), params).fetchall()


class PostgresTx(UnitTx):
    """A writer's transaction; one per connection, reused for every unit.

    The savepoint is sent as late as possible: one round trip per unit, none after a rollback
    (which leaves the savepoint standing).
    """

    dialect = "postgres"

    def __init__(self, conn: Connection, clock: Clock) -> None:
        super().__init__(clock)
        self._conn = conn
        self._cursor = conn.cursor()
        self._mark = ""
        self._end_s = 0.0
        self.statements = 0

    def opened(self) -> None:
        """A new batch transaction has begun."""
        self._mark = ""

    def begin(self, action: Action, head: Head) -> None:
        super().begin(action, head)
        self.allow(UNIT_HARD_S)

    def allow(self, limit_s: float) -> None:
        self._end_s = time.perf_counter() + limit_s

    def _execute(self, sql: str, params: Params) -> psycopg.Cursor[Row]:
        if time.perf_counter() > self._end_s:
            raise UnitTooLong
        self.statements += 1
        return self._cursor.execute(translate(sql), params)

    def one(self, sql: str, params: Params = ()) -> Row | None:
        return self._execute(sql, params).fetchone()

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        return self._execute(sql, params).fetchall()

    def run(self, sql: str, params: Params = ()) -> int:
        return self._execute(sql, params).rowcount

    def savepoint(self) -> None:
        if self._mark == "clean":
            return
        self._plain("savepoint unit" if not self._mark else "release unit; savepoint unit")
        self._mark = "clean"

    def release(self) -> None:
        self._mark = "used"

    def rollback(self) -> None:
        self.allow(UNIT_HARD_S)
        self._plain("rollback to unit")
        self._mark = "clean"

    def _plain(self, sql: str) -> None:
        self._cursor.execute(sql.encode(), prepare=False)

    def failure(self, raised: Exception) -> HomarusError:
        if lost(self._conn):
            raise BatchLost(unavailable(raised)) from raised
        if isinstance(raised, UnitTooLong | errors.QueryCanceled):
            return too_long(self.action.capability)
        error = engine_error(raised)
        if error is not None:
            raise BatchLost(error) from raised
        error = value_error(raised)
        if error is None:
            log.error(
                "unit_failed",
                capability=self.action.capability,
                trace_id=self.trace,
                **described(raised),
            )
        return error or unexpected(raised)
