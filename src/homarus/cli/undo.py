"""homarus undo"""

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.client.paths import path_part


@click.command("undo", cls=Command)
@click.argument("receipt")
@pass_context
def command(ctx: Context, receipt: str) -> None:
    """Undo a local write whose former version is kept.

    RECEIPT is its id, as `homarus why` shows it. Can be undone: a written memory, a task's move or
    assignment, a removed incident, each while nothing came after it.
    """
    reply = ctx.api.post(f"/receipts/{path_part(receipt)}/undo", {})
    ctx.out.document(reply)
    ctx.out.line((reply.get("undone") or {}).get("what", ""))
