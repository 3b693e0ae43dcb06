"""homarus outbox"""

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("outbox", help="Changes on their way to mirrors.")

STATUSES = ("pending", "processing", "unknown", "completed", "failed", "dropped")
_COLUMNS = (
    ("id", "id"),
    ("mirror", "mirror"),
    ("entity", lambda row: f"{row['entityType']} {row['number'] or row['entityId']}"),
    ("act", "action"),
    ("status", "status"),
    ("tries", lambda row: f"{row['retryCount']}/{row['maxRetries']}"),
    ("due", "scheduledAt"),
    ("error", "error"),
)
_FIELDS = (
    *_COLUMNS,
    ("receipt at the target", "receiptId"),
    ("token", "pushToken"),
    ("our receipt", "kernelReceiptId"),
    ("fields", "fields"),
    ("created", "createdAt"),
    ("completed", "completedAt"),
)


@command.command("list")
@click.option("--mirror", help="Of this mirror: name or id.")
@click.option("--status", type=click.Choice(STATUSES), help="In this state.")
@limit_option
@pass_context
def list_(ctx: Context, mirror: str | None, status: str | None, limit: int) -> None:
    """Newest first."""
    show_list(
        ctx, "/outbox", "rows", _COLUMNS, limit=limit, empty="Nothing.", mirror=mirror,
        status=status,
    )  # fmt: skip


@command.command()
@click.argument("row")
@pass_context
def show(ctx: Context, row: str) -> None:
    """One change, with what was sent."""
    show_one(ctx, ctx.api.get(f"/outbox/{path_part(row)}"), "row", _FIELDS)


@command.command()
@click.argument("row")
@pass_context
def retry(ctx: Context, row: str) -> None:
    """Push it again now; one that failed begins anew."""
    show_one(ctx, ctx.api.post(f"/outbox/{path_part(row)}/retry"), "row", _COLUMNS)


@command.command()
@click.argument("row", required=False)
@click.option("--mirror", help="Whatever waits for this mirror or has failed.")
@click.option("--reason", required=True, help="Why it is given up.")
@pass_context
def drop(ctx: Context, row: str | None, mirror: str | None, reason: str) -> None:
    """Give up a change that waits or has failed; the next one of its entity goes out as usual."""
    if (row is None) == (mirror is None):
        raise click.UsageError("Give a ROW, or --mirror.")
    if row is not None:
        reply = ctx.api.post(f"/outbox/{path_part(row)}/drop", {"reason": reason})
        show_one(ctx, reply, "row", _COLUMNS)
        return
    dropped, more = 0, True
    while more:
        reply = ctx.api.post("/outbox/drop", {"mirror": mirror, "reason": reason})
        dropped, more = dropped + reply["dropped"], reply["more"]
    ctx.out.document({"dropped": dropped})
    ctx.out.line(f"Dropped {dropped}.")
