"""Rows of trust: what happened to an agent, and each change of its score with its causes."""

import json
from typing import Any, Final

import msgspec

from homarus.base.action import Effect, VerdictKind
from homarus.kernel.trust_rules import KINDS
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

MAX_NOTE: Final = 500
MAX_EVENTS: Final = 300
MAX_RECEIPTS: Final = 300
"""Rows of an agent that one computation reads, the newest first: it stays a short unit."""

FOLD_MS: Final = 60_000
"""Equal events of one agent within this time are one: a refusal that repeats is no new act."""

_EVENT: Final = "id, no, agent, kind, weight, task, receipt, note, at_ms"
_CHANGE: Final = (
    "id, no, agent, score_before, score_after, band, dimensions, causes, event, by_actor, at_ms"
)
_JUDGED: Final = (
    # The unary plus keeps the planner from walking the company's whole ledger by its key.
    "select at_ms, rule, code, effect, verdict, outcome, capability, preflight is not null "
    "from receipt where +company_no=? and actor=? and (code is not null or effect in (2, 4, 5)) "
    "and at_ms>? order by seq desc limit ?"
)


class TrustEvent(msgspec.Struct, frozen=True, gc=False):
    """A row of `trust_event`; `weight` in acts, `no` rises with each of the company."""

    id: str
    no: int
    agent: str
    kind: str
    weight: int
    task: str | None
    receipt: str | None
    note: str
    at_ms: int


class Change(msgspec.Struct, frozen=True):
    """A row of `trust_change`. `dimensions`: name -> what `trust_rules.Dimension` holds; `event`:
    what brought it about at once, None for the weekly computation."""

    id: str
    no: int
    agent: str
    before: int
    after: int
    band: str
    dimensions: dict[str, Any]
    causes: list[str]
    event: str | None
    by: str
    at_ms: int


class Judged(msgspec.Struct, frozen=True, gc=False):
    """What the score needs of a receipt."""

    at_ms: int
    rule: str | None
    code: str | None
    effect: Effect
    verdict: VerdictKind
    outcome: int | None
    capability: str
    preflight: bool


def event(
    tx: Tx,
    agent: str,
    kind: str,
    *,
    task: str | None = None,
    receipt: str | None = None,
    note: str = "",
) -> TrustEvent | None:
    """Record what an agent did (`trust_rules.KINDS`); None: an equal one within a minute counts.

    It counts at the next weekly computation; severe ones go through `flows.trusting.happened`.
    Raises KeyError for a kind that does not exist.
    """
    weight, note = KINDS[kind].weight, note[:MAX_NOTE]
    twin = tx.one(
        "select 1 from trust_event where agent=? and at_ms>? and kind=? and coalesce(task, '')=? "
        "and note=? limit 1",
        (agent, tx.now_ms - FOLD_MS, kind, task or "", note),
    )
    if twin is not None:
        return None
    no = tx.number("trust_event")
    row = TrustEvent(tx.new_id(), no, agent, kind, weight, task, receipt, note, tx.now_ms)
    tx.run(
        f"insert into trust_event(company, {_EVENT}) values(?,?,?,?,?,?,?,?,?,?)",
        (tx.company, *msgspec.structs.astuple(row)),
    )
    tx.emit("trust_event", agent, {"kind": kind, "task": task, "note": row.note})
    return row


def events(rx: Rx, agent: str, since_ms: int = 0) -> list[TrustEvent]:
    """The newest MAX_EVENTS of an agent since a time, newest first."""
    rows = rx.all(
        f"select {_EVENT} from trust_event where agent=? and at_ms>? "  # noqa: S608
        "order by no desc limit ?",
        (agent, since_ms, MAX_EVENTS),
    )
    return [TrustEvent(*row) for row in rows]


def last(rx: Rx, agent: str, kind: str) -> TrustEvent | None:
    """The newest event of a kind."""
    row = rx.one(
        f"select {_EVENT} from trust_event where agent=? and kind=? "  # noqa: S608
        "order by no desc limit 1",
        (agent, kind),
    )
    return None if row is None else TrustEvent(*row)


def judged(rx: Rx, company_no: int, agent: str, since_ms: int) -> list[Judged]:
    """Receipts of an agent that a score reads: refused, failed, and acts that leave the store."""
    rows = rx.all(_JUDGED, (company_no, f"agent:{agent}", since_ms, MAX_RECEIPTS))
    return [Judged(r[0], r[1], r[2], Effect(r[3]), VerdictKind(r[4]), *r[5:]) for r in rows]


def changed(
    tx: Tx,
    agent: str,
    before: int,
    after: int,
    band: str,
    dimensions: dict[str, Any],
    causes: list[str],
    event: str | None,
) -> Change:
    """Append a change of a score."""
    row = Change(
        tx.new_id(), tx.number("trust_change"), agent, before, after, band, dimensions, causes,
        event, tx.actor.key, tx.now_ms,
    )  # fmt: skip
    tx.run(
        f"insert into trust_change(company, {_CHANGE}) values(?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            tx.company, row.id, row.no, agent, before, after, band, json.dumps(dimensions),
            json.dumps(causes), event, row.by, row.at_ms,
        ),
    )  # fmt: skip
    tx.emit("trust_changed", agent, {"before": before, "after": after, "band": band})
    return row


def changes(rx: Rx, agent: str, *, limit: int, before: int | None = None) -> list[Change]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {_CHANGE} from trust_change where agent=?"  # noqa: S608
    rows = newest(rx, select, (agent,), limit=limit, before=before)
    return [_change(row) for row in rows]


def _change(row: Row) -> Change:
    values = list(row)
    values[6], values[7] = json.loads(values[6]), json.loads(values[7])
    return Change(*values)
