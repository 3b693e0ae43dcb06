"""`homarus up --held`: every company stands still before a worker looks at it.

For a copy of a company (a restored backup): its jobs, turns, messages and mirrors wait until an
owner has looked at it and lifts the STOP, so that nothing is done by the copy and by the original.
"""

from typing import Final

from homarus.base.action import Action
from homarus.company import founding
from homarus.flows import stopping
from homarus.kernel import stop
from homarus.store.port import Rx, Store, Tx

WORKER: Final = "start"
REASON: Final = "started with --held"
PAGE: Final = 500
"""Companies read at a time."""
SCOPE: Final = "company"


async def run(store: Store) -> int:
    """STOP all companies that are not stopped; how many were."""
    after, held = 0, 0
    while True:
        page = await store.read(_page, after)
        for company in page:
            action = Action(company.id, "stop.set", f"company:{company.id}", system=WORKER)
            held += await store.write(action, _hold)
        if len(page) < PAGE:
            return held
        after = page[-1].no


def _page(rx: Rx, after: int) -> list[founding.Company]:
    return founding.listed(rx, limit=PAGE, after=after)


def _hold(tx: Tx) -> bool:
    if stop.covers(tx, tx.company, SCOPE, tx.company):
        return False
    stopping.put(tx, SCOPE, "", REASON)
    return True
