"""Rows of `heartbeat`: how an agent's is set, when it is due, what the last one came to.

One row an agent, changed in place. What is looked at, and what follows, is `flows/heartbeats.py`;
what an answer means, `heartbeat_rules.py`.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.company import heartbeat_rules as rules
from homarus.store.port import Row, Rx, Tx

LAST: Final = "last"
MAIN: Final = "main"
NONE: Final = "none"
MAX_TARGET: Final = 300
MAX_PROMPT: Final = 8_000
MAX_WAKES: Final = 20
MAX_WAKE: Final = 4_000

_COLUMNS: Final = (
    "h.agent, h.company, h.enabled, h.every_ms, h.open_minute, h.close_minute, h.target, h.prompt, "
    "h.ack_max_chars, h.always, h.next_ms, h.wakes, h.turn, h.pending, h.mark, h.looked_ms, "
    "h.outcome, h.reason, h.record, h.looks, h.turns, h.input_tokens, h.output_tokens, h.money, "
    "h.updated_ms, c.zone, c.heartbeats"
)
_FROM: Final = "from heartbeat h join company c on c.id=h.company"
_encode = msgspec.json.Encoder().encode


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an agent knew when its heartbeat last went well. `seq`: of the feed; `message`: of the
    newest message; `orders`: SHA-256 of its HEARTBEAT.md, "" for none; `at_ms`: then.

    `from_ms`, `to_ms`: when the turn ran, where it used tools: what was written to the file between
    is its own, and no news to it."""

    seq: int = 0
    message: int = 0
    orders: str = ""
    at_ms: int = 0
    from_ms: int = 0
    to_ms: int = 0
    wakes: int = 0


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """A row. `next_ms` None: due at no time; `wakes`: texts that the next one brings; `pending`:
    the mark that counts once `turn` went well; `record`: as told of the last one that asked a
    model. `company_on`: the company's switch for all of them. Money in micros, times in Unix ms."""

    agent: str
    company: str
    enabled: bool
    every_ms: int
    open_minute: int | None
    close_minute: int | None
    target: str
    prompt: str | None
    ack_max_chars: int
    always: bool
    next_ms: int | None
    wakes: tuple[str, ...]
    turn: str | None
    pending: Mark | None
    mark: Mark
    looked_ms: int | None
    outcome: str | None
    reason: str | None
    record: dict[str, Any] | None
    looks: int
    turns: int
    input_tokens: int
    output_tokens: int
    money: int
    updated_ms: int
    zone: str
    company_on: bool

    @property
    def hours(self) -> rules.Hours:
        return rules.Hours(self.zone, self.open_minute, self.close_minute)

    def due_after(self, now_ms: int) -> int | None:
        """When the one after a look now is due."""
        if not self.enabled or self.next_ms is None:
            return None
        return rules.next_due(self.next_ms, self.every_ms, self.hours, now_ms)


