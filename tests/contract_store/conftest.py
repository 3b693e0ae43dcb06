"""The engines under test. PostgreSQL is skipped with a reason where no server can be had."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from homarus.testing.stores import Opener, OpenStore, opened, postgres_store, sqlite_store


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], scope="function"
)
def opener(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens the engine's store; each test has a database of its own."""
    if request.param == "sqlite":
        yield sqlite_store
    else:
        yield postgres_store(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def store(opener: Opener, tmp_path: Path) -> AsyncIterator[OpenStore]:
    async with opened(opener, tmp_path) as made:
        yield made
