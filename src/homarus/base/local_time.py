"""Times of the day in a zone, as moments: what a clock on the wall shows, and when. Pure.

A time that a change of the clocks leaves out (02:30 in spring) is the moment at which it would have
been, by the offset before: the clock then shows 03:30. One that comes twice counts the first time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from homarus.base.errors import Invalid

MINUTES: Final = 24 * 60
MAX_ZONE: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_ZONES: Final = 256


@lru_cache(_ZONES)
def zone(name: str) -> ZoneInfo:
    """`Europe/Berlin`, `UTC`. Raises `time.zone`."""
    try:
        if 0 < len(name) <= MAX_ZONE:
            return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        pass
    raise Invalid(
        "time.zone", f"no time zone {name[:MAX_ZONE]!r}", "Name one such as `Europe/Berlin`."
    )


def minute_of_day(at_ms: int, name: str) -> int:
    """Minutes after midnight that the clock there shows."""
    there = _there(at_ms, name)
    return there.hour * 60 + there.minute


def last(minute: int, name: str, at_ms: int) -> int:
    """The last moment up to `at_ms`, itself included, at which the clock there showed that."""
    return max(moment for moment in _around(minute, name, at_ms) if moment <= at_ms)


def following(minute: int, name: str, at_ms: int) -> int:
    """The first moment after `at_ms` at which it does."""
    return min(moment for moment in _around(minute, name, at_ms) if moment > at_ms)


def _there(at_ms: int, name: str) -> datetime:
    return (_EPOCH + at_ms * _MS).astimezone(zone(name))


def _around(minute: int, name: str, at_ms: int) -> Iterator[int]:
    """That time of the days around a moment; zones have left out whole days."""
    day = _there(at_ms, name).date()
    for offset in range(-3, 4):
        at = day + timedelta(days=offset)
        there = datetime(at.year, at.month, at.day, minute // 60, minute % 60, tzinfo=zone(name))
        yield (there.astimezone(UTC) - _EPOCH) // _MS
