"""Migrations: from any earlier point to the same schema, the same on both engines."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import psycopg
import pytest

from homarus.base.errors import Unavailable
from homarus.store.migrations import OLDEST_CODE, Migration, load
from homarus.store.postgres import schema
from homarus.store.postgres.driver import connect
from homarus.store.sqlite import files
from homarus.testing.stores import opened, postgres_store
from tests.contract_store import schemas, units
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.contract

SQLITE, POSTGRES = load("sqlite"), load("postgres")


def test_both_dialects_have_the_same_migrations() -> None:
    assert [(m.no, m.name) for m in SQLITE] == [(m.no, m.name) for m in POSTGRES]
    numbers = [m.no for m in SQLITE]
    assert numbers == sorted(set(numbers))


def migrate_sqlite(path: Path, *steps: list[Migration]) -> None:
    for known in steps:
        with closing(apsw.Connection(str(path))) as conn:
            files.migrate(conn, known)


def migrate_postgres(url: str, *steps: list[Migration]) -> None:
    for known in steps:
        with closing(connect(url, "test")) as conn:
            schema.prepare(conn, known)


@pytest.mark.parametrize("at", range(1, len(SQLITE)))
def test_a_migrated_file_has_the_schema_of_a_new_one(tmp_path: Path, at: int) -> None:
    migrate_sqlite(tmp_path / "old", SQLITE[:at], SQLITE)
    migrate_sqlite(tmp_path / "new", SQLITE)
    old, new = (schemas.sqlite_schema(str(tmp_path / name)) for name in ("old", "new"))
    assert old == new


@pytest.mark.postgres
def test_a_migrated_database_has_the_schema_of_a_new_one(
    postgres_url: str, another_url: str
) -> None:
    migrate_postgres(postgres_url, *(POSTGRES[:at] for at in range(1, len(POSTGRES) + 1)))
    migrate_postgres(another_url, POSTGRES)
    assert schemas.postgres_schema(postgres_url) == schemas.postgres_schema(another_url)


@pytest.fixture
def another_url(postgres_server: PostgresServer, postgres_url: str) -> Iterator[str]:
    """A second empty database; its texts would sort by the rules of a language."""
    name = f"{psycopg.conninfo.conninfo_to_dict(postgres_url)['dbname']}_icu"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as conn:
        conn.execute(
            f"create database {name} template template0 encoding 'UTF8' "
            "locale_provider icu icu_locale 'en'".encode()
        )
    yield postgres_server.url(name)
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as conn:
        conn.execute(f"drop database {name} with (force)".encode())


@pytest.mark.postgres
def test_both_dialects_have_the_same_columns_and_indexes(tmp_path: Path, postgres_url: str) -> None:
    path = str(tmp_path / "store")
    migrate_sqlite(Path(path), SQLITE)
    migrate_postgres(postgres_url, POSTGRES)
    ours, theirs = schemas.sqlite_columns(path), schemas.postgres_columns(postgres_url)
    assert ours.keys() == theirs.keys()
    for table, columns in ours.items():
        assert columns == theirs[table], table
    assert schemas.sqlite_indexes(path) == schemas.postgres_indexes(postgres_url)


@pytest.mark.postgres
async def test_texts_sort_bytewise_whatever_the_databases_language(
    another_url: str, tmp_path: Path
) -> None:
    names = ["a", "B", "_", "-", "é", "b", "A"]
    async with opened(postgres_store(another_url), tmp_path) as store:
        for name in names:
            await store.store.write(store.action(), units.put, name)
        rows = await store.store.read(
            lambda rx: rx.all("select kind from counter where company_no=1 order by kind")
        )
    assert [row[0] for row in rows] == sorted(names, key=str.encode)


# -- databases that are refused (files: test_sqlite_files.py) --------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (f"update meta set value='{OLDEST_CODE + 1}' where key='oldest_code'", "store.newer"),
        ("update migration set sha256='0' where no=1", "store.migration_changed"),
        ("drop table meta", "store.not_empty"),
    ],
)
async def test_a_database_of_another_version_is_refused(
    postgres_url: str, tmp_path: Path, change: str, code: str
) -> None:
    migrate_postgres(postgres_url, POSTGRES)
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(change.encode())
    before = schemas.postgres_schema(postgres_url)
    with pytest.raises(Unavailable) as caught:
        async with opened(postgres_store(postgres_url), tmp_path):
            pass
    assert caught.value.code == code
    assert schemas.postgres_schema(postgres_url) == before


@pytest.mark.postgres
async def test_a_database_of_somebody_else_is_refused(postgres_url: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(b"create table task (mine int)")
    before = schemas.postgres_schema(postgres_url)
    with pytest.raises(Unavailable) as caught:
        async with opened(postgres_store(postgres_url), tmp_path):
            pass
    assert caught.value.code == "store.not_empty"
    assert schemas.postgres_schema(postgres_url) == before


@pytest.mark.postgres
async def test_a_database_in_another_encoding_is_refused(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    name = f"{psycopg.conninfo.conninfo_to_dict(postgres_url)['dbname']}_latin"
    make = f"create database {name} template template0 encoding 'LATIN1' locale 'C'"
    await asyncio.to_thread(run, postgres_server, make)
    with pytest.raises(Unavailable) as caught:
        async with opened(postgres_store(postgres_server.url(name)), tmp_path):
            pass
    assert caught.value.code == "store.server"
    await asyncio.to_thread(run, postgres_server, f"drop database {name} with (force)")


def run(server: PostgresServer, statement: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute(statement.encode())


@pytest.mark.postgres
async def test_a_second_start_applies_nothing(postgres_url: str, tmp_path: Path) -> None:
    async with opened(postgres_store(postgres_url), tmp_path):
        pass
    before = schemas.postgres_schema(postgres_url)
    async with opened(postgres_store(postgres_url), tmp_path):
        pass
    assert schemas.postgres_schema(postgres_url) == before
