"""The engine that a test's store runs on: SQLite, or both where a test asks for it.

@BOTH
async def test_filters(s): ...          or, for a module:  pytestmark = BOTH
"""

from collections.abc import Iterator

import pytest

from homarus.testing.stores import Opener, postgres_store, sqlite_store

BOTH = pytest.mark.parametrize(
    "opener", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
def opener(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens the engine's store; each test has a database of its own."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield sqlite_store
    else:
        yield postgres_store(request.getfixturevalue("postgres_url"))
