"""homarus route"""

from typing import Any

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, show_one, table
from homarus.client.paths import path_part

command = Group("route", help="Gates of a task, its brief, audit and acceptance.")


def _evidence(row: Any) -> str:
    found = row["evidence"]
    return str(found.get("why") or ", ".join(f"{k}: {v}" for k, v in found.items()))


_FIELDS = (("level", "level"), ("held because", "reason"), ("requester", "requester"))
_VERDICTS = (("gate", "gate"), ("asks for", "name"), ("verdict", "verdict"), ("because", _evidence))
_PARTS = (("part", "part"), ("who", "actor"), ("outcome", "outcome"), ("note", "note"))
_BRIEF = (
    ("goal", "goal"),
    ("scope", "scope"),
    ("plan", "plan"),
    ("risks", "risks"),
    ("acceptance", "acceptance"),
    ("author", "author"),
    ("decision", "decision"),
)
_TASK = (("number", "number"), ("state", "canonicalState"), ("title", "title"))
_note = click.option("--note", help="Why.")


@command.command()
@click.argument("task")
@pass_context
def show(ctx: Context, task: str) -> None:
    """What the gates found of a task, and what its level asks for."""
    reply = ctx.api.get(f"/tasks/{path_part(task)}/gates")
    show_one(ctx, reply, "gates", _FIELDS)
    found = reply["gates"]
    table(ctx, _VERDICTS, found["decisions"][0]["verdicts"] if found["decisions"] else [], "None.")
    if found["brief"] is not None:
        ctx.out.fields([(name, found["brief"][key]) for name, key in _BRIEF])
    if found["parts"]:
        table(ctx, _PARTS, found["parts"], "")


@command.command()
@click.argument("task")
@click.argument("decision", type=click.Choice(("confirm", "amend", "reject")))
@_note
@pass_context
def brief(ctx: Context, task: str, decision: str, note: str | None) -> None:
    """Answer the reverse brief of an L2 task."""
    body = given(decision=decision, note=note)
    reply = ctx.api.post(f"/tasks/{path_part(task)}/brief/decision", body)
    show_one(ctx, reply, "brief", _BRIEF)


@command.command()
@click.argument("task")
@click.argument("outcome", type=click.Choice(("pass", "reject")))
@_note
@pass_context
def audit(ctx: Context, task: str, outcome: str, note: str | None) -> None:
    """Audit an L3 task before anybody implements it."""
    reply = ctx.api.post(f"/tasks/{path_part(task)}/audit", given(outcome=outcome, note=note))
    show_one(ctx, reply, "task", _TASK)


@command.command()
@click.argument("task")
@click.argument("outcome", type=click.Choice(("accept", "return")))
@_note
@pass_context
def accept(ctx: Context, task: str, outcome: str, note: str | None) -> None:
    """Accept finished L3 work, or return it with a reason."""
    reply = ctx.api.post(f"/tasks/{path_part(task)}/acceptance", given(outcome=outcome, note=note))
    show_one(ctx, reply, "task", _TASK)
