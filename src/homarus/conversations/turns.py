"""Turns: one inbound message and all that is done to answer it (gateway contract, 6, 10.2).

    queued --start--> running --finish--> done | failed
    running --park--> parked --resume--> queued      a tool waits for an approval
    running --lost--> queued                         its worker died; the transcript says how far
    running --hand_back--> queued                    its worker stops, or STOP cut it off
    queued | parked | running --abort--> aborted
    queued --merge--> merged                         its text went into another turn

A session runs one turn at a time. `token` fences: whoever was given up for dead changes nothing.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.base.ids import is_uuid
from homarus.store.paging import newest, when
from homarus.store.port import Row, Rx, Tx


class State(StrEnum):
    QUEUED = "queued"  # stays; started when the session is free
    RUNNING = "running"  # expiry of `until_ms` queues it again
    PARKED = "parked"  # the answer to its approval queues it again
    DONE = "done"  # final
    FAILED = "failed"  # final
    ABORTED = "aborted"  # final
    MERGED = "merged"  # final


OPEN: Final = (State.QUEUED, State.RUNNING, State.PARKED)
S = State
MOVES: Final[dict[tuple[State, str], State]] = {
    (S.QUEUED, "start"): S.RUNNING,
    (S.QUEUED, "merge"): S.MERGED,
    (S.QUEUED, "abort"): S.ABORTED,
    (S.QUEUED, "fail"): S.FAILED,
    (S.RUNNING, "park"): S.PARKED,
    (S.RUNNING, "lost"): S.QUEUED,
    (S.RUNNING, "finish"): S.DONE,
    (S.RUNNING, "fail"): S.FAILED,
    (S.RUNNING, "abort"): S.ABORTED,
    (S.RUNNING, "hand_back"): S.QUEUED,
    (S.PARKED, "resume"): S.QUEUED,
    (S.PARKED, "abort"): S.ABORTED,
}
"""(state, move) -> state. What is not here does not happen."""

TIMEOUT_S: Final = "timeoutS"
"""Option of a turn: so long after its start it fails (`turn.timeout`). What it waits for a person
is given to it besides."""
PARKED_MS: Final = "parkedMs"
"""Option of a turn with TIMEOUT_S that is parked: since when."""
MODES: Final = ("steer", "followup", "collect", "interrupt")
HEARTBEAT: Final = "heartbeat"
CRON: Final = "cron"
ORIGINS: Final = ("chat", "http", "task", HEARTBEAT, CRON, "spawn")
MAX_KEY: Final = 256
MAX_QUEUED: Final = 50
"""Turns that wait in one session; the next one is refused."""
MAX_ATTEMPTS: Final = 5
"""Starts of one turn when each time its worker died."""

_COLUMNS: Final = (
    "id, no, company, session, agent, key, origin, asked_by, person, mode, text, message, options, "
    "state, token, until_ms, attempts, calls, preflight, reply, outcome, created_ms, started_ms, "
    "ended_ms, work, work_token, changed_by, changed_ms"
)


_BRIEF: Final = "turn.session, turn.id, turn.key, turn.state, turn.started_ms, turn.ended_ms"

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def _text(value: Any) -> str:
    """Pictures may be in it: the standard library takes ten times as long."""
    return _encode(value).decode()


class Turn(msgspec.Struct, frozen=True, gc=False):
    """A row. `person`: an operator asked. `options`: how it is to be run. `outcome` when it has
    ended: `text`, `stop`, `usage`, `error`. `work`: the real task it does; `work_token`: the fence
    of the claim under which it does it, None for a conversation's own. `changed_by`: who last
    changed or dropped it while it waited. Times in Unix ms."""

    id: str
    no: int
    company: str
    session: str
    agent: str
    key: str
    origin: str
    asked_by: str
    person: bool
    mode: str
    text: str
    message: str | None
    options: dict[str, Any]
    state: State
    token: int
    until_ms: int | None
    attempts: int
    calls: int
    preflight: str | None
    reply: str | None
    outcome: dict[str, Any] | None
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    work: str | None = None
    work_token: int | None = None
    changed_by: str | None = None
    changed_ms: int | None = None


class Brief(msgspec.Struct, frozen=True, gc=False):
    """What a list of sessions says of a turn: nothing that may be long."""

    session: str
    id: str
    key: str
    state: State
    started_ms: int | None
    ended_ms: int | None


class Lately(NamedTuple):
    """Of one session: its newest turn; those that run or wait for an approval, oldest first."""

    newest: Brief | None = None
    running: tuple[Brief, ...] = ()


def _turn(row: Row) -> Turn:
    values = list(row)
    values[8] = bool(values[8])
    values[12] = _decode(values[12])
    values[13] = State(values[13])
    values[20] = None if values[20] is None else _decode(values[20])
    return Turn(*values)


def by_id(rx: Rx, company: str, turn: str) -> Turn | None:
    row = rx.one(f"select {_COLUMNS} from turn where id=? and company=?", (turn, company))  # noqa: S608
    return None if row is None else _turn(row)


def by_key(rx: Rx, company: str, key: str) -> Turn | None:
    row = rx.one(f"select {_COLUMNS} from turn where company=? and key=?", (company, key))  # noqa: S608
    return None if row is None else _turn(row)


def need(rx: Rx, company: str, ref: str) -> Turn:
    """By id or idempotency key. Raises `turn.unknown`."""
    found = by_id(rx, company, ref.lower()) if is_uuid(ref.lower()) else None
    found = found or by_key(rx, company, ref)
    if found is None:
        raise NotFound("turn.unknown", f"no turn {ref[:80]!r}", "Use the id that accepting gave.")
    return found


def open_of(rx: Rx, session: str) -> list[Turn]:
    """Those of a session that have not ended, oldest first."""
    rows = rx.all(
        f"select {_COLUMNS} from turn where session=? "  # noqa: S608
        "and state in ('queued', 'running', 'parked') order by no limit ?",
        (session, 2 * MAX_QUEUED),
    )
    return [_turn(row) for row in rows]


def lately(rx: Rx, sessions: Sequence[str]) -> dict[str, Lately]:
    """By session, for those that have had a turn: two statements, however many are asked for."""
    if not sessions:
        return {}
    marks = ",".join("?" * len(sessions))
    last = rx.all(
        f"select {_BRIEF} from session join turn on turn.session=session.id "  # noqa: S608
        "and turn.no=(select max(no) from turn where turn.session=session.id) "
        f"where session.id in ({marks})",
        tuple(sessions),
    )
    # Said in the words of the index on those that are open, which is then taken.
    running = rx.all(
        f"select {_BRIEF} from turn where turn.session in ({marks}) "  # noqa: S608
        "and turn.state in ('queued', 'running', 'parked') and turn.state<>'queued' "
        "order by turn.no",
        tuple(sessions),
    )
    found = {brief.session: Lately(brief) for brief in map(_brief, last)}
    for brief in map(_brief, running):
        known = found[brief.session]
        found[brief.session] = known._replace(running=(*known.running, brief))
    return found


def _brief(row: Row) -> Brief:
    session, id_, key, state, started_ms, ended_ms = row
    return Brief(session, id_, key, State(state), started_ms, ended_ms)


def running_of(rx: Rx, company: str, agent: str) -> list[str]:
    """Ids of an agent's turns that run now."""
    rows = rx.all(
        "select id from turn where company=? and state='running' and agent=? order by until_ms",
        (company, agent),
    )
    return [row[0] for row in rows]


