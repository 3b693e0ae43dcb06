"""homarus wiki"""

from typing import Any, Final

import click

from homarus.cli.change import read_text
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.output import clean
from homarus.cli.resource import given, limit_option, show_list, show_one, table
from homarus.client.paths import path_part

command = Group("wiki", help="What the company writes down, with versions.")

_COLUMNS: Final = (
    ("number", "number"),
    ("title", "title"),
    ("version", "version"),
    ("by", "updatedBy"),
    ("changed", "updatedAt"),
    ("id", "id"),
)
_VERSIONS: Final = (("version", "version"), ("title", "title"), ("by", "by"), ("at", "at"))
_file = click.Path(exists=True, dir_okay=False)


def _path(doc: str) -> str:
    return f"/wiki/docs/{path_part(doc)}"


@command.command("list")
@click.option("--search", help="With this in the title or the text.")
@click.option("--parent", help="Directly below this one: W-7, its id, or root.")
@limit_option
@pass_context
def list_(ctx: Context, search: str | None, parent: str | None, limit: int) -> None:
    """Documents, newest first."""
    show_list(
        ctx, "/wiki/docs", "docs", _COLUMNS, limit=limit, empty="No document.", search=search,
        parentId=parent,
    )  # fmt: skip


@command.command()
@click.argument("title")
@click.argument("file", type=_file, required=False)
@click.option("--parent", help="The document that it lies below.")
@pass_context
def add(ctx: Context, title: str, file: str | None, parent: str | None) -> None:
    """Write a document down: its Markdown is FILE, or empty."""
    body = given(title=title, body=read_text(file) if file else None, parentId=parent)
    show_one(ctx, ctx.api.post("/wiki/docs", body), "doc", _COLUMNS)


@command.command()
@click.argument("doc")
@click.option("--version", type=int, help="A kept version instead of the newest.")
@click.option("--text", is_flag=True, help="Only the text itself.")
@pass_context
def show(ctx: Context, doc: str, version: int | None, text: bool) -> None:
    """One document with its text: W-7 or its id."""
    reply = ctx.api.get(_path(doc), **given(version=version))
    if text and not ctx.json:
        click.echo(clean(reply["doc"]["body"]), nl=False)
        return
    show_one(ctx, reply, "doc", _COLUMNS)
    ctx.out.line()
    ctx.out.line(reply["doc"]["body"])


@command.command()
@click.argument("doc")
@pass_context
def versions(ctx: Context, doc: str) -> None:
    """The kept versions of a document, newest first."""
    reply = ctx.api.get(f"{_path(doc)}/versions")
    ctx.out.document(reply)
    table(ctx, _VERSIONS, reply["versions"], "No version.")


@command.command()
@click.argument("doc")
@click.argument("file", type=_file, required=False)
@click.option("--base", type=int, help="The version that FILE was made from; default the newest.")
@click.option("--title", help="Its new title.")
@click.option("--parent", help="Below this one; root moves it to the top.")
@pass_context
def edit(
    ctx: Context, doc: str, file: str | None, base: int | None, title: str | None,
    parent: str | None,
) -> None:  # fmt: skip
    """Change a document: its text becomes FILE, or what you make of it in your editor.

    If somebody changed it since that version, nothing is written (exit code 5).
    """
    found = ctx.api.get(_path(doc))["doc"]
    body: dict[str, Any] = given(title=title)
    if parent is not None:
        body["parentId"] = None if parent == "root" else parent
    if file is not None:
        body["body"] = read_text(file)
    elif not body:
        body["body"] = _edited(found["body"])
    reply = ctx.api.patch(_path(doc), body | {"baseVersion": base or found["version"]})
    show_one(ctx, reply, "doc", _COLUMNS)


def _edited(text: str) -> str:
    after = click.edit(text, extension=".md")
    if after is None:
        raise click.UsageError("Nothing was saved in the editor, so nothing changes.")
    return str(after)


@command.command()
@click.argument("doc")
@pass_context
def delete(ctx: Context, doc: str) -> None:
    """Remove a document that has none below it."""
    reply = ctx.api.delete(_path(doc))
    ctx.out.document(reply)
    ctx.out.line(f"{reply['doc']['number']}: deleted")
