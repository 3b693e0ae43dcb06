"""What the commands of one resource share: lists, single rows, references, values from files."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from homarus.base.errors import Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.cli.context import Context

Row = Mapping[str, Any]
Columns = Sequence[tuple[str, str | Callable[[Row], Any]]]
"""Header, and the field's name or a function of the row."""

DEFAULT_ROWS: Final = 50
MAX_ROWS: Final = 100_000
MAX_VALUE_BYTES: Final = 1_000_000
MAX_SCANNED: Final = 10_000

limit_option = click.option(
    "--limit", type=click.IntRange(1, MAX_ROWS), default=DEFAULT_ROWS, show_default=True,
    help="At most this many rows.",
)  # fmt: skip


def show_list(
    ctx: Context,
    path: str,
    noun: str,
    columns: Columns,
    *,
    limit: int,
    empty: str,
    **query: Any,
) -> None:
    """A list as a table, or `{noun: [...]}` with --json."""
    rows = list(ctx.api.pages(path, noun, limit=limit, **query))
    ctx.out.document({noun: rows})
    table(ctx, columns, rows, empty)


def table(ctx: Context, columns: Columns, rows: Sequence[Row], empty: str) -> None:
    ctx.out.table(
        [name for name, _ in columns],
        [[_value(row, how) for _, how in columns] for row in rows],
        empty,
    )


def show_one(ctx: Context, reply: Row, noun: str, columns: Columns) -> None:
    """One row as fields, or the daemon's reply with --json."""
    ctx.out.document(reply)
    row = reply.get(noun) or {}
    ctx.out.fields([(name, _value(row, how)) for name, how in columns])


def _value(row: Row, how: str | Callable[[Row], Any]) -> Any:
    return row.get(how) if isinstance(how, str) else how(row)


def given(**values: Any) -> dict[str, Any]:
    """The body's fields that the caller gave."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def json_value(text: str | None, what: str) -> Any:
    """JSON given as text, or `@FILE`. Raises `cli.json`."""
    if text is None:
        return None
    if text.startswith("@"):
        path = Path(text[1:])
        if path.stat().st_size > MAX_VALUE_BYTES:
            raise Invalid(
                "cli.json", f"{path} passes {MAX_VALUE_BYTES} bytes", "Upload it as an artifact."
            )
        text = path.read_text("utf-8")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(
            "cli.json", f"{what} is no JSON: {error}", "Quote it, or use @FILE."
        ) from None


def reference(ctx: Context, ref: str, path: str, noun: str, *fields: str) -> str:
    """The id of a thing named by id or by one of its `fields`. Raises `cli.unknown`."""
    if is_uuid(ref.lower()):
        return ref.lower()
    for row in ctx.api.pages(path, noun, limit=MAX_SCANNED):
        if any(str(row.get(field, "")) == ref for field in fields):
            return str(row["id"])
    raise NotFound(
        "cli.unknown", f"none of the {noun} is called {ref!r}", f"See `homarus {noun[:-1]} list`."
    )


def agent_id(ctx: Context, ref: str) -> str:
    return reference(ctx, ref, "/agents", "agents", "name")


def agent_names(ctx: Context, rows: Sequence[Row]) -> dict[Any, str]:
    """Names of the agents that `rows` of tasks are assigned to, by id."""
    if not any(row.get("assignedAgentId") for row in rows):
        return {}
    return {row["id"]: row["name"] for row in ctx.api.pages("/agents", "agents", limit=MAX_SCANNED)}


def project_id(ctx: Context, ref: str) -> str:
    return reference(ctx, ref, "/projects", "projects", "number", "goal")
