"""homarus bridge"""

import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from homarus.base.errors import HomarusError, Invalid
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context

COMPANY_TOKEN: Final = Path("run/company.token")
PROGRAMS: Final = ("exec", "reply")


@click.command("bridge", cls=Command, shows=("home", "url", "token", "company", "json"))
@click.option(
    "--agent-name",
    "--agent",
    "agent_name",
    metavar="NAME",
    help="The agent, by its exact name; made when there is none "
    "[HOMARUS_AGENT, EMPEROR_AGENT_NAME].",
)
@click.option("--agent-id", metavar="ID", help="The agent, by id [HOMARUS_AGENT_ID].")
@click.option("--role", help="The role of an agent that is made.")
@click.option(
    "--runtime-id",
    metavar="ID",
    help="Name of this machine [HOMARUS_RUNTIME_ID, EMPEROR_RUNTIME_ID].",
)
@click.option("--session-id", metavar="ID", help="Name of the session; default bridge:RUNTIME.")
@click.option("--api-base-url", hidden=True)
@click.option(
    "--config",
    metavar="FILE",
    help="A bridge.config.json.",
    type=click.Path(dir_okay=False, path_type=Path),
)
@click.option(
    "--bridge-state-path",
    "journal",
    metavar="FILE",
    help="Its journal [EMPEROR_CLAW_BRIDGE_STATE_PATH].",
)
@click.option(
    "--exec", "has_exec", is_flag=True, help="A program for tasks follows: --exec -- PROGRAM ARG..."
)
@click.option(
    "--reply",
    "has_reply",
    is_flag=True,
    help="A program for replies follows: --reply -- PROGRAM ARG...",
)
@click.option(
    "--idempotent", is_flag=True, default=None, help="Its programs may be run again after a crash."
)
@click.option(
    "--addressed-only",
    is_flag=True,
    default=None,
    help="Answer only what is said to the agent, or names it.",
)
@click.option("--max-tasks", type=click.IntRange(1, 100), help="Tasks at a time; default 1.")
@click.option(
    "--lease",
    "lease_s",
    type=click.IntRange(5, 3_600),
    help="Seconds that a claim lasts without a heartbeat; default 600.",
)
@click.option("--heartbeat", "heartbeat_s", type=click.FloatRange(0.1, 600), help="Seconds; 30.")
@click.option("--sync", "sync_s", type=click.FloatRange(0.1, 600), help="Seconds; 15.")
@click.option(
    "--task-limit",
    "task_s",
    type=click.FloatRange(0.1, 604_800),
    help="Seconds that a task's program may run; default 3600.",
)
@click.option(
    "--reply-limit",
    "reply_s",
    type=click.FloatRange(0.1, 86_400),
    help="Seconds that a reply's program may run; default 300.",
)
@click.option(
    "--drain",
    "drain_s",
    type=click.FloatRange(0, 3_600),
    help="Seconds that programs get to finish when the bridge is ended; default 20.",
)
@click.option(
    "--socket-wait",
    "open_s",
    type=click.FloatRange(0.1, 120),
    help="Seconds that a socket may take to open; default 10.",
)
@click.option(
    "--workdir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where programs run; default here.",
)
@click.option(
    "--pass-env",
    "passed",
    multiple=True,
    metavar="NAME",
    help="A variable that programs see too; may be repeated.",
)
@click.option("--once", is_flag=True, default=None, help="End when nothing is left to do.")
@click.argument("programs", nargs=-1, type=click.UNPROCESSED)
@pass_context
def command(
    ctx: Context,
    /,
    config: Path | None,
    has_exec: bool,
    has_reply: bool,
    api_base_url: str | None,
    programs: tuple[str, ...],
    **flags: Any,
) -> None:
    """Connect programs of this machine to a company, as one of its agents.

    Tasks are claimed and given to the program after `--exec --`, messages of people to the one
    after `--reply --`. Without --exec nothing is ever reported as done: a claimed task is handed
    back with a note. State is kept in a journal, so a bridge that is killed goes on where it was.

    \b
        homarus bridge --agent tally --exec -- ./count.py
        homarus bridge --agent tally --exec -- ./count.py --reply -- ./answer.sh
    """
    import asyncio

    from homarus.bridge import bridge, settings
    from homarus.bridge.telling import Teller

    file = settings.read_config(config) if config is not None else settings.ConfigFile()
    flags |= split_programs(programs, has_exec=has_exec, has_reply=has_reply)
    flags |= {"url": ctx.url or api_base_url, "token": ctx.token, "company": ctx.company}
    chosen = settings.resolve(flags, os.environ, file, own=_own(ctx))
    with asyncio.Runner() as runner:
        runner.run(bridge.run(chosen, Teller(as_json=ctx.json, stream=sys.stdout)))


def split_programs(
    words: tuple[str, ...], *, has_exec: bool, has_reply: bool
) -> dict[str, tuple[str, ...]]:
    """The argvs of `--exec -- A B --reply -- C D`. The command line parser has taken the first
    flag and its `--`. Raises UsageError."""
    if has_exec and has_reply:
        raise click.UsageError("Give each program its own `--`: --exec -- A --reply -- B.")
    if not has_exec and not has_reply:
        if words:
            raise click.UsageError(f"{words[0]!r}: programs follow --exec -- or --reply --.")
        return {}
    first, second = PROGRAMS if has_exec else PROGRAMS[::-1]
    cut = next(
        (n for n in range(len(words) - 1) if words[n : n + 2] == (f"--{second}", "--")), len(words)
    )
    found = {first: words[:cut], second: words[cut + 2 :]}
    for name, argv in found.items():
        if not argv and (name == first or cut < len(words)):
            raise click.UsageError(f"--{name} -- names no program.")
    return {name: argv for name, argv in found.items() if argv}


def _own(ctx: Context) -> tuple[str, str] | None:
    """The daemon of this home and the token of its default company, where there are both."""
    try:
        url = ctx.daemon_url()
        token = (ctx.home / COMPANY_TOKEN).read_text("ascii").strip()
    except (HomarusError, OSError):
        return None
    if not token:
        raise Invalid("bridge.no_token", f"{ctx.home / COMPANY_TOKEN} is empty", "Give --token.")
    return url, token
