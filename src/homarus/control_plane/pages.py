"""Where a list goes on: the `nextCursor` of a page, for `Call.cursor` of the next request."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, TypeVar

T = TypeVar("T")
Place = Callable[[Any], object]
"""Where in its list a row is: what the next page starts behind."""

_NO: Final[Place] = attrgetter("no")


def behind(rows: list[T], limit: int, place: Place = _NO) -> dict[str, str]:
    """`nextCursor` behind a full page; what comes there may be nothing."""
    return {"nextCursor": str(place(rows[-1]))} if len(rows) == limit else {}


def cut(rows: list[T], limit: int, place: Place = _NO) -> tuple[list[T], str | None]:
    """Of at most `limit + 1` rows those of the page, and its `nextCursor`; None: it is the last."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], str(place(rows[limit - 1]))


def going_on(cursor: str | None) -> dict[str, str]:
    """`nextCursor`, where there is one."""
    return {} if cursor is None else {"nextCursor": cursor}
