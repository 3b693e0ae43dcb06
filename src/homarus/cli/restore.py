"""homarus restore: in this process, with the daemon stopped."""

from pathlib import Path

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit


@click.command("restore", cls=Command, shows=("home", "json"))
@click.argument("backup", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Move a store that is there aside.")
@click.option("--check", "only_check", is_flag=True, help="Only say whether it is whole.")
@click.pass_context
@pass_context
def command(
    ctx: Context, click_context: click.Context, backup: Path, force: bool, only_check: bool
) -> None:
    """Put the folder BACKUP in place of the home's store.

    All of the backup is checked before anything is touched. Refused while a daemon runs on the
    home; what was there before is kept beside it.
    """
    from homarus.store import restore

    if only_check:
        manifest, problems = restore.verify(backup)
        found = [{"code": p.code, "path": p.path, "message": p.message} for p in problems]
        ctx.out.document({"ok": not found, "madeAt": manifest.made_at, "problems": found})
        ctx.out.line(f"{'whole' if not found else 'NOT WHOLE'}: made {manifest.made_at}")
        for problem in problems:
            ctx.out.line(f"{problem.code}: {problem.path}: {problem.message}")
        click_context.exit(Exit.NOT_VERIFIED if found else Exit.OK)
    ctx.restarted()
    done = restore.restore(backup, ctx.home, force=force)
    ctx.out.document({"home": str(done.home), "aside": str(done.aside) if done.aside else None})
    ctx.out.line(f"{done.home} now has the store of {done.manifest.made_at}.")
    if done.aside:
        ctx.out.line(f"What was there is in {done.aside}.")
    ctx.out.line("Next: homarus up, then homarus audit verify")
