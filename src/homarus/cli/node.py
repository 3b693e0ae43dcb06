"""homarus node"""

import asyncio
import json
import platform
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from homarus.base.errors import Invalid
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context

if TYPE_CHECKING:
    from homarus.node.host import Host

GATEWAY_TOKEN: Final = Path("run/gateway.token")
FOLDER: Final = "node"

command = Group("node", help="This machine as a node of a gateway.")


def _folder(ctx: Context, given: Path | None) -> Path:
    return given or ctx.home / FOLDER


_folder_option = click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The node's own folder: key, token, allowlist [HOME/node].",
)  # fmt: skip


@command.command("run", shows=("home", "url", "token", "json"))
@_folder_option
@click.option("--name", metavar="NAME", help="What people call it [this machine's name].")
@click.option(
    "--workspace", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Where commands run [FOLDER/workspace].",
)  # fmt: skip
@click.option(
    "--trusted", is_flag=True,
    help="Run what is allowed also where this machine has no sandbox.",
)  # fmt: skip
@pass_context
def run(
    ctx: Context, folder: Path | None, name: str | None, workspace: Path | None, trusted: bool
) -> None:
    """Connect this machine to a gateway, which may then have it run commands.

    It offers `system.run` and `system.which`. The gateway's owner approves that once; here nothing
    runs but what `homarus node allow` names, in the sandbox, in a folder of its own.
    """
    from homarus.backends import layers
    from homarus.node import identity
    from homarus.node.commands import Machine
    from homarus.node.host import Host, Settings

    own = _folder(ctx, folder).absolute()
    place = (workspace or own / "workspace").absolute()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    url, token = _address(ctx)
    machine = Machine(own, place, layers.probe(), trusted)
    settings = Settings(url, token, name or platform.node() or "node")
    asyncio.run(_until_ended(Host(settings, identity.load(own), machine, _sayer(ctx))))


async def _until_ended(host: "Host") -> None:
    task = asyncio.ensure_future(host.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled():
        task.result()


def _address(ctx: Context) -> tuple[str, str]:
    """The home's gateway token goes to the home's own daemon and nowhere else."""
    if ctx.is_own_daemon():
        kept = ctx.home / GATEWAY_TOKEN
        own = kept.read_text("ascii").strip() if kept.exists() else ""
        return ctx.daemon_url(), ctx.token or own
    if ctx.url is None:
        raise Invalid("node.no_gateway", "no gateway is named", "Give --url.")
    return ctx.url, ctx.token or ""


def _sayer(ctx: Context) -> Any:
    def say(what: str, about: dict[str, Any]) -> None:
        words = " ".join(f"{name}={value}" for name, value in about.items())
        if ctx.json:
            click.echo(json.dumps({"event": what} | about))
        else:
            ctx.out.line(f"[{what}] {words}".rstrip())
        sys.stdout.flush()

    return say


@command.command("allow")
@click.argument("pattern")
@_folder_option
@pass_context
def allow(ctx: Context, pattern: str, folder: Path | None) -> None:
    """Let the gateway run a program here: its absolute path; `*` is anything within one name."""
    from homarus.node import policy

    found = policy.allow(_folder(ctx, folder), pattern)
    if ctx.json:
        click.echo(json.dumps({"allowlist": list(found.patterns)}))
    for each in found.patterns:
        ctx.out.line(each)
