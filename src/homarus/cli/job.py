"""homarus job"""

from typing import Any

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("job", help="Work that comes again: recurring tasks and schedules.")


def _state(row: Any) -> str:
    return "active" if row.get("active") else "paused"


_COLUMNS = (
    ("number", "number"),
    ("name", "name"),
    ("state", _state),
    ("cron (UTC)", "cronExpression"),
    ("next", "nextRunAt"),
    ("last", "lastRunAt"),
    ("runs", "runs"),
)
_WHOLE = (
    *_COLUMNS,
    ("kind", "kind"),
    ("task type", "taskType"),
    ("project", "projectId"),
    ("agent", "agentId"),
    ("priority", "priority"),
    ("created by", "createdBy"),
)


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Jobs, newest first."""
    show_list(ctx, "/jobs", "jobs", _COLUMNS, limit=limit, empty="No job.")


@command.command()
@click.argument("job")
@pass_context
def show(ctx: Context, job: str) -> None:
    """One job, by number (J-4) or id."""
    show_one(ctx, ctx.api.get(f"/jobs/{path_part(job)}"), "job", _WHOLE)


@command.command()
@click.argument("job")
@pass_context
def run(ctx: Context, job: str) -> None:
    """Spawn its task now, also of a paused one."""
    reply = ctx.api.post(f"/jobs/{path_part(job)}/run", {})
    columns = (("number", "number"), ("title", "title"), ("state", "canonicalState"))
    show_one(ctx, reply, "task", columns)
