"""The score as a pure rule: bands to the point, weights, decay, bounds (contract, 12)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.base.action import Actor, ActorKind, Divert, Refuse
from homarus.kernel.trust_rules import (
    DAY_MS,
    HALF_LIFE_MS,
    HEAD_START_MS,
    KINDS,
    WEIGHTS,
    WINDOW_MS,
    Act,
    Band,
    Seen,
    band,
    causes,
    is_severe,
    least_above,
    raises,
    score,
)

NOW = 2_000 * DAY_MS


def acts(dimension: str, good: int = 0, bad: int = 0, at_ms: int = NOW) -> tuple[Act, ...]:
    return (
        *(Act(dimension, at_ms, True, "good") for _ in range(good)),
        *(Act(dimension, at_ms, False, "bad") for _ in range(bad)),
    )


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (100, Band.HIGH), (80, Band.HIGH), (79, Band.NORMAL), (60, Band.NORMAL),
        (50, Band.NORMAL), (49, Band.LOW), (30, Band.LOW), (29, Band.UNTRUSTED),
        (0, Band.UNTRUSTED),
    ],
)  # fmt: skip
def test_bands(points, expected):
    assert band(points) is expected


@pytest.mark.parametrize(
    ("points", "least"), [(100, None), (80, None), (79, 80), (50, 80), (49, 50), (30, 50)]
)
def test_who_is_better_trusted(points, least):
    assert least_above(points) == least


def test_head_starts_and_weights_are_the_contracts():
    assert HEAD_START_MS[Band.HIGH] == 0
    assert HEAD_START_MS[Band.NORMAL] == 2_000
    assert HEAD_START_MS[Band.LOW] == 30_000
    assert WEIGHTS == {"completion": 35, "compliance": 30, "preflight": 15, "quality": 20}
    assert {k.dimension for k in KINDS.values()} - {None} <= set(WEIGHTS)


def test_without_data_it_is_60():
    found = score(Seen(), NOW)
    assert (found.total, found.band) == (60, Band.NORMAL)
    assert {d.value for d in found.dimensions.values()} == {60}


@pytest.mark.parametrize(
    ("seen", "total"),
    [
        # 5 acts of 60 stand for what is not known yet
        (Seen(acts("completion", good=5)), 67),  # 80 x 0.35 + 60 x 0.65
        (Seen(acts("completion", bad=5)), 50),  # 30 x 0.35 + 39 = 49.5
        (Seen(acts("completion", bad=6)), 49),
        (Seen(acts("compliance", bad=5)), 51),
        (Seen(acts("preflight", bad=5)), 56),
        (Seen(acts("quality", good=15)), 66),
        (Seen(sum((acts(d, good=95) for d in WEIGHTS), ())), 98),
        (Seen(sum((acts(d, bad=95) for d in WEIGHTS), ())), 3),
        (Seen(training=5), 65),
        (Seen(training=10), 70),
        (Seen(training=500), 70),
        (Seen(base=50), 50),
    ],
)
def test_scores(seen, total):
    assert score(seen, NOW).total == total


@pytest.mark.parametrize(
    ("age_ms", "bad"),
    [(0, 1.0), (HALF_LIFE_MS, 0.5), (2 * HALF_LIFE_MS, 0.25), (WINDOW_MS - 1, 0.016),
     (WINDOW_MS, 0.0)],
)  # fmt: skip
def test_an_act_weighs_half_after_two_weeks_and_nothing_after_twelve(age_ms, bad):
    found = score(Seen(acts("completion", bad=1, at_ms=NOW - age_ms)), NOW)
    assert found.dimensions["completion"].bad == pytest.approx(bad, abs=0.001)


ACT = st.builds(
    Act,
    dimension=st.sampled_from(sorted(WEIGHTS)),
    at_ms=st.integers(NOW - 2 * WINDOW_MS, NOW + DAY_MS),
    good=st.booleans(),
    what=st.just("act"),
    weight=st.integers(0, 20),
)
SEEN = st.builds(
    Seen,
    acts=st.lists(ACT, max_size=60).map(tuple),
    training=st.integers(-50, 500),
    base=st.sampled_from([50, 60]),
)


@given(SEEN)
def test_a_score_is_a_score(seen):
    found = score(seen, NOW)
    assert 0 <= found.total <= 100
    assert all(0 <= d.value <= 100 for d in found.dimensions.values())


@given(SEEN, ACT)
def test_a_violation_never_raises_it_and_good_work_never_lowers_it(seen, act):
    before = score(seen, NOW).total
    after = score(Seen((*seen.acts, act), seen.training, seen.base), NOW).total
    assert after >= before if act.good else after <= before


@given(SEEN, st.integers(0, 20))
def test_training_never_gives_more_than_ten_points(seen, passed):
    without = score(Seen(seen.acts, 0, seen.base), NOW).total
    assert without <= score(Seen(seen.acts, passed, seen.base), NOW).total <= without + 10


def test_causes_and_what_would_raise_it():
    seen = Seen((*acts("completion", good=2, bad=1), *acts("quality", bad=3, at_ms=NOW - 5)))
    assert causes(seen, NOW - 5) == ["2 x good", "1 x bad"]
    assert causes(seen, 0) == ["4 x bad", "2 x good"]
    found = raises(score(seen, NOW))
    assert found[0].startswith("finish tasks") and found[-1] == "pass a training (+5)"
    assert len(found) == 5


AGENT = Actor(ActorKind.AGENT, "a")
OPERATOR = Actor(ActorKind.OPERATOR, "o")


@pytest.mark.parametrize(
    ("verdict", "severe"),
    [
        (Refuse("R4.governed", "R4", "r", "d", actor=AGENT), True),
        (Refuse("R4.path", "R4", "r", "d", actor=AGENT), False),
        (Refuse("R5.forged", "R5", "r", "d", actor=AGENT), True),
        (Refuse("R5.signature", "R5", "r", "d", actor=AGENT), True),
        (Refuse("R5.expired", "R5", "r", "d", actor=AGENT), False),
        (Refuse("R6.none", "R6", "r", "d", actor=AGENT), False),
        (Refuse("R4.governed", "R4", "r", "d", actor=OPERATOR), False),
        (Refuse("R4.governed", "R4", "r", "d"), False),
        (Divert("gates", "r", rule="R4", actor=AGENT), False),
    ],
)
def test_what_is_severe(verdict, severe):
    assert is_severe(verdict) is severe
