"""Connections: how values cross, how SQL texts are translated, what driver errors mean.

Values come back as SQLite would give them: integers for booleans and whole numerics, bytes for
bytea. So the same domain function runs on both engines.
"""

import re
import traceback
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper

from homarus.base.errors import HomarusError, Invalid, Unavailable
from homarus.store.port import Params, Row
from homarus.store.unit import bad_value

CONNECT_S: Final = 5
KEEPALIVE_IDLE_S: Final = 30
STATEMENT_CACHE: Final = 256
SQL_CACHE: Final = 4_096
OLDEST_SERVER: Final = 140_000
CHANNEL: Final = "homarus"

Connection = psycopg.Connection[tuple[Any, ...]]

_MARKS: Final = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|\?")


class _BoolDumper(Int8Dumper):
    """Booleans are 0 and 1 in every table of ours."""

    def dump(self, obj: Any) -> bytes:
        return b"1" if obj else b"0"


class _BoolLoader(Loader):
    def load(self, data: Buffer) -> int:
        return 1 if bytes(data) == b"t" else 0


class _NumericLoader(Loader):
    """`sum()` of integers is numeric on PostgreSQL and an integer on SQLite."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdecimal() else float(text)


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_dumper(bool, _BoolDumper)
    adapters.register_dumper(str, StrDumper)
    adapters.register_loader("bool", _BoolLoader)
    adapters.register_loader("numeric", _NumericLoader)
    return adapters


ADAPTERS: Final = _adapters()


@lru_cache(maxsize=SQL_CACHE)
def translate(sql: str) -> bytes:
    """`?` marks become `$1`, `$2`, …; those in strings, names and comments stay."""
    count = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal count
        if found[0] != "?":
            return found[0]
        count += 1
        return f"${count}"

    return _MARKS.sub(mark, sql).encode()


def rows_of(conn: Connection, sql: str, params: Params = ()) -> list[Row]:
    """A query outside of units."""
    return conn.execute(translate(sql), params).fetchall()


def connect(url: str, use: str, *, statement_timeout_ms: int = 0) -> Connection:
    """One session in autocommit mode. Raises `store.unavailable`, `store.url`."""
    try:
        conn = psycopg.connect(
            url,
            autocommit=True,
            context=ADAPTERS,
            connect_timeout=CONNECT_S,
            application_name=f"homarus-{use}",
            keepalives_idle=KEEPALIVE_IDLE_S,
            cursor_factory=psycopg.RawCursor,
        )
    except psycopg.ProgrammingError as raised:
        raise Unavailable(
            "store.url",
            "the store's address cannot be read",
            "Give it as postgresql://user@host:5432/database.",
        ) from raised
    except psycopg.Error as raised:
        raise unavailable(raised) from raised
    conn.prepared_max = STATEMENT_CACHE
    try:
        conn.execute(
            "select set_config('statement_timeout', $1, false), "
            "set_config('idle_in_transaction_session_timeout', '60s', false)",
            (str(statement_timeout_ms),),
        )
        # An acknowledged write is on disk, whatever this server's default is.
        conn.execute(
            "select set_config('synchronous_commit', 'on', false) "
            "where current_setting('synchronous_commit') = 'off'"
        )
    except psycopg.Error as raised:
        conn.close()
        raise unavailable(raised) from raised
    return conn


def public_url(url: str) -> str:
    """The address without user, password or options. Raises `store.url`."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError as raised:
        raise Unavailable(
            "store.url",
            "the store's address cannot be read",
            "Give it as postgresql://user@host:5432/database.",
        ) from raised
    host = parts.get("host") or "localhost"
    port = parts.get("port")
    return f"postgresql://{host}{f':{port}' if port else ''}/{parts.get('dbname') or ''}"


def lost(conn: Connection) -> bool:
    """Whether the session is gone."""
    return bool(conn.closed or conn.broken)


def unavailable(raised: BaseException | None = None) -> Unavailable:
    """The database cannot be had. Only its own first line is shown, and no address."""
    state = getattr(raised, "sqlstate", None)
    why = {
        "28P01": "it refuses the password",
        "28000": "it refuses this user",
        "3D000": "there is no such database",
        "53300": "it has no connection left",
        "57P03": "it is starting or stopping",
    }.get(state or "", "it does not answer")
    return Unavailable(
        "store.unavailable",
        f"the PostgreSQL database of the store cannot be used: {why}; nothing was written",
        "Check the server and the address given with --store, then repeat the request.",
    )


def engine_error(raised: BaseException) -> HomarusError | None:
    """The stable code of a failure of the server that is not the unit's own fault; else None."""
    match raised:
        case errors.DiskFull():
            return Unavailable(
                "store.disk_full",
                "the disk that holds the database is full; nothing was written",
                "Free space on the database server, then repeat the request.",
            )
        case errors.ReadOnlySqlTransaction():
            return Unavailable(
                "store.read_only",
                "the database accepts no writes (a standby, or set read-only)",
                "Give --store the address of the primary, then repeat the request.",
            )
        case errors.IoError():
            return Unavailable(
                "store.io",
                "the database's disk answered with an error; nothing was written",
                "Check the database server's log, then repeat the request.",
            )
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return Unavailable(
                "store.corrupt",
                "the database is damaged",
                "Stop all replicas and restore the database from its last backup.",
            )
        case errors.DeadlockDetected() | errors.SerializationFailure():
            return Unavailable(
                "store.contended",
                "other writes stood in the way several times; nothing was written",
                "Repeat the request.",
            )
        case errors.QueryCanceled() | errors.LockNotAvailable():
            return None
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return unavailable(raised)
        case _:
            return None


def described(raised: BaseException) -> dict[str, object]:
    """What may be logged of an exception. The server's own text quotes the values of rows."""
    if not isinstance(raised, psycopg.Error):
        return {"error": type(raised).__name__, "exc_info": raised}
    return {
        "error": type(raised).__name__,
        "sqlstate": raised.sqlstate,
        "table": raised.diag.table_name,
        "constraint": raised.diag.constraint_name,
        "place": "".join(traceback.format_tb(raised.__traceback__)),
    }


def value_error(raised: BaseException) -> HomarusError | None:
    """The refusal of a value that no column can hold; else None."""
    match raised:
        case errors.NumericValueOutOfRange():
            return bad_value(OverflowError())
        case errors.CharacterNotInRepertoire() | errors.UntranslatableCharacter():
            return _bad_character()
        case psycopg.DataError() if raised.sqlstate is None:
            return _bad_character()
        case Exception():
            return bad_value(raised)
        case _:
            return None


def _bad_character() -> HomarusError:
    return Invalid(
        "store.bad_text",
        "a text holds characters that cannot be stored (NUL)",
        "Leave them out.",
    )
