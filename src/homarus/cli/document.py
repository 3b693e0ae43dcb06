"""homarus document"""

from urllib.parse import urlencode

import click

from homarus.cli.change import read_text, texts
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.output import clean
from homarus.cli.resource import limit_option, show_list, show_one

command = Group("document", help="Documents of the main space.")

_COLUMNS = (
    ("path", "path"),
    ("class", "class"),
    ("kind", "kind"),
    ("version", "version"),
    ("state", "state"),
    ("change", "change"),
    ("approved", "approvedAt"),
)


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Documents of the company."""
    show_list(ctx, "/documents", "documents", _COLUMNS, limit=limit, empty="No document.")


@command.command()
@click.argument("path")
@click.option("--text", is_flag=True, help="Only the text itself.")
@pass_context
def show(ctx: Context, path: str, text: bool) -> None:
    """A document: the text in force. Reading a governed one leaves a receipt."""
    reply = ctx.api.get(f"/documents/content?{urlencode({'path': path})}")
    if text and not ctx.json:
        click.echo(clean(reply["document"]["content"]), nl=False)
        return
    show_one(ctx, reply, "document", _COLUMNS)
    ctx.out.line()
    ctx.out.line(reply["document"]["content"])


@command.command()
@click.argument("path")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@texts
@click.option("--title", default="", help="Its title.")
@pass_context
def edit(
    ctx: Context,
    path: str,
    file: str,
    intent: str,
    impact: str,
    rollback_plan: str,
    validation: str,
    title: str,
) -> None:
    """Propose FILE as the document's next text (as `homarus change new` does with --document)."""
    patch = {"path": path, "content": read_text(file)} | ({"title": title} if title else {})
    body = {
        "kind": "governed_document",
        "patch": patch,
        "intent": intent,
        "impact": impact,
        "rollbackPlan": rollback_plan,
        "validation": validation,
    }
    reply = ctx.api.post("/changes", body)
    number = reply["change"]["number"]
    show_one(ctx, reply, "change", (("number", "number"), ("status", "status")))
    ctx.out.line(f"Next: homarus change validate {number}")


@command.command()
@click.argument("path")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--title", default="", help="Its title.")
@pass_context
def write(ctx: Context, path: str, file: str, title: str) -> None:
    """Write a plain document at once. A governed one is refused: see `edit`."""
    body = {"path": path, "content": read_text(file), "title": title}
    show_one(ctx, ctx.api.put("/documents/content", body), "document", _COLUMNS)
