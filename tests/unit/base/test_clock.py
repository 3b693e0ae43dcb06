"""Time: never backwards in a running daemon, and one text form per wire."""

import pytest
import time_machine

from homarus.base.clock import SystemClock, iso_ms, raw_ms


def test_a_wall_clock_stepped_back_moves_no_lease() -> None:
    clock = SystemClock()
    before = clock.now_ms()
    with time_machine.travel("2001-01-01", tick=True):
        assert before <= clock.now_ms() < before + 60_000
        assert clock.drift_ms() < -1_000_000


@pytest.mark.parametrize(
    "at_ms, iso, raw",
    [
        (0, "1970-01-01T00:00:00.000Z", "1970-01-01 00:00:00.000000"),
        (1_767_323_045_678, "2026-01-02T03:04:05.678Z", "2026-01-02 03:04:05.678000"),
    ],
)
def test_forms_on_the_wire(at_ms: int, iso: str, raw: str) -> None:
    assert (iso_ms(at_ms), raw_ms(at_ms)) == (iso, raw)
