"""Firings that are due: which of them run, which were missed (governance contract, 8). Pure.

A firing is on time within ON_TIME_MS; a later one was missed (the daemon was down or asleep, the
clock jumped), and the job's policy says what follows:

    skip       none of them runs
    run_once   one run for all of them: the newest firing that is due
    run_all    the newest RUN_ALL_CAP of them run
"""

from typing import Final

import msgspec

from homarus.jobs import timing
from homarus.jobs.model import RUN_ALL, RUN_ONCE
from homarus.jobs.timing import Schedule

ON_TIME_MS: Final = 60_000
RUN_ALL_CAP: Final = 24
SLOTS_A_UNIT: Final = 10
"""Firings of one job that one unit handles."""
MAX_MISSED: Final = 1_000
"""Missed firings of one outage that have a row each; those before them share one."""


class Due(msgspec.Struct, frozen=True):
    """`run`: firings that run, `missed`: those that do not, oldest first; `through_ms`: the only
    one in `missed` stands for all up to there; `next_ms`: the next firing, None: there is none."""

    run: tuple[int, ...]
    missed: tuple[int, ...]
    next_ms: int | None
    through_ms: int | None = None


def due(schedule: Schedule, first_ms: int, now_ms: int, misfire: str) -> Due:
    """What the firings from `first_ms` (which is due) up to now come to, or the oldest of them:
    `next_ms` is then due again."""
    rest = SLOTS_A_UNIT + RUN_ALL_CAP - 1
    slots = [first_ms, *timing.between(schedule, first_ms, now_ms, rest)]
    if len(slots) <= rest:
        return _all(slots, timing.next_after(schedule, now_ms), now_ms, misfire)
    every_ms = (slots[-1] - first_ms) // rest
    kept_from_ms = now_ms - MAX_MISSED * every_ms
    if slots[-1] < kept_from_ms:
        next_ms = timing.next_after(schedule, kept_from_ms)
        return Due((), (first_ms,), next_ms, through_ms=kept_from_ms)
    return Due((), tuple(slots[:SLOTS_A_UNIT]), slots[SLOTS_A_UNIT])


def _all(slots: list[int], next_ms: int | None, now_ms: int, misfire: str) -> Due:
    late = [at for at in slots if now_ms - at > ON_TIME_MS]
    on_time = slots[len(late) :]
    caught_up: list[int] = []
    if misfire == RUN_ALL:
        caught_up = late[-RUN_ALL_CAP:]
    elif misfire == RUN_ONCE and not on_time:
        caught_up = late[-1:]
    missed = late[: len(late) - len(caught_up)]
    return Due((*caught_up, *on_time), tuple(missed), next_ms)
