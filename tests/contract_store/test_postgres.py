"""What only PostgreSQL can show: replicas, broken connections, errors of the server."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from homarus.base.clock import SystemClock
from homarus.base.errors import HomarusError, Unavailable
from homarus.kernel.kernel import Kernel
from homarus.kernel.keys import MasterKey
from homarus.store.migrations import load
from homarus.store.port import Tx
from homarus.store.postgres.driver import public_url, translate
from homarus.testing.stores import NoFacts, OpenStore, opened, postgres_store
from tests.contract_store import units
from tests.contract_store.test_ledger import some_of_everything, verify

pytestmark = [pytest.mark.contract, pytest.mark.postgres]

WAIT_S = 20


@pytest.fixture
async def store(migrated_url: str, tmp_path: Path) -> AsyncIterator[OpenStore]:
    async with opened(postgres_store(migrated_url), tmp_path) as made:
        yield made


@pytest.fixture
async def replicas(migrated_url: str, tmp_path: Path) -> AsyncIterator[list[OpenStore]]:
    """Two stores on one database; they share the home for its master key."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(opened(postgres_store(migrated_url), tmp_path))
            for _ in range(2)
        ]


def superuser(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as conn:
        cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def cut_all(url: str) -> None:
    """End every session of the database but the one that asks."""
    superuser(
        url,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where datname=current_database() and pid<>pg_backend_pid()",
    )


# -- replicas --------------------------------------------------------------------------------------


async def test_replicas_lose_no_update_and_leave_no_gap(replicas: list[OpenStore]) -> None:
    company = replicas[0].company
    assert replicas[1].company == company

    async def produce(store: OpenStore) -> None:
        for _ in range(20):
            await store.store.write(store.action(), units.add, "shared")

    await asyncio.gather(*(produce(store) for store in replicas for _ in range(8)))
    total = 2 * 8 * 20
    for store in replicas:
        assert await store.store.read(units.value, company, "shared") == total
        rows = await store.store.read(units.events, company)
        assert [seq for seq, _ in rows] == list(range(1, total + 1))


async def test_replicas_write_one_ledger(replicas: list[OpenStore]) -> None:
    company = replicas[0].company
    await asyncio.gather(*(some_of_everything(store, company) for store in replicas))
    await verify(replicas[1], company)


async def test_replicas_may_start_on_an_empty_database_at_once(
    postgres_url: str, tmp_path: Path
) -> None:
    kernel = Kernel(NoFacts(), MasterKey(b"0" * 32))
    opener = postgres_store(postgres_url)
    stores = [opener(tmp_path, kernel, SystemClock()) for _ in range(4)]
    await asyncio.gather(*(store.start() for store in stores))
    await asyncio.gather(*(store.stop() for store in stores))
    known = [(migration.no,) for migration in load("postgres")]
    assert superuser(postgres_url, "select no from migration order by no") == known


async def test_the_other_replica_is_woken_by_a_commit(replicas: list[OpenStore]) -> None:
    writer, watcher = replicas
    heard: asyncio.Queue[dict[str, int]] = asyncio.Queue()
    watcher.store.listen(heard.put_nowait)
    for n in range(1, 4):
        await writer.store.write(writer.action(), units.put, "x", n)
        heads: dict[str, int] = {}
        while heads.get(writer.company, 0) < n:
            heads |= await asyncio.wait_for(heard.get(), WAIT_S)
        assert len(await watcher.store.read(units.events, writer.company)) >= n


async def test_nothing_is_missed_while_the_listener_is_cut_off(
    replicas: list[OpenStore], migrated_url: str
) -> None:
    writer, watcher = replicas
    heard: asyncio.Queue[dict[str, int]] = asyncio.Queue()
    watcher.store.listen(heard.put_nowait)
    await asyncio.to_thread(cut_all, migrated_url)
    await writer.store.write(writer.action(), units.put, "x")
    heads: dict[str, int] = {}
    while heads.get(writer.company, 0) < 1:
        heads |= await asyncio.wait_for(heard.get(), WAIT_S)


# -- broken connections ----------------------------------------------------------------------------


async def test_sessions_ended_while_idle_are_replaced_unnoticed(
    store: OpenStore, migrated_url: str
) -> None:
    for n in range(3):
        await asyncio.to_thread(cut_all, migrated_url)
        assert await store.store.write(store.action(), units.put, "x", n) == n
        assert await store.store.read(units.value, store.company, "x") == n


broken: list[str] = []


def break_once(tx: Tx, name: str) -> int:
    """Ends its own session, the first time."""
    if name not in broken:
        broken.append(name)
        tx.one("select pg_terminate_backend(pg_backend_pid())")
    return units.put(tx, name)


def break_always(tx: Tx, name: str) -> None:
    units.put(tx, name)
    tx.one("select pg_terminate_backend(pg_backend_pid())")


async def test_a_batch_whose_session_ends_before_its_commit_runs_again(store: OpenStore) -> None:
    name = f"x{os.urandom(4).hex()}"
    answers = await asyncio.gather(
        store.store.write(store.action(), units.add, "before"),
        store.store.write(store.action(), break_once, name),
        store.store.write(store.action(), units.add, "after"),
    )
    assert answers == [1, 1, 1]
    assert len(await store.store.read(units.events, store.company)) == 3
    await verify(store, store.company)


async def test_a_batch_that_never_gets_through_says_that_nothing_was_written(
    store: OpenStore,
) -> None:
    with pytest.raises(Unavailable) as caught:
        await store.store.write(store.action(), break_always, "x")
    assert caught.value.code == "store.unavailable"
    assert await store.store.read(units.value, store.company, "x") is None
    assert await store.store.write(store.action(), units.put, "y") == 1
    assert store.store.health()["state"] == "ok"


BREAK_AT_COMMIT = """
create function cut() returns trigger language plpgsql as
    'begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(5); return null; end';
create constraint trigger cut after insert on counter deferrable initially deferred
    for each row execute function cut();
"""


async def test_a_commit_without_an_answer_is_called_unknown(
    store: OpenStore, migrated_url: str
) -> None:
    await asyncio.to_thread(superuser, migrated_url, BREAK_AT_COMMIT)
    with pytest.raises(Unavailable) as caught:
        await store.store.write(store.action(), units.put, "x")
    assert caught.value.code == "store.outcome_unknown"
    assert "Idempotency-Key" in caught.value.remedy
    await asyncio.to_thread(superuser, migrated_url, "drop trigger cut on counter")
    assert await store.store.write(store.action(), units.put, "x", 2) == 2


async def until_it_works(store: OpenStore) -> None:
    """The store tries again after a bounded wait; so do we."""
    while True:
        try:
            await store.store.write(store.action(), units.put, "x", 2)
        except Unavailable as error:
            assert error.code == "store.unavailable"
            await asyncio.sleep(0.02)
        else:
            return


async def test_a_database_that_goes_away_is_named_and_comes_back(
    store: OpenStore, migrated_url: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(migrated_url)["dbname"]
    server = migrated_url.replace(f"/{name}?", "/postgres?")
    await asyncio.to_thread(superuser, server, f"alter database {name} allow_connections false")
    await asyncio.to_thread(
        superuser,
        server,
        f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname='{name}'",
    )
    with pytest.raises(Unavailable) as written:
        await store.store.write(store.action(), units.put, "x")
    with pytest.raises(Unavailable) as read:
        await store.store.read(units.value, store.company, "x")
    assert (written.value.code, read.value.code) == ("store.unavailable", "store.unavailable")
    assert store.store.health()["error"] == "store.unavailable"
    await asyncio.to_thread(superuser, server, f"alter database {name} allow_connections true")
    await asyncio.wait_for(until_it_works(store), WAIT_S)
    assert await store.store.read(units.value, store.company, "x") == 2
    assert store.store.health()["state"] == "ok"


def many_statements(tx: Tx, name: str) -> None:
    units.put(tx, name)
    while True:
        tx.one("select pg_sleep(0.05)")


async def test_a_unit_of_too_many_statements_is_ended_between_them(store: OpenStore) -> None:
    with pytest.raises(Unavailable) as caught:
        await store.store.write(store.action(), many_statements, "x")
    assert caught.value.code == "store.unit_too_long"
    assert await store.store.read(units.value, store.company, "x") is None


# -- errors of the server --------------------------------------------------------------------------


def raise_state(tx: Tx, state: str) -> None:
    units.put(tx, "x")
    tx.run(f"do $$ begin raise exception 'secret' using errcode='{state}'; end $$")


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("53100", "store.disk_full"),
        ("25006", "store.read_only"),
        ("58030", "store.io"),
        ("XX001", "store.corrupt"),
        ("40P01", "store.contended"),
        ("40001", "store.contended"),
        ("57014", "store.unit_too_long"),
        ("23505", "internal.unit"),
        ("22003", "store.bad_number"),
    ],
)
async def test_errors_of_the_server_have_stable_codes(
    store: OpenStore, state: str, code: str
) -> None:
    with pytest.raises(HomarusError) as caught:
        await store.store.write(store.action(), raise_state, state)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    assert await store.store.read(units.value, store.company, "x") is None
    assert await store.store.write(store.action(), units.put, "y") == 1
    assert store.store.health()["state"] == "ok"


