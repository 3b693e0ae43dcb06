"""What a schema consists of, read from the engine's own catalog."""

from typing import Any

import apsw
import psycopg

PG_COLUMNS = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid), a.attidentity, l.collname
from pg_class c
join pg_attribute a on a.attrelid=c.oid and a.attnum>0 and not a.attisdropped
left join pg_attrdef d on d.adrelid=c.oid and d.adnum=a.attnum
left join pg_collation l on l.oid=a.attcollation
where c.relnamespace='public'::regnamespace and c.relkind='r'
order by c.relname, a.attnum
"""
PG_INDEXES = "select tablename, indexname, indexdef from pg_indexes where schemaname='public'"
PG_VIEWS = "select viewname, definition from pg_views where schemaname='public'"


def sqlite_schema(path: str) -> list[tuple[Any, ...]]:
    conn = apsw.Connection(path)
    try:
        return conn.execute(
            "select type, name, tbl_name, sql from sqlite_schema order by type, name"
        ).fetchall()
    finally:
        conn.close()


def postgres_schema(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as conn:
        rows: list[tuple[Any, ...]] = []
        for query in (PG_COLUMNS, PG_INDEXES, PG_VIEWS):
            rows += sorted(conn.execute(query.encode()).fetchall(), key=repr)
        return rows


KIND = {
    "INTEGER": "number",
    "BIGINT": "number",
    "TEXT": "text",
    "BLOB": "bytes",
    "BYTEA": "bytes",
    "REAL": "float",
    "DOUBLE PRECISION": "float",
}


def sqlite_columns(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """table → (column, kind, not null, default) in order."""
    conn = apsw.Connection(path)
    try:
        rows = conn.execute(
            'select m.name, c.name, c.type, c."notnull" or c.pk, c.dflt_value '
            "from sqlite_schema m join pragma_table_info(m.name) c "
            "where m.type='table' and m.name not like 'sqlite_%' order by m.name, c.cid"
        ).fetchall()
    finally:
        conn.close()
    found: dict[str, list[tuple[Any, ...]]] = {}
    for table, column, kind, required, default in rows:
        assert isinstance(table, str) and isinstance(kind, str)
        found.setdefault(table, []).append(
            (column, KIND[kind.upper()], bool(required), _default(default))
        )
    return found


def postgres_columns(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """The same of a PostgreSQL database."""
    with psycopg.connect(url) as conn:
        rows = conn.execute(PG_COLUMNS.encode()).fetchall()
    found: dict[str, list[tuple[Any, ...]]] = {}
    for table, column, kind, required, default, *_ in rows:
        found.setdefault(table, []).append(
            (column, KIND[kind.upper()], required, _default(default))
        )
    return found


def _default(text: Any) -> str | None:
    """`'[]'::text` and `'[]'`, `x''` and `'\\x'::bytea` are the same."""
    if text is None:
        return None
    plain = str(text).partition("::")[0].strip("()")
    return "''" if plain in ("x''", "'\\x'") else plain


def sqlite_indexes(path: str) -> set[tuple[str, str, bool]]:
    """(index, table, unique) of the named ones."""
    conn = apsw.Connection(path)
    try:
        rows = conn.execute(
            "select name, tbl_name, sql from sqlite_schema where type='index' and sql is not null"
        ).fetchall()
    finally:
        conn.close()
    return {(str(n), str(t), str(s).lower().startswith("create unique")) for n, t, s in rows}


def postgres_indexes(url: str) -> set[tuple[str, str, bool]]:
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "select i.indexname, i.tablename, i.indexdef from pg_indexes i "
            "where i.schemaname='public' and not exists(select 1 from pg_constraint c "
            "where c.conname=i.indexname)"
        ).fetchall()
    return {(n, t, s.lower().startswith("create unique")) for n, t, s in rows}
