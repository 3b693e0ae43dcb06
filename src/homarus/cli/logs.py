"""homarus logs: what the daemon wrote, and what it writes."""

import json
import sys
import threading
from pathlib import Path
from typing import Any, Final

import click

from homarus.base.errors import NotFound
from homarus.base.rotate import FILE
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.output import clean

LOOK_S: Final = 0.5
"""Between two looks for more, where nothing was new."""
MAX_LINES: Final = 100_000


@click.command("logs", cls=Command, shows=("home", "json"))
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--lines", "-n", type=click.IntRange(0, MAX_LINES), default=50, show_default=True,
    help="How many of the last lines.",
)  # fmt: skip
@pass_context
def command(ctx: Context, follow: bool, lines: int) -> None:
    """Print the last lines of the daemon's log, oldest first; it need not run.

    --follow goes on across rotations of the file. With --json each line is one JSON object:
    {"at", "level", "logger", "event", ...}.
    """
    from homarus.service.log_reader import LogReader

    path = _path(ctx)
    with LogReader(path) as log:
        found = log.last(lines)
        if not found and not follow and not path.exists():
            raise NotFound(
                "logs.none",
                f"there is no {path}",
                "No daemon has run on this home yet; name another with --home.",
            )
        for line in found:
            _show(line, as_json=ctx.json)
        sys.stdout.flush()
        if not follow:
            return
        never = threading.Event()

        def wait() -> None:
            sys.stdout.flush()
            never.wait(LOOK_S)

        for line in log.follow(wait):
            _show(line, as_json=ctx.json)


def _path(ctx: Context) -> Path:
    return ctx.home / "logs" / FILE


def _show(line: bytes, *, as_json: bool) -> None:
    event = _event(line)
    if as_json:
        sys.stdout.write(json.dumps(event, default=str) + "\n")
        return
    sys.stdout.write(clean(in_words(event)) + "\n")


def _event(line: bytes) -> dict[str, Any]:
    """A line that is no JSON object (cut by a full disk) is shown as it is."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"event": line.decode("utf-8", "replace")}


def in_words(event: dict[str, Any]) -> str:
    """`2026-11-28 09:12:00Z warning store slow_unit ms=7.1`, and a trace below it."""
    rest = dict(event)
    at, trace = str(rest.pop("at", "")), str(rest.pop("trace", ""))
    head = [f"{at[:10]} {at[11:19]}Z" if at else ""]
    head += [str(rest.pop(key, "")) for key in ("level", "logger", "event")]
    text = " ".join([word for word in head if word] + [f"{k}={v}" for k, v in rest.items()])
    return f"{text}\n{trace.rstrip()}" if trace else text
