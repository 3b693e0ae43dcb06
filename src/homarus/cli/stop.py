"""homarus stop"""

import click

from homarus.base.errors import Invalid
from homarus.base.ids import is_uuid
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, given, limit_option, project_id, show_list, show_one
from homarus.client.paths import path_part

command = Group("stop", help="STOP: nothing of the scope may have an effect until it is lifted.")

SCOPES = ("company", "project", "agent", "task", "trace")
_COLUMNS = (
    ("scope", "scope"),
    ("subject", "subject"),
    ("reason", "reason"),
    ("by", "by"),
    ("since", "createdAt"),
    ("id", "id"),
)


@command.command("set")
@click.argument("scope", type=click.Choice(SCOPES))
@click.argument("subject", required=False)
@click.option("--reason", default="stopped from the command line", show_default=True)
@pass_context
def set_(ctx: Context, scope: str, subject: str | None, reason: str) -> None:
    """Stop SCOPE. SUBJECT says which project, agent, task or trace."""
    if (scope == "company") != (subject is None):
        raise click.UsageError("Give SUBJECT for every scope but company.")
    if scope == "agent" and subject:
        subject = agent_id(ctx, subject)
    elif scope == "project" and subject:
        subject = project_id(ctx, subject)
    elif scope == "task" and subject:
        subject = ctx.api.get(f"/tasks/{path_part(subject)}")["task"]["id"]
    body = given(scope=scope, subject=subject, reason=reason)
    show_one(ctx, ctx.api.post("/stops", body), "stop", _COLUMNS)


@command.command()
@click.argument("stop")
@pass_context
def lift(ctx: Context, stop: str) -> None:
    """Lift a STOP, by its id."""
    if not is_uuid(stop.lower()):
        raise Invalid("cli.stop", f"{stop[:80]!r} is no id of a STOP", "See `homarus stop list`.")
    show_one(ctx, ctx.api.delete(f"/stops/{path_part(stop)}"), "stop", _COLUMNS)


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """The STOPs in force."""
    show_list(ctx, "/stops", "stops", _COLUMNS, limit=limit, empty="No STOP is in force.")
