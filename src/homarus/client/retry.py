"""When a request is sent again, and how long that may go on."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
"""Repeating one of these changes nothing. Everything else needs an idempotency key."""
BUSY_STATUSES: Final = frozenset({429, 503})
"""The daemon says that it did nothing and that the same call may succeed later."""


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` in all, for at most `patience_s` since the first one; full jitter between.

    A wait is random between 0 and `first_s`, doubled at each attempt, never above `cap_s`.
    """

    attempts: int = 4
    first_s: float = 0.1
    cap_s: float = 2.0
    patience_s: float = 15.0

    def wait_s(self, attempt: int, chance: float, asked_s: float | None = None) -> float:
        """Wait before attempt number `attempt` (the first repeat is 2); `chance` in 0..1."""
        most = min(self.cap_s, self.first_s * 2.0 ** min(attempt - 2, 30))
        return max(most * chance, min(asked_s or 0.0, self.cap_s))


NEVER: Final = Retry(attempts=1)


class Attempts:
    """Counts the attempts of one request."""

    def __init__(
        self,
        retry: Retry,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._retry = retry
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._started = clock()
        self.made = 1

    def next_wait_s(self, asked_s: float | None = None) -> float | None:
        """The wait before the next attempt, which it counts; None: the bounds are used up."""
        if self.made >= self._retry.attempts:
            return None
        wait_s = self._retry.wait_s(self.made + 1, self._chance(), asked_s)
        if self._clock() - self._started + wait_s > self._retry.patience_s:
            return None
        self.made += 1
        return wait_s

    def again(self, asked_s: float | None = None) -> bool:
        """Wait and say True, or say False: the bounds are used up."""
        wait_s = self.next_wait_s(asked_s)
        if wait_s is None:
            return False
        self._sleep(wait_s)
        return True


def retry_after_s(text: str | None) -> float | None:
    """Seconds of a `Retry-After` header, where it gives seconds."""
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 6):
        return None
    return float(text)
