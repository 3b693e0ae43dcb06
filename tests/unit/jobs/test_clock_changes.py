"""Firings where the clocks are put forward or back, against an oracle that goes through every
minute by the zone database alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from homarus.jobs.timing import Schedule, between
from tests.support.profile import chosen_profile

MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=36)
YEARS = chosen_profile().pick(ci=(2026, 2027), full=(2020, 2030))
ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",  # half an hour
    "Africa/Casablanca",  # twice a year by the moon
    "America/Santiago",  # at midnight
)  # fmt: skip
FIXED = ("30 2 * * *", "0 0 * * *", "15,45 0-3 * * *", "0 3 * * 0", "59 23 1-7 * *", "0 6 * 3,10 *")
SHOWN = ("* * * * *", "*/20 * * * *", "30 * * * *", "*/15 2 * * *", "0 */2 * * *", "10 * * * SUN")

Window = tuple[datetime, datetime]


class Fields:
    """A cron text, read for the oracle: numbers, lists, ranges, steps of `*`."""

    def __init__(self, cron: str) -> None:
        texts = cron.replace("SUN", "0").split()
        spans = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
        self.sets = [self._set(text, *span) for text, span in zip(texts, spans, strict=True)]

    def _set(self, text: str, least: int, most: int) -> set[int]:
        if text.startswith("*"):
            return set(range(least, most + 1, int(text[2:] or 1)))
        found: set[int] = set()
        for part in text.split(","):
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
        return found

    def match(self, at: datetime) -> bool:
        shown = (at.minute, at.hour, at.day, at.month, at.isoweekday() % 7)
        return all(value in known for value, known in zip(shown, self.sets, strict=True))


@cache
def minutes(zone: str, window: Window) -> list[tuple[datetime, datetime]]:
    """Each minute, and what the clock shows then."""
    where, at, found = ZoneInfo(zone), window[0], []
    while at <= window[1]:
        found.append((at, at.astimezone(where).replace(tzinfo=None, fold=0)))
        at += MINUTE
    return found


def shown_firings(cron: str, zone: str, window: Window) -> Iterator[datetime]:
    """Whenever the clock shows it."""
    fields = Fields(cron)
    return (at for at, shown in minutes(zone, window) if fields.match(shown))


def named_firings(cron: str, zone: str, window: Window) -> Iterator[datetime]:
    """Once for each time that it names: in a gap right after it, of two the first."""
    fields = Fields(cron)
    every = minutes(zone, window)
    newest = every[0][1] - MINUTE
    for at, shown in every:
        passed = []  # what the clock has not shown before, and now shows or has left out
        while newest < shown:
            newest += MINUTE
            passed.append(newest)
        if any(fields.match(time) for time in passed):
            yield at


@cache
def changes(zone: str) -> list[Window]:
    """Windows around each change of the clocks in these years."""
    where = ZoneInfo(zone)
    at, found = datetime(YEARS[0], 1, 1, tzinfo=UTC), []
    while at.year < YEARS[1]:
        if at.astimezone(where).utcoffset() != (at + MINUTE * 60).astimezone(where).utcoffset():
            found.append((at - AROUND, at + AROUND))
        at += MINUTE * 60
    return found


def fired(cron: str, zone: str, window: Window) -> list[datetime]:
    first, last = (int(at.timestamp() * 1000) for at in window)
    found = between(Schedule(cron=cron, zone=zone), first - 1, last, 10_000_000)
    return [datetime.fromtimestamp(at / 1000, UTC) for at in found]


@pytest.mark.parametrize("zone", ZONES)
def test_each_zone_changes_its_clock_twice_a_year(zone: str) -> None:
    assert len(changes(zone)) in range(2 * (YEARS[1] - YEARS[0]), 4 * (YEARS[1] - YEARS[0]) + 1)


@pytest.mark.parametrize("cron", FIXED)
@pytest.mark.parametrize("zone", ZONES)
def test_a_fixed_time_fires_once_over_each_change(zone: str, cron: str) -> None:
    for window in changes(zone):
        assert fired(cron, zone, window) == list(named_firings(cron, zone, window))


@pytest.mark.parametrize("cron", SHOWN)
@pytest.mark.parametrize("zone", ZONES)
def test_a_star_goes_by_what_the_clock_shows(zone: str, cron: str) -> None:
    for window in changes(zone):
        assert fired(cron, zone, window) == list(shown_firings(cron, zone, window))


@pytest.mark.skipif(chosen_profile().name != "full", reason="five million minutes a zone")
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("zone", ZONES)
def test_every_minute_of_ten_years(zone: str) -> None:
    for year in range(*YEARS):
        whole = (datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, tzinfo=UTC))
        for cron in ("30 2 * * *", "15,45 0-3 * * *"):
            assert fired(cron, zone, whole) == list(named_firings(cron, zone, whole))
        for cron in ("30 * * * *", "0 */2 * * *"):
            assert fired(cron, zone, whole) == list(shown_firings(cron, zone, whole))
        minutes.cache_clear()


def test_seconds_in_front_change_nothing_of_that() -> None:
    (spring, autumn) = changes("Europe/Berlin")[:2]
    for window in (spring, autumn):
        with_seconds = fired("0 30 2 * * *", "Europe/Berlin", window)
        assert with_seconds == fired("30 2 * * *", "Europe/Berlin", window)
        assert len(with_seconds) == 3
