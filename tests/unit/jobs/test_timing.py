"""When a job is due, and what its schedule may be."""

from datetime import UTC, datetime

import pytest

from homarus.base.errors import Invalid
from homarus.jobs import timing
from homarus.jobs.timing import Schedule


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("cron", "now", "expected"),
    [
        ("0 9 * * 1", "2026-01-05 08:59:59.999", "2026-01-05 09:00"),
        ("0 9 * * 1", "2026-01-05 09:00", "2026-01-12 09:00"),  # now itself has passed
        ("*/15 * * * *", "2026-01-05 09:07", "2026-01-05 09:15"),
        ("0 0 29 2 *", "2026-01-05 00:00", "2028-02-29 00:00"),
        ("0 0 L * *", "2026-02-01 00:00", "2026-02-28 00:00"),
        ("0 0 31 12 *", "2026-12-31 00:00", "2027-12-31 00:00"),
        ("59 23 * * 0", "2026-01-05 00:00", "2026-01-11 23:59"),
        ("0 0 1 1 *", "1970-01-01 00:00", "1971-01-01 00:00"),
    ],
)
def test_next_after(cron: str, now: str, expected: str) -> None:
    assert timing.next_after(Schedule(cron=cron), ms(now)) == ms(expected)


@pytest.mark.parametrize(
    ("text", "kept"),
    [(None, None), ("", None), ("  ", None), (" 0  9 * *\t1 ", "0 9 * * 1")],
)
def test_how_a_text_is_kept(text: str | None, kept: str | None) -> None:
    assert timing.cron_text(text) == kept


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 9 * *", "number of fields"),
        ("60 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 30 2 *", "day-of-month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "day-of-week"),
        ("x" * 201, "longer than 200"),
        ("0 0 * * \u0661", "day-of-week"),
    ],
)
def test_what_is_no_cron_text(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        timing.cron_text(text)
    assert caught.value.code == "job.cron" and why in caught.value.message


@pytest.mark.parametrize("now", [0, 2**53, 253_402_300_799_999])
def test_the_far_future_is_a_time_or_a_refusal(now: int) -> None:
    try:
        assert (timing.next_after(Schedule(cron="0 9 * * 1"), now) or 0) > 0
    except Invalid as error:
        assert error.code == "job.cron"
