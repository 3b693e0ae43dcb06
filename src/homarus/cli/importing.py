"""homarus import"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit
from homarus.cli.output import clean

if TYPE_CHECKING:
    from homarus.importers.cron_plan import Plan
    from homarus.importers.openclaw.source import Source

command = Group("import", help="Take over what other systems keep on disk.")


@command.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--agent", "agents", multiple=True, help="Only this agent; may be repeated.")
@pass_context
def openclaw(
    ctx: Context, directory: Path, dry_run: bool, yes: bool, agents: tuple[str, ...]
) -> int:
    """Take over agents, sessions and workspaces of OpenClaw from its state DIRECTORY.

    First it says what would be made and what cannot be taken, then it asks. The directory is only
    read; stop OpenClaw before. Whoever runs it twice, or again after an interruption, gets
    everything once.
    """
    from homarus.importers import cron, cron_making
    from homarus.importers.openclaw import doing, plan, report, source

    home = ctx.home if ctx.is_own_daemon() else None
    found = source.read(directory.expanduser(), agents)
    todo = plan.make(found, doing.Daemon(ctx.api, home))
    jobs = cron_making.missing(ctx.api, _jobs(found))
    for line in (*report.plan_lines(todo), *cron.lines(jobs)):
        ctx.out.line(line)
    is_done = todo.is_done and not jobs.jobs
    if dry_run or is_done or not _agreed(ctx, yes):
        ctx.out.document(report.document(todo, None) | {"cron": cron.document(jobs, None)})
        ctx.out.line("" if dry_run or not is_done else "Everything is there already.")
        return Exit.OK
    done = doing.do(todo, ctx.api, home, lambda text: click.echo(clean(text), err=True))
    made = cron_making.made(ctx.api, jobs)
    ctx.out.document(report.document(todo, done) | {"cron": cron.document(jobs, made)})
    for line in report.finding_lines(done.findings):
        ctx.out.line(line)
    ctx.out.line(report.done_line(done))
    refused = [one for one in made if one.startswith("refused")]
    for one in refused:
        ctx.out.alert(f"A job was {one}")
    return Exit.FAILED if done.findings or refused else Exit.OK


def _jobs(found: "Source") -> "Plan":
    """Jobs of the agents that are taken; the default one's, where a job names nobody."""
    from homarus.importers import cron

    names = {agent.folder: agent.name for agent in found.agents}
    default = next((agent.folder for agent in found.agents if agent.default), None)
    return cron.of_openclaw(found.root, names, default)


def _agreed(ctx: Context, yes: bool) -> bool:
    """Nobody is asked where nobody can answer, or where one document is wanted."""
    if yes:
        return True
    if ctx.json:
        return False
    click.echo(err=True)
    return click.confirm("Do this?", default=False, err=True)
