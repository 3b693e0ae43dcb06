"""homarus sql: the store's file, opened for reading by this process."""

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from homarus.base.errors import HomarusError, Invalid, NotFound
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context

if TYPE_CHECKING:
    import apsw

FILE: Final = Path("local-ssot/ssot.db")
MAX_ROWS: Final = 10_000
MAX_S: Final = 30.0
BUSY_MS: Final = 2_000
STEPS_BETWEEN_LOOKS: Final = 10_000

VIEWS: Final = """
create temp table _company as
    select no, id from main.company
    where deleted_ms is null and no > 0 and (slug = ?1 or ?1 is null) order by no limit 1;
create temp view tasks as
    select t.id, 'T-' || t.seq as number,
        case when t.state in ('inbox', 'queued') then 'pending' else t.state end as status,
        t.state, t.priority, s.type, json_extract(s.input, '$.title') as title,
        t.project as project_id, t.agent as agent_id,
        (select a.name from main.agent a where a.id = t.agent) as agent,
        t.retries, t.reason, t.trace,
        datetime(t.lease_until_ms / 1000, 'unixepoch') as lease_until,
        datetime(t.created_ms / 1000, 'unixepoch') as created_at,
        datetime(t.updated_ms / 1000, 'unixepoch') as updated_at
    from main.task t left join main.task_spec s on s.task = t.id
    where t.company = (select id from temp._company);
create temp view calendar_event as
    select c.id, 'E-' || c.no as number, c.title, c.description,
        datetime(c.start_ms / 1000, 'unixepoch') as start_time,
        datetime(c.end_ms / 1000, 'unixepoch') as end_time,
        c.zone, c.all_day, c.location, c.attendees, c.task as task_id,
        datetime(c.created_ms / 1000, 'unixepoch') as created_at,
        datetime(c.updated_ms / 1000, 'unixepoch') as updated_at
    from main.calendar_event c
    where c.company = (select id from temp._company) and c.deleted_ms is null;
create temp view wiki_doc as
    select w.id, 'W-' || w.no as number, w.parent as parent_id, w.title, w.body, w.version,
        datetime(w.created_ms / 1000, 'unixepoch') as created_at,
        datetime(w.updated_ms / 1000, 'unixepoch') as updated_at
    from main.wiki_doc w
    where w.company = (select id from temp._company) and w.deleted_ms is null;
create temp view outbox_v2 as
    select id, entity_type, entity_id, action, target_type, target_config, payload, status,
        retry_count, max_retries,
        datetime(created_at / 1000, 'unixepoch') as created_at,
        datetime(updated_at / 1000, 'unixepoch') as updated_at,
        datetime(scheduled_at / 1000, 'unixepoch') as scheduled_at,
        coalesce(datetime(processed_at / 1000, 'unixepoch'), '') as processed_at,
        coalesce(datetime(completed_at / 1000, 'unixepoch'), '') as completed_at,
        error_msg, receipt_id, mirror_id, priority, trace_id
    from main.outbox_v2 where company_id = (select id from temp._company);
"""
"""Read-only views under the names of the manual (design, 9), of one company."""


@click.command("sql", cls=Command)
@click.argument("query")
@click.option("--limit", type=click.IntRange(1, MAX_ROWS), default=1_000, show_default=True,
              help="At most this many rows.")  # fmt: skip
@pass_context
def command(ctx: Context, query: str, limit: int) -> None:
    """Ask the store of this home in SQL, reading only.

    The view `tasks` has the company's tasks with their `status` (`pending` is inbox and queued),
    `calendar_event` its calendar in UTC, `wiki_doc` its wiki.
    Example: homarus sql "select number, title from tasks where status = 'pending'"
    """
    import apsw

    path = ctx.home / FILE
    if not path.exists():
        raise NotFound("sql.no_store", f"{path} does not exist", "Name the home with --home.")
    conn = open_reading(path, ctx.company or ctx.preference("company"))
    try:
        columns, rows = _run(conn, query, limit)
    except apsw.Error as error:
        raise _explained(error) from error
    finally:
        conn.close()
    ctx.out.document({"columns": columns, "rows": rows})
    ctx.out.table(columns, rows, "No row.")


def open_reading(path: Path, company: str | None) -> "apsw.Connection":
    """A connection that can write nothing and open nothing else. Raises `sql.company`."""
    import apsw

    from homarus.store.sqlite.files import check_file

    check_file(path)
    conn = apsw.Connection(f"file:{_quoted(path)}?mode=ro",
                           flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)  # fmt: skip
    conn.set_busy_timeout(BUSY_MS)
    for statement in VIEWS.split(";\n"):
        conn.execute(statement, (company,) if "?1" in statement else ()).fetchall()
    if company is not None and not conn.execute("select 1 from temp._company").fetchall():
        conn.close()
        raise NotFound("sql.company", f"no company {company!r}", "See `homarus company list`.")
    conn.execute("pragma query_only=on").fetchall()
    conn.authorizer = _authorize
    return conn


def _authorize(operation: int, *_: Any) -> int:
    import apsw

    forbidden = (apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH, apsw.SQLITE_PRAGMA)
    return apsw.SQLITE_DENY if operation in forbidden else apsw.SQLITE_OK


def _run(conn: "apsw.Connection", query: str, limit: int) -> tuple[list[str], list[list[Any]]]:
    end = time.monotonic() + MAX_S
    conn.set_progress_handler(lambda: time.monotonic() > end, STEPS_BETWEEN_LOOKS)
    cursor = conn.execute(query)
    try:
        columns = [name for name, _ in cursor.get_description()]
    except Exception as error:
        import apsw

        if not isinstance(error, apsw.ExecutionCompleteError):
            raise
        columns = []
    return columns, [[_shown(value) for value in row] for row in islice(cursor, limit)]


def _shown(value: Any) -> Any:
    """Blobs as hexadecimal, everything else as it is."""
    return value.hex() if isinstance(value, bytes) else value


def _explained(error: Exception) -> HomarusError:
    import apsw

    match error:
        case apsw.InterruptError():
            return HomarusError(
                "sql.too_long", f"the query took more than {MAX_S:g} s", "Narrow it."
            )
        case apsw.AuthError() | apsw.ReadOnlyError():
            return Invalid("sql.read_only", f"{error}", "Only queries are allowed here.")
        case apsw.SQLError():
            return Invalid("sql.syntax", f"{error}", "See `.schema` in docs/explanation/store.md.")
        case _:
            return HomarusError("sql.failed", f"{error}", "See `homarus doctor`.")


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.resolve()))