def listed(
    rx: Rx, company: str, *, limit: int, before: int | None = None, session: str | None = None,
    agent: str | None = None, only_open: bool = False,
) -> list[Turn]:  # fmt: skip
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {_COLUMNS} from turn where company=?"  # noqa: S608
    filters = {
        "session=?": session,
        "agent=?": agent,
        **when("state in ('queued', 'running', 'parked')", only_open),
    }
    rows = newest(rx, select, (company,), filters, limit=limit, before=before)
    return [_turn(row) for row in rows]


def insert(tx: Tx, row: Turn) -> None:
    tx.run(
        f"insert into turn({_COLUMNS}) values({','.join('?' * 28)})",
        (
            row.id, row.no, row.company, row.session, row.agent, row.key, row.origin,
            row.asked_by, int(row.person), row.mode, row.text, row.message,
            _text(row.options), row.state.value, row.token, row.until_ms, row.attempts,
            row.calls, row.preflight, row.reply,
            None if row.outcome is None else _text(row.outcome), row.created_ms,
            row.started_ms, row.ended_ms, row.work, row.work_token, row.changed_by,
            row.changed_ms,
        ),
    )  # fmt: skip


def reword(tx: Tx, row: Turn, text: str) -> bool:
    """Change the text of a turn that nobody has begun; False: somebody has.

    Emits `turn_changed`.
    """
    done = tx.run(
        "update turn set text=?, changed_by=?, changed_ms=? where id=? and state='queued' "
        "and started_ms is null and token=?",
        (text, tx.actor.key, tx.now_ms, row.id, row.token),
    )
    if done:
        tx.emit("turn_changed", row.id, {"session": row.session, "agent": row.agent})
    return bool(done)


