"""What the pages show, read from the store: pure functions over `Rx`, each over an index.

Lists are keyset pages of PAGE rows; a filter that no index answers looks at a bounded window and
says so; counts stop at MAX_COUNT. tests/web/test_queries.py refuses a plan that scans a big table.
"""

from typing import Final

PAGE: Final = 50
WINDOW: Final = 500
"""Rows that a filtered list looks at before it stops and offers to go on."""
MAX_COUNT: Final = 999
MAX_TITLE: Final = 200


def counted(n: int, *, more: bool = False) -> str:
    """A number for people: `3,009`; `999+` when counting stopped there."""
    return f"{MAX_COUNT}+" if more or n > MAX_COUNT else f"{n:,}"
