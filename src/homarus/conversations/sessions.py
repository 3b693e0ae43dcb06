"""Sessions: an agent's memory of one conversation (gateway contract, 7; design, 6).

Rows are the truth; transcripts and `sessions.json` on disk are views of them.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import NotFound
from homarus.base.ids import is_uuid
from homarus.store.paging import ABOVE_ALL
from homarus.store.port import Row, Rx, Tx

DIRECT: Final = "direct"
HTTP: Final = "http"
MAX_LABEL: Final = 200
MAX_RECENT: Final = 50
THINKING: Final = ("off", "low", "medium", "high")
FLAGS: Final = ("archived", "pinned", "unread")
"""What clients keep of a session for themselves."""
NEVER: Final = 0
"""`interaction_ms` of a session in which nobody has spoken yet."""

_COLUMNS: Final = (
    "id, company, agent, key, kind, conversation, task, label, model, thinking, queue_mode, "
    "entries, first_kept, compactions, input_tokens, output_tokens, context_tokens, created_ms, "
    "updated_ms, interaction_ms, ended_ms, archived, pinned, unread"
)


class Session(msgspec.Struct, frozen=True, gc=False):
    """A row. `agent` by id; `entries` is the seq of the newest entry; the model's context begins
    at `first_kept`; tokens are sums over all requests, `context_tokens` of the last one alone;
    the last three are FLAGS."""

    id: str
    company: str
    agent: str
    key: str
    kind: str
    conversation: str
    task: str
    label: str | None
    model: str | None
    thinking: str | None
    queue_mode: str | None
    entries: int
    first_kept: int
    compactions: int
    input_tokens: int
    output_tokens: int
    context_tokens: int
    created_ms: int
    updated_ms: int
    interaction_ms: int
    ended_ms: int | None
    archived: bool = False
    pinned: bool = False
    unread: bool = False


def _session(row: Row) -> Session:
    values = list(row)
    values[-len(FLAGS) :] = map(bool, values[-len(FLAGS) :])
    return Session(*values)


def by_id(rx: Rx, company: str, session: str) -> Session | None:
    row = rx.one(
        f"select {_COLUMNS} from session where id=? and company=?",  # noqa: S608
        (session, company),
    )
    return None if row is None else _session(row)


def by_key(rx: Rx, company: str, key: str) -> Session | None:
    """The live one. `key` in its full form (`keys.parse`)."""
    row = rx.one(
        f"select {_COLUMNS} from session where company=? and key=? and ended_ms is null",  # noqa: S608
        (company, key),
    )
    return None if row is None else _session(row)


def need(rx: Rx, company: str, ref: str) -> Session:
    """By id or by full key. Raises `session.unknown`."""
    text = ref.strip().lower()
    found = by_id(rx, company, text) if is_uuid(text) else by_key(rx, company, text)
    if found is None:
        raise NotFound("session.unknown", f"no session {ref[:80]!r}", "See `homarus session list`.")
    return found


def at(rx: Rx, company: str, conversation: str) -> Session | None:
    """The live session that has this conversation."""
    row = rx.one(
        f"select {_COLUMNS} from session where conversation=? and company=? "  # noqa: S608
        "and ended_ms is null limit 1",
        (conversation, company),
    )
    return None if row is None else _session(row)


def last_spoken_to(rx: Rx, company: str, agent: str) -> Session | None:
    """The live one in which somebody spoke to the agent last, of its MAX_RECENT last used."""
    found = listed(rx, company, limit=MAX_RECENT, agent=agent)
    return max(found, key=lambda row: row.interaction_ms, default=None)


def listed(
    rx: Rx, company: str, *, limit: int, agent: str | None = None,
    after: tuple[int, str] | None = None,
) -> list[Session]:  # fmt: skip
    """Live ones, last used first; `after`: `updated_ms` and id of the last one seen."""
    where, params = ("", ()) if agent is None else (" and agent=?", (agent,))
    at_ms, id_ = (ABOVE_ALL, "") if after is None else after
    rows = rx.all(
        f"select {_COLUMNS} from session where company=? and ended_ms is null{where} "  # noqa: S608
        "and updated_ms<=? and (updated_ms<? or id>?) order by updated_ms desc, id limit ?",
        (company, *params, at_ms, at_ms, id_, limit),
    )
    return [_session(row) for row in rows]


def changed(rx: Rx, company: str, after_ms: int, after_id: str, limit: int) -> list[Session]:
    """Live and ended ones that changed after that one did, in that order."""
    rows = rx.all(
        f"select {_COLUMNS} from session where company=? and "  # noqa: S608
        "(updated_ms>? or (updated_ms=? and id>?)) order by updated_ms, id limit ?",
        (company, after_ms, after_ms, after_id, limit),
    )
    return [_session(row) for row in rows]


def insert(tx: Tx, row: Session) -> None:
    """Emits `session_opened`."""
    tx.run(
        f"insert into session({_COLUMNS}) values({','.join('?' * 24)})",
        tuple(_kept(getattr(row, name)) for name in row.__struct_fields__),
    )
    tx.emit("session_opened", row.id, {"key": row.key, "agent": row.agent})


def change(tx: Tx, session: str, **values: Any) -> None:
    """Set columns of a row; `updated_ms` goes along."""
    values |= {"updated_ms": tx.now_ms}
    sets = ", ".join(f"{column}=?" for column in values)
    given = tuple(map(_kept, values.values()))
    tx.run(f"update session set {sets} where id=?", (*given, session))  # noqa: S608


def _kept(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def count_tokens(tx: Tx, session: str, inputs: int, outputs: int) -> None:
    """Add what one request used; its input is the present size of the context."""
    tx.run(
        "update session set input_tokens=input_tokens+?, output_tokens=output_tokens+?, "
        "context_tokens=?, updated_ms=? where id=?",
        (inputs, outputs, inputs + outputs, tx.now_ms, session),
    )


def end(tx: Tx, row: Session) -> None:
    """Free its key; the transcript stays. Emits `session_ended`."""
    change(tx, row.id, ended_ms=tx.now_ms)
    tx.emit("session_ended", row.id, {"key": row.key})
