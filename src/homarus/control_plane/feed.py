"""The event feed as surfaces read it: by company and `seq`, and waiting for the next one.

The store tells `Feed` after each commit where a company's feed stands; waiting costs no query.
"""

import asyncio
import json
from typing import Any, Final

from homarus.base.errors import Busy, NotFound
from homarus.base.ids import event_id, from_blob
from homarus.store.paging import ABOVE_ALL
from homarus.store.port import Event, Rx, Store

MAX_WAITERS: Final = 4_000
MAX_WAIT_S: Final = 60.0
MAX_PAGE: Final = 500

_HEAD: Final = (
    "select c.no, h.event_seq from company c join company_head h on h.company_no=c.no where c.id=?"
)
_PAGE: Final = (
    "select seq, at_ms, kind, subject, actor, data from event "
    "where company_no=? and seq>? and seq<=? order by seq limit ?"
)


def head(rx: Rx, company: str) -> tuple[int, int]:
    """`(company number, newest seq)`. Raises `company.unknown`."""
    row = rx.one(_HEAD, (company,))
    if row is None:
        raise NotFound(
            "company.unknown", f"no company {company!r}", "List them: `homarus company list`."
        )
    return int(row[0]), int(row[1])


def oldest(rx: Rx, company_no: int) -> int | None:
    """The oldest `seq` that is kept; None when there is none."""
    row = rx.one("select min(seq) from event where company_no=?", (company_no,))
    return None if row is None or row[0] is None else int(row[0])


def page(
    rx: Rx, company_no: int, after: int, limit: int = MAX_PAGE, upto: int = ABOVE_ALL
) -> list[Event]:
    """Events with `after < seq <= upto`, oldest first, at most `limit`."""
    rows = rx.all(_PAGE, (company_no, after, upto, min(limit, MAX_PAGE)))
    return [
        Event(
            seq=seq,
            at_ms=at_ms,
            kind=kind,
            subject=from_blob(None if subject is None else bytes(subject)) or "",
            actor=actor,
            data={} if data is None else json.loads(data),
            id=event_id(at_ms, company_no, seq),
        )
        for seq, at_ms, kind, subject, actor, data in rows
    ]


class Feed:
    """Where each company's feed stands, and who waits for it to move. Lives on the loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._heads: dict[str, int] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._waiters = 0
        self._undo: Any = None
        self._closed = False

    def start(self) -> None:
        self._closed = False
        self._undo = self._store.listen(self._committed)

    def stop(self) -> None:
        """Wake everybody: waits end as if their time were up, so that polls answer and end."""
        self._closed = True
        if self._undo is not None:
            self._undo()
            self._undo = None
        for company in list(self._waiting):
            self._wake(company)

    def _committed(self, heads: dict[str, int]) -> None:
        for company, seq in heads.items():
            self._heads[company] = seq
            if company in self._waiting:
                self._wake(company)

    def _wake(self, company: str) -> None:
        for future in self._waiting.pop(company, ()):
            if not future.done():
                future.set_result(None)

    async def head(self, company: str) -> int:
        """The newest `seq` of a company."""
        known = self._heads.get(company)
        if known is None:
            _, seq = await self._store.read(head, company)
            known = max(seq, self._heads.get(company, 0))
            self._heads[company] = known
        return known

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._waiters

    def known(self, company: str) -> int:
        """The newest `seq` heard of or read so far; 0 before the first."""
        return self._heads.get(company, 0)

    async def wait(self, company: str, after_seq: int, timeout_s: float) -> int:
        """Wait until the feed has passed `after_seq`; returns where it stands.

        Wakes at once on a commit; answers the unchanged head after `timeout_s` (at most
        MAX_WAIT_S) or when the daemon stops. Raises `feed.busy` when MAX_WAITERS wait already.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + min(timeout_s, MAX_WAIT_S)
        seq = await self.head(company)
        while seq <= after_seq and not self._closed and loop.time() < end:
            if self._waiters >= MAX_WAITERS:
                raise Busy("feed.busy", f"{MAX_WAITERS} callers wait already", "Repeat it later.")
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.setdefault(company, set()).add(future)
            self._waiters += 1
            try:
                async with asyncio.timeout_at(end):
                    await future
            except TimeoutError:
                break
            finally:
                self._waiters -= 1
                left = self._waiting.get(company)
                if left is not None:
                    left.discard(future)
                    if not left:
                        del self._waiting[company]
            seq = self._heads.get(company, seq)
        return self._heads.get(company, seq)
