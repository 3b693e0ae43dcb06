"""Notices: what is to be posted to a webhook, a row before the act. Units of `dispatch/notices.py`.

An attempt is a unit of its own, committed before the request goes out: after a crash the notice is
posted again, under the same id, at its next time.
"""

from typing import Final

import msgspec

from homarus.kernel import approval_queries
from homarus.store.port import Row, Rx, Tx

MAX_ATTEMPTS: Final = 5
BACKOFF_MS: Final = 10_000
"""After the first attempt; each further wait is four times as long."""
MAX_ERROR: Final = 300
_COLUMNS: Final = "id, company, approval, url, state, attempts, next_ms"


class Notice(msgspec.Struct, frozen=True):
    id: str
    company: str
    approval: str
    url: str
    state: str
    attempts: int
    next_ms: int


def _notice(row: Row) -> Notice:
    return Notice(*row)


def due(rx: Rx, limit: int) -> list[Notice]:
    rows = rx.all(
        f"select {_COLUMNS} from notice where state='pending' and next_ms<=? "  # noqa: S608
        "order by next_ms limit ?",
        (rx.now_ms, limit),
    )
    return [_notice(row) for row in rows]


def wait_ms(rx: Rx) -> int | None:
    """How long until the next one is due; None: none waits."""
    row = rx.one("select min(next_ms) from notice where state='pending'")
    return None if row is None or row[0] is None else max(0, int(row[0]) - rx.now_ms)


def attempt(tx: Tx, notice: str) -> Notice | None:
    """The intent: one more attempt, unless somebody else makes it or the question is answered.

    The last one that is lost in a crash leaves the notice to `settle` as failed by its next time.
    """
    row = tx.one(
        f"select {_COLUMNS} from notice where id=? and state='pending' and next_ms<=?",  # noqa: S608
        (notice, tx.now_ms),
    )
    if row is None:
        return None
    found = _notice(row)
    asked = approval_queries.by_id(tx, tx.company, found.approval)
    if asked is None or not asked.open(tx.now_ms):
        _end(tx, found.id, "dropped", "it was answered before")
        return None
    if found.attempts >= MAX_ATTEMPTS:
        _end(tx, found.id, "failed", "the daemon ended during the last attempt")
        return None
    tx.run(
        "update notice set attempts=attempts+1, next_ms=? where id=?",
        (tx.now_ms + BACKOFF_MS * 4**found.attempts, found.id),
    )
    tx.emit("notice_attempted", found.id, {"n": found.attempts + 1})
    return msgspec.structs.replace(found, attempts=found.attempts + 1)


def settle(tx: Tx, notice: str, error: str | None, *, final: bool = False) -> None:
    """The outcome of an attempt. `final`: trying again cannot help."""
    row = tx.one("select attempts from notice where id=? and state='pending'", (notice,))
    if row is None:
        return
    if error is None:
        _end(tx, notice, "sent", None)
    elif final or row[0] >= MAX_ATTEMPTS:
        _end(tx, notice, "failed", error)
    else:
        tx.run("update notice set error=? where id=?", (error[:MAX_ERROR], notice))
        tx.emit("notice_missed", notice, {"error": error[:MAX_ERROR]})


def _end(tx: Tx, notice: str, state: str, error: str | None) -> None:
    said = None if error is None else error[:MAX_ERROR]
    tx.run(
        "update notice set state=?, error=?, ended_ms=? where id=?",
        (state, said, tx.now_ms, notice),
    )
    tx.emit(f"notice_{state}", notice, {} if said is None else {"error": said})
