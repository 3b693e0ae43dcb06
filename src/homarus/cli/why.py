"""homarus why"""

from typing import Any

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import Columns, Row, table
from homarus.client.http import path_part


def verdict(row: Row) -> Any:
    """`allow`, `refuse`, … with the outcome where one is recorded."""
    outcome = row.get("outcome")
    return f"{row.get('verdict')}, {outcome}" if outcome else row.get("verdict")


RECEIPTS: Columns = (
    ("at", "at"),
    ("who", lambda row: row.get("actorName") or row.get("actor")),
    ("proof", "proof"),
    ("did", "capability"),
    ("to", "target"),
    ("verdict", verdict),
    ("rule", lambda row: row.get("rule") or row.get("code")),
    ("receipt", "id"),
)


@click.command("why", cls=Command)
@click.argument("ref", metavar="ID")
@pass_context
def command(ctx: Context, ref: str) -> None:
    """Who did this, by which proof and rule, with what outcome.

    ID is a receipt, an event, a task (T-192 or its id) or another thing's id.
    """
    reply = ctx.api.get(f"/why/{path_part(ref)}")
    ctx.out.document(reply)
    for text in reply.get("answer", []):
        ctx.out.line(str(text))
    table(ctx, RECEIPTS, reply.get("receipts", []), "No receipt names it.")
