"""Times of the day in a zone, across changes of the clocks."""

from datetime import UTC, datetime

import pytest

from homarus.base import local_time
from homarus.base.errors import Invalid

BERLIN, NEW_YORK, APIA = "Europe/Berlin", "America/New_York", "Pacific/Apia"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    "zone, minute, now, last, following",
    [
        ("UTC", 240, "2026-05-05T04:00", "2026-05-05T04:00", "2026-05-06T04:00"),
        ("UTC", 240, "2026-05-05T03:59", "2026-05-04T04:00", "2026-05-05T04:00"),
        (BERLIN, 0, "2026-05-05T22:00", "2026-05-05T22:00", "2026-05-06T22:00"),
        # spring: 02:30 does not come, and counts as the moment that shows 03:30
        (NEW_YORK, 150, "2026-03-08T07:29", "2026-03-07T07:30", "2026-03-08T07:30"),
        (NEW_YORK, 150, "2026-03-08T07:30", "2026-03-08T07:30", "2026-03-09T06:30"),
        # autumn: 02:30 comes twice in Berlin, and counts once
        (BERLIN, 150, "2026-10-25T00:30", "2026-10-25T00:30", "2026-10-26T01:30"),
        (BERLIN, 150, "2026-10-25T01:45", "2026-10-25T00:30", "2026-10-26T01:30"),
        # Samoa left the 30th out: its times are those of the 31st
        (APIA, 240, "2011-12-30T13:59", "2011-12-29T14:00", "2011-12-30T14:00"),
    ],
)
def test_before_and_after(zone: str, minute: int, now: str, last: str, following: str) -> None:
    assert local_time.last(minute, zone, at(now)) == at(last)
    assert local_time.following(minute, zone, at(now)) == at(following)


@pytest.mark.parametrize("name", ["", "Nowhere/Here", "../etc/passwd", "x" * 100, "Europe"])
def test_no_zones(name: str) -> None:
    with pytest.raises(Invalid, match="time zone"):
        local_time.zone(name)
