"""The check of an exported ledger: pure, line by line, needing no store and no daemon.

What holds afterwards (governance contract, 1): a report without findings means that no exported
receipt was changed, removed or moved since it was sealed, and that every anchored seal is there.
Cutting the tail is seen only against an anchor, or against the head that the cut left behind.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from homarus.base.ids import receipt_id
from homarus.kernel.anchors import Anchor
from homarus.kernel.audit import FORMAT, End, Header, Line, ReceiptLine, SealLine
from homarus.kernel.receipts import leaf
from homarus.kernel.seals import EMPTY, merkle_root, seal_hash, verify_signature

MAX_LINE_BYTES: Final = 65_536
MAX_FINDINGS: Final = 100
MAX_OPEN_ROWS: Final = 1_000_000
MAX_MOVED: Final = 1_000
"""How far away a row that was moved is looked for."""

CODES: Final = {
    "audit.format": "a line is not of this format",
    "audit.key": "the public key is missing, or not the pinned one",
    "audit.row_changed": "a receipt's content does not give its digest, or not its seal's root",
    "audit.row_missing": "a receipt is gone",
    "audit.order": "rows do not stand where they were written",
    "audit.seal_missing": "a seal is gone",
    "audit.seal_broken": "a seal does not give its own hash, or does not follow the one before",
    "audit.signature": "a seal was not signed with the company's key",
    "audit.unsealed": "receipts follow the last seal",
    "audit.anchor_mismatch": "an anchored seal has another hash now",
    "audit.tail_cut": "the ledger ends before a seal that was anchored, or before its own head",
    "audit.incomplete": "the export has no end line",
}
"""Every code that a finding can have. Stable."""

_decode = msgspec.json.Decoder(Line).decode


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """`receipt` and `seq` name the first bad row; with `last_seq` it is one of a range."""

    code: str
    message: str
    receipt: str | None = None
    seq: int | None = None
    last_seq: int | None = None
    seal: int | None = None


class Report(msgspec.Struct, frozen=True):
    """`findings` in the order of the ledger, at most 100; the first is where it went wrong."""

    company: str
    receipts: int
    seals: int
    anchors: int
    last_seal: int
    last_hash: str
    public_key: str
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        return not self.findings


class Verifier:
    """Feed it the lines of one export in order, then `finish`.

    `pinned`: the company's public key as it was learned elsewhere (32 bytes); without it a ledger
    signed anew with another key cannot be told. `anchors`: those of any company; others' are
    passed over. Read them before the export is made: an anchor newer than the export looks like a
    cut tail.
    """

    def __init__(self, *, pinned: bytes | None = None, anchors: Iterable[Anchor] = ()) -> None:
        self._pinned = pinned
        self._all_anchors = list(anchors)
        self._anchors: dict[int, Anchor] = {}
        self._header: Header | None = None
        self._key = b""
        self._open: list[ReceiptLine] = []
        self._seq = 0
        self._no = 0
        self._hash = ""
        self._ended = False
        self._checked_anchors = 0
        self.lines = 0
        self.receipts = 0
        self.seals = 0
        self.findings: list[Finding] = []

    def feed_bytes(self, line: bytes) -> None:
        """One line of the file; blank ones are passed over."""
        text = line.strip()
        if not text:
            return
        try:
            if len(text) > MAX_LINE_BYTES:
                raise msgspec.DecodeError("line too long")
            parsed = _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.lines += 1
            self._find("audit.format", f"line {self.lines} cannot be read: {error}")
            return
        self.feed(parsed)

    def feed(self, line: Line) -> None:
        """One parsed line."""
        self.lines += 1
        if self._header is None or isinstance(line, Header):
            self._begin(line)
        elif self._ended:
            self._find("audit.format", f"line {self.lines} follows the end")
        elif isinstance(line, ReceiptLine):
            self._row(line)
        elif isinstance(line, SealLine):
            self._seal(line)
        else:
            self._end(line)

    def finish(self) -> Report:
        """The verdict on what was fed."""
        if not self._ended and (not self.findings or self._header is not None):
            self._find("audit.incomplete", f"it ends after line {self.lines}, without an end line")
        if self._open:
            first = self._open[0]
            self._about(
                "audit.unsealed", f"{len(self._open)} receipt(s) follow seal {self._no}", first
            )
            self._open = []
        for no in sorted(self._anchors):
            anchor = self._anchors[no]
            self._find(
                "audit.tail_cut",
                f"seal {no} was anchored at {anchor.at}, and the ledger ends with seal {self._no}",
                seal=no,
            )
        return Report(
            company=self._header.company if self._header else "",
            receipts=self.receipts,
            seals=self.seals,
            anchors=self._checked_anchors,
            last_seal=self._no,
            last_hash=self._hash,
            public_key=self._key.hex(),
            findings=self.findings,
        )

    # -- lines -----------------------------------------------------------------------------

    def _begin(self, line: Line) -> None:
        if not isinstance(line, Header) or self._header is not None:
            self._find("audit.format", f"line {self.lines}: the header comes first, and once")
            return
        if line.format != FORMAT:
            self._find("audit.format", f"format {line.format[:40]!r} is not {FORMAT}")
        self._header = line
        self._no, self._hash = line.after, line.previous
        self._key = _unhex(line.public_key)
        if self._pinned is not None and self._pinned != self._key:
            self._find("audit.key", "the header's public key is not the pinned one")
            self._key = self._pinned
        mine = [a for a in self._all_anchors if a.company == line.company]
        for anchor in sorted(mine, key=lambda a: a.no):
            known = self._anchors.get(anchor.no)
            if known is not None and known.hash != anchor.hash:
                self._find(
                    "audit.anchor_mismatch",
                    f"seal {anchor.no} was anchored with two hashes, at {known.at} and {anchor.at}",
                    seal=anchor.no,
                )
            self._anchors[anchor.no] = anchor
        self._all_anchors = []
        for no in [no for no in self._anchors if no < line.after]:
            del self._anchors[no]
        if line.after:
            self._anchored(line.after, line.previous)

    def _row(self, row: ReceiptLine) -> None:
        self.receipts += 1
        if len(self._open) < MAX_OPEN_ROWS:
            self._open.append(row)

    def _seal(self, seal: SealLine) -> None:
        self.seals += 1
        rows, self._open = self._open, []
        follows = self._follows(seal)
        if not follows:
            rows = [row for row in rows if row.seq >= seal.first_seq]
        sound = self._genuine(seal) and follows
        if self._rows_whole(seal, rows) and sound:
            self._root_holds(seal, rows)
        self._no, self._hash, self._seq = seal.no, seal.hash, seal.last_seq
        self._anchored(seal.no, seal.hash)

    def _end(self, end: End) -> None:
        self._ended = True
        if end.seals > self._no:
            self._find(
                "audit.tail_cut",
                f"the company's head names seal {end.seals}, the last one here is {self._no}",
                seal=end.seals,
            )
        elif (end.seals, end.hash) != (self._no, self._hash):
            self._find(
                "audit.seal_broken",
                f"the company's head ends with seal {end.seals}, the ledger with {self._no}",
                seal=self._no,
            )

    # -- checks ----------------------------------------------------------------------------

    def _follows(self, seal: SealLine) -> bool:
        """Numbered, chained and ranged after the seal before it."""
        if seal.no > self._no + 1:
            self._find(
                "audit.seal_missing",
                f"seal {self._no + 1} is gone: {self._no} is followed by {seal.no}",
                seal=self._no + 1,
            )
            return False
        if seal.no <= self._no:
            self._find("audit.order", f"seal {seal.no} stands after {self._no}", seal=seal.no)
            return False
        if seal.previous != self._hash:
            self._find(
                "audit.seal_broken",
                f"seal {seal.no} does not name the hash of seal {self._no}",
                seal=seal.no,
            )
            return False
        expected = self._seq + 1 if self._no == 0 or self._seq else seal.first_seq
        if seal.first_seq != expected or seal.last_seq < seal.first_seq:
            self._find(
                "audit.seal_broken",
                f"seal {seal.no} covers {seal.first_seq} to {seal.last_seq}, "
                f"{expected} was to come",
                seal=seal.no,
            )
            return False
        return True

    def _genuine(self, seal: SealLine) -> bool:
        """Its own hash, signed with the key."""
        company = self._header.company if self._header else ""
        digest = seal_hash(
            company, seal.no, seal.at_ms, seal.first_seq, seal.last_seq,
            _unhex(seal.root), _unhex(seal.previous),
        )  # fmt: skip
        if digest.hex() != seal.hash:
            self._find(
                "audit.seal_broken", f"seal {seal.no} does not give its own hash", seal=seal.no
            )
            return False
        if not verify_signature(self._key, digest, _unhex(seal.signature)):
            code = "audit.signature" if self._key else "audit.key"
            self._find(code, f"seal {seal.no} is not signed with the company's key", seal=seal.no)
            return False
        return True

    def _rows_whole(self, seal: SealLine, rows: list[ReceiptLine]) -> bool:
        """Gap-free, in order, each giving its leaf; names the first that is not."""
        expected = seal.first_seq
        here = {row.seq for row in rows}
        for row in rows:
            if row.seq != expected:
                self._misplaced(seal, row, expected, expected in here)
                return False
            if not self._leaf_holds(seal, row):
                return False
            expected += 1
        if expected <= seal.last_seq:
            self._gone(seal, expected)
            return False
        return True

    def _misplaced(self, seal: SealLine, row: ReceiptLine, expected: int, elsewhere: bool) -> None:
        if row.seq > expected and not elsewhere:
            self._gone(seal, expected)
        else:
            self._about(
                "audit.order", f"receipt {row.seq} stands where {expected} belongs", row, seal.no
            )

    def _gone(self, seal: SealLine, seq: int) -> None:
        self._find(
            "audit.row_missing", f"receipt {seq} of seal {seal.no} is gone", seq=seq, seal=seal.no
        )

    def _leaf_holds(self, seal: SealLine, row: ReceiptLine) -> bool:
        if self._leaf(row, row.seq) == row.leaf:
            return True
        was = self._moved_from(row)
        if was is not None:
            self._about("audit.order", f"receipt {was} now stands as {row.seq}", row, seal.no)
        else:
            self._about(
                "audit.row_changed", f"receipt {row.seq} does not give its digest", row, seal.no
            )
        return False

    def _leaf(self, row: ReceiptLine, seq: int) -> str:
        company = self._header.company if self._header else ""
        try:
            return leaf(company, (seq, *msgspec.structs.astuple(row)[1:-1])).hex()
        except (ValueError, TypeError):
            return ""

    def _moved_from(self, row: ReceiptLine) -> int | None:
        """The `seq` with which the row's content gives its digest, if it was near."""
        if any(f.code in ("audit.order", "audit.row_changed") for f in self.findings):
            return None
        for distance in range(1, MAX_MOVED + 1):
            for seq in (row.seq - distance, row.seq + distance):
                if seq > 0 and self._leaf(row, seq) == row.leaf:
                    return seq
        return None

    def _root_holds(self, seal: SealLine, rows: list[ReceiptLine]) -> None:
        root = merkle_root([_unhex(row.leaf) for row in rows])
        if root.hex() == seal.root:
            return
        only = seal.first_seq == seal.last_seq
        which = f"receipt {seal.first_seq}" if only else f"{seal.first_seq} to {seal.last_seq}"
        self._find(
            "audit.row_changed",
            f"{which}: changed together with its digest; the root of seal {seal.no} differs",
            receipt=self._id(rows[0]) if only else None,
            seq=seal.first_seq,
            last_seq=None if only else seal.last_seq,
            seal=seal.no,
        )

    def _anchored(self, no: int, digest: str) -> None:
        anchor = self._anchors.pop(no, None)
        if anchor is None:
            return
        self._checked_anchors += 1
        if anchor.hash != digest:
            self._find(
                "audit.anchor_mismatch",
                f"seal {no} has another hash than the one anchored at {anchor.at}",
                seal=no,
            )

    # -- findings --------------------------------------------------------------------------

    def _id(self, row: ReceiptLine) -> str | None:
        if self._header is None or not isinstance(row.at_ms, int):
            return None
        return receipt_id(row.at_ms, self._header.company_no, row.seq)

    def _about(self, code: str, message: str, row: ReceiptLine, seal: int | None = None) -> None:
        self._find(code, message, receipt=self._id(row), seq=row.seq, seal=seal)

    def _find(
        self,
        code: str,
        message: str,
        *,
        receipt: str | None = None,
        seq: int | None = None,
        last_seq: int | None = None,
        seal: int | None = None,
    ) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(code, message, receipt, seq, last_seq, seal))


def _unhex(text: str) -> bytes:
    """Bytes of a hexadecimal text; nothing where it is none."""
    try:
        return bytes.fromhex(text)
    except (ValueError, TypeError):
        return EMPTY
