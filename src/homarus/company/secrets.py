"""Sealed secrets that were replaced, and the log of every attempt to get one (contract, 11).

Both concern resources and integrations alike; `subject` is the id of either. A row here never holds
a clear secret, nor a digest of one.
"""

from typing import Final

import msgspec

from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

KEY_VERSION: Final = 1
"""Of the master key that seals; goes up when a home learns to change it."""
MAX_VERSIONS: Final = 10
SUCCESS: Final = "success"
FORBIDDEN: Final = "forbidden"
FOLD_MS: Final = 60_000
"""Equal refusals within this time are one row that counts them."""
KEPT_MS: Final = 400 * 24 * 3_600_000
MAX_TEXT: Final = 500

_COLUMNS: Final = (
    "id, no, company, subject, outcome, code, actor, credential, agent, session, task, lease, "
    "reason, repeats, at_ms, last_ms"
)


class Former(msgspec.Struct, frozen=True, gc=False):
    """A replaced secret: its number and when it was replaced."""

    version: int
    key_version: int
    replaced_ms: int


class Access(msgspec.Struct, frozen=True, gc=False):
    """A row of `secret_access`. `agent`, `session`, `task` as the caller named them."""

    id: str
    no: int
    company: str
    subject: str
    outcome: str
    code: str | None
    actor: str
    credential: str
    agent: str | None
    session: str | None
    task: str | None
    lease: str | None
    reason: str | None
    repeats: int
    at_ms: int
    last_ms: int


class Wish(msgspec.Struct, frozen=True):
    """What a caller said when it asked for a secret."""

    agent: str | None = None
    session: str | None = None
    task: str | None = None
    reason: str | None = None


def keep(tx: Tx, subject: str, version: int, sealed: bytes) -> None:
    """Put a replaced secret aside; the MAX_VERSIONS newest stay."""
    tx.run(
        "insert into secret_version(subject, version, company, sealed, key_version, replaced_ms) "
        "values(?,?,?,?,?,?)",
        (subject, version, tx.company, sealed, KEY_VERSION, tx.now_ms),
    )
    tx.run(
        "delete from secret_version where subject=? and version<=?",
        (subject, version - MAX_VERSIONS),
    )


def former(rx: Rx, subject: str) -> list[Former]:
    """Newest first, at most MAX_VERSIONS."""
    rows = rx.all(
        "select version, key_version, replaced_ms from secret_version where subject=? "
        "order by version desc limit ?",
        (subject, MAX_VERSIONS),
    )
    return [Former(*row) for row in rows]


def sealed_former(rx: Rx, subject: str, version: int) -> bytes | None:
    row = rx.one(
        "select sealed from secret_version where subject=? and version=?", (subject, version)
    )
    return None if row is None else bytes(row[0])


def forget(tx: Tx, subject: str) -> None:
    tx.run("delete from secret_version where subject=?", (subject,))


# -- who asked -----------------------------------------------------------------------------


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:MAX_TEXT]


def log(
    tx: Tx, subject: str, wish: Wish, *, code: str | None = None, lease: str | None = None
) -> None:
    """Keep an attempt: it succeeded with a lease, or was refused with a code."""
    if code is not None and _folded(tx, subject, wish, code):
        return
    actor = tx.actor
    tx.run(
        f"insert into secret_access({_COLUMNS}) values(?,?,?,?,?,?,?,?,?,?,?,?,?,1,?,?)",
        (
            tx.new_id(), tx.number("secret_access"), tx.company, subject,
            SUCCESS if code is None else FORBIDDEN, code, actor.key, actor.credential,
            _cut(wish.agent), _cut(wish.session), _cut(wish.task), lease, _cut(wish.reason),
            tx.now_ms, tx.now_ms,
        ),
    )  # fmt: skip


def _folded(tx: Tx, subject: str, wish: Wish, code: str) -> bool:
    """Whether the newest row was the same refusal, a moment ago; it counts one more then."""
    row = tx.one(
        "select id, code, credential, agent, task, at_ms from secret_access where subject=? "
        "order by no desc limit 1",
        (subject,),
    )
    same = (code, tx.actor.credential, _cut(wish.agent), _cut(wish.task))
    if row is None or tuple(row[1:5]) != same or tx.now_ms - row[5] >= FOLD_MS:
        return False
    tx.run("update secret_access set repeats=repeats+1, last_ms=? where id=?", (tx.now_ms, row[0]))
    return True


def attempts(rx: Rx, subject: str, *, limit: int, before: int | None = None) -> list[Access]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {_COLUMNS} from secret_access where subject=?"  # noqa: S608
    rows = newest(rx, select, (subject,), limit=limit, before=before)
    return [_access(row) for row in rows]


def _access(row: Row) -> Access:
    return Access(*row)


def old(rx: Rx, limit: int) -> list[str]:
    """Companies with attempts that are kept no longer."""
    rows = rx.all(
        "select id from company where exists(select 1 from secret_access a "
        "where a.company=company.id and a.last_ms<?) limit ?",
        (rx.now_ms - KEPT_MS, limit),
    )
    return [str(row[0]) for row in rows]


def forget_old(tx: Tx, limit: int) -> int:
    """Forget up to `limit` of a company's attempts that are kept no longer; how many."""
    return tx.run(
        "delete from secret_access where id in (select id from secret_access where company=? "
        "and last_ms<? order by last_ms limit ?)",
        (tx.company, tx.now_ms - KEPT_MS, limit),
    )
