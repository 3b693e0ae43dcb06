"""Trust: how far an agent is trusted, from what it did (governance contract, 12). Pure rules.

    score = 0.35 completion + 0.30 compliance + 0.15 preflight + 0.20 quality, plus training

Each dimension is a share from 0 to 100 over acts: finished or failed work, refusals by R1 to R6,
acts with a preflight, reviews. Rows are in `trust.py`; `flows/trusting.py` gathers the acts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from homarus.base.action import ActorKind, Refuse

START: Final = 60
"""A new agent, and a dimension without data."""

DAY_MS: Final = 86_400_000
HALF_LIFE_MS: Final = 14 * DAY_MS
"""An act of two weeks ago weighs half: two of the weekly recomputes, so that one bad week still
shows in the next and a month of clean work outweighs it."""

WINDOW_MS: Final = 6 * HALF_LIFE_MS
"""Older acts weigh less than 1/64 and are not read at all."""

PRIOR_ACTS: Final = 5
"""A dimension starts as if this many acts of the base value had been seen: one act of a new agent
moves it by a sixth, not to 0 or 100."""

RECOMPUTE_MS: Final = 7 * DAY_MS
TRAINING: Final = 5
MAX_TRAINING: Final = 10

HIGH: Final = 80
NORMAL: Final = 50
LOW: Final = 30

REPEAT_MS: Final = DAY_MS
"""An untrusted execution counts as a repeat when another one lies within this time."""


class Band(StrEnum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    UNTRUSTED = "untrusted"


HEAD_START_MS: Final = {Band.HIGH: 0, Band.NORMAL: 2_000, Band.LOW: 30_000, Band.UNTRUSTED: 30_000}
"""How long a task is left to better-trusted agents before an agent of this band may take it
(design, 6). An untrusted agent claims nothing at all."""

WEIGHTS: Final = {"completion": 35, "compliance": 30, "preflight": 15, "quality": 20}
"""Dimension -> hundredths of the score."""


class Kind(msgspec.Struct, frozen=True):
    """What an event means: `weight` acts for or against a dimension (None: none by itself)."""

    dimension: str | None
    weight: int
    good: bool
    about: str


KINDS: Final = {
    "failed": Kind("completion", 1, False, "reported a task failed"),
    "no_write_back": Kind("completion", 1, False, "let a lease run out without a result"),
    "wild_task": Kind("compliance", 2, False, "reported work on a task it never claimed"),
    "untrusted_execution": Kind("compliance", 3, False, "acted without a preflight that covers it"),
    "redline": Kind("compliance", 5, False, "tried what a redline forbids"),
    "unmet_dod": Kind("quality", 1, False, "said done while something was missing"),
    "returned": Kind("quality", 1, False, "had its work returned by a review"),
    "reopened": Kind("quality", 2, False, "had finished work reopened"),
    "accepted": Kind("quality", 1, True, "had its work accepted by another identity"),
    "training": Kind(None, TRAINING, True, "passed a training"),
    "restricted": Kind(None, 0, False, "was made read-only"),
    "reviewed": Kind(None, 0, True, "was reviewed and restored by an operator"),
}
"""Event kinds. Governance contract, 2 and 12."""

SEVERE: Final = frozenset({"redline"})
"""Kinds that change the score at once; so does a repeated `untrusted_execution`."""

_FORGED: Final = frozenset({"forged", "signature", "bad_signature"})
REDLINES: Final = frozenset({"R1", "R2", "R3", "R4", "R5", "R6"})


class Act(msgspec.Struct, frozen=True, gc=False):
    """One thing an agent did, for or against a dimension. `what`: one phrase for people."""

    dimension: str
    at_ms: int
    good: bool
    what: str
    weight: int = 1


class Seen(msgspec.Struct, frozen=True):
    """All that a score is made of. `base`: what a dimension without data counts."""

    acts: tuple[Act, ...] = ()
    training: int = 0
    base: int = START


class Dimension(msgspec.Struct, frozen=True):
    """`value` 0 to 100; `good` and `bad` are acts as they weigh now, `acts` how many there were."""

    value: float
    good: float
    bad: float
    acts: int


class Score(msgspec.Struct, frozen=True):
    total: int
    dimensions: dict[str, Dimension]
    training: int
    base: int

    @property
    def band(self) -> Band:
        return band(self.total)


def band(score: int) -> Band:
    """>= 80 high, 50 to 79 normal, 30 to 49 low, below 30 untrusted."""
    if score >= HIGH:
        return Band.HIGH
    if score >= NORMAL:
        return Band.NORMAL
    return Band.LOW if score >= LOW else Band.UNTRUSTED


def least_above(score: int) -> int | None:
    """The least score of an agent that is better trusted: the floor of the next band up."""
    match band(score):
        case Band.HIGH:
            return None
        case Band.NORMAL:
            return HIGH
        case _:
            return NORMAL


def _share(acts: Iterable[Act], now_ms: int, base: int) -> Dimension:
    good = bad = 0.0
    count = 0
    for act in acts:
        count += 1
        weight = act.weight * 0.5 ** (max(0, now_ms - act.at_ms) / HALF_LIFE_MS)
        good, bad = (good + weight, bad) if act.good else (good, bad + weight)
    value = (base * PRIOR_ACTS + 100 * good) / (PRIOR_ACTS + good + bad)
    return Dimension(round(value, 2), round(good, 3), round(bad, 3), count)


def score(seen: Seen, now_ms: int) -> Score:
    """The score at a time. Falls with every violation, never above 100 or below 0."""
    live = [act for act in seen.acts if now_ms - act.at_ms < WINDOW_MS]
    dimensions = {
        name: _share((a for a in live if a.dimension == name), now_ms, seen.base)
        for name in WEIGHTS
    }
    training = min(MAX_TRAINING, max(0, seen.training))
    total = sum(WEIGHTS[name] * found.value for name, found in dimensions.items()) / 100 + training
    return Score(max(0, min(100, round(total))), dimensions, training, seen.base)


def causes(seen: Seen, since_ms: int) -> list[str]:
    """What is new since a time, as counted phrases, the commonest first."""
    counted = Counter(act.what for act in seen.acts if act.at_ms > since_ms)
    return [f"{n} x {what}" for what, n in sorted(counted.items(), key=lambda c: (-c[1], c[0]))]


def raises(found: Score) -> list[str]:
    """What would raise it, the heaviest loss first."""
    lost = sorted(WEIGHTS, key=lambda name: -WEIGHTS[name] * (100 - found.dimensions[name].value))
    wanted = [
        f"{RAISES[name]} (at most +{round(WEIGHTS[name] * (100 - v) / 100)})"
        for name in lost
        if (v := found.dimensions[name].value) < 99.5
    ]
    if found.training < MAX_TRAINING:
        wanted.append(f"pass a training (+{min(TRAINING, MAX_TRAINING - found.training)})")
    return wanted


RAISES: Final[Mapping[str, str]] = {
    "completion": "finish tasks it claims, and write a result before the lease ends",
    "compliance": "work without refusals by R1 to R6",
    "preflight": "ask for a preflight before it runs, sends or changes anything",
    "quality": "have finished work accepted in review",
}


def is_severe(verdict: object) -> bool:
    """Whether a refusal changes the score at once: an R4 attempt, a forged note. An unreadable path
    is no attempt yet."""
    if not isinstance(verdict, Refuse) or verdict.actor is None:
        return False
    if verdict.actor.kind is not ActorKind.AGENT:
        return False
    return (verdict.rule == "R4" and verdict.code != "R4.path") or (
        verdict.rule == "R5" and verdict.code.rpartition(".")[2] in _FORGED
    )