async def test_a_nul_character_is_a_bad_request(store: OpenStore) -> None:
    with pytest.raises(HomarusError) as caught:
        await store.store.write(store.action(), units.put, "a\0b")
    assert (caught.value.code, caught.value.status) == ("store.bad_text", 400)


async def test_a_standby_is_named(store: OpenStore, migrated_url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(migrated_url)["dbname"]
    await asyncio.to_thread(
        superuser, migrated_url, f"alter database {name} set default_transaction_read_only = on"
    )
    await asyncio.to_thread(cut_all, migrated_url)
    with pytest.raises(Unavailable) as caught:
        await store.store.write(store.action(), units.put, "x")
    assert caught.value.code == "store.read_only"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "store.unavailable"),
        ("postgresql://h:not-a-port/x?nonsense=1", "store.url"),
    ],
)
async def test_an_address_without_a_server_is_named(tmp_path: Path, url: str, code: str) -> None:
    with pytest.raises(Unavailable) as caught:
        async with opened(postgres_store(url), tmp_path):
            pass
    assert caught.value.code == code


async def test_backups_are_left_to_the_servers_own_tools(store: OpenStore, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        await store.store.snapshot(tmp_path / "copy")
    assert caught.value.code == "store.snapshot" and "pg_dump" in caught.value.remedy


# -- pure parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select ?", "select $1"),
        ("insert into t values(?,?)", "insert into t values($1,$2)"),
        ("select '?', ?, 'it''s ?'", "select '?', $1, 'it''s ?'"),
        (
            'select "?" from t where a=? -- why?\n and b=?',
            'select "?" from t where a=$1 -- why?\n and b=$2',
        ),
        ("select 100 % ?", "select 100 % $1"),
    ],
)
def test_marks_become_numbered_parameters(sql: str, expected: str) -> None:
    assert translate(sql) == expected.encode()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me:secret@db.example:5433/homarus", "postgresql://db.example:5433/homarus"),
        ("host=/run/pg dbname=x user=me password=secret", "postgresql:///run/pg/x"),
        ("postgresql:///x?password=secret", "postgresql://localhost/x"),
    ],
)
def test_an_address_is_shown_without_user_and_password(url: str, expected: str) -> None:
    assert public_url(url) == expected
