"""What an agent remembers: single entries, and snapshots of the whole (contract, 4.5).

An entry never replaces the snapshot: only a caller that gives a `snapshot` writes one (18.16).
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.company.resources import like
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

MAX_CONTENT: Final = 200_000
MAX_SUMMARY: Final = 10_000
MAX_KIND: Final = 64
MAX_WORDS: Final = 8
"""Words of a search that are looked for."""
HYDRATION_ENTRIES: Final = 25
"""Entries that the start of a session hands back (contract, 4.4)."""

_ENTRY: Final = (
    "id, company, agent, no, session, project, task, kind, content, summary, metadata, created_ms"
)
_SNAPSHOT: Final = "id, company, agent, no, entry, content, created_ms"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A row of `agent_memory_entry`. `no` is the order of writing in the company."""

    id: str
    company: str
    agent: str
    no: int
    session: str | None
    project: str | None
    task: str | None
    kind: str
    content: str
    summary: str | None
    metadata: dict[str, Any]
    created_ms: int


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """The whole of an agent's memory as of entry `no`."""

    id: str
    company: str
    agent: str
    no: int
    entry: str
    content: str
    created_ms: int


class NewEntry(msgspec.Struct, frozen=True):
    """What to remember. The ids are checked by the caller; `snapshot` None leaves the last one."""

    content: str
    kind: str = "context"
    summary: str | None = None
    session: str | None = None
    project: str | None = None
    task: str | None = None
    metadata: dict[str, Any] = {}
    snapshot: str | None = None


def _entry(row: Row) -> Entry:
    values = list(row)
    values[10] = json.loads(values[10])
    return Entry(*values)


def entries(rx: Rx, agent: str, *, limit: int, before: int | None = None) -> list[Entry]:
    """The newest `limit` (of those before `no` `before`), oldest first."""
    select = f"select {_ENTRY} from agent_memory_entry where agent=?"  # noqa: S608
    rows = newest(rx, select, (agent,), limit=limit, before=before)
    return [_entry(row) for row in reversed(rows)]


def search(rx: Rx, agent: str, text: str, limit: int) -> list[Entry]:
    """Entries that hold every word of `text` in any case, newest first; of no words the newest."""
    words = text.lower().split()[:MAX_WORDS]
    held = " and lower(content || ' ' || coalesce(summary,'')) like ? escape '\\'" * len(words)
    rows = rx.all(
        f"select {_ENTRY} from agent_memory_entry where agent=?{held} order by no desc limit ?",  # noqa: S608
        (agent, *(f"%{like(word)}%" for word in words), limit),
    )
    return [_entry(row) for row in rows]


def snapshot(rx: Rx, agent: str) -> Snapshot | None:
    """The latest."""
    row = rx.one(
        f"select {_SNAPSHOT} from agent_memory_snapshot where agent=? order by no desc limit 1",  # noqa: S608
        (agent,),
    )
    return None if row is None else Snapshot(*row)


def _check(new: NewEntry) -> None:
    if not new.content.strip() or len(new.content) > MAX_CONTENT:
        raise Invalid(
            "memory.content", "the memory is empty or too long", f"1 to {MAX_CONTENT} characters."
        )
    if len(new.summary or "") > MAX_SUMMARY or len(new.snapshot or "") > MAX_CONTENT:
        raise Invalid(
            "memory.content",
            "the summary or snapshot is too long",
            f"At most {MAX_SUMMARY} and {MAX_CONTENT} characters.",
        )
    if not 0 < len(new.kind) <= MAX_KIND:
        raise Invalid("memory.kind", "unusable kind", f"1 to {MAX_KIND} characters.")


def write(tx: Tx, agent: str, new: NewEntry) -> tuple[Entry, Snapshot | None]:
    """Add an entry, and a snapshot when one is given; `(entry, latest snapshot)`.

    A snapshot also becomes the agent's `memory`. Raises `memory.content`, `memory.kind`.
    """
    _check(new)
    entry = Entry(
        tx.new_id(), tx.company, agent, tx.number("memory"), new.session, new.project, new.task,
        new.kind, new.content, new.summary, new.metadata, tx.now_ms,
    )  # fmt: skip
    tx.run(
        f"insert into agent_memory_entry({_ENTRY}) values(?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            entry.id, entry.company, agent, entry.no, entry.session, entry.project, entry.task,
            entry.kind, entry.content, entry.summary,
            json.dumps(entry.metadata, separators=(",", ":"), ensure_ascii=False),
            entry.created_ms,
        ),
    )  # fmt: skip
    if new.snapshot is not None:
        _write_snapshot(tx, entry, new.snapshot)
    if new.task is not None:
        tx.about(task=new.task)
    tx.emit("agent_memory_added", agent, {"entry": entry.id, "kind": entry.kind})
    return entry, snapshot(tx, agent)


def _write_snapshot(tx: Tx, entry: Entry, content: str) -> None:
    tx.run(
        f"insert into agent_memory_snapshot({_SNAPSHOT}) values(?,?,?,?,?,?,?)",
        (tx.new_id(), tx.company, entry.agent, entry.no, entry.id, content, tx.now_ms),
    )
    tx.run("update agent set memory=?, updated_ms=? where id=?", (content, tx.now_ms, entry.agent))
