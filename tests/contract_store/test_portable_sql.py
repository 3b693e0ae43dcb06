"""Each SQL text of the domains is one that both engines understand."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import psycopg
import pytest

from homarus.store.migrations import load
from homarus.store.postgres import schema
from homarus.store.postgres.driver import Connection, connect, translate
from homarus.store.sqlite import files
from tests.contract_store.statements import Statement, statements

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def known() -> list[Statement]:
    return [s for s in statements() if s.text is not None]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(str(tmp_path / "store"))) as conn:
        files.migrate(conn, load("sqlite"))
        yield conn


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Connection]:
    with closing(connect(postgres_url, "test")) as conn:
        schema.prepare(conn, load("postgres"))
        yield conn


def test_the_walk_finds_the_statements(known: list[Statement]) -> None:
    assert len(known) > 100
    assert any("insert into receipt" in (s.text or "") for s in known)


def test_sqlite_understands_every_statement(
    sqlite: apsw.Connection, known: list[Statement]
) -> None:
    wrong = []
    for statement in known:
        text = str(statement.text)
        try:
            sqlite.execute(f"explain {text}", [None] * text.count("?")).fetchall()
        except (apsw.SQLError, apsw.BindingsError) as error:
            wrong.append(f"{statement.place}: {error}")
    assert wrong == []


@pytest.mark.postgres
def test_postgres_understands_every_statement(postgres: Connection, known: list[Statement]) -> None:
    wrong = []
    for statement in known:
        message = refused(postgres, statement)
        if message is not None:
            wrong.append(message)
    assert wrong == []


def refused(conn: Connection, statement: Statement) -> str | None:
    """What the server says against a statement when it plans it; None: nothing."""
    try:
        conn.execute(b"prepare asked as " + translate(str(statement.text)))
    except psycopg.Error as error:
        return f"{statement.place}: {error}"
    conn.execute("deallocate asked")
    return None