class Change(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. `hours`: minutes after midnight; None: at any time."""

    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    every_ms: int | msgspec.UnsetType = msgspec.UNSET
    hours: tuple[int, int] | msgspec.UnsetType | None = msgspec.UNSET
    target: str | msgspec.UnsetType = msgspec.UNSET
    prompt: str | msgspec.UnsetType | None = msgspec.UNSET
    ack_max_chars: int | msgspec.UnsetType = msgspec.UNSET
    always: bool | msgspec.UnsetType = msgspec.UNSET


def _heartbeat(row: Row) -> Heartbeat:
    values = list(row)
    for at in (2, 9, 26):
        values[at] = bool(values[at])
    values[11] = msgspec.json.decode(values[11], type=tuple[str, ...])
    values[13] = None if values[13] is None else msgspec.json.decode(values[13], type=Mark)
    values[14] = msgspec.json.decode(values[14], type=Mark)
    values[18] = None if values[18] is None else msgspec.json.decode(values[18])
    return Heartbeat(*values)


def of(rx: Rx, agent: str) -> Heartbeat | None:
    row = rx.one(f"select {_COLUMNS} {_FROM} where h.agent=?", (agent,))
    return None if row is None else _heartbeat(row)


def listed(rx: Rx, company: str, *, limit: int) -> list[Heartbeat]:
    """Of live agents, in no special order."""
    rows = rx.all(
        f"select {_COLUMNS} {_FROM} join agent a on a.id=h.agent "
        "where h.company=? and a.deleted_ms is null limit ?",
        (company, limit),
    )
    return [_heartbeat(row) for row in rows]


def due(rx: Rx, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """`(company, agent)` of those whose time has come, the longest waiting first."""
    rows = rx.all(
        f"select h.company, h.agent {_FROM} where h.next_ms<=? and c.heartbeats=1 "
        "order by h.next_ms, h.agent limit ?",
        (now_ms, limit),
    )
    return [(row[0], row[1]) for row in rows]


def next_ms(rx: Rx) -> int | None:
    """When the next one of all is due."""
    row = rx.one(f"select min(h.next_ms) {_FROM} where h.next_ms is not null and c.heartbeats=1")
    return None if row is None or row[0] is None else int(row[0])


def ensure(tx: Tx, agent: str) -> Heartbeat:
    """The row of a live agent of this company, off when it is made."""
    tx.run(
        "insert into heartbeat(agent, company, enabled, every_ms, target, ack_max_chars, always, "
        "updated_ms) values(?,?,0,?,?,?,0,?) on conflict(agent) do nothing",
        (agent, tx.company, rules.DEFAULT_MS, MAIN, rules.DEFAULT_ACK_CHARS, tx.now_ms),
    )
    row = of(tx, agent)
    if row is None:
        raise AssertionError(f"the heartbeat of {agent} is gone")
    return row


def put(tx: Tx, agent: str, **values: Any) -> None:
    """Set columns of a row."""
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update heartbeat set {sets} where agent=?", (*values.values(), agent))  # noqa: S608


def keep(value: Mark | tuple[str, ...] | dict[str, Any] | None) -> str | None:
    """How a column holds it."""
    return None if value is None else _encode(value).decode()


def checked(change: Change) -> dict[str, Any]:
    """Column values of a change. Raises `heartbeat.*`."""
    values = {
        name: value
        for name, value in msgspec.structs.asdict(change).items()
        if value is not msgspec.UNSET
    }
    if not values:
        raise Invalid("heartbeat.nothing", "nothing to change", "Give at least one field.")
    if "hours" in values:
        hours = values.pop("hours")
        values["open_minute"], values["close_minute"] = hours or (None, None)
    if not rules.LEAST_MS <= values.get("every_ms", rules.LEAST_MS) <= rules.MOST_MS:
        raise Invalid("heartbeat.every", "the interval is out of range", "1m to 7d.")
    if not 0 <= values.get("ack_max_chars", 0) <= rules.MAX_ACK_CHARS:
        raise Invalid(
            "heartbeat.ack", "ackMaxChars is out of range", f"0 to {rules.MAX_ACK_CHARS}."
        )
    prompt = values.get("prompt")
    if prompt is not None and not 0 < len(prompt.strip()) <= MAX_PROMPT:
        raise Invalid("heartbeat.prompt", "unusable prompt", f"1 to {MAX_PROMPT} characters.")
    return {name: int(v) if isinstance(v, bool) else v for name, v in values.items()}


def switch_all(tx: Tx, enabled: bool) -> None:
    """All of the company, whatever each one's own setting is."""
    tx.run("update company set heartbeats=? where id=?", (int(enabled), tx.company))
    tx.emit("heartbeats_switched", "", {"enabled": enabled})


def all_on(rx: Rx, company: str) -> bool:
    row = rx.one("select heartbeats from company where id=?", (company,))
    return row is not None and bool(row[0])
