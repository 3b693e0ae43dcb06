"""Deliveries: a message on its way to somebody elsewhere (design, 6; gateway contract, 8).

    queued --begin--> sending --sent--> sent
    sending --later--> queued           nothing left the house; tried again after a while
    sending --refuse--> failed          the channel will never take it
    sending --doubt--> unknown          nobody can tell whether it arrived
    queued --give_up--> failed          tried often enough
    unknown | failed --retry--> queued  an operator's
    queued | unknown | failed --drop--> dropped   an operator's

A row stands before it is acted on. Of one lane (channel, account, target) one is under way at a
time, the oldest first. `token` fences: whoever was given up for dead changes nothing.
"""

import json
from enum import StrEnum
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.base.ids import is_uuid
from homarus.conversations.places import Route
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx


class State(StrEnum):
    QUEUED = "queued"  # stays; begun when its lane is free and its channel runs
    SENDING = "sending"  # expiry of `until_ms`: looked up, else unknown
    SENT = "sent"  # final
    UNKNOWN = "unknown"  # an operator's
    FAILED = "failed"  # an operator's
    DROPPED = "dropped"  # final


S = State
MOVES: Final[dict[tuple[State, str], State]] = {
    (S.QUEUED, "begin"): S.SENDING,
    (S.QUEUED, "give_up"): S.FAILED,
    (S.QUEUED, "drop"): S.DROPPED,
    (S.SENDING, "sent"): S.SENT,
    (S.SENDING, "later"): S.QUEUED,
    (S.SENDING, "refuse"): S.FAILED,
    (S.SENDING, "doubt"): S.UNKNOWN,
    (S.UNKNOWN, "retry"): S.QUEUED,
    (S.UNKNOWN, "drop"): S.DROPPED,
    (S.FAILED, "retry"): S.QUEUED,
    (S.FAILED, "drop"): S.DROPPED,
}
"""(state, move) -> state. What is not here does not happen."""

OPEN: Final = (State.QUEUED, State.SENDING)
MAX_ATTEMPTS: Final = 8
FIRST_WAIT_MS: Final = 1_000
LONGEST_WAIT_MS: Final = 3_600_000
"""After the first attempt; each further wait is four times as long, up to the longest."""
MAX_ERROR: Final = 300
MAX_KEY: Final = 256

_COLUMNS: Final = (
    "id, no, company, message, channel, account, target, thread, reply_to, speaker, agent, task, "
    "text, state, parts_out, attempts, token, until_ms, next_ms, posted, error, key, digest, "
    "by_actor, created_ms, ended_ms"
)


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A row. `posted`: the platform's ids of the parts that are out; `speaker`: the agent who says
    it, by name. Times in Unix ms."""

    id: str
    no: int
    company: str
    message: str
    channel: str
    account: str
    target: str
    thread: str | None
    reply_to: str | None
    speaker: str | None
    agent: str | None
    task: str | None
    text: str
    state: State
    parts_out: int
    attempts: int
    token: int
    until_ms: int | None
    next_ms: int
    posted: list[str]
    error: str | None
    key: str | None
    digest: bytes | None
    by_actor: str
    created_ms: int
    ended_ms: int | None

    @property
    def number(self) -> str:
        return f"DL-{self.no}"

    @property
    def route(self) -> Route:
        return Route(self.channel, self.account, self.target, self.thread, self.reply_to)


def wait_ms(attempts: int, asked_ms: int = 0) -> int:
    """How long until the next attempt; `asked_ms`: the least that the channel asks for. Pure."""
    own = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << 2 * max(0, attempts - 1))
    return max(own, min(asked_ms, LONGEST_WAIT_MS))


def _delivery(row: Row) -> Delivery:
    values = list(row)
    values[13] = State(values[13])
    values[19] = json.loads(values[19])
    values[22] = None if values[22] is None else bytes(values[22])
    return Delivery(*values)


def insert(
    tx: Tx, route: Route, text: str, message: str, *, speaker: str | None = None,
    agent: str | None = None, task: str | None = None, key: str | None = None,
    digest: bytes | None = None,
) -> Delivery:  # fmt: skip
    """Queue a message's way out. Emits `delivery_queued`."""
    row = Delivery(
        id=tx.new_id(), no=tx.number("delivery"), company=tx.company, message=message,
        channel=route.channel, account=route.account, target=route.target, thread=route.thread,
        reply_to=route.reply_to, speaker=speaker, agent=agent, task=task, text=text,
        state=State.QUEUED, parts_out=0, attempts=0, token=0, until_ms=None, next_ms=tx.now_ms,
        posted=[], error=None, key=key, digest=digest, by_actor=tx.actor.key,
        created_ms=tx.now_ms, ended_ms=None,
    )  # fmt: skip
    tx.run(
        f"insert into delivery({_COLUMNS}, lane) values({','.join('?' * 27)})",
        (
            row.id, row.no, row.company, row.message, row.channel, row.account, row.target,
            row.thread, row.reply_to, row.speaker, row.agent, row.task, row.text,
            row.state.value, row.parts_out, row.attempts, row.token, row.until_ms, row.next_ms,
            json.dumps(row.posted), row.error, row.key, row.digest, row.by_actor, row.created_ms,
            row.ended_ms, route.lane,
        ),
    )  # fmt: skip
    tx.emit("delivery_queued", row.id, {"channel": row.channel, "message": row.message})
    return row


