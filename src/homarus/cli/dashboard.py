"""homarus dashboard"""

import webbrowser

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context


@click.command("dashboard", cls=Command)
@click.option("--print", "only_print", is_flag=True, help="Only print the link.")
@pass_context
def command(ctx: Context, only_print: bool) -> None:
    """Open the live page in a browser, with a code that is good for one use."""
    link = ctx.api.post("/dashboard/codes")["url"]
    ctx.out.document({"url": link})
    ctx.out.line(link)
    if not (only_print or ctx.json or webbrowser.open(link)):
        click.echo("No browser could be opened; open the link yourself.", err=True)
