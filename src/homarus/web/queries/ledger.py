"""Receipts: who wanted what, the verdict, and what became of it; equal repeats folded.

Newest first, a keyset page by `seq`. A task or trace is an index of its own; actor and verdict are
looked for in a bounded window.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import Outcome, VerdictKind
from homarus.base.ids import from_blob, is_uuid, receipt_id, to_blob
from homarus.store.paging import ABOVE_ALL
from homarus.store.port import Rx
from homarus.web.queries import PAGE, WINDOW
from homarus.web.queries.names import Names

OUTCOME_REACH: Final = 1_000
"""An outcome is looked for among so many rows after its receipt (`receipts.outcomes_of`)."""
_COLUMNS: Final = (
    "seq, at_ms, of_seq, actor, capability, target, verdict, rule, code, reason, outcome, "
    "repeats, task, trace"
)


class Filter(msgspec.Struct, frozen=True):
    """What the URL narrows the page to; `task` and `trace` are ids, `actor` an `Actor.key`."""

    actor: str | None = None
    verdict: VerdictKind | None = None
    task: str | None = None
    trace: str | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt, or several equal ones in a row (`count`, from `first_ms` to `at_ms`).

    `what` and `target` as recorded; `task` is the number and `trace` the id it belongs to;
    `outcome` done, failed, unknown or None: none was recorded.
    """

    id: str
    seq: int
    at_ms: int
    first_ms: int
    actor: str
    who: str
    what: str
    target: str
    shown: str
    verdict: str
    rule: str | None
    code: str | None
    reason: str | None
    outcome: str | None
    count: int
    task: str | None
    trace: str | None
    of: int | None


class Ledger(msgspec.Struct, frozen=True):
    """`rows`: receipts on this page before folding; `total`: all of the company; `last`: where to
    go on; `looked`: the window that a filter looked through, None when it saw all."""

    lines: list[Line]
    rows: int
    total: int
    last: int | None
    looked: int | None
    sealed_seq: int
    seal_no: int
    sealed_ms: int | None


EMPTY: Final = Ledger([], 0, 0, None, None, 0, 0, None)


def page(rx: Rx, company: str, company_no: int, chosen: Filter, before: int | None) -> Ledger:
    """A page older than receipt `before` (None: the newest)."""
    start = before if before is not None else ABOVE_ALL
    rows, last, looked = _rows(rx, company_no, chosen, start)
    ends = _outcomes(rx, company_no, rows)
    names = Names(rx, company)
    lines = fold([_line(company_no, row, ends, names) for row in rows if not _told(row, rows)])
    head = rx.one(
        "select receipt_seq, sealed_seq, seal_no from company_head where company_no=?",
        (company_no,),
    )
    total, sealed, seal_no = (0, 0, 0) if head is None else head
    seal = rx.one("select at_ms from seal where company_no=? and no=?", (company_no, seal_no))
    return Ledger(
        lines=lines,
        rows=len(rows),
        total=total,
        last=last,
        looked=looked,
        sealed_seq=sealed,
        seal_no=seal_no,
        sealed_ms=None if seal is None else seal[0],
    )


