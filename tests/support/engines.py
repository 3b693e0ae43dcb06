"""The engine that a test's store runs on: SQLite, or both where a test asks for it.

@BOTH
async def test_filters(s): ...          or, for a module:  pytestmark = BOTH

A folder whose tests all run on both has an `opener` of its own, with `params=ENGINES`. A PostgreSQL
database is a copy of one that was migrated once: a tenth of the time that migrating takes.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from homarus.testing.stores import Opener, postgres_store, sqlite_store
from tests.support.postgres import PostgresServer

ENGINES = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))
BOTH = pytest.mark.parametrize("opener", ENGINES, indirect=True)

TEMPLATE = "homarus_template"


@pytest.fixture(scope="session")
def migrated_databases(postgres_server: PostgresServer) -> Iterator[str]:
    """Names for copies of a migrated database, never repeated within a server's life."""
    from homarus.store.migrations import load
    from homarus.store.postgres.driver import connect
    from homarus.store.postgres.schema import prepare

    _maintain(postgres_server, f"create database {TEMPLATE}")
    with closing(connect(postgres_server.url(TEMPLATE), "template")) as migrating:
        prepare(migrating, load("postgres"))
    return (f"homarus_copy_{number}" for number in count(1))


@pytest.fixture
def migrated_url(
    postgres_server: PostgresServer, migrated_databases: Iterator[str]
) -> Iterator[str]:
    """URL of a database with the newest schema and no rows, dropped afterwards."""
    name = next(migrated_databases)
    _maintain(postgres_server, f"create database {name} template {TEMPLATE}")
    yield postgres_server.url(name)
    _maintain(postgres_server, f"drop database {name} with (force)")


def _maintain(server: PostgresServer, statement: str) -> None:
    import psycopg

    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


def chosen(request: pytest.FixtureRequest) -> Opener:
    """The opener that the parameter of an `opener` fixture names."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return sqlite_store
    return postgres_store(request.getfixturevalue("migrated_url"))


@pytest.fixture
def opener(request: pytest.FixtureRequest) -> Opener:
    """Opens the engine's store; each test has a file or a database of its own."""
    return chosen(request)


@dataclass(frozen=True)
class Engine:
    """`home` of the master key, and of the store where it is a file."""

    name: str
    home: Path
    opener: Opener


@pytest.fixture(scope="session")
def shared_postgres(
    postgres_server: PostgresServer,
    migrated_databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Engine:
    """One database for the tests of a process that each found a company of their own."""
    name = next(migrated_databases)
    _maintain(postgres_server, f"create database {name} template {TEMPLATE}")
    home = tmp_path_factory.mktemp("postgres-home")
    return Engine("postgres", home, postgres_store(postgres_server.url(name)))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Runs every test that asks for it on both: where its store lives, and its opener."""
    if request.param == "postgres":
        found: Engine = request.getfixturevalue("shared_postgres")
        return found
    return Engine("sqlite", tmp_path, sqlite_store)
