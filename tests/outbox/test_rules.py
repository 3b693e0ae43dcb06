"""What a row becomes after an answer, and how much a target still takes."""

import random
from typing import Any

import pytest

from homarus.flows.mirror_leases import Settlement, token_of
from homarus.flows.mirror_rows import folded
from homarus.outbox import rules
from homarus.outbox.budget import Budget
from homarus.outbox.port import Done, Later, Limit, Refused, Unknown

NOW = 1_000_000
MIN = 60_000


class NoChance(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return a


@pytest.mark.parametrize(
    "outcome, tries, retries, lag_s, expected",
    [
        (Done("r", ("n",)), 1, 0, 0, Settlement("completed", receipt="r", notes=("n",))),
        (Later("429", 7.0), 1, 0, 0, Settlement("pending", NOW + 7_000, why="429")),
        (Later("429", -3.0), 1, 0, 0, Settlement("pending", NOW, why="429")),
        (Later("429", 1e9), 1, 0, 0, Settlement("pending", NOW + 24 * 60 * MIN, why="429")),
        (Later("down"), 1, 0, 0, Settlement("pending", NOW + 5_000, why="down")),
        (Later("down"), 3, 2, 0, Settlement("pending", NOW + 20_000, why="down")),
        (Later("down"), 99, 0, 0, Settlement("pending", NOW + 10 * MIN, why="down")),
        (Unknown("?"), 1, 0, 0, Settlement("unknown", NOW + 1_000, why="?")),
        (Unknown("?"), 1, 0, 30, Settlement("unknown", NOW + 30_000, why="?")),
        (Unknown("?"), 99, 2, 0, Settlement("unknown", NOW + 5 * MIN, why="?")),
        (Refused("bad", "no"), 1, 0, 0,
         Settlement("pending", NOW + 2 * MIN, why="no", spends=True)),
        (Refused("bad", "no"), 9, 1, 0,
         Settlement("pending", NOW + 4 * MIN, why="no", spends=True)),
        (Refused("bad", "no"), 1, 2, 0, Settlement("failed", why="no", spends=True)),
        (Refused("auth", "401"), 2, 2, 0, Settlement("pending", NOW + 10_000, why="401")),
        (Refused("auth", "401"), 99, 2, 0, Settlement("pending", NOW + 10 * MIN, why="401")),
        (Refused("gone", "404"), 1, 0, 0,
         Settlement("pending", NOW + 2 * MIN, why="404", spends=True, gone=True)),
    ],
)  # fmt: skip
def test_after(outcome: Any, tries: int, retries: int, lag_s: float, expected: Settlement) -> None:
    assert rules.after(outcome, NOW, tries, retries, lag_s, NoChance()) == expected


def test_waits_differ_but_little() -> None:
    chance = random.Random(1)
    waits = {rules.spread(1_000, chance) for _ in range(100)}
    assert len(waits) > 10
    assert min(waits) >= 1_000 and max(waits) <= 1_100


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ("create", "update", "create"), ("create", "delete", "delete"),
        ("update", "update", "update"), ("update", "delete", "delete"),
        ("delete", "create", "update"),
    ],
)  # fmt: skip
def test_two_changes_as_one(before: str, after: str, expected: str) -> None:
    assert folded(before, after) == expected


def test_a_budget_counts_calls_in_each_window() -> None:
    budget = Budget((Limit(2, 1.0), Limit(3, 10.0)))
    assert (budget.free(0, 9), budget.wait_ms(0)) == (2, 0)
    budget.spend(0)
    budget.spend(400)
    assert (budget.free(400, 9), budget.wait_ms(400)) == (0, 600)
    assert budget.free(1_000, 9) == 1
    budget.spend(1_000)
    assert (budget.free(2_000, 9), budget.wait_ms(2_000)) == (0, 8_000)
    assert budget.free(10_000, 9) == 1
    assert Budget(()).free(0, 9) == 9


def test_a_token_is_of_its_content_and_a_uuid() -> None:
    one = token_of("c", "row", "create", "webhook", b"x")
    assert one == token_of("c", "row", "create", "webhook", b"x")
    assert one != token_of("c", "row", "create", "webhook", b"y")
    assert (len(one), one[14], one[19] in "89ab") == (36, "4", True)
