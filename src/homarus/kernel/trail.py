"""Questions to the ledger: what was judged about a thing, and what led to it.

Receipts and events do not name each other: both of one unit carry its time and its actor, which is
how an event's receipt is found. All answers are bounded.
"""

from typing import Any, Final

from homarus.base.action import VerdictKind
from homarus.base.errors import Invalid
from homarus.base.ids import Kind, event_id, from_blob, row_address, time_of, to_blob
from homarus.kernel import approval_queries, approval_rules
from homarus.kernel.receipts import Receipt, about, present, select_sql
from homarus.store.port import Row, Rx

SCAN_ROWS: Final = 50_000
"""How far one page of a filtered list looks back; the next page goes on from there."""
MAX_CHAIN: Final = 100
MAX_SAME_MS: Final = 1_000
MAX_EVENTS: Final = 200

_EVENTS: Final = "select seq, at_ms, kind, subject, actor from event where company_no=? "
_ABOUT: Final = (
    # The unary plus keeps the planner from walking the company's whole feed by its key.
    "select seq, at_ms, kind, subject, actor from event where subject=? and +company_no=? "
    "order by seq limit ?"
)


def listed(
    rx: Rx,
    company: str,
    company_no: int,
    *,
    before: int | None,
    limit: int,
    task: str | None = None,
    trace: str | None = None,
    actor: str | None = None,
    verdict: str | None = None,
    capability: str | None = None,
) -> tuple[list[Receipt], int | None]:
    """Newest first, and the cursor of the next page. Raises `receipt.verdict`.

    By task or trace through their index; by the rest in a window of `SCAN_ROWS`, so that a page
    may be short although more follow.
    """
    top = before if before is not None else _last(rx, company_no) + 1
    where, params = ["company_no=?", "seq<?"], [company_no, top]
    more: list[Any] = []
    for column, ref in (("task", task), ("trace", trace)):
        if ref is not None:
            where.append(f"{column}=?")
            more.append(to_blob(ref))
    bottom = 0
    if task is None and trace is None:
        bottom = max(0, top - 1 - SCAN_ROWS)
        where.append("seq>?")
        more.append(bottom)
    for column, value in (("actor", actor), ("capability", capability)):
        if value is not None:
            where.append(f"{column}=?")
            more.append(value)
    if verdict is not None:
        where.append("verdict=?")
        more.append(_verdict(verdict))
    rows = rx.all(select_sql(" and ".join(where), "seq desc limit ?"), (*params, *more, limit))
    if len(rows) == limit:
        after: int | None = int(rows[-1][0])
    else:
        after = bottom + 1 if bottom > 0 else None
    return [present(company, company_no, row) for row in rows], after


def _verdict(word: str) -> int:
    try:
        return int(VerdictKind[word.upper()])
    except KeyError as error:
        raise Invalid(
            "receipt.verdict", f"unknown verdict {word[:40]!r}", "One of allow, refuse, divert."
        ) from error


def _last(rx: Rx, company_no: int) -> int:
    row = rx.one("select receipt_seq from company_head where company_no=?", (company_no,))
    return 0 if row is None else int(row[0])


def chain(rx: Rx, receipt: Receipt, company_no: int) -> list[Receipt]:
    """What led to a receipt: earlier ones of its trace, else of its task, oldest first."""
    column, ref = ("trace", receipt.trace) if receipt.trace else ("task", receipt.task)
    if ref is None:
        return []
    rows = rx.all(
        select_sql(f"{column}=? and +company_no=? and seq<?", "seq desc limit ?"),
        (to_blob(ref), company_no, receipt.seq, MAX_CHAIN),
    )
    return [present(receipt.company, company_no, row) for row in reversed(rows)]


def events_about(rx: Rx, company_no: int, subject: str) -> list[dict[str, Any]]:
    """Events of one thing, oldest first, at most `MAX_EVENTS`."""
    rows = rx.all(_ABOUT, (to_blob(subject), company_no, MAX_EVENTS))
    return [_event(row, company_no) for row in rows]


def event_by_id(rx: Rx, company_no: int, event: str) -> dict[str, Any] | None:
    """The event of an id, found through the address that the id carries."""
    try:
        kind, no, seq = row_address(event)
    except ValueError:
        return None
    if kind is not Kind.EVENT or no != company_no:
        return None
    row = rx.one(_EVENTS + "and seq=?", (company_no, seq))
    found = None if row is None else _event(row, company_no)
    return found if found is not None and found["id"] == event else None


def _event(row: Row, company_no: int) -> dict[str, Any]:
    seq, at_ms, kind, subject, actor = row
    return {
        "id": event_id(at_ms, company_no, seq),
        "seq": seq,
        "atMs": at_ms,
        "kind": kind,
        "subject": from_blob(None if subject is None else bytes(subject)),
        "actor": actor,
    }


def of_event(rx: Rx, company: str, company_no: int, event: dict[str, Any]) -> list[Receipt]:
    """The receipts of the unit that emitted an event: its time and actor, and, where several
    are, those that name its subject."""
    low = _first_at(rx, company_no, event["atMs"])
    rows = rx.all(
        select_sql("company_no=? and seq>=? and seq<? and at_ms=? and actor=?"),
        (company_no, low, low + MAX_SAME_MS, event["atMs"], event["actor"]),
    )
    found = [present(company, company_no, row) for row in rows]
    subject = event["subject"]
    naming = [r for r in found if subject and (r.task == subject or subject in r.target)]
    return naming or found


def _first_at(rx: Rx, company_no: int, at_ms: int) -> int:
    """The first receipt at or after a time, by bisection of `seq` (times do not go back)."""
    low, high = 1, _last(rx, company_no) + 1
    while low < high:
        middle = (low + high) // 2
        row = rx.one("select at_ms from receipt where company_no=? and seq=?", (company_no, middle))
        if row is not None and row[0] < at_ms:
            low = middle + 1
        else:
            high = middle
    return low


def of_trace(rx: Rx, company: str, company_no: int, trace: str) -> list[Receipt]:
    """All receipts of a trace, oldest first, at most 1,000."""
    return about(rx, company, company_no, "trace", trace)


def approval_of(rx: Rx, receipt: Receipt) -> dict[str, Any] | None:
    """The approval that an act needed: number, status, who answered; None: none was used.

    Found by what an approval is bound to: agent, capability, target and, for one act, the digest.
    """
    kind, _, agent = receipt.actor.partition(":")
    if kind != "agent" or receipt.verdict != "allow":
        return None
    digest = None if receipt.arguments is None else bytes.fromhex(receipt.arguments)
    row = rx.one(
        "select id from approval where company=? and agent=? and capability=? and status in "
        "('approved', 'used') and target=? and (payload=? or scope<>'once') and decided_ms<=? "
        "order by no desc limit 1",
        (
            receipt.company, agent, receipt.capability, receipt.target,
            approval_rules.payload_of(digest), time_of(receipt.id),
        ),
    )  # fmt: skip
    found = None if row is None else approval_queries.by_id(rx, receipt.company, row[0])
    if found is None:
        return None
    by = approval_queries.who_decided(rx, found)
    return {"id": found.id, "number": found.number, "status": found.status, "by": by}
