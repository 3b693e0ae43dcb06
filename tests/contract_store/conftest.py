"""Every test that takes `opener` or `store` runs on each engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homarus.testing.stores import Opener, OpenStore, opened
from tests.support.engines import ENGINES, chosen


@pytest.fixture(params=ENGINES)
def opener(request: pytest.FixtureRequest) -> Opener:
    """Opens the engine's store; each test has a file or a database of its own."""
    return chosen(request)


@pytest.fixture
async def store(opener: Opener, tmp_path: Path) -> AsyncIterator[OpenStore]:
    async with opened(opener, tmp_path) as made:
        yield made
