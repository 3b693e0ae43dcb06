"""homarus trace"""

from collections.abc import Iterator
from typing import Final

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.output import cell
from homarus.cli.resource import Row, table
from homarus.cli.why import RECEIPTS
from homarus.client.paths import path_part

MAX_DEPTH: Final = 50


def branch(node: Row, indent: str = "") -> Iterator[str]:
    """A task, what it dispatched, and what was spawned from it, one line each."""
    about = [node.get("number") or node["task"], node.get("state") or "gone"]
    about += [str(node[key]) for key in ("agent", "title") if node.get(key)]
    if node.get("by"):
        about.append(f"spawned by {node['by']} with {node['perm']}, {node['depth']} deep")
    yield indent + "  ".join(about)
    if len(indent) > 2 * MAX_DEPTH:
        return
    for row in node.get("dispatches", []):
        yield f"{indent}  {_dispatch(row)}"
    for child in node.get("children", []):
        yield from branch(child, indent + "  ")


def _dispatch(row: Row) -> str:
    return f"{cell(row['at'])}  {row['from']} → {row['to'] or '?'}  {row['capability']}"


@click.command("trace", cls=Command)
@click.argument("ref", metavar="ID")
@pass_context
def command(ctx: Context, ref: str) -> None:
    """Who dispatched whom, as a tree, and every receipt. ID is a trace, or a task (T-192)."""
    if ref[:2].upper() == "T-":
        ref = ctx.api.get(f"/tasks/{path_part(ref)}")["task"]["traceId"]
    reply = ctx.api.get(f"/traces/{path_part(ref)}")
    ctx.out.document(reply)
    ctx.out.fields([("trace", reply.get("trace"))])
    ctx.out.line()
    for root in reply.get("tree", []):
        for text in branch(root):
            ctx.out.line(text)
    for row in reply.get("dispatches", []):
        ctx.out.line(_dispatch(row))
    for task in reply.get("tasks", []):
        ctx.out.line(f"\n{task.get('number') or task['id']}, {task.get('state') or 'gone'}")
        table(ctx, RECEIPTS, task.get("receipts", []), "No receipt.")
    if reply.get("receipts"):
        ctx.out.line("\nbeside its tasks")
        table(ctx, RECEIPTS, reply["receipts"], "")
