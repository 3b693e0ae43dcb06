"""Heartbeats: what an answer means, and when the next one is due (runtime contract, 8.1, 16.1)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from homarus.base.errors import Invalid
from homarus.company import heartbeat_rules as rules
from homarus.company.heartbeat_rules import Heard, Hours

OK = Heard("ok-token")
EMPTY = Heard("ok-empty")
MIN = 60_000
HALF_HOUR = 30 * MIN


def sent(text: str) -> Heard:
    return Heard("sent", text)


@pytest.mark.parametrize(
    "answer, most, expected",
    [
        ("HEARTBEAT_OK", 300, OK),
        ("  HEARTBEAT_OK\n", 0, OK),
        ("HEARTBEAT_OK.", 0, OK),
        ("**HEARTBEAT_OK**", 0, OK),
        ("<b>HEARTBEAT_OK</b>", 0, OK),
        ("`HEARTBEAT_OK`!", 0, OK),
        ("HEARTBEAT_OK HEARTBEAT_OK", 0, OK),
        ("HEARTBEAT_OK — HEARTBEAT_OK", 1, OK),
        ("Loading context for heartbeat...\nHEARTBEAT_OK", 0, OK),
        ("Loading context for heartbeat\nloading context for heartbeat…\n\nHEARTBEAT_OK", 0, OK),
        ("Loading context for heartbeat...", 0, EMPTY),
        ("", 300, EMPTY),
        (" \n\t", 300, EMPTY),
        ("NO_REPLY", 300, EMPTY),
        # what stands beside the marker counts once it is long enough
        ("HEARTBEAT_OK all quiet", 9, OK),
        ("HEARTBEAT_OK all quiet", 8, sent("all quiet")),
        ("all quiet HEARTBEAT_OK", 9, OK),
        ("all quiet\n\nHEARTBEAT_OK.", 8, sent("all quiet")),
        ("x" * 300 + " HEARTBEAT_OK", 300, OK),
        ("x" * 301 + " HEARTBEAT_OK", 300, sent("x" * 301)),
        # in the middle, or as part of a word, it is none
        ("I answer HEARTBEAT_OK when nothing is new", 300,
         sent("I answer HEARTBEAT_OK when nothing is new")),
        ("HEARTBEAT_OKAY", 300, sent("HEARTBEAT_OKAY")),
        ("HEARTBEAT_OK_2", 300, sent("HEARTBEAT_OK_2")),
        ("MY_HEARTBEAT_OK", 300, sent("MY_HEARTBEAT_OK")),
        ("heartbeat_ok", 300, sent("heartbeat_ok")),
        ("NO_REPLY, but look", 300, sent("NO_REPLY, but look")),
        ("The disk is full.", 300, sent("The disk is full.")),
    ],
)  # fmt: skip
def test_what_an_answer_comes_to(answer: str, most: int, expected: Heard) -> None:
    assert rules.heard(answer, most) == expected


@pytest.mark.parametrize("answer", ["_" * 100_000, " " * 99_999 + "x", "HEARTBEAT_OK " * 8_000])
def test_long_answers_take_no_time(answer: str) -> None:
    assert rules.heard(answer, 300).status in ("sent", "ok-token")


@pytest.mark.parametrize(
    "text, ms",
    [
        ("30m", HALF_HOUR), ("30", HALF_HOUR), ("1m", MIN), ("60s", MIN), ("2h", 120 * MIN),
        (" 1D ", 1_440 * MIN), ("7d", 7 * 1_440 * MIN),
    ],
)  # fmt: skip
def test_intervals(text: str, ms: int) -> None:
    assert rules.interval_ms(text) == ms
    assert rules.interval_ms(rules.interval_text(ms)) == ms


@pytest.mark.parametrize("text", ["", "0", "59s", "8d", "-5m", "m", "1.5h", "1h30m", "9" * 50])
def test_no_intervals(text: str) -> None:
    with pytest.raises(Invalid, match="interval"):
        rules.interval_ms(text)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    "hours, now, expected",
    [
        (Hours("UTC"), "2026-01-01T03:00", True),
        (Hours("UTC", 480, 480), "2026-01-01T03:00", True),
        (Hours("UTC", 480, 1200), "2026-01-01T07:59", False),
        (Hours("UTC", 480, 1200), "2026-01-01T08:00", True),
        (Hours("UTC", 480, 1200), "2026-01-01T19:59", True),
        (Hours("UTC", 480, 1200), "2026-01-01T20:00", False),
        (Hours("UTC", 1320, 360), "2026-01-01T22:00", True),
        (Hours("UTC", 1320, 360), "2026-01-01T05:59", True),
        (Hours("UTC", 1320, 360), "2026-01-01T06:00", False),
        (Hours(BERLIN, 480, 1200), "2026-01-01T07:00", True),  # 08:00 there
        (Hours(BERLIN, 480, 1200), "2026-07-01T06:00", True),  # and in summer an hour earlier
        (Hours(BERLIN, 480, 1200), "2026-07-01T05:59", False),
    ],
)
def test_hours(hours: Hours, now: str, expected: bool) -> None:
    assert hours.holds(at(now)) is expected


@pytest.mark.parametrize(
    "hours, due, now, expected",
    [
        (Hours("UTC"), "2026-01-01T10:00", "2026-01-01T10:00", "2026-01-01T10:30"),
        (Hours("UTC"), "2026-01-01T10:00", "2026-01-01T10:29", "2026-01-01T10:30"),
        (Hours("UTC"), "2026-01-01T10:00", "2026-01-01T10:30", "2026-01-01T11:00"),
        (Hours("UTC"), "2026-01-01T10:00", "2026-01-04T10:05", "2026-01-04T10:30"),
        (Hours("UTC", 480, 1200), "2026-01-01T19:30", "2026-01-01T19:30", "2026-01-02T08:00"),
        (Hours(BERLIN, 480, 1200), "2026-03-28T18:30", "2026-03-28T18:30", "2026-03-29T06:00"),
        (Hours(BERLIN, 480, 1200), "2026-10-24T17:30", "2026-10-24T17:30", "2026-10-25T07:00"),
    ],
)
def test_the_next_one_is_one_however_many_were_missed(
    hours: Hours, due: str, now: str, expected: str
) -> None:
    assert rules.next_due(at(due), HALF_HOUR, hours, at(now)) == at(expected)


@pytest.mark.parametrize("text, minutes", [("00:00", 0), ("08:30", 510), ("24:00", 0)])
def test_times(text: str, minutes: int) -> None:
    assert rules.minute(text) == minutes


@pytest.mark.parametrize("text", ["8:00", "24:01", "23:60", "noon", ""])
def test_no_times(text: Any) -> None:
    with pytest.raises(Invalid):
        rules.minute(text)
