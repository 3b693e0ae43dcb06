"""homarus checklist"""

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, table

_COLUMNS = (("item", "id"), ("answer", "answer"), ("says", "text"), ("because", "evidence"))


@click.command("checklist", cls=Command)
@click.argument("agent")
@click.option("--task", help="About this task: T-192 or its id.")
@pass_context
def command(ctx: Context, agent: str, task: str | None) -> None:
    """The manual's checklists for AGENT, answered from the store."""
    reply = ctx.api.get(f"/agents/{agent_id(ctx, agent)}/checklist", taskId=task)
    ctx.out.document(reply)
    table(ctx, _COLUMNS, reply["checklist"]["items"], "")
