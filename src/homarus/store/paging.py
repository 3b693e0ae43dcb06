"""Pages of a list, newest first.

A page goes on below the number of the last row seen (a keyset), so it costs the same however deep
it lies, and rows that are added meanwhile shift nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

from homarus.store.port import Params, Row, Rx

ABOVE_ALL: Final = 2**62
"""Greater than any number that a row has."""


def newest(
    rx: Rx,
    select: str,
    params: Params,
    filters: Mapping[str, Any] | None = None,
    *,
    limit: int,
    before: int | str | None = None,
    by: str = "no",
    offset: int = 0,
) -> list[Row]:
    """At most `limit` rows of `select` whose column `by` is below `before` (None: from the top).

    `select` is open at its end: what is added are further conditions of its `where`; `params` are
    its own. `filters`: such conditions, each with its parameter, or a tuple of as many as it has;
    None: that one is not asked for. All texts are ours, never a caller's.
    """
    asked = {text: value for text, value in (filters or {}).items() if value is not None}
    more = "".join(f" and {text}" for text in asked)
    given = [
        one for value in asked.values() for one in (value if isinstance(value, tuple) else (value,))
    ]
    return rx.all(
        f"{select} and {by}<?{more} order by {by} desc limit ? offset ?",
        (*params, ABOVE_ALL if before is None else before, *given, limit, offset),
    )


def among(column: str, values: tuple[str, ...]) -> dict[str, tuple[str, ...] | None]:
    """The filter "`column` is one of `values`"; of no values: it is not asked for."""
    return {f"{column} in ({','.join('?' * len(values))})": values or None}


def when(condition: str, asked: bool) -> dict[str, tuple[()] | None]:
    """The filter of a condition that has no parameter."""
    return {condition: () if asked else None}