def move(tx: Tx, row: Turn, name: str, **values: Any) -> Turn:
    """A fenced move of a turn as this transaction read it, with further columns.

    Raises `turn.lost` when it moved meanwhile, `turn.state` for a move that does not exist.
    Emits `turn_<state>`.
    """
    to = MOVES.get((row.state, name))
    if to is None:
        raise Conflict(
            "turn.state",
            f"a turn that is {row.state.value} cannot {name}",
            "It has ended, or waits; see its state.",
        )
    values |= {name: _text(values[name]) for name in ("outcome", "options") if name in values}
    columns = {"state": to.value, **values}
    if to not in OPEN:
        columns["ended_ms"] = tx.now_ms
    if to is not State.RUNNING:
        columns["until_ms"] = None
    sets = ", ".join(f"{column}=?" for column in columns)
    if not tx.run(
        f"update turn set {sets} where id=? and state=? and token=?",  # noqa: S608
        (*columns.values(), row.id, row.state.value, row.token),
    ):
        raise lost(row)
    tx.emit(f"turn_{to.value}", row.id, {"session": row.session, "agent": row.agent})
    after = by_id(tx, row.company, row.id)
    if after is None:
        raise AssertionError(f"turn {row.id} is gone")
    return after


def held(tx: Tx, turn: str, token: int) -> Turn:
    """The running turn, while its worker's fence stands. Raises `turn.lost`, `turn.unknown`."""
    row = need(tx, tx.company, turn)
    if row.state is not State.RUNNING or row.token != token:
        raise lost(row)
    return row


def lost(row: Turn) -> Conflict:
    return Conflict(
        "turn.lost",
        f"turn {row.id} is {row.state.value} and somebody else's now",
        "Stop working on it.",
    )


def same_asker(one: Turn, other: Turn) -> bool:
    """Whether both were asked by one identity with the same rights."""
    return (one.asked_by, one.person) == (other.asked_by, other.person)


def renew(tx: Tx, turn: str, token: int, until_ms: int) -> bool:
    """Say that its worker lives; False: it is somebody else's."""
    return bool(
        tx.run(
            "update turn set until_ms=? where id=? and state='running' and token=?",
            (until_ms, turn, token),
        )
    )


def ready(rx: Rx, limit: int) -> list[tuple[str, str]]:
    """`(company, turn)`: the oldest queued turn of each session that runs none."""
    rows = rx.all(
        "select t.company, t.id from turn t where t.state='queued' and not exists("
        "select 1 from turn o where o.session=t.session and o.state in "
        "('queued', 'running', 'parked') and (o.state<>'queued' or o.no<t.no)) "
        "order by t.no limit ?",
        (limit,),
    )
    return [(row[0], row[1]) for row in rows]


def companies_with_lost(rx: Rx, alone: bool) -> list[str]:
    """Companies with running turns whose worker is dead. `alone`: no other daemon works here."""
    rows = rx.all(
        "select distinct company from turn where state='running' and (until_ms<? or ?=1)",
        (rx.now_ms, int(alone)),
    )
    return [row[0] for row in rows]


def lost_ones(tx: Tx, limit: int, alone: bool) -> list[Turn]:
    rows = tx.all(
        f"select {_COLUMNS} from turn where company=? and state='running' "  # noqa: S608
        "and (until_ms<? or ?=1) order by no limit ?",
        (tx.company, tx.now_ms, int(alone), limit),
    )
    return [_turn(row) for row in rows]
