"""What becomes of a row after an answer. Pure: time and chance are arguments."""

import random
from typing import Final, assert_never

from homarus.flows.mirror_leases import Settlement
from homarus.flows.mirror_rows import COMPLETED, FAILED, PENDING, UNKNOWN
from homarus.outbox.port import Done, Later, Outcome, Refused, Unknown

MAX_RETRIES: Final = 3
RETRY_MS: Final = 120_000
"""After the first refusal; twice as long after each further one (governance contract, 9)."""
LATER_MS: Final = 5_000
"""After the first time that a target is throttled or down; twice as long after each further one."""
LATER_MOST_MS: Final = 600_000
LOOK_MS: Final = 1_000
"""Before the first lookup of what may have been written; twice as long before each further one."""
LOOK_MOST_MS: Final = 300_000
JITTER: Final = 0.1
"""Waits differ by up to so much, so that rows do not all come again at once."""
MAX_WAIT_S: Final = 24 * 3_600.0
"""The longest that a target's own word is followed."""


def spread(wait_ms: float, chance: random.Random) -> int:
    return round(wait_ms * (1 + chance.uniform(0, JITTER)))


def doubling(first_ms: int, most_ms: int, n: int) -> int:
    """The wait before the n-th further try (n from 1)."""
    return min(most_ms, first_ms << min(n - 1, 30))


def after(
    outcome: Outcome, now_ms: int, tries: int, retries: int, lag_s: float, chance: random.Random
) -> Settlement:
    """`tries`: times that the row was leased, this one included; `retries`: refusals before it;
    `lag_s`: how long the target's lookup lags behind its writes."""
    match outcome:
        case Done(receipt=receipt, notes=notes):
            return Settlement(COMPLETED, receipt=receipt, notes=notes)
        case Later(why=why, after_s=after_s):
            wait_ms = spread(doubling(LATER_MS, LATER_MOST_MS, tries), chance)
            if after_s is not None:
                wait_ms = spread(min(max(after_s, 0.0), MAX_WAIT_S) * 1000, chance)
            return Settlement(PENDING, now_ms + wait_ms, why=why)
        case Unknown(why=why):
            wait_ms = max(round(lag_s * 1000), doubling(LOOK_MS, LOOK_MOST_MS, tries))
            return Settlement(UNKNOWN, now_ms + spread(wait_ms, chance), why=why)
        case Refused(kind="auth", why=why):  # nothing that a row can help
            wait_ms = spread(doubling(LATER_MS, LATER_MOST_MS, tries), chance)
            return Settlement(PENDING, now_ms + wait_ms, why=why)
        case Refused(kind=kind, why=why):
            gone = kind == "gone"
            if retries + 1 >= MAX_RETRIES:
                return Settlement(FAILED, why=why, spends=True, gone=gone)
            wait_ms = spread(RETRY_MS * 2**retries, chance)
            return Settlement(PENDING, now_ms + wait_ms, why=why, spends=True, gone=gone)
        case _:
            assert_never(outcome)
