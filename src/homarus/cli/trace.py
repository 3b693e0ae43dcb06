"""homarus trace"""

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import table
from homarus.cli.why import RECEIPTS
from homarus.client.http import path_part


@click.command("trace", cls=Command)
@click.argument("ref", metavar="ID")
@pass_context
def command(ctx: Context, ref: str) -> None:
    """Everything that belongs to one trace, in order. ID is a trace, or a task (T-192)."""
    reply = ctx.api.get(f"/trace/{path_part(ref)}")
    ctx.out.document(reply)
    table(ctx, RECEIPTS, reply.get("receipts", []), "No receipt belongs to it.")
