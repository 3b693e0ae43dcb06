"""homarus task"""

from typing import Any, Final

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.note import actor, assignee, text_of, timeline, write_note
from homarus.cli.resource import (
    Row,
    agent_id,
    agent_names,
    given,
    json_value,
    limit_option,
    project_id,
    show_one,
    table,
)
from homarus.client.paths import path_part

command = Group("task", help="Tasks: create, claim, report, follow. TASK is T-192 or an id.")

RESULTS: Final = ("done", "review", "failed", "queued")
MOVES: Final = ("queued", "review", "done", "failed", "blocked", "archived")


def _title(row: Row) -> Any:
    spec = row.get("inputJson") or row.get("input_json") or {}
    return row.get("title") or spec.get("title") or row.get("taskType")


_COLUMNS = (
    ("number", "number"),
    ("state", lambda row: row.get("canonicalState") or row.get("state")),
    ("priority", "priority"),
    ("title", _title),
    ("agent", lambda row: (row.get("assignedAgent") or {}).get("name") or row.get("leaseOwner")),
    ("updated", "updatedAt"),
)
_FIELDS = (
    *_COLUMNS,
    ("id", "id"),
    ("type", "taskType"),
    ("project", "projectId"),
    ("description", "description"),
    ("role", "ownerRole"),
    ("skills", "skills"),
    ("capability", "capability"),
    ("needs", "blockedByTaskIds"),
    ("done when", lambda row: row.get("definitionOfDone") or row.get("acceptanceCriteria")),
    ("lease until", "leaseUntil"),
    ("retries", "retries"),
    ("blocked because", "blockedReason"),
    ("trace", "traceId"),
    ("output", "outputJson"),
)


@command.command("list")
@click.option("--state", help="Only these: queued, in_progress, review, done, failed, …")
@click.option("--project", help="Only of this project.")
@limit_option
@pass_context
def list_(ctx: Context, state: str | None, project: str | None, limit: int) -> None:
    """Tasks, newest first."""
    query = {"state": state, "projectId": project_id(ctx, project) if project else None}
    rows = list(ctx.api.pages("/tasks", "tasks", limit=limit, **query))
    ctx.out.document({"tasks": rows})
    names = {} if ctx.json else agent_names(ctx, rows)
    columns = [
        *((name, how) for name, how in _COLUMNS if name != "agent"),
        ("agent", lambda row: names.get(row.get("assignedAgentId"), row.get("assignedAgentId"))),
    ]
    table(ctx, columns, rows, "No task.")


@command.command()
@click.argument("title")
@click.option("--project", required=True, help="The project it belongs to.")
@click.option("--type", "type_", required=True, help="A machine key such as code_review.")
@click.option("--description", help="What is to be done.")
@click.option("--done-when", multiple=True,
              help="One item of the Definition of Done; may be repeated.")  # fmt: skip
@click.option("--deliverable", "deliverables", multiple=True, help="May be repeated.")
@click.option("--needs", multiple=True, help="A task that must be done before; may be repeated.")
@click.option("--role", help="Only an agent of this role may claim it.")
@click.option("--skill", "skills", multiple=True, help="Only an agent with it; may be repeated.")
@click.option("--assign", help="Only this agent may claim it, by name or id.")
@click.option("--priority", type=int, help="Higher comes first; default 0.")
@click.option("--capability", help="The registered command that does the work.")
@click.option("--args", help="The command's arguments: a JSON object or @FILE.")
@click.option("--label", "labels", multiple=True,
              help="What gates go by: governance, domain:ROLE, L2; may be repeated.")  # fmt: skip
@click.option("--underspecified", is_flag=True, help="Accept a task that lacks some of these.")
@pass_context
def create(ctx: Context, /, title: str, project: str, **options: Any) -> None:
    """Create a task; it lands in `queued` unless a gate says otherwise."""
    body = given(
        title=title,
        projectId=project_id(ctx, project),
        taskType=options["type_"],
        description=options["description"],
        definitionOfDone=list(options["done_when"]) or None,
        deliverables=list(options["deliverables"]) or None,
        blockedByTaskIds=[task_id(ctx, ref) for ref in options["needs"]] or None,
        ownerRole=options["role"],
        skills=list(options["skills"]) or None,
        assignedAgentId=agent_id(ctx, options["assign"]) if options["assign"] else None,
        priority=options["priority"],
        capability=options["capability"],
        args=json_value(options["args"], "--args"),
        inputJson={"labels": list(options["labels"])} if options["labels"] else None,
        allowUnderspecified=options["underspecified"] or None,
    )
    show_one(ctx, ctx.api.post("/tasks", body), "task", _FIELDS)


