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
        self._used: dict[str, tuple[int, int]] = {}

    def get(self, company: str) -> Head:
        """The head, for use in the open batch. Raises `company.unknown`."""
        head = self._heads.get(company)
        if head is None:
            if len(self._heads) >= MAX_CACHED:
                self._heads = {c: h for c, h in self._heads.items() if c in self._used}
            head = self._heads[company] = self._load(company)
        if company not in self._used:
            self._used[company] = (head.event_seq, head.receipt_seq)
        return head

    def _load(self, company: str) -> Head:
        row = self._tx.one(FIND, (company,))
        if row is None:
            raise NotFound(
                "company.unknown", f"no company {company!r}", "List them: `homarus company list`."
            )
        no, events, receipts, seal_no, seal_hash, sealed = row
        return Head(no, company, events, receipts, seal_no, bytes(seal_hash), sealed)

    def touched(self) -> list[Head]:
        """Heads that this batch moved on."""
        heads = self._heads
        return [
            heads[company]
            for company, before in self._used.items()
            if before != (heads[company].event_seq, heads[company].receipt_seq)
        ]

    def save(self) -> None:
        """Write what the batch moved on; call once, before its commit."""
        for head in self.touched():
            save(self._tx, head)
        self._used.clear()

    def clear(self) -> None:
        self._heads.clear()
        self._used.clear()


def save(tx: UnitTx, head: Head) -> None:
    tx.run(
        SAVE,
        (head.event_seq, head.receipt_seq, head.seal_no, head.seal_hash, head.sealed_seq, head.no),
    )
