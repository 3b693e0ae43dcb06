"""homarus node"""

import asyncio
import json
import platform
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import click

from homarus.base.errors import Invalid, NotFound, Unavailable
from homarus.cli.asking import SHOWS, ask, decide, json_object
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context

if TYPE_CHECKING:
    from homarus.node.host import Host, Settings

GATEWAY_TOKEN: Final = Path("run/gateway.token")
FOLDER: Final = "node"
MAX_LINE: Final = 4_096

command = Group(
    "node", help="Machines that a gateway has do things: be one, approve them, ask them."
)


def _folder(ctx: Context, given: Path | None) -> Path:
    return given or ctx.home / FOLDER


_folder_option = click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The node's own folder: key, token, allowlist [HOME/node].",
)  # fmt: skip


@command.command("run", shows=SHOWS)
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
@click.option(
    "--setup-code", "code", metavar="CODE",
    help="Of `homarus device setup-code` there: says where the gateway is, and pairs this machine; "
    "`-` reads it from standard input.",
)  # fmt: skip
@pass_context
def run(
    ctx: Context, folder: Path | None, name: str | None, workspace: Path | None, trusted: bool,
    code: str | None,
) -> None:  # fmt: skip
    """Connect this machine to a gateway, which may then have it run commands.

    It offers `system.run` and `system.which`. The gateway's owner approves that once; here nothing
    runs but what `homarus node allow` names, in the sandbox, in a folder of its own.
    """
    from homarus.backends import layers
    from homarus.gateway_client import identity
    from homarus.node import policy
    from homarus.node.commands import Machine
    from homarus.node.host import Host, Settings

    own = _folder(ctx, folder).absolute()
    place = (workspace or own / "workspace").absolute()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    called = name or platform.node() or "node"
    settings = Settings(*_address(ctx), called) if code is None else _invited(ctx, code, called)
    machine = Machine(own, place, layers.probe(), trusted)
    say = _sayer(ctx)
    try:
        policy.read(own)
    except Invalid as wrong:
        why = f"{wrong.message}. Until that is corrected nothing runs here"
        say("warning", {"code": wrong.code, "why": why})
    asyncio.run(_until_ended(Host(settings, identity.load(own), machine, say)))


def _invited(ctx: Context, code: str, name: str) -> "Settings":
    """What a set-up code says; --url and --token win. Raises `device.code`."""
    from homarus.node.host import invited

    text = sys.stdin.readline(MAX_LINE) if code == "-" else code
    return invited(text, name, ctx.url, ctx.token or "")


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
    if ctx.url is None or ctx.is_own_daemon():
        kept = ctx.home / GATEWAY_TOKEN
        own = kept.read_text("ascii").strip() if kept.exists() else ""
        return ctx.daemon_url(), ctx.token or own
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
    ctx.out.document({"allowlist": list(found.patterns)})
    for each in found.patterns:
        ctx.out.line(each)


# -- nodes of a gateway, for its owner ---------------------------------------------------------

_COLUMNS: Final = (
    ("node", lambda row: row.get("displayName") or row["nodeId"][:12]),
    ("here", lambda row: "yes" if row["connected"] else "no"),
    ("may be asked for", lambda row: ", ".join(row["commands"]) or "nothing"),
    ("waits for approval", lambda row: row.get("pendingRequestId")),
    ("id", lambda row: row["nodeId"]),
)


def _node_id(ctx: Context, ref: str) -> str:
    """By id, the beginning of one, or name. Raises `node.unknown`, `node.ambiguous`."""
    rows = ask(ctx, "node.list", {})["nodes"]
    found = [row["nodeId"] for row in rows
             if row["nodeId"].startswith(ref) or row.get("displayName") == ref]  # fmt: skip
    if not found:
        raise NotFound("node.unknown", f"no node {ref[:80]!r}", "See `homarus node list`.")
    if len(found) > 1:
        raise Invalid("node.ambiguous", f"{len(found)} nodes are {ref[:80]!r}", "Give the id.")
    return str(found[0])


@command.command("list", shows=SHOWS)
@pass_context
def list_(ctx: Context) -> None:
    """Nodes of the gateway: what they may be asked for, and what waits for approval."""
    reply = ask(ctx, "node.list", {})
    ctx.out.document(reply)
    rows = [[how(row) for _, how in _COLUMNS] for row in reply["nodes"]]
    ctx.out.table([name for name, _ in _COLUMNS], rows, "No node has connected yet.")


def _decision(name: str, done: str, about: str) -> None:
    @command.command(name, help=about, shows=SHOWS)
    @click.argument("request")
    @pass_context
    def decision(ctx: Context, request: str) -> None:
        decide(ctx, f"node.pair.{name}", {"requestId": request}, done, "node")


_decision("approve", "approved", "Approve what a node offers: the request of `homarus node list`.")
_decision("reject", "rejected", "Do not approve what a node offers.")


@command.command("remove", shows=SHOWS)
@click.argument("node")
@pass_context
def remove(ctx: Context, node: str) -> None:
    """Forget a node: it is cut off, and has to be approved anew."""
    decide(ctx, "node.pair.remove", {"nodeId": _node_id(ctx, node)}, "removed", "node")


@command.command("invoke", shows=SHOWS)
@click.argument("node")
@click.argument("name")
@click.option("--params", default="{}", metavar="JSON", help="Its parameters.")
@click.option("--timeout", "timeout_s", type=click.IntRange(1, 600), default=30, show_default=True,
              help="Seconds that the answer may take.")  # fmt: skip
@click.option("--key", metavar="KEY", help="Idempotency key; the same one is not done twice.")
@pass_context
def invoke(
    ctx: Context, node: str, name: str, params: str, timeout_s: int, key: str | None
) -> None:
    """Have a node do something it was approved for, and print its answer.

    What a program printed goes to standard output and standard error as it is. Exit code 1: it was
    run and ended with another code than 0, which the last line says, or was ended.

    \b
        homarus node invoke bench system.run --params '{"command": ["uname", "-a"]}'
    """
    call = {
        "nodeId": _node_id(ctx, node), "command": name, "params": json_object(params),
        "timeoutMs": timeout_s * 1000, "idempotencyKey": key or str(uuid4()),
    }  # fmt: skip
    reply = ask(ctx, "node.invoke", call, timeout_s + 10.0)
    ctx.out.document(reply)
    payload = reply["payload"]
    if not isinstance(payload, dict):
        ctx.out.line(json.dumps(payload))
    elif "exitCode" in payload:
        _ran(ctx, payload)
    else:
        ctx.out.fields(payload.items())


def _ran(ctx: Context, payload: dict[str, Any]) -> None:
    """What came of a program. Raises `node.exit` where that is not success."""
    ctx.out.passed(str(payload.get("stdout") or ""))
    ctx.out.passed(str(payload.get("stderr") or ""), err=True)
    if payload.get("truncated"):
        click.echo("[not all of its output is here]", err=True)
    code = payload["exitCode"]
    if code != 0 or payload.get("timedOut"):
        why = payload.get("error") or f"the command ended with code {code}"
        raise Unavailable("node.exit", str(why), "What it printed says more.")
