"""homarus backup"""

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context


@click.command("backup", cls=Command)
@pass_context
def command(ctx: Context) -> None:
    """Copy."""
    ctx.out.document(ctx.api.post("/backups"))
