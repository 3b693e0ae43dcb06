"""The engine that a test's store runs on: SQLite, or both where a test asks for it.

@BOTH
async def test_filters(s): ...          or, for a module:  pytestmark = BOTH

`engine` runs every test that asks for it on both: where its store lives, and its opener. A database
on PostgreSQL takes a second to make, so the tests of one process share one, and each founds a
company of its own in it (`fresh`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from homarus.testing.stores import Opener, postgres_store, sqlite_store
from tests.support.postgres import PostgresServer

ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
BOTH = pytest.mark.parametrize("opener", ENGINES, indirect=True)
SHARED_DATABASE = "homarus_shared"


@pytest.fixture
def opener(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens the engine's store; each test has a database of its own."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield sqlite_store
    else:
        yield postgres_store(request.getfixturevalue("postgres_url"))


@dataclass(frozen=True)
class Engine:
    """`home` of the master key, and of the store where it is a file."""

    name: str
    home: Path
    opener: Opener


@pytest.fixture(scope="session")
def shared_postgres(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    import psycopg

    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {SHARED_DATABASE}")
    opener = postgres_store(postgres_server.url(SHARED_DATABASE))
    return Engine("postgres", tmp_path_factory.mktemp("postgres-home"), opener)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """PostgreSQL is skipped with a reason where no server can be had."""
    if request.param == "postgres":
        yield request.getfixturevalue("shared_postgres")
    else:
        yield Engine("sqlite", tmp_path, sqlite_store)
