"""homarus event"""

import time
from typing import Any, Final

import click

from homarus.base.clock import iso_ms
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("event", help="The company's calendar.")

_COLUMNS: Final = (
    ("number", "number"),
    ("start", "start"),
    ("end", "end"),
    ("zone", "timezone"),
    ("title", "title"),
    ("location", "location"),
)
_FIELDS: Final = (
    *_COLUMNS,
    ("attendees", lambda row: ", ".join(row.get("attendees") or ())),
    ("task", "taskId"),
    ("description", "description"),
    ("id", "id"),
)


def _path(event: str) -> str:
    return f"/calendar/events/{path_part(event)}"


def _options(function: Any) -> Any:
    """What an event consists of beside its title."""
    for option in reversed((
        click.option("--start", help="2026-11-20T09:30, or with --all-day 2026-11-20."),
        click.option("--end", help="The same; an hour or a day after the start if left out."),
        click.option("--zone", help="Whose clock that is: Europe/Berlin; default the company's."),
        click.option("--all-day/--timed", "all_day", default=None, help="Whole days."),
        click.option("--location", help="Where."),
        click.option("--attendee", "attendees", multiple=True, help="Who comes; repeatable."),
        click.option("--task", help="The task that it belongs to: T-12 or its id."),
        click.option("--description", help="More about it."),
    )):  # fmt: skip
        function = option(function)
    return function


def _body(**values: Any) -> dict[str, Any]:
    return given(
        timezone=values.pop("zone"),
        allDay=values.pop("all_day"),
        taskId=values.pop("task"),
        **values,
    )


@command.command("list")
@click.option("--from", "from_", help="Not over before this time; default now.")
@click.option("--to", help="Begun before this time.")
@click.option("--all", "all_", is_flag=True, help="Past ones too.")
@click.option("--task", help="Only of this task.")
@limit_option
@pass_context
def list_(
    ctx: Context, from_: str | None, to: str | None, all_: bool, task: str | None, limit: int
) -> None:
    """Events by their start, those to come unless told otherwise."""
    if from_ is None and not all_:
        from_ = iso_ms(int(time.time() * 1000))
    show_list(
        ctx, "/calendar/events", "events", _COLUMNS, limit=limit, empty="No event.", to=to,
        taskId=task, **{"from": from_},
    )  # fmt: skip


@command.command()
@click.argument("title")
@_options
@pass_context
def add(ctx: Context, /, title: str, **values: Any) -> None:
    """Put an event into the calendar."""
    if values["start"] is None:
        raise click.UsageError("Give --start.")
    show_one(ctx, ctx.api.post("/calendar/events", _body(title=title, **values)), "event", _FIELDS)


@command.command()
@click.argument("event")
@pass_context
def show(ctx: Context, event: str) -> None:
    """One EVENT: E-4 or its id."""
    show_one(ctx, ctx.api.get(_path(event)), "event", _FIELDS)


@command.command()
@click.argument("event")
@click.option("--title", help="What it is called.")
@_options
@pass_context
def update(ctx: Context, /, event: str, **values: Any) -> None:
    """Change an EVENT. One whose start alone moves keeps its length."""
    show_one(ctx, ctx.api.patch(_path(event), _body(**values)), "event", _FIELDS)


@command.command()
@click.argument("event")
@pass_context
def delete(ctx: Context, event: str) -> None:
    """Take an EVENT out of the calendar."""
    reply = ctx.api.delete(_path(event))
    ctx.out.document(reply)
    ctx.out.line(f"{reply['event']['number']}: deleted")
