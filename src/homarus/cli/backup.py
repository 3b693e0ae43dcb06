"""homarus backup"""

from typing import Any, Final

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import table

WAIT_S: Final = 3_600.0
"""A large store takes a while to copy; the daemon answers when all of it is on disk."""
_COLUMNS = (
    ("made", "madeAt"),
    ("bytes", "bytes"),
    ("files", "files"),
    ("version", "version"),
    ("path", "path"),
)


@click.command("backup", cls=Command)
@click.option("--list", "only_list", is_flag=True, help="List the backups instead.")
@pass_context
def command(ctx: Context, only_list: bool) -> None:
    """Take an online backup: store, contents and keys, into the home's `backups/`.

    The daemon keeps working; everything acknowledged before the command is in the backup. It holds
    the master key: keep it as carefully as the home. The list needs no daemon: it is of the home's
    files, and with --url of that daemon's.
    """
    if only_list:
        reply = ctx.api.get("/backups") if ctx.url else _of_home(ctx)
        ctx.out.document(reply)
        table(ctx, _COLUMNS, reply["backups"], "No backup yet.")
        return
    with ctx.client(timeout_s=WAIT_S) as api:
        reply = api.post_once("/backups")
    ctx.out.document(reply)
    made = reply["backup"]
    ctx.out.line(f"{made['path']}: {made['files']} files, {made['bytes']} bytes")
    if made.get("missing"):
        ctx.out.line(f"Contents that were not whole on disk: {len(made['missing'])}")
    ctx.out.line(f"Check it: homarus restore --check {made['path']}")


def _of_home(ctx: Context) -> dict[str, Any]:
    from homarus.store import backup

    return {"backups": [backup.described(*each) for each in backup.listed(ctx.home)]}
