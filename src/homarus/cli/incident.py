"""homarus incident"""

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, project_id, show_list, show_one
from homarus.client.paths import path_part

command = Group("incident", help="What went wrong and who looks after it.")

SEVERITIES = ("low", "medium", "high", "critical")
STATUSES = ("open", "acknowledged", "resolved")
_COLUMNS = (
    ("severity", "severity"),
    ("status", "status"),
    ("reason", "reasonCode"),
    ("summary", "summary"),
    ("task", "taskId"),
    ("opened", "createdAt"),
    ("id", "id"),
)


@command.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@limit_option
@pass_context
def list_(ctx: Context, status: str | None, limit: int) -> None:
    """Incidents, newest first."""
    show_list(
        ctx, "/incidents", "incidents", _COLUMNS, limit=limit, empty="No incident.", status=status
    )


@command.command("open")
@click.argument("summary")
@click.option("--severity", type=click.Choice(SEVERITIES), default="medium", show_default=True)
@click.option("--reason", default="reported", show_default=True, help="A short machine key.")
@click.option("--task", help="The task it concerns: T-192 or its id.")
@click.option("--project", help="The project it concerns.")
@pass_context
def open_(
    ctx: Context, summary: str, severity: str, reason: str, task: str | None, project: str | None
) -> None:
    """Open an incident about a task or a project."""
    if (task is None) == (project is None):
        raise click.UsageError("Give --task or --project.")
    task_ref = None
    if task is not None:
        task_ref = ctx.api.get(f"/tasks/{path_part(task)}")["task"]["id"]
    body = given(
        severity=severity,
        reasonCode=reason,
        summary=summary,
        taskId=task_ref,
        projectId=project_id(ctx, project) if project else None,
    )
    show_one(ctx, ctx.api.post("/incidents", body), "incident", _COLUMNS)


@command.command()
@click.argument("incident")
@pass_context
def show(ctx: Context, incident: str) -> None:
    """One incident."""
    show_one(ctx, ctx.api.get(f"/incidents/{path_part(incident)}"), "incident", _COLUMNS)


@command.command()
@click.argument("incident")
@click.option("--summary", help="What was found.")
@pass_context
def resolve(ctx: Context, incident: str, summary: str | None) -> None:
    """Close an incident."""
    body = given(status="resolved", summary=summary)
    reply = ctx.api.patch(f"/incidents/{path_part(incident)}", body)
    show_one(ctx, reply, "incident", _COLUMNS)
