"""The floor: what SQLite alone needs for the statements that a run of ours executed.

A run is recorded through the driver's trace hook (each statement with its parameters, savepoints,
begins and commits too) and executed again, in order, on a copy of the file that the run began with.
"""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import apsw

from homarus.store.sqlite import files
from homarus.store.sqlite.engine import SqliteStore

Statement = tuple[str, Any, bool]
"""SQL, parameters, whether it answers rows."""


class RecordingStore(SqliteStore):
    """Keeps what its writer executes in `statements`."""

    def _open(self) -> apsw.Connection:
        conn = super()._open()
        self.statements: list[Statement] = []
        keep = self.statements.append

        def trace(_cursor: Any, sql: str, bindings: Any) -> bool:
            keep((sql, bindings or (), sql.startswith("select") or "returning" in sql))
            return True

        conn.exec_trace = trace
        return conn


def replay(database: Path, statements: list[Statement]) -> tuple[float, float]:
    """Seconds and CPU seconds for all of them on `database`, which ends as the run's own did."""
    conn = files.open_writer(database)
    try:
        execute = conn.cursor().execute
        cpu_s, began = time.thread_time(), time.perf_counter()
        for sql, params, answers in statements:
            if answers:
                execute(sql, params).fetchall()
            else:
                execute(sql, params)
        return time.perf_counter() - began, time.thread_time() - cpu_s
    finally:
        conn.close()


def by_statement(database: Path, statements: list[Statement], top: int) -> list[str]:
    """The statements that take SQLite longest, as lines."""
    conn = files.open_writer(database)
    spent: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    try:
        execute = conn.cursor().execute
        for sql, params, answers in statements:
            began = time.perf_counter()
            cursor = execute(sql, params)
            if answers:
                cursor.fetchall()
            entry = spent[sql]
            entry[0] += 1
            entry[1] += time.perf_counter() - began
    finally:
        conn.close()
    whole = sum(s for _, s in spent.values())
    ranked = sorted(spent.items(), key=lambda item: -item[1][1])[:top]
    return [
        f"{100 * seconds / whole:4.1f} %  {count:7.0f} x {1e6 * seconds / count:6.1f} us  "
        f"{' '.join(sql.split())[:90]}"
        for sql, (count, seconds) in ranked
    ]
