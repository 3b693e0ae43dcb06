"""When access tokens were used last, to the minute: noted in memory, written in batches.

A request costs a look into a dict. `Uses` lives on the loop; its rows are best effort, as the
original's are: what was noted in the last seconds before a kill -9 is lost.
"""

from typing import Final

from homarus.kernel.tokens import Token
from homarus.store.port import Tx

USE_MS: Final = 60_000
"""A token's use is written at most this often."""
MAX_NOTED: Final = 10_000
MAX_ROWS: Final = 100
"""Of one unit."""

Use = tuple[str, int]
"""A token's id, and when it was used."""


class Uses:
    """What was noted and not written yet."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._waiting: dict[str, dict[str, int]] = {}

    def note(self, token: Token, now_ms: int) -> None:
        last_ms = self._seen.get(token.id)
        if last_ms is not None and 0 <= now_ms - last_ms < USE_MS:
            return
        if len(self._seen) >= MAX_NOTED:
            self._seen.clear()
        self._seen[token.id] = now_ms
        self._waiting.setdefault(token.company, {})[token.id] = now_ms

    def take(self) -> list[tuple[str, list[Use]]]:
        """`(company, uses)`, at most MAX_ROWS each; they are the caller's to write."""
        waiting, self._waiting = self._waiting, {}
        taken = []
        for company, noted in waiting.items():
            rows = list(noted.items())
            taken += [(company, rows[at : at + MAX_ROWS]) for at in range(0, len(rows), MAX_ROWS)]
        return taken


def write(tx: Tx, uses: list[Use]) -> None:
    """A unit of `token.touch`. No event: that somebody is at work is no news."""
    for token, at_ms in uses:
        tx.run(
            "update token set last_used_ms=? where id=? and company=? "
            "and (last_used_ms is null or last_used_ms<?)",
            (at_ms, token, tx.company, at_ms),
        )
