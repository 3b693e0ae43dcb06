"""homarus agent"""

from typing import Any

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, given, limit_option, show_list, show_one

command = Group("agent", help="Agents of the company.")

_COLUMNS = (
    ("name", "name"),
    ("role", "role"),
    ("status", "status"),
    ("trust", "trust"),
    ("load", "currentLoad"),
    ("limit", "concurrencyLimit"),
    ("last seen", "lastSeenAt"),
    ("id", "id"),
)
_FIELDS = (*_COLUMNS, ("skills", "skillsJson"), ("budget", "budgetStatus"), ("memory", "memory"))


def _settings(function: Any) -> Any:
    for option in (
        click.option("--memory", help="What it should remember from the start."),
        click.option("--concurrency", type=click.IntRange(0), help="Tasks at one time."),
        click.option("--skill", "skills", multiple=True, help="A skill; may be repeated."),
        click.option("--role", help="Its role; tasks can ask for one."),
    ):
        function = option(function)
    return function


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """All agents, newest first."""
    empty = "No agent yet. Create one: homarus agent create NAME --role ROLE"
    show_list(ctx, "/agents", "agents", _COLUMNS, limit=limit, empty=empty)


@command.command()
@click.argument("name")
@_settings
@pass_context
def create(
    ctx: Context,
    name: str,
    role: str | None,
    skills: tuple[str, ...],
    concurrency: int | None,
    memory: str | None,
) -> None:
    """Create an agent."""
    body = given(name=name, **_body(role, skills, concurrency, memory))
    show_one(ctx, ctx.api.post("/agents", body), "agent", _FIELDS)


@command.command()
@click.argument("agent")
@pass_context
def show(ctx: Context, agent: str) -> None:
    """One agent, by name or id."""
    show_one(ctx, ctx.api.get(f"/agents/{agent_id(ctx, agent)}"), "agent", _FIELDS)


@command.command()
@click.argument("agent")
@click.option("--name", help="A new name.")
@click.option(
    "--executor",
    type=click.Choice(["external", "command"]),
    help="Who does its work: a client that claims it, or this daemon.",
)
@click.option(
    "--suspend/--resume",
    "suspended",
    default=None,
    help="Keep it from all but reading, or restore it.",
)
@_settings
@pass_context
def update(
    ctx: Context,
    agent: str,
    name: str | None,
    executor: str | None,
    suspended: bool | None,
    role: str | None,
    skills: tuple[str, ...],
    concurrency: int | None,
    memory: str | None,
) -> None:
    """Change an agent; what is not given stays."""
    body = given(
        name=name, executor=executor, suspended=suspended,
        **_body(role, skills, concurrency, memory),
    )  # fmt: skip
    if not body:
        raise click.UsageError("Nothing to change: give at least one option.")
    show_one(ctx, ctx.api.patch(f"/agents/{agent_id(ctx, agent)}", body), "agent", _FIELDS)


@command.command()
@click.argument("agent")
@pass_context
def delete(ctx: Context, agent: str) -> None:
    """Remove an agent; what it did stays in the ledger."""
    show_one(ctx, ctx.api.delete(f"/agents/{agent_id(ctx, agent)}"), "agent", _COLUMNS)


def _body(
    role: str | None, skills: tuple[str, ...], concurrency: int | None, memory: str | None
) -> dict[str, Any]:
    return given(
        role=role, skillsJson=list(skills) or None, concurrencyLimit=concurrency, memory=memory
    )
