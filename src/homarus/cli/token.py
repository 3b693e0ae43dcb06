"""homarus token"""

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, given, limit_option, show_list
from homarus.client.paths import path_part

command = Group("token", help="Access tokens.")

KINDS = ("runtime", "agent", "operator", "service")
ROLES = ("viewer", "operator", "approver", "owner")
_COLUMNS = (
    ("name", "name"),
    ("kind", "kind"),
    ("role", "role"),
    ("scope", "scope"),
    ("expires", "expiresAt"),
    ("revoked", "revokedAt"),
    ("id", "id"),
)


@command.command()
@pass_context
def show(ctx: Context) -> None:
    """Print the owner token of this home."""
    secret = ctx.owner_token()
    ctx.out.document({"token": secret})
    ctx.out.line(secret)


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """The company's tokens, never their secrets."""
    show_list(ctx, "/tokens", "tokens", _COLUMNS, limit=limit, empty="No token.")


@command.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="runtime", show_default=True,
              help="Whom it stands for.")  # fmt: skip
@click.option("--agent", help="Kind agent: whose it is, by name or id.")
@click.option("--role", type=click.Choice(ROLES), help="Kind operator: the person's role.")
@click.option("--scope", type=click.Choice(["mcp_full", "mcp_danger"]), help="Default mcp_full.")
@pass_context
def create(
    ctx: Context, name: str, kind: str, agent: str | None, role: str | None, scope: str | None
) -> None:
    """Mint a token; its secret is shown this once."""
    body = given(
        name=name,
        kind=kind,
        agentId=agent_id(ctx, agent) if agent else None,
        role=role,
        scope=scope,
    )
    reply = ctx.api.post_once("/tokens", body)
    ctx.out.document(reply)
    ctx.out.line(reply["secret"])


@command.command()
@click.argument("token_id", metavar="TOKEN")
@pass_context
def revoke(ctx: Context, token_id: str) -> None:
    """End a token, by id. Its sockets close."""
    reply = ctx.api.delete(f"/tokens/{path_part(token_id)}")
    ctx.out.document(reply)
    ctx.out.line(f"Revoked {reply.get('token', {}).get('name', token_id)}.")


@command.command()
@click.argument("token_id", metavar="TOKEN")
@click.argument("agent")
@pass_context
def grant(ctx: Context, token_id: str, agent: str) -> None:
    """Let the company token TOKEN (an id) act for AGENT."""
    reply = ctx.api.post(f"/tokens/{path_part(token_id)}/grants", {"agentId": agent_id(ctx, agent)})
    ctx.out.document(reply)
    ctx.out.line(f"The token may now act for {agent}.")
