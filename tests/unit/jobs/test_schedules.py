"""What a schedule may be, how close firings may come, what the wires call it."""

from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.jobs import rules, timing, words
from homarus.jobs.model import MOVES, State
from homarus.jobs.timing import Schedule
from homarus.jobs.words import When

HOUR = 3_600_000
NOW = 1_774_656_000_000  # 2026-03-28T00:00:00Z


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        (Schedule(cron="0 9 * * *", every_ms=HOUR), "job.schedule"),
        (Schedule(cron="0 0 31 2 *"), "job.cron"),
        (Schedule(cron="0 9 * * *", zone="Mars/Base"), "time.zone"),
        (Schedule(cron="* * * * * *"), "job.often"),
        (Schedule(cron="0,9 0 9 * * *"), "job.often"),
        (Schedule(every_ms=0), "job.every"),
        (Schedule(every_ms=-HOUR), "job.every"),
        (Schedule(every_ms=timing.MAX_EVERY_MS + 1), "job.every"),
        (Schedule(every_ms=9_999), "job.often"),
        (Schedule(at_ms=NOW), "job.past"),
        (Schedule(at_ms=0), "job.past"),
        (Schedule(at_ms=2**60), "job.past"),
    ],
)
def test_what_is_refused(schedule: Schedule, code: str) -> None:
    with pytest.raises(HomarusError) as caught:
        timing.check(schedule, NOW)
    assert caught.value.code == code and caught.value.remedy


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(), Schedule(cron="*/10 * * * * *"), Schedule(cron="0 0 29 2 *"),
        Schedule(every_ms=10_000), Schedule(at_ms=NOW + 1),
    ],
)  # fmt: skip
def test_what_is_taken(schedule: Schedule) -> None:
    assert timing.check(schedule, NOW) == schedule


def test_what_asks_a_model_fires_no_more_than_each_minute() -> None:
    least = rules.spacing_ms("turn")
    timing.check(Schedule(cron="* * * * *"), NOW, least)
    for schedule in (Schedule(every_ms=59_999), Schedule(cron="*/30 * * * * *")):
        with pytest.raises(HomarusError, match=r"job\.often"):
            timing.check(schedule, NOW, least)


@pytest.mark.parametrize(
    ("after", "expected"),
    [(-1, 0), (0, 100), (99, 100), (100, 200), (-501, 0), (1_050, 1_100)],
)
def test_an_interval_counts_from_its_anchor(after: int, expected: int) -> None:
    schedule = Schedule(every_ms=100, anchor_ms=7_000)
    assert timing.next_after(schedule, 7_000 + after) == 7_000 + expected


@pytest.mark.parametrize(
    ("when", "zone", "fields"),
    [
        (When("cron", expr="0 9 * * *"), "UTC", {"cron": "0 9 * * *", "zone": "UTC"}),
        (When("cron", expr="0 9 * * *", tz="Asia/Tokyo"), "UTC",
         {"cron": "0 9 * * *", "zone": "Asia/Tokyo"}),
        (When("every", every_ms=5, anchor_ms=3), "UTC",
         {"every_ms": 5, "anchor_ms": 3, "zone": "UTC"}),
        (When("at", at="2026-03-28T01:00"), "Europe/Berlin",
         {"at_ms": NOW, "zone": "Europe/Berlin"}),
        (When("at", at="2026-03-28T00:00Z"), "Europe/Berlin",
         {"at_ms": NOW, "zone": "Europe/Berlin"}),
        (When("at", at="2026-03-29T02:30"), "Europe/Berlin",  # left out: right after the gap
         {"at_ms": NOW + 25 * HOUR, "zone": "Europe/Berlin"}),
    ],
)  # fmt: skip
def test_how_the_wires_say_it(when: When, zone: str, fields: dict[str, Any]) -> None:
    assert words.fields(when, zone) == fields


@pytest.mark.parametrize(
    "when",
    [When("stream"), When("cron"), When("every"), When("at"), When("at", at="soon"),
     When("cron", expr="0 9 * * *", tz="Nowhere")],
)  # fmt: skip
def test_what_no_wire_may_say(when: When) -> None:
    with pytest.raises(HomarusError):
        words.fields(when, "UTC")


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [("cpu_s", 10, 300), ("memory_mb", 128, 1024), ("api_per_hour", 10, 1000),
     ("concurrent", 1, 10)],
)  # fmt: skip
def test_a_quota_outside_its_range_is_refused(field: str, least: int, most: int) -> None:
    for value in (least, most):
        assert rules.check({field: value}) == {field: value}
    for value in (least - 1, most + 1):
        with pytest.raises(HomarusError, match=f"{least} to {most}"):
            rules.check({field: value})


@pytest.mark.parametrize(
    ("attempt", "wait_min"), [(1, 2), (2, 4), (3, 8), (4, None)]
)  # fmt: skip
def test_when_a_failed_run_is_tried_again(attempt: int, wait_min: int | None) -> None:
    expected = None if wait_min is None else NOW + wait_min * 60_000
    assert rules.retry_at(attempt, NOW) == expected


@pytest.mark.parametrize(
    ("given", "number"), [("P0", 100), ("p1", 50), ("P2", 0), ("P3", -50), (7, 7)]
)
def test_priorities_have_words(given: str | int, number: int) -> None:
    assert words.priority(given) == number
    assert words.priority_word(number) == (given.upper() if isinstance(given, str) else "P2")


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_reached_or_left(state: State) -> None:
    final = {State.DONE, State.MISSED, State.SKIPPED, State.DROPPED}
    assert (state in {of for of, _ in MOVES}) is (state not in final)
