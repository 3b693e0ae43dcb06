"""homarus why"""

import re
from typing import Any

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import Columns, Row, table
from homarus.client.paths import path_part


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

    ID is a receipt, an event, a task (T-192) or an artifact (A-7), by number or id.
    """
    reply = ctx.api.get(f"/why/{path_part(ref)}")
    ctx.out.document(reply)
    ctx.out.fields(_words(reply.get("answer") or {}))
    ctx.out.line()
    table(ctx, RECEIPTS, reply.get("chain") or reply.get("receipts", []), "No receipt names it.")


def _words(answer: Row) -> list[tuple[str, Any]]:
    """`rulesVersion` as `rules version`; an approval in one line."""
    shown = dict(answer)
    if isinstance(approval := answer.get("approval"), dict):
        shown["approval"] = (
            f"{approval['number']} ({approval['status']}), answered by {approval['by']}"
        )
    return [(re.sub("([A-Z])", r" \1", name).lower(), value) for name, value in shown.items()]
