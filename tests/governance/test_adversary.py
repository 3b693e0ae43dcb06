"""A fully hostile agent against a `studio` company: nothing that the rules forbid comes about.

Each example is a fresh company in one daemon and a list of moves; what fails shrinks to the fewest
moves. Twice: with her own token alone, and with the company token beside it.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homarus.redteam.attack import Tally, attack
from homarus.redteam.holds import broken, snapshot
from homarus.redteam.moves import MOVES
from homarus.redteam.world import found, voice
from homarus.testing.daemon import Address, beside
from tests.support.profile import chosen_profile

STEPS = {"ci": 50, "full": 200}[chosen_profile().name]
ACTIONS = {"ci": 600, "full": 20_000}[chosen_profile().name]
EXAMPLES = ACTIONS // STEPS
TIMEOUT_S = {"ci": 300, "full": 7_200}[chosen_profile().name]

moves = st.lists(
    st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 2**32 - 1)),
    min_size=STEPS,
    max_size=STEPS,
)
_slugs = itertools.count(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, Path]]:
    home = tmp_path_factory.mktemp("redteam") / "home"
    with beside(home) as address:
        yield address, home


async def attacked(place: tuple[Address, Path], script: list[tuple[str, int]], only: str) -> Tally:
    """Findings of one attack; empty when everything held."""
    address, home = place
    owner = voice(address.url, address.owner_token)
    world = await found(owner, address.url, home, f"acme-{next(_slugs)}")
    if only == "own":
        world.voices["company"] = world.voices["own"]
    try:
        before = await snapshot(world)
        tally = await attack(world, script)
        tally.findings += await broken(world, before, tally)
        return tally
    finally:
        await world.close()
        await owner.aclose()


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("only", ["own", "company"])
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(script=moves)
async def test_nothing_forbidden_comes_about(
    place: tuple[Address, Path], only: str, script: list[tuple[str, int]]
) -> None:
    tally = await attacked(place, script, only)
    assert tally.findings == []
