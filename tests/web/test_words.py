"""Words and times as people read them."""

import pytest

from homarus.tasks.model import State
from homarus.web import words

NOW = 1_800_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (0, "now"),
        (-5_000, "now"),
        (44_999, "now"),
        (45_000, "1m"),
        (5 * MINUTE, "5m"),
        (59 * MINUTE, "59m"),
        (HOUR, "1h"),
        (47 * HOUR, "47h"),
        (48 * HOUR, "2d"),
        (30 * DAY, "30d"),
    ],
)
def test_times_are_relative(past: int, text: str) -> None:
    assert words.ago(NOW - past, NOW) == text


@pytest.mark.parametrize(
    ("left", "text"), [(0, "over"), (-1, "over"), (1, "1m left"), (10 * MINUTE, "10m left")]
)
def test_leases_count_down(left: int, text: str) -> None:
    assert words.until(NOW + left, NOW) == text


def test_the_absolute_time_names_its_zone() -> None:
    assert words.stamp(NOW) == "2027-01-15 08:00:00 UTC"


def test_every_state_has_a_word() -> None:
    assert set(words.LABELS) == set(State)


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("plain", 10, "plain"),
        ("x" * 10, 10, "x" * 10),
        ("x" * 11, 10, "x" * 10 + "…"),
        ("a\x00\x1b[31mb", 20, "a��[31mb"),
        ("\u202egnp.exe\u202c", 20, "�gnp.exe�"),
        ("two\nlines\tand tab", 30, "two\nlines\tand tab"),
        ("see ho_0123456789abcdef now", 40, "see ho_[redacted] now"),
        ("x" * 5 + " ho_0123456789abcdef", 12, "xxxxx ho_[re…"),
        (12, 5, "12"),
    ],
)
def test_text_of_others_is_bounded_and_bare(text: object, limit: int, shown: str) -> None:
    assert words.plain(text, limit) == shown
