"""Stores and readers that keep what they execute: for tests of structure, never of time."""

from pathlib import Path
from typing import Any

import apsw

from homarus.store.port import Params, Row, Rx
from homarus.store.sqlite.engine import SqliteStore
from homarus.testing import blank
from homarus.testing.stores import Clock, Governor, Store


class TracedStore(SqliteStore):
    """Keeps what its writer executes: `executed`, without transaction control."""

    def _open(self) -> apsw.Connection:
        conn = super()._open()
        self.executed: list[str] = []

        def trace(_cursor: Any, sql: str, _bindings: Any) -> bool:
            if sql.split()[0] in ("select", "insert", "update", "delete"):
                self.executed.append(sql)
            return True

        conn.exec_trace = trace
        return conn


def traced(home: Path, governor: Governor, clock: Clock) -> Store:
    blank.lay(home)
    return TracedStore(home, governor, clock)


class Explaining:
    """An Rx of SQLite that keeps the plan of every statement it runs: `plans` of `(sql, step)`."""

    dialect = "sqlite"

    def __init__(self, rx: Rx) -> None:
        self._rx = rx
        self.now_ms = rx.now_ms
        self.plans: list[tuple[str, str]] = []

    def _explain(self, sql: str, params: Params) -> None:
        if sql.lower().startswith(("select", "with")):
            for row in self._rx.all(f"explain query plan {sql}", params):
                self.plans.append((sql, row[3]))

    def one(self, sql: str, params: Params = ()) -> Row | None:
        self._explain(sql, params)
        return self._rx.one(sql, params)

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        self._explain(sql, params)
        return self._rx.all(sql, params)
