"""The manual's own sample of an outbox (its A.1 and A.2), line by line, over a target.

Kept as it is written, with its defects: an upsert on a row in flight or completed; ISO texts
compared with `datetime('now')`; the target's id kept only after the push; a unique key without the
type of the entity. Only what it calls is ours: the clock is the simulated one, and the processor
writes to the target under test."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

SCHEMA = """
CREATE TABLE outbox_v2 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target_type TEXT NOT NULL,
    payload TEXT NOT NULL DEFAULT '{}',
    status TEXT NOT NULL DEFAULT 'pending',
    retry_count INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL DEFAULT '',
    updated_at TEXT NOT NULL DEFAULT '',
    scheduled_at TEXT NOT NULL DEFAULT '',
    processed_at TEXT NOT NULL DEFAULT '',
    completed_at TEXT NOT NULL DEFAULT '',
    error_msg TEXT NOT NULL DEFAULT '',
    receipt_id TEXT NOT NULL DEFAULT '',
    UNIQUE(entity_id, action, target_type)
);
"""
Process = Callable[[sqlite3.Row, str], str]
"""Push a row, given the target's id of its entity where one is kept; the id there."""


class ManualSample:
    """`now_ms`: the simulated clock; `process`: the processor of the one target type."""

    def __init__(self, now_ms: Callable[[], int], process: Process) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.row_factory = sqlite3.Row
        self.db.executescript(SCHEMA)
        self._now_ms = now_ms
        self._process = process

    def _iso(self) -> str:
        """`datetime.now(timezone.utc).isoformat()`"""
        return datetime.fromtimestamp(self._now_ms() / 1000, UTC).isoformat()

    def _sql_now(self, minutes: int = 0) -> str:
        """`datetime('now', '+N minutes')`"""
        at = datetime.fromtimestamp(self._now_ms() / 1000 + 60 * minutes, UTC)
        return at.strftime("%Y-%m-%d %H:%M:%S")

    def enqueue(self, entity_type: str, entity_id: str, action: str, data: Any) -> None:
        """A.1, step 2."""
        now = self._iso()
        with self.db:
            self.db.execute(
                "INSERT INTO outbox_v2 (entity_type, entity_id, action, target_type, payload, "
                "scheduled_at, created_at) VALUES (?, ?, ?, 'fake', ?, ?, ?) "
                "ON CONFLICT(entity_id, action, target_type) DO UPDATE SET "
                "payload = excluded.payload, status = 'pending', retry_count = 0, "
                "updated_at = excluded.updated_at",
                (entity_type, entity_id, action, json.dumps(data), now, self._sql_now()),
            )

    def process(self, max_retry: int = 3) -> None:
        """A.2."""
        pending = self.db.execute(
            "SELECT * FROM outbox_v2 WHERE status = 'pending' AND scheduled_at <= ? "
            "ORDER BY created_at LIMIT 100",
            (self._sql_now(),),
        ).fetchall()
        for entry in pending:
            try:
                self._update(entry, "status = 'processing', processed_at = ?", self._sql_now())
                known = self.db.execute(
                    "SELECT receipt_id FROM outbox_v2 WHERE entity_type = ? AND entity_id = ? "
                    "AND receipt_id <> '' LIMIT 1",
                    (entry["entity_type"], entry["entity_id"]),
                ).fetchone()
                receipt = self._process(entry, "" if known is None else known[0])
                self._update(
                    entry, "status = 'completed', completed_at = ?, receipt_id = ?",
                    self._sql_now(), receipt,
                )  # fmt: skip
            except Exception as e:  # noqa: BLE001 - as it is written
                new_retry = entry["retry_count"] + 1
                if new_retry >= max_retry:
                    self._update(
                        entry, "status = 'failed', retry_count = ?, error_msg = ?",
                        new_retry, str(e)[:500],
                    )  # fmt: skip
                else:
                    self._update(
                        entry,
                        "status = 'pending', retry_count = ?, error_msg = ?, scheduled_at = ?",
                        new_retry, str(e)[:500], self._sql_now(2**new_retry),
                    )  # fmt: skip

    def _update(self, entry: sqlite3.Row, sets: str, *values: Any) -> None:
        with self.db:
            self.db.execute(f"UPDATE outbox_v2 SET {sets} WHERE id = ?", (*values, entry["id"]))
