"""homarus approval"""

from typing import Any

import click

from homarus.base.errors import NotFound
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, given, limit_option, project_id, show_list, show_one
from homarus.client.paths import path_part

command = Group("approval", help="What waits for a person's yes, and the answers.")

STATUSES = ("pending", "approved", "rejected", "expired", "voided", "cancelled", "used")
_COLUMNS = (
    ("number", "number"),
    ("status", "status"),
    ("risk", "risk"),
    ("what", "what"),
    ("scope", "scope"),
    ("asked by", "requester"),
    ("expires", "expiresAt"),
)
_FIELDS = (
    *_COLUMNS,
    ("capability", "capability"),
    ("target", "target"),
    ("payload", "payloadHash"),
    ("reason", "rationale"),
    ("cost", "cost"),
    ("answered by", "resolverUserId"),
    ("answered", "resolvedAt"),
    ("note", "resolutionNote"),
    ("id", "id"),
)


@command.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--task", help="Only about this task.")
@click.option("--agent", help="Only of this agent.")
@click.option("--project", help="Only of this project.")
@limit_option
@pass_context
def list_(
    ctx: Context,
    status: str | None,
    task: str | None,
    agent: str | None,
    project: str | None,
    limit: int,
) -> None:
    """Approvals, newest first."""
    query: dict[str, Any] = given(
        status=status,
        taskId=task,
        agentId=agent_id(ctx, agent) if agent else None,
        projectId=project_id(ctx, project) if project else None,
    )
    show_list(ctx, "/approvals", "approvals", _COLUMNS, limit=limit, empty="No approval.", **query)


@command.command()
@click.argument("approval")
@pass_context
def show(ctx: Context, approval: str) -> None:
    """One approval: A-7 or its id."""
    show_one(ctx, ctx.api.get(f"/approvals/{path_part(approval)}"), "approval", _FIELDS)


@command.command()
@click.argument("approval")
@click.option("--note", help="Kept with the answer.")
@pass_context
def approve(ctx: Context, approval: str, note: str | None) -> None:
    """Approve what was asked; who asked cannot."""
    _answer(ctx, approval, "approve", note)


@command.command()
@click.argument("approval")
@click.option("--note", required=True, help="Why not; the agent is told.")
@pass_context
def reject(ctx: Context, approval: str, note: str) -> None:
    """Reject what was asked; its task stays blocked."""
    _answer(ctx, approval, "reject", note)


@command.command()
@click.argument("approval")
@click.option("--note", help="Kept with it.")
@pass_context
def cancel(ctx: Context, approval: str, note: str | None) -> None:
    """Withdraw a request; what waited for it is queued again."""
    _answer(ctx, approval, "cancel", note)


@command.command("webhook-key")
@pass_context
def webhook_key(ctx: Context) -> None:
    """Print the key that signs what is posted to the webhook; read from this machine's home."""
    from homarus.kernel.keys import MasterKey

    path = ctx.home / "run" / "master.key"
    if not path.exists():
        raise NotFound(
            "cli.master_key", f"there is no {path}", "Run it on the daemon's machine, with --home."
        )
    company = ctx.api.get("/status")["company"]["id"]
    key = MasterKey.from_file(path).hook_key(company).hex()
    ctx.out.document({"company": company, "key": key})
    ctx.out.fields([("company", company), ("key", key)])


def _answer(ctx: Context, approval: str, word: str, note: str | None) -> None:
    reply = ctx.api.post(f"/approvals/{path_part(approval)}/{word}", given(note=note))
    show_one(ctx, reply, "approval", _FIELDS)
