"""Entries of a session's transcript: append-only rows in the form of the documented lines.

Entry `seq` counts from 1 in its session. A message's `body` is `{"message": {...}}` (gateway
contract, 6, 12.3); ids are derived, so that the same append twice is one.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import TooLarge
from homarus.base.ids import derived_id
from homarus.conversations.sessions import Session
from homarus.store import paging
from homarus.store.port import Row, Rx, Tx

MESSAGE: Final = "message"
COMPACTION: Final = "compaction"
CUSTOM: Final = "custom"
MODEL_CHANGE: Final = "model_change"

MAX_BODY_CHARS: Final = 2_000_000
MAX_READ: Final = 2_000
"""Entries that one read gives; a context that has so many is summed up."""

MAX_HUSHED: Final = 10

_COLUMNS: Final = "session, seq, id, turn, kind, body, created_ms"


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True, gc=False):
    session: str
    seq: int
    id: str
    turn: str | None
    kind: str
    body: dict[str, Any]
    created_ms: int

    @property
    def message(self) -> dict[str, Any]:
        """The message of an entry of kind `message`."""
        return dict(self.body["message"])


def _entry(row: Row) -> Entry:
    values = list(row)
    values[5] = _decode(values[5])
    return Entry(*values)


def since(rx: Rx, session: str, seq: int, limit: int = MAX_READ) -> list[Entry]:
    """From `seq` on, oldest first."""
    rows = rx.all(
        f"select {_COLUMNS} from entry where session=? and seq>=? order by seq limit ?",  # noqa: S608
        (session, seq, limit),
    )
    return [_entry(row) for row in rows]


class Shown(msgspec.Struct, frozen=True):
    """Of a context, oldest first. `full`: it has reached its limit, and older lines may be left
    out."""

    entries: list[Entry]
    full: bool


def shown(rx: Rx, session: str, seq: int, limit: int = MAX_READ) -> Shown:
    """The newest `limit` from `seq` on, without what a model is not to be shown again; the last
    summary in any case. None of a call's results comes without its call."""
    rows = rx.all(
        f"select {_COLUMNS} from entry where session=? and seq>=? and quiet=0 "  # noqa: S608
        "order by seq desc limit ?",
        (session, seq, limit),
    )
    entries = [_entry(row) for row in reversed(rows)]
    if len(entries) < limit:
        return Shown(entries, False)
    begin = next((n for n, entry in enumerate(entries) if not _is_result(entry)), len(entries))
    entries = entries[begin:]
    if all(entry.kind != COMPACTION for entry in entries):
        entries = [*_last_summary(rx, session, seq), *entries]
    return Shown(entries, True)


def _is_result(entry: Entry) -> bool:
    return entry.kind == MESSAGE and entry.message.get("role") == "toolResult"


def _last_summary(rx: Rx, session: str, seq: int) -> list[Entry]:
    rows = rx.all(
        f"select {_COLUMNS} from entry where session=? and seq>=? and kind=? and quiet=0 "  # noqa: S608
        "order by seq desc limit 1",
        (session, seq, COMPACTION),
    )
    return [_entry(row) for row in rows]


def hush(tx: Tx, session: str, turn: str) -> None:
    """The newest lines, which are this turn's, are kept, and shown to no model again."""
    rows = tx.all(
        "select seq, turn from entry where session=? order by seq desc limit ?",
        (session, MAX_HUSHED),
    )
    for seq, of in rows:
        if of != turn:
            break
        tx.run("update entry set quiet=1 where session=? and seq=?", (session, seq))


def count(rx: Rx, session: str) -> int:
    """How many entries there are; a branch begins with later ones than the first."""
    row = rx.one("select count(*) from entry where session=?", (session,))
    return 0 if row is None else int(row[0])


def newest(rx: Rx, session: str, limit: int, before: int | None = None) -> list[Entry]:
    """The last ones before `before`, oldest first."""
    select = f"select {_COLUMNS} from entry where session=?"  # noqa: S608
    rows = paging.newest(rx, select, (session,), limit=limit, before=before, by="seq")
    return [_entry(row) for row in reversed(rows)]


class Line(msgspec.Struct, frozen=True):
    """An entry that another system wrote. `hidden`: no model is shown it."""

    kind: str
    body: dict[str, Any]
    created_ms: int
    hidden: bool = False


def taken_over_id(session: str, seq: int) -> str:
    """The id of an entry that was taken over: never that of one written here at the same place."""
    return derived_id(session, -seq)


def id_at(rx: Rx, session: str, seq: int) -> str | None:
    row = rx.one("select id from entry where session=? and seq=?", (session, seq))
    return None if row is None else str(row[0])


def take_over(tx: Tx, session: str, first: int, lines: list[Line]) -> None:
    """Add lines of another system, with the times they had there, as entries from `first` on, which
    is the next free place. Raises `session.entry_large`."""
    for seq, line in enumerate(lines, first):
        text = _checked(line.body)
        tx.run(
            f"insert into entry({_COLUMNS}, quiet) values(?,?,?,?,?,?,?,?)",
            (session, seq, taken_over_id(session, seq), None, line.kind, text, line.created_ms,
             int(line.hidden)),
        )  # fmt: skip
    tx.run("update session set entries=? where id=?", (first + len(lines) - 1, session))


def _checked(body: dict[str, Any]) -> str:
    text = _encode(body).decode()
    if len(text) > MAX_BODY_CHARS:
        raise TooLarge(
            "session.entry_large", "a line of the transcript is too long", f"{MAX_BODY_CHARS}."
        )
    return text


def append(tx: Tx, session: Session, kind: str, body: dict[str, Any], turn: str | None) -> int:
    """Add a line; its `seq`. Raises `session.entry_large`. Emits `session_entry`.

    The number is read anew: one unit may append several.
    """
    text = _checked(body)
    row = tx.one(
        "update session set entries=entries+1, updated_ms=? where id=? returning entries",
        (tx.now_ms, session.id),
    )
    if row is None:
        raise AssertionError(f"session {session.id} is gone")
    seq = int(row[0])
    tx.run(
        f"insert into entry({_COLUMNS}) values(?,?,?,?,?,?,?)",
        (session.id, seq, derived_id(session.id, seq), turn, kind, text, tx.now_ms),
    )
    tx.emit("session_entry", session.id, {"seq": seq, "kind": kind, "turn": turn})
    return seq
