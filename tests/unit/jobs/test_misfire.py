"""Which of the firings that are due run, and which were missed."""

import pytest

from homarus.jobs import misfire
from homarus.jobs.model import RUN_ALL, RUN_ONCE, SKIP
from homarus.jobs.timing import Schedule

MIN = 60_000
HOUR = 60 * MIN
HOURLY = Schedule(every_ms=HOUR)
NOW = 1_000 * HOUR
LATE = NOW + 2 * MIN


def hours(*ago: int) -> tuple[int, ...]:
    return tuple(NOW - n * HOUR for n in ago)


@pytest.mark.parametrize(
    ("policy", "first_ago", "now", "run", "missed"),
    [
        (SKIP, 0, NOW, hours(0), ()),  # on time
        (SKIP, 0, NOW + misfire.ON_TIME_MS, hours(0), ()),
        (SKIP, 0, NOW + misfire.ON_TIME_MS + 1, (), hours(0)),
        (SKIP, 3, NOW, hours(0), hours(3, 2, 1)),
        (SKIP, 3, LATE, (), hours(3, 2, 1, 0)),
        (RUN_ONCE, 0, LATE, hours(0), ()),
        (RUN_ONCE, 3, LATE, hours(0), hours(3, 2, 1)),
        (RUN_ONCE, 3, NOW, hours(0), hours(3, 2, 1)),  # the one on time stands for all
        (RUN_ALL, 3, LATE, hours(3, 2, 1, 0), ()),
        (RUN_ALL, 23, LATE, hours(*range(23, -1, -1)), ()),
        (RUN_ALL, 25, LATE, hours(*range(23, -1, -1)), hours(25, 24)),
    ],
)
def test_what_runs_and_what_was_missed(
    policy: str, first_ago: int, now: int, run: tuple[int, ...], missed: tuple[int, ...]
) -> None:
    due = misfire.due(HOURLY, NOW - first_ago * HOUR, now, policy)
    assert (due.run, due.missed, due.next_ms) == (run, missed, NOW + HOUR)


@pytest.mark.parametrize("policy", [SKIP, RUN_ONCE, RUN_ALL])
@pytest.mark.parametrize("outage", [33, 34, 44, 100, 500, 999])
def test_a_long_outage_is_handled_in_pieces_and_each_firing_once(policy: str, outage: int) -> None:
    first, run, missed = NOW - outage * HOUR, [], []
    next_ms: int | None = first
    while next_ms is not None and next_ms <= LATE:
        due = misfire.due(HOURLY, next_ms, LATE, policy)
        assert len(due.run) + len(due.missed) <= misfire.SLOTS_A_UNIT + misfire.RUN_ALL_CAP
        run += due.run
        missed += due.missed
        next_ms = due.next_ms
    assert sorted((*run, *missed)) == [first + n * HOUR for n in range(outage + 1)]
    assert len(run) == {SKIP: 0, RUN_ONCE: 1, RUN_ALL: misfire.RUN_ALL_CAP}[policy]
    assert run == sorted(run) and run[-1:] in ([], [NOW])


def test_of_an_outage_without_measure_the_oldest_share_a_row() -> None:
    due = misfire.due(HOURLY, 0, NOW * 10, RUN_ONCE)
    assert (due.run, due.missed) == ((), (0,))
    assert due.through_ms == NOW * 10 - misfire.MAX_MISSED * HOUR
    assert due.next_ms == due.through_ms + HOUR


def test_a_single_moment_has_no_next_one() -> None:
    once = Schedule(at_ms=NOW)
    assert misfire.due(once, NOW, NOW, SKIP) == misfire.Due((NOW,), (), None)
    assert misfire.due(once, NOW, LATE, SKIP) == misfire.Due((), (NOW,), None)
    assert misfire.due(once, NOW, LATE, RUN_ONCE) == misfire.Due((NOW,), (), None)
