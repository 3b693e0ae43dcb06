"""homarus trace"""

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import table
from homarus.cli.why import RECEIPTS
from homarus.client.paths import path_part


@click.command("trace", cls=Command)
@click.argument("ref", metavar="ID")
@pass_context
def command(ctx: Context, ref: str) -> None:
    """Everything that belongs to one trace, in order. ID is a trace, or a task (T-192)."""
    if ref[:2].upper() == "T-":
        ref = ctx.api.get(f"/tasks/{path_part(ref)}")["task"]["traceId"]
    reply = ctx.api.get(f"/traces/{path_part(ref)}")
    ctx.out.document(reply)
    ctx.out.fields([("trace", reply.get("trace"))])
    for task in reply.get("tasks", []):
        ctx.out.line(f"\n{task.get('number') or task['id']}, {task.get('state') or 'gone'}")
        table(ctx, RECEIPTS, task.get("receipts", []), "No receipt.")
    if reply.get("receipts"):
        ctx.out.line("\nbeside its tasks")
        table(ctx, RECEIPTS, reply["receipts"], "")