@command.command()
@click.argument("task")
@pass_context
def show(ctx: Context, task: str) -> None:
    """One task in full."""
    show_one(ctx, ctx.api.get(f"/tasks/{path_part(task)}"), "task", _FIELDS)


@command.command()
@click.option("--agent", required=True, help="The agent that claims, by name or id.")
@click.option("--lease", type=click.IntRange(5, 3600), help="Seconds to hold it; default 600.")
@pass_context
def claim(ctx: Context, agent: str, lease: int | None) -> None:
    """Claim the next fitting task for AGENT."""
    reply = ctx.api.post("/tasks/claim", given(agentId=agent, leaseSeconds=lease))
    if reply.get("task") is None:
        ctx.out.document(reply)
        ctx.out.line(str(reply.get("message") or "Nothing fits this agent now."))
        return
    show_one(ctx, reply, "task", (*_FIELDS, ("lease token", "leaseToken")))


@command.command()
@click.argument("task")
@click.argument("agent")
@click.option("--claim", "mode", flag_value="claim", help="Claim it for the agent as well.")
@pass_context
def assign(ctx: Context, task: str, agent: str, mode: str | None) -> None:
    """Assign TASK to AGENT (name or id)."""
    reply = ctx.api.post(f"/tasks/{path_part(task)}/assign", given(agentId=agent, mode=mode))
    show_one(ctx, reply, "task", _COLUMNS)


@command.command()
@click.argument("task")
@click.argument("text")
@click.option("--agent", help="The agent that speaks, by name or id; its assignee if left out.")
@pass_context
def note(ctx: Context, task: str, text: str, agent: str | None) -> None:
    """Write a note on TASK."""
    write_note(ctx, task, text, agent)


@command.command()
@click.argument("task")
@click.argument("state", type=click.Choice(RESULTS))
@click.option("--agent", help="The agent that holds it, by name or id; its assignee if left out.")
@click.option("--output", help="What came out: JSON or @FILE.")
@click.option("--comment", help="A word to the reviewer.")
@click.option("--lease-token", type=int, help="The lease it was done under.")
@pass_context
def result(
    ctx: Context,
    task: str,
    state: str,
    agent: str | None,
    output: str | None,
    comment: str | None,
    lease_token: int | None,
) -> None:
    """Report what became of a claimed TASK."""
    if agent is None:
        agent = assignee(ctx, task)
    body = given(
        state=state,
        agentId=agent,
        outputJson=json_value(output, "--output"),
        comment=comment,
        leaseToken=lease_token,
    )
    show_one(ctx, ctx.api.post(f"/tasks/{path_part(task)}/result", body), "task", _COLUMNS)


@command.command()
@click.argument("task")
@pass_context
def log(ctx: Context, task: str) -> None:
    """What happened to TASK, oldest first."""
    events = timeline(ctx, task)
    ctx.out.document({"events": events})
    columns = (("at", "createdAt"), ("event", "eventType"), ("by", actor), ("text", text_of))
    table(ctx, columns, events, "Nothing happened to it yet.")


@command.command()
@click.argument("task")
@click.argument("state", type=click.Choice(MOVES))
@click.option("--reason", help="Why; kept with the task.")
@pass_context
def move(ctx: Context, task: str, state: str, reason: str | None) -> None:
    """Move TASK by hand: queue it again, accept it, reopen it."""
    body = given(state=state, reason=reason)
    show_one(ctx, ctx.api.post(f"/tasks/{path_part(task)}/move", body), "task", _COLUMNS)


@command.command()
@click.argument("task")
@pass_context
def delete(ctx: Context, task: str) -> None:
    """Archive TASK; it leaves the lists and stays in the ledger."""
    show_one(ctx, ctx.api.delete(f"/tasks/{path_part(task)}"), "task", _COLUMNS)


def task_id(ctx: Context, ref: str) -> str:
    """The id of T-192."""
    return str(ctx.api.get(f"/tasks/{path_part(ref)}")["task"]["id"])
