"""homarus mcp"""

import asyncio
from pathlib import Path

import click

from homarus.base.errors import Invalid
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context

COMPANY_TOKEN = Path("run/company.token")


@click.command("mcp", cls=Command, shows=("home", "url", "token", "company", "json"))
@click.option("--agent", help="Act for this agent alone: name or id.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False),
              help="Read the access token from this file.")  # fmt: skip
@pass_context
def command(ctx: Context, agent: str | None, token_file: Path | None) -> None:
    """Serve the company's tools to an MCP client over standard input and output.

    Acts with --token-file, --token or HOMARUS_TOKEN; otherwise with the company token of this home,
    never with the owner's: what speaks here is a model.
    """
    try:
        from homarus.mcp.stdio import serve
    except ModuleNotFoundError as error:
        from homarus.mcp import extra

        raise extra.missing() from error
    url, token = _address(ctx, token_file)
    headers = {"Authorization": f"Bearer {token}"}
    if ctx.company:
        headers["X-Homarus-Company"] = ctx.company
    if agent:
        headers["X-Homarus-Agent"] = agent
    asyncio.run(serve(url, headers))


def _address(ctx: Context, token_file: Path | None) -> tuple[str, str]:
    """URL and token. Raises `cli.no_token`, `cli.token_file`, `daemon.not_running`, OSError."""
    ctx.url = ctx.url or ctx.daemon_url()
    if token_file is None and ctx.token is None and ctx.is_own_daemon():
        token_file = ctx.home / COMPANY_TOKEN
    if token_file is not None:
        ctx.token = token_file.read_text("ascii", "replace").strip()
        if not ctx.token.isprintable() or not ctx.token:
            raise Invalid(
                "cli.token_file", f"{token_file} holds no access token", "Name another file."
            )
    return ctx.address()
