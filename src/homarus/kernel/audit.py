"""The ledger on the way out: format `homarus-audit/1`, read page by page from the store.

An export is JSON lines: one `header`, then each seal's `receipt` lines followed by the `seal`, rows
after the last seal, one `end`. Receipts stand in their stored, canonical fields (times in Unix ms,
numbers for enums, blobs as hexadecimal), so that anyone can compute each leaf again. See
`verify.py` for the check, docs/reference for the format.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import NotFound
from homarus.kernel import receipts
from homarus.kernel.keys import public_key
from homarus.store.paging import ABOVE_ALL
from homarus.store.port import Row, Rx

FORMAT: Final = "homarus-audit/1"
INSTANCE: Final = "instance"
"""How people name the ledger of company number 0, whose id is empty."""
MAX_PAGE_SEALS: Final = 500
MAX_PAGE_RECEIPTS: Final = 2_000

_SEALS: Final = (
    "select no, at_ms, first_seq, last_seq, root, previous, hash, signature from seal "
    "where company_no=? and no>? order by no limit ?"
)


class Header(msgspec.Struct, frozen=True, tag="header"):
    """`after`: the seal before the first one exported (0: from the beginning), `previous` its
    hash. Public key and hashes in hexadecimal."""

    format: str
    company: str
    company_no: int
    public_key: str
    after: int
    previous: str


class ReceiptLine(msgspec.Struct, frozen=True, tag="receipt"):
    """A stored receipt. Values are as found, whatever their type: the leaf tells."""

    seq: int
    at_ms: Any
    of_seq: Any
    actor: Any
    proof: Any
    credential: Any
    capability: Any
    target: Any
    effect: Any
    verdict: Any
    rule: Any
    code: Any
    reason: Any
    outcome: Any
    repeats: Any
    task: Any
    trace: Any
    preflight: Any
    arguments: Any
    rules: Any
    leaf: Any


class SealLine(msgspec.Struct, frozen=True, tag="seal"):
    no: int
    at_ms: int
    first_seq: int
    last_seq: int
    root: str
    previous: str
    hash: str
    signature: str


class End(msgspec.Struct, frozen=True, tag="end"):
    """Where the company's head says that its ledger ends."""

    receipts: int
    seals: int
    hash: str


Line = Header | ReceiptLine | SealLine | End


class Page(msgspec.Struct, frozen=True):
    """`next`: the `after_seal` of the following page; None: this one ends with `end`."""

    header: Header
    lines: list[ReceiptLine | SealLine | End]
    next: int | None


def company_of(rx: Rx, ref: str) -> tuple[str, int]:
    """`(id, number)` of a company by id or slug; `instance` names the instance's own ledger.

    Raises `company.unknown`.
    """
    wanted = "" if ref == INSTANCE else ref
    row = rx.one("select id, no from company where id=? or slug=?", (wanted, wanted))
    if row is None:
        raise NotFound(
            "company.unknown", f"no company {ref[:80]!r}", "List them: `homarus company list`."
        )
    return str(row[0]), int(row[1])


def page(
    rx: Rx, company: str, company_no: int, after_seal: int, limit: int = MAX_PAGE_SEALS
) -> Page:
    """Seals after `after_seal` with their receipts: at most `limit` seals, and no more than
    `MAX_PAGE_RECEIPTS` rows unless one seal alone has more. Raises `audit.seal_unknown`."""
    before = _seal_before(rx, company_no, after_seal)
    seals, more = _fitting(rx, company_no, after_seal, before.last_seq, limit)
    last = seals[-1].last_seq if seals else before.last_seq
    rows = _receipts(rx, company_no, before.last_seq, last if more else ABOVE_ALL)
    lines: list[ReceiptLine | SealLine | End] = []
    at = 0
    for seal in seals:
        while at < len(rows) and rows[at].seq <= seal.last_seq:
            lines.append(rows[at])
            at += 1
        lines.append(seal)
    lines += rows[at:]
    if not more:
        lines.append(_end(rx, company_no))
    key = public_key(rx, company_no)
    header = Header(
        format=FORMAT,
        company=company,
        company_no=company_no,
        public_key="" if key is None else key.hex(),
        after=after_seal,
        previous=before.hash,
    )
    return Page(header, lines, seals[-1].no if more else None)


def _seal_before(rx: Rx, company_no: int, no: int) -> SealLine:
    if no <= 0:
        return SealLine(0, 0, 0, 0, "", "", "", "")
    found = rx.all(_SEALS, (company_no, no - 1, 1))
    if not found or found[0][0] != no:
        raise NotFound(
            "audit.seal_unknown", f"there is no seal {no}", "Start at 0, or use `nextAfterSeal`."
        )
    return _seal(found[0])


def _seal(row: Row) -> SealLine:
    return SealLine(*row[:4], *(_plain(value) for value in row[4:]))


def _fitting(
    rx: Rx, company_no: int, after: int, from_seq: int, limit: int
) -> tuple[list[SealLine], bool]:
    """The seals of one page, and whether others follow."""
    limit = max(1, min(limit, MAX_PAGE_SEALS))
    found = [_seal(row) for row in rx.all(_SEALS, (company_no, after, limit + 1))]
    fit = [
        seal
        for n, seal in enumerate(found[:limit])
        if n == 0 or seal.last_seq - from_seq <= MAX_PAGE_RECEIPTS
    ]
    return fit, len(fit) < len(found)


def _receipts(rx: Rx, company_no: int, after_seq: int, last_seq: int) -> list[ReceiptLine]:
    rows = rx.all(
        receipts.select_sql("company_no=? and seq>? and seq<=?"), (company_no, after_seq, last_seq)
    )
    return [ReceiptLine(*(_plain(value) for value in row)) for row in rows]


def _plain(value: Any) -> Any:
    """A stored value as it stands in an export, and as the leaf is computed over it."""
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else value


def _end(rx: Rx, company_no: int) -> End:
    row = rx.one(
        "select receipt_seq, seal_no, seal_hash from company_head where company_no=?", (company_no,)
    )
    return End(0, 0, "") if row is None else End(row[0], row[1], bytes(row[2]).hex())
