"""homarus project"""

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, given, limit_option, project_id, show_list, show_one

command = Group("project", help="Projects of the company.")

STATUSES = ("active", "paused", "killed", "completed")
_COLUMNS = (
    ("number", "number"),
    ("goal", "goal"),
    ("status", "status"),
    ("max agents", "maxActiveAgents"),
    ("created", "createdAt"),
    ("id", "id"),
)


@command.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@limit_option
@pass_context
def list_(ctx: Context, status: str | None, limit: int) -> None:
    """All projects, newest first."""
    empty = "No project yet. Create one: homarus project create GOAL"
    show_list(ctx, "/projects", "projects", _COLUMNS, limit=limit, empty=empty, status=status)


@command.command()
@click.argument("goal")
@click.option("--lead", help="Its leading agent, by name or id.")
@click.option("--max-agents", type=click.IntRange(1), help="Agents that may work in it at once.")
@click.option("--review/--no-review", default=None, help="Whether done needs a review first.")
@pass_context
def create(
    ctx: Context, goal: str, lead: str | None, max_agents: int | None, review: bool | None
) -> None:
    """Create a project."""
    body = given(
        goal=goal,
        leadAgentId=agent_id(ctx, lead) if lead else None,
        maxActiveAgents=max_agents,
        requireReviewBeforeDone=review,
    )
    show_one(ctx, ctx.api.post("/projects", body), "project", _COLUMNS)


@command.command()
@click.argument("project")
@pass_context
def show(ctx: Context, project: str) -> None:
    """One project, by id, number or exact goal."""
    show_one(ctx, ctx.api.get(f"/projects/{project_id(ctx, project)}"), "project", _COLUMNS)


@command.command()
@click.argument("project")
@click.option("--goal")
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--lead", help="Its leading agent, by name or id.")
@click.option("--max-agents", type=click.IntRange(1))
@click.option("--review/--no-review", default=None, help="Whether done needs a review first.")
@pass_context
def update(
    ctx: Context,
    project: str,
    goal: str | None,
    status: str | None,
    lead: str | None,
    max_agents: int | None,
    review: bool | None,
) -> None:
    """Change a project; what is not given stays."""
    body = given(
        goal=goal,
        status=status,
        leadAgentId=agent_id(ctx, lead) if lead else None,
        maxActiveAgents=max_agents,
        requireReviewBeforeDone=review,
    )
    if not body:
        raise click.UsageError("Nothing to change: give at least one option.")
    show_one(ctx, ctx.api.patch(f"/projects/{project_id(ctx, project)}", body), "project", _COLUMNS)