def by_id(rx: Rx, company: str, delivery: str) -> Delivery | None:
    row = rx.one(
        f"select {_COLUMNS} from delivery where id=? and company=?",  # noqa: S608
        (delivery, company),
    )
    return None if row is None else _delivery(row)


def by_key(rx: Rx, company: str, key: str) -> Delivery | None:
    row = rx.one(
        f"select {_COLUMNS} from delivery where company=? and key=?",  # noqa: S608
        (company, key),
    )
    return None if row is None else _delivery(row)


def of_message(rx: Rx, company: str, message: str) -> Delivery | None:
    """The newest one of a message."""
    row = rx.one(
        f"select {_COLUMNS} from delivery where message=? and company=? order by no desc limit 1",  # noqa: S608
        (message, company),
    )
    return None if row is None else _delivery(row)


def need(rx: Rx, company: str, ref: str) -> Delivery:
    """By id or number (`DL-7`). Raises `delivery.unknown`."""
    text = ref.strip()
    found = by_id(rx, company, text.lower()) if is_uuid(text.lower()) else None
    if found is None and text.upper().startswith("DL-") and text[3:].isdigit() and len(text) < 20:
        row = rx.one(
            f"select {_COLUMNS} from delivery where company=? and no=?",  # noqa: S608
            (company, int(text[3:])),
        )
        found = None if row is None else _delivery(row)
    if found is None:
        raise NotFound(
            "delivery.unknown", f"no delivery {ref[:80]!r}", "See `homarus message list`."
        )
    return found


def move(tx: Tx, row: Delivery, name: str, **values: Any) -> Delivery:
    """A fenced move of a delivery as this transaction read it, with further columns.

    Raises `delivery.lost` when it moved meanwhile, `delivery.state` for a move that does not exist.
    Emits `delivery_<state>`.
    """
    to = MOVES.get((row.state, name))
    if to is None:
        raise Conflict(
            "delivery.state", f"a delivery that is {row.state.value} cannot {name}",
            "Look at its state: `homarus message list`.",
        )  # fmt: skip
    columns = {"state": to.value, "until_ms": None, **values}
    if "posted" in columns:
        columns["posted"] = json.dumps(columns["posted"])
    if columns.get("error"):
        columns["error"] = columns["error"][:MAX_ERROR]
    columns["ended_ms"] = None if to in OPEN else tx.now_ms
    sets = ", ".join(f"{column}=?" for column in columns)
    if not tx.run(
        f"update delivery set {sets} where id=? and state=? and token=?",  # noqa: S608
        (*columns.values(), row.id, row.state.value, row.token),
    ):
        raise lost(row)
    tx.emit(f"delivery_{to.value}", row.id, {"channel": row.channel, "message": row.message})
    return need(tx, tx.company, row.id)


