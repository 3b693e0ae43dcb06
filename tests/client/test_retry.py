"""How often and how long a request is repeated."""

import pytest

from homarus.client.retry import Attempts, Retry


@pytest.mark.parametrize(
    "attempt, chance, asked_s, expected",
    [
        (2, 0.0, None, 0.0),
        (2, 1.0, None, 0.1),
        (3, 1.0, None, 0.2),
        (4, 0.5, None, 0.2),
        (9, 1.0, None, 2.0),
        (500, 1.0, None, 2.0),
        (2, 0.0, 1.0, 1.0),
        (2, 0.0, 3600.0, 2.0),
    ],
)
def test_wait(attempt: int, chance: float, asked_s: float | None, expected: float) -> None:
    assert Retry().wait_s(attempt, chance, asked_s) == pytest.approx(expected)


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    "retry, slept",
    [
        (Retry(attempts=1), []),
        (Retry(attempts=3), [0.1, 0.2]),
        (Retry(attempts=50, patience_s=1.0), [0.1, 0.2, 0.4]),
        (Retry(attempts=5, first_s=1.0, cap_s=1.0, patience_s=2.5), [1.0, 1.0]),
    ],
)
def test_both_bounds_end_it(retry: Retry, slept: list[float]) -> None:
    time = Time()
    attempts = Attempts(retry, clock=lambda: time.now, sleep=time.sleep, chance=lambda: 1.0)
    while attempts.again():
        pass
    assert time.slept == pytest.approx(slept)
    assert attempts.made == len(slept) + 1
