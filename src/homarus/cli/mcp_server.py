"""homarus capability mcp"""

from typing import Final

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("mcp", help="MCP servers whose tools agents may be granted.")

_COLUMNS: Final = (
    ("name", "name"),
    ("transport", "transport"),
    ("enabled", "enabled"),
    ("lookedAt", "looked at"),
    ("fault", "fault"),
)
_FIELDS: Final = (
    *_COLUMNS,
    ("argv", "argv"),
    ("url", "url"),
    ("headers", "headers"),
    ("reads", "reads"),
    ("hosts", "hosts"),
    ("tools", "tools"),
)


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Registered MCP servers."""
    show_list(ctx, "/mcp-servers", "servers", _COLUMNS, limit=limit, empty="None is registered.")


@command.command()
@click.argument("name")
@click.argument("argv", nargs=-1)
@click.option("--endpoint", help="URL of a server on HTTP, instead of a command line.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE",
              help="Of a server on HTTP; a secret as secret://NAME; may be repeated.")  # fmt: skip
@click.option("--reads", multiple=True, help="A tool that only reads; may be repeated.")
@click.option("--host", "hosts", multiple=True,
              help="A host that a command's server may reach; may be repeated.")  # fmt: skip
@pass_context
def add(
    ctx: Context, name: str, argv: tuple[str, ...], endpoint: str | None, headers: tuple[str, ...],
    reads: tuple[str, ...], hosts: tuple[str, ...],
) -> None:  # fmt: skip
    """Register a server: its command line (put `--` before it), or --endpoint.

    Its tools then wait for their grants: `homarus capability grant`.
    """
    pairs = {}
    for text in headers:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--header")
        pairs[key] = value
    body = given(
        name=name, argv=argv, url=endpoint, headers=pairs or None, reads=reads, hosts=hosts
    )
    show_one(ctx, ctx.api.post("/mcp-servers", body), "server", _FIELDS)


@command.command()
@click.argument("name")
@pass_context
def show(ctx: Context, name: str) -> None:
    """A server and its tools, each with whether it is granted or waits."""
    show_one(ctx, ctx.api.get(f"/mcp-servers/{path_part(name)}"), "server", _FIELDS)


@command.command()
@click.argument("name")
@pass_context
def look(ctx: Context, name: str) -> None:
    """Have its tools listed anew."""
    show_one(ctx, ctx.api.post(f"/mcp-servers/{path_part(name)}/look"), "server", _FIELDS)


@command.command()
@click.argument("name")
@pass_context
def remove(ctx: Context, name: str) -> None:
    """Offer its tools no longer."""
    show_one(ctx, ctx.api.delete(f"/mcp-servers/{path_part(name)}"), "server", _FIELDS)