def part_out(tx: Tx, row: Delivery, platform_id: str, until_ms: int) -> Delivery:
    """One more part is out, and the next is about to be sent."""
    if not tx.run(
        "update delivery set parts_out=?, posted=?, until_ms=? where id=? and state='sending' "
        "and token=?",
        (row.parts_out + 1, json.dumps([*row.posted, platform_id]), until_ms, row.id, row.token),
    ):
        raise lost(row)
    tx.emit("delivery_part", row.id, {"part": row.parts_out})
    return need(tx, tx.company, row.id)


def held(rx: Rx, company: str, delivery: str, token: int) -> Delivery:
    """The one that is being sent, while its sender's fence stands. Raises `delivery.lost`."""
    row = need(rx, company, delivery)
    if row.state is not State.SENDING or row.token != token:
        raise lost(row)
    return row


def lost(row: Delivery) -> Conflict:
    return Conflict("delivery.lost", f"{row.number} is {row.state.value} meanwhile", "Leave it.")


def due(rx: Rx, company: str, channel: str, account: str, limit: int) -> list[Delivery]:
    """The oldest of each lane, where it is due."""
    rows = rx.all(
        f"select {_COLUMNS} from delivery d where d.company=? and d.channel=? and d.account=? "  # noqa: S608
        "and d.state='queued' and d.next_ms<=? and not exists(select 1 from delivery o "
        "where o.company=d.company and o.lane=d.lane and o.no<d.no "
        "and o.state in ('queued', 'sending')) order by d.no limit ?",
        (company, channel, account, rx.now_ms, limit),
    )
    return [_delivery(row) for row in rows]


def next_due_ms(rx: Rx, company: str) -> int | None:
    """How long until one that waits for its time is due; None: none waits."""
    row = rx.one(
        "select min(next_ms) from delivery where company=? and state='queued' and next_ms>?",
        (company, rx.now_ms),
    )
    return None if row is None or row[0] is None else max(0, int(row[0]) - rx.now_ms)


def abandoned(rx: Rx, company: str, alone: bool, limit: int) -> list[Delivery]:
    """Those whose sender is dead. `alone`: no other daemon sends, so that all are."""
    rows = rx.all(
        f"select {_COLUMNS} from delivery where company=? and state='sending' "  # noqa: S608
        "and (until_ms<? or ?=1) order by no limit ?",
        (company, rx.now_ms, int(alone), limit),
    )
    return [_delivery(row) for row in rows]


def listed(
    rx: Rx, company: str, *, limit: int, before: int | None = None, state: str | None = None
) -> list[Delivery]:
    """Newest first; `before`: the `no` of the last one seen."""
    select = f"select {_COLUMNS} from delivery where company=?"  # noqa: S608
    rows = newest(rx, select, (company,), {"state=?": state}, limit=limit, before=before)
    return [_delivery(row) for row in rows]


def waiting(rx: Rx, company: str) -> dict[tuple[str, str], dict[str, int]]:
    """`(channel, account)` -> how many are queued, unknown, failed."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for channel, account, state, count in rx.all(
        "select channel, account, state, count(*) from delivery where company=? "
        "and state in ('queued', 'unknown', 'failed') group by channel, account, state",
        (company,),
    ):
        found.setdefault((channel, account), {})[state] = count
    return found


def companies_with_old(rx: Rx, before_ms: int, limit: int) -> list[str]:
    """Ids of companies where `forget` finds something."""
    rows = rx.all(
        "select distinct company from delivery where state in ('sent', 'dropped') and ended_ms<? "
        "limit ?",
        (before_ms, limit),
    )
    return [row[0] for row in rows]


def forget(tx: Tx, before_ms: int, limit: int) -> int:
    """Remove up to `limit` of a company's that arrived or were dropped before then; how many. What
    waits for an operator stays."""
    return tx.run(
        "delete from delivery where id in (select id from delivery where company=? "
        "and state in ('sent', 'dropped') and ended_ms<? limit ?)",
        (tx.company, before_ms, limit),
    )
