"""Must hold whatever the moment of death: what was acknowledged is there, nothing happened twice.

A child works on a real store and is killed with SIGKILL, twice on one home (so that recovery is
killed too): at a seeded passage of a failpoint, or from outside. Then the home is looked at.
"""

import asyncio
import random
from pathlib import Path

import pytest

from tests.crash.lives import Fact, Home
from tests.support.profile import chosen_profile

SEEDS = chosen_profile().pick(ci=12, full=300)
POSTGRES_SEEDS = chosen_profile().pick(ci=2, full=50)
FROM_OUTSIDE = 4
"""Every so many seeds the kill comes from outside instead of at a failpoint."""
PASSES = 240
"""A whole life of the child passes about 260 failpoints."""
LINES = 40
"""About half as many acknowledgements as it gives."""
LIVES = 2
FAILED_SEEDS: tuple[int, ...] = ()
"""Seeds that once failed stay here."""

pytestmark = pytest.mark.crash


def live_and_die(home: Home, seed: int) -> None:
    told: list[Fact] = []
    for life in range(LIVES):
        choice = random.Random(f"{seed}:{life}")
        child = seed * LIVES + life
        if seed % FROM_OUTSIDE == FROM_OUTSIDE - 1:
            told += home.killed_after(choice.randrange(LINES), choice, child, life)
        else:
            told += home.killed_at(f"*:{choice.randrange(1, PASSES)}", child, life)
    wrong = asyncio.run(home.examine(told))
    assert wrong == [], f"seed {seed}: {wrong[:10]}"


@pytest.mark.parametrize("seed", sorted({*range(SEEDS), *FAILED_SEEDS}))
def test_killed_at_any_point(tmp_path: Path, seed: int) -> None:
    live_and_die(Home(tmp_path / "home"), seed)


@pytest.mark.postgres
@pytest.mark.parametrize("seed", range(POSTGRES_SEEDS))
def test_killed_at_any_point_of_work_on_postgresql(
    tmp_path: Path, postgres_url: str, seed: int
) -> None:
    live_and_die(Home(tmp_path / "home", postgres_url), seed)


@pytest.mark.parametrize("nth", range(1, 13))
def test_killed_while_the_store_is_made(tmp_path: Path, nth: int) -> None:
    """Migrations and the first rename: the next start begins anew, or goes on."""
    home = Home(tmp_path / "home")
    told = home.killed_at(f"*:{nth}", seed=0)
    assert told == []
    assert asyncio.run(home.examine(told)) == []


def test_a_life_that_nobody_ends_does_all_there_is_to_do(tmp_path: Path) -> None:
    """So that the kills above fall into each kind of act, and the bounds above are near it."""
    home = Home(tmp_path / "home")
    told = home.killed_at("", seed=1)
    assert {fact["act"] for fact in told} >= {
        "create", "claim", "done", "message", "upload", "expired", "backup", "sealed",
    }  # fmt: skip
    assert asyncio.run(home.examine(told)) == []
