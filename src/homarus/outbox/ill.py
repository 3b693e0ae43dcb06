"""Rows that an adapter failed on, or that the target answered with 401 or 403: whether the mirror
is in trouble or only they are, another row tells."""

from typing import Final

from homarus.flows.mirror_rows import Due

MAX_ILL: Final = 1_000
"""Rows of one mirror that are remembered; beyond, those that failed longest ago are forgotten."""


class Ill:
    """Of one mirror while the daemon runs; in order of their last failure."""

    def __init__(self) -> None:
        self._rows: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: str) -> bool:
        """It has failed just now; whether it had before."""
        known = row in self._rows
        self.discard(row)
        self._rows[row] = None
        if len(self._rows) > MAX_ILL:
            del self._rows[next(iter(self._rows))]
        return known

    def discard(self, row: str) -> None:
        """It failed no more."""
        self._rows.pop(row, None)

    def last(self, rows: list[Due]) -> list[Due]:
        """The others first; then these, the one that failed longest ago before the rest."""
        if not self._rows:
            return rows
        since = {row: n for n, row in enumerate(self._rows)}
        return sorted(rows, key=lambda row: since.get(row.id, -1))

    def probe(self, rows: list[Due], n: int) -> list[Due]:
        """The one of `rows`, which are in the order of `last`, that the n-th try (n from 1) tries:
        the first and the last of the others in turns, so that many bad ones ahead hold up none;
        one of these where there is no other."""
        others = [row for row in rows if row.id not in self._rows]
        return [others[-1] if others and n % 2 == 0 else rows[0]]
