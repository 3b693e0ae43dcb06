"""homarus note"""

from typing import Any

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import table
from homarus.client.paths import path_part

command = Group("note", help="Notes on tasks.")

KINDS = ("task_note", "task_handoff")


@command.command()
@click.argument("task")
@click.argument("text")
@click.option("--agent", help="The agent that speaks, by name or id; its assignee if left out.")
@pass_context
def add(ctx: Context, task: str, text: str, agent: str | None) -> None:
    """Write a note on TASK."""
    write_note(ctx, task, text, agent)


@command.command("list")
@click.argument("task")
@pass_context
def list_(ctx: Context, task: str) -> None:
    """The notes and hand-overs of TASK, oldest first."""
    events = timeline(ctx, task)
    notes = [event for event in events if event.get("eventType") in KINDS]
    ctx.out.document({"notes": notes})
    columns = (("at", "createdAt"), ("by", actor), ("text", text_of))
    table(ctx, columns, notes, "No note.")


def write_note(ctx: Context, task: str, text: str, agent: str | None) -> None:
    body = {"note": text, "agentId": agent or assignee(ctx, task)}
    reply = ctx.api.post(f"/tasks/{path_part(task)}/notes", body)
    ctx.out.document(reply)
    ctx.out.line(str(reply.get("message", "noted")))


def assignee(ctx: Context, task: str) -> str:
    """The agent that a task is assigned to; a usage error where there is none."""
    found = ctx.api.get(f"/tasks/{path_part(task)}")["task"].get("assignedAgentId")
    if not found:
        raise click.UsageError(f"{task} has no agent: give --agent.")
    return str(found)


def timeline(ctx: Context, task: str) -> list[dict[str, Any]]:
    """The events of a task, oldest first."""
    return list(ctx.api.get(f"/tasks/{path_part(task)}/notes").get("events", []))


def actor(event: Any) -> str:
    payload = event.get("payloadJson") or {}
    return str(payload.get("agentName") or event.get("actorId") or event.get("actorType") or "")


def text_of(event: Any) -> str:
    payload = event.get("payloadJson") or {}
    handoff = payload.get("handoff") or {}
    words = (payload.get("note"), handoff.get("summary"), payload.get("comment"))
    return next((str(word) for word in words if word), "")
