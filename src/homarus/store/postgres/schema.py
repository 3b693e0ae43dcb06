"""The database before it is trusted: server, encoding, migrations under one lock."""

from typing import Final

from psycopg import errors, sql

from homarus.base.errors import Unavailable
from homarus.base.failpoint import failpoint
from homarus.store.migrations import OLDEST_CODE, Migration, verify
from homarus.store.postgres.driver import OLDEST_SERVER, Connection, rows_of

MIGRATION_LOCK: Final = 0x484F4D41_4D494752  # "HOMAMIGR"


def check_server(conn: Connection) -> None:
    """Raises `store.server`; only reads."""
    if conn.info.server_version < OLDEST_SERVER:
        raise Unavailable(
            "store.server",
            f"the server is PostgreSQL {conn.info.server_version // 10_000}",
            f"Use version {OLDEST_SERVER // 10_000} or newer.",
        )
    [(encoding,)] = rows_of(conn, "select current_setting('server_encoding')")
    if encoding != "UTF8":
        raise Unavailable(
            "store.server",
            f"the database's encoding is {encoding}",
            "Make a database with `encoding 'UTF8' template template0`.",
        )


def compare_bytewise(conn: Connection) -> None:
    """Texts sort and compare as on SQLite, whatever the database's own collation."""
    columns = rows_of(
        conn,
        "select c.relname, a.attname from pg_attribute a "
        "join pg_class c on c.oid=a.attrelid join pg_collation l on l.oid=a.attcollation "
        "where c.relnamespace=current_schema()::regnamespace and c.relkind='r' "
        "and a.attnum>0 and not a.attisdropped and l.collname<>'C' order by 1, 2",
    )
    changes: dict[str, list[sql.Composed]] = {}
    for table, column in columns:
        change = sql.SQL('alter column {} type text collate "C"').format(sql.Identifier(column))
        changes.setdefault(table, []).append(change)
    for table, alters in changes.items():
        conn.execute(
            sql.SQL("alter table {} {}").format(sql.Identifier(table), sql.SQL(", ").join(alters))
        )


def applied(conn: Connection) -> dict[int, str]:
    """Migrations that this database has had: number → SHA-256 of the text."""
    if rows_of(conn, "select to_regclass('migration') is null") == [(1,)]:
        return {}
    return dict(rows_of(conn, "select no, sha256 from migration"))


def prepare(conn: Connection, known: list[Migration]) -> None:
    """Check the version, then apply what is missing in one transaction; one replica at a time.

    Raises `store.newer`, `store.migration_changed`, `store.not_empty`; the database is then as
    it was.
    """
    conn.execute("begin")
    try:
        rows_of(conn, "select pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))
        have = applied(conn)
        row = rows_of(conn, "select value from meta where key='oldest_code'") if have else []
        verify(have, int(row[0][0]) if row else None, known)
        missing = [m for m in known if m.no not in have]
        for migration in missing:
            conn.execute(migration.sql.encode())
            failpoint("store.migrating")
            conn.execute(
                b"insert into migration(no, name, sha256) values($1, $2, $3)",
                (migration.no, migration.name, migration.sha256),
            )
        if missing:
            compare_bytewise(conn)
            conn.execute(
                b"insert into meta(key, value) values('oldest_code', $1) "
                b"on conflict(key) do update set value=excluded.value",
                (str(OLDEST_CODE),),
            )
        conn.execute("commit")
    except (errors.DuplicateTable, errors.UndefinedTable, errors.UndefinedColumn) as raised:
        raise Unavailable(
            "store.not_empty",
            "the database holds tables that are no store of Homarus",
            "Give --store the address of an empty database. It was left as it is.",
        ) from raised
    finally:
        if not conn.closed and conn.info.transaction_status.name != "IDLE":
            conn.execute("rollback")
    failpoint("store.migrated")
