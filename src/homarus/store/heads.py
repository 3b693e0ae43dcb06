"""Company heads: where each company's feed and ledger end. They belong to the writer."""

from typing import Final

from homarus.base.errors import NotFound
from homarus.store.port import Head
from homarus.store.unit import UnitTx

MAX_CACHED: Final = 10_000

FIND: Final = (
    "select c.no, h.event_seq, h.receipt_seq, h.seal_no, h.seal_hash, h.sealed_seq "
    "from company c join company_head h on h.company_no=c.no where c.id=?"
)
SAVE: Final = (
    "update company_head set event_seq=?, receipt_seq=?, seal_no=?, seal_hash=?, sealed_seq=? "
    "where company_no=?"
)


class Heads:
    """Loaded on first use, counted on in memory, saved once per batch, dropped when one is lost."""

    def __init__(self, tx: UnitTx) -> None:
        self._tx = tx
        self._heads: dict[str, Head] = {}
        self._saved: dict[str, tuple[int, int]] = {}

    def get(self, company: str) -> Head:
        """Raises `company.unknown`."""
        head = self._heads.get(company)
        if head is not None:
            return head
        row = self._tx.one(FIND, (company,))
        if row is None:
            raise NotFound(
                "company.unknown", f"no company {company!r}", "List them: `homarus company list`."
            )
        if len(self._heads) >= MAX_CACHED:
            self._evict()
        no, events, receipts, seal_no, seal_hash, sealed = row
        head = Head(no, company, events, receipts, seal_no, bytes(seal_hash), sealed)
        self._heads[company] = head
        self._saved[company] = (events, receipts)
        return head

    def touched(self) -> list[Head]:
        """Heads that this batch moved on."""
        saved = self._saved
        return [h for c, h in self._heads.items() if saved[c] != (h.event_seq, h.receipt_seq)]

    def _evict(self) -> None:
        keep = {head.company for head in self.touched()}
        self._heads = {c: h for c, h in self._heads.items() if c in keep}
        self._saved = {c: s for c, s in self._saved.items() if c in keep}

    def save(self) -> None:
        for head in self.touched():
            self._tx.run(
                SAVE,
                (
                    head.event_seq,
                    head.receipt_seq,
                    head.seal_no,
                    head.seal_hash,
                    head.sealed_seq,
                    head.no,
                ),
            )
            self._saved[head.company] = (head.event_seq, head.receipt_seq)

    def clear(self) -> None:
        self._heads.clear()
        self._saved.clear()