def _rows(
    rx: Rx, company_no: int, chosen: Filter, start: int
) -> tuple[list[tuple[Any, ...]], int | None, int | None]:
    """Rows newest first, where to go on, and the window that was looked through if it was cut."""
    column = "task" if chosen.task else "trace" if chosen.trace else None
    parts: dict[str, Any] = {}
    if chosen.actor:
        parts["actor=?"] = chosen.actor
    if chosen.verdict is not None:
        parts["verdict=?"] = int(chosen.verdict)
    if chosen.task and chosen.trace:
        parts["trace=?"] = to_blob(chosen.trace)
    window = WINDOW if parts else PAGE + 1
    if column is None:
        inner = "company_no=? and seq<?"
        params: tuple[Any, ...] = (company_no, start)
    else:
        inner = f"{column}=? and +company_no=? and seq<?"  # the index of the column, not the key
        params = (to_blob(chosen.task or chosen.trace), company_no, start)
    within = f"(select {_COLUMNS} from receipt where {inner} order by seq desc limit ?) r"  # noqa: S608
    where = " and ".join(parts) or "1=1"
    rows = rx.all(
        f"select {_COLUMNS} from {within} where {where} order by seq desc limit ?",  # noqa: S608
        (*params, window, *parts.values(), PAGE + 1),
    )
    if len(rows) > PAGE:
        return rows[:PAGE], rows[PAGE - 1][0], None
    if not parts:
        return rows, None, None
    seen = rx.one(f"select count(*), min(seq) from {within}", (*params, window))  # noqa: S608
    if seen is None or seen[0] < WINDOW:
        return rows, None, None
    return rows, seen[1], WINDOW


def _told(row: tuple[Any, ...], rows: list[tuple[Any, ...]]) -> bool:
    """Whether this is the outcome of a receipt that is on the page too."""
    return row[2] is not None and any(other[0] == row[2] for other in rows)


def _outcomes(rx: Rx, company_no: int, rows: list[tuple[Any, ...]]) -> dict[int, Any]:
    """Outcome rows of the receipts on this page, by the receipt's seq."""
    if not rows:
        return {}
    low, high = rows[-1][0], rows[0][0]
    found = rx.all(
        "select of_seq, outcome, code, reason from receipt "
        "where company_no=? and seq>? and seq<=? and of_seq>=? order by seq",
        (company_no, low, high + OUTCOME_REACH, low),
    )
    return {of_seq: rest for of_seq, *rest in found}


def _line(company_no: int, row: tuple[Any, ...], ends: dict[int, Any], names: Names) -> Line:
    (
        seq, at_ms, of_seq, actor, capability, target, verdict, rule, code, reason, outcome,
        repeats, task, trace,
    ) = row  # fmt: skip
    if of_seq is None and seq in ends:
        outcome, end_code, end_reason = ends[seq]
        code, reason = code or end_code, reason or end_reason
    return Line(
        id=receipt_id(at_ms, company_no, seq),
        seq=seq,
        at_ms=at_ms,
        first_ms=at_ms,
        actor=actor,
        who=names.actor(actor),
        what=capability,
        target=target,
        shown=names.target(target),
        verdict=VerdictKind(verdict).name.lower(),
        rule=rule,
        code=code,
        reason=reason,
        outcome=None if outcome is None else Outcome(outcome).name.lower(),
        count=repeats or 1,
        task=None if task is None else names.task(from_blob(bytes(task)) or ""),
        trace=None if trace is None else from_blob(bytes(trace)),
        of=of_seq,
    )


def fold(lines: list[Line]) -> list[Line]:
    """Neighbours that say the same become one with a count; the newest gives its id and time."""
    folded: list[Line] = []
    for line in lines:
        if folded and _same(folded[-1], line):
            before = folded[-1]
            folded[-1] = msgspec.structs.replace(
                before, count=before.count + line.count, first_ms=line.first_ms
            )
        else:
            folded.append(line)
    return folded


def _same(a: Line, b: Line) -> bool:
    """Equal in everything but time, trace and the words of the reason."""
    return _told_by(a) == _told_by(b)


def _told_by(line: Line) -> tuple[Any, ...]:
    return (
        line.actor, line.what, line.target, line.task, line.verdict, line.rule, line.code,
        line.outcome, line.of is None,
    )  # fmt: skip


def actor_key(rx: Rx, company: str, text: str) -> str:
    """The `Actor.key` that a person means: a key as it is, or an agent by name or id."""
    if ":" in text:
        return text
    row = rx.one(
        "select id from agent where company=? and name=? and deleted_ms is null", (company, text)
    )
    if row is not None:
        return f"agent:{row[0]}"
    return f"agent:{text}" if is_uuid(text) else text
