"""homarus up: the daemon in this process."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from homarus.service.serve import Ready

NEXT = ("homarus status", "homarus dashboard", "homarus demo")


@click.command("up", cls=Command, shows=("home", "json"))
@click.option("--host", help="Address to listen on; default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 takes a free one.")
@click.option("--store", metavar="URL", help="`sqlite`, or the URL of a PostgreSQL database.")
@click.option("--held", is_flag=True, help="STOP every company first: for a restored copy.")
@pass_context
def command(
    ctx: Context, host: str | None, port: int | None, store: str | None, held: bool
) -> None:
    """Run the daemon in this terminal until Ctrl-C.

    With --json it prints one line when it is ready: {"url", "token", "gateway_token", "pid",
    "ready_ms"}. The token is the default company's, the gateway token the shared secret of the
    gateway's clients and an owner's; both are the same after each restart.

    SIGHUP reads homarus.json again; SIGUSR1 and SIGUSR2 restart the daemon in place, the same
    process, when what runs has been handed back. A configuration with mistakes ends it with 78.
    """
    import asyncio

    import_structlog_lean()
    from homarus.config.problem import Rejected
    from homarus.config.settings import source
    from homarus.service import restart, serve

    again = restart.happened()
    ctx.restarted()
    place = source(ctx.given_home, host=host, port=port, store=store)
    try:
        loaded = restart.settings(place)
    except Rejected as rejected:
        if again:
            serve.failed(place.home, rejected)
        raise
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        restarts = runner.run(
            serve.run(
                loaded, lambda ready: _say(ctx, loaded.settings.home, ready, again=again),
                held=held and not again,
            )
        )  # fmt: skip
    if restarts:
        restart.again()


def _loop_factory() -> "Callable[[], AbstractEventLoop] | None":
    """uvloop's where there is one (not on Windows)."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def import_structlog_lean() -> None:
    """Import structlog without the pretty tracebacks that it would load Rich for.

    The daemon logs JSON only; Rich, Pygments and attrs are a quarter of its start (200 of 900 ms).
    """
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


def _say(ctx: Context, home: Path, ready: "Ready", *, again: bool) -> None:
    """Nothing after a restart in place: who read the first line may be gone, or read no second."""
    if again:
        return
    ready_ms = since_start_ms() or ready.ready_ms
    if ctx.json:
        line = {
            "url": ready.url,
            "token": ready.token,
            "gateway_token": ready.gateway_token,
            "pid": ready.pid,
            "ready_ms": ready_ms,
        }
        sys.stdout.write(json.dumps(line) + "\n")
    else:
        option = f" --home {home}" if ctx.given_home else ""
        ctx.out.line(f"Homarus is ready at {ready.url} ({ready_ms} ms, process {ready.pid}).")
        ctx.out.line(f"State: {home}. Stop with Ctrl-C. In another terminal:\n")
        for text in NEXT:
            ctx.out.line(f"    {text}{option}")
    sys.stdout.flush()


def since_start_ms() -> int | None:
    """How long this process has existed, imports included; None where /proc does not say."""
    try:
        fields = Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return round((time.clock_gettime(time.CLOCK_BOOTTIME) - started_s) * 1000)
    except (OSError, ValueError, AttributeError):
        return None
