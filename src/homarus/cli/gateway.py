"""homarus gateway"""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import click

from homarus.base.errors import HomarusError, NotFound, Refused, Unavailable
from homarus.cli.asking import SHOWS, ask, caller, json_object
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context

command = Group(
    "gateway",
    help="The gateway by its own protocol: here, or elsewhere with --url and HOMARUS_TOKEN.",
)


@command.command("status", shows=SHOWS)
@pass_context
def status(ctx: Context) -> None:
    """Where the gateway is, what this token may there, and what there is in numbers."""
    from homarus.gateway_client import asking

    asker = caller(ctx)
    hello, reply = asyncio.run(asking.told(asker, "status", {}))
    server, auth, snapshot = (hello.get(name) or {} for name in ("server", "auth", "snapshot"))
    ctx.out.document({"url": asker.url, "hello": hello, "status": reply})
    sessions, tasks = reply.get("sessions") or {}, reply.get("tasks") or {}
    ctx.out.fields(
        [
            ("address", asker.url),
            ("version", server.get("version")),
            ("protocol", hello.get("protocol")),
            ("up for", _span(snapshot.get("uptimeMs"))),
            ("auth", auth.get("method")),
            ("scopes", auth.get("scopes")),
            ("default agent", (reply.get("heartbeat") or {}).get("defaultAgentId")),
            ("agents", len((reply.get("heartbeat") or {}).get("agents") or [])),
            ("sessions", sessions.get("count")),
            ("model", (sessions.get("defaults") or {}).get("model")),
            ("tasks", tasks.get("byStatus") and _counts(tasks["byStatus"])),
            ("channels", ", ".join(map(str, reply.get("channelSummary") or [])) or "none"),
            ("settings", snapshot.get("configPath")),
        ]
    )


@command.command("health", shows=SHOWS)
@pass_context
def health(ctx: Context) -> None:
    """Have the gateway look at itself now; fails where it does not say that it is well."""
    reply = ask(ctx, "health", {"probe": True})
    ctx.out.document(reply)
    if reply.get("ok") is not True:
        raise Unavailable("gateway.unwell", "the gateway is not well", "See `homarus logs`.")
    agents = reply.get("agents") or []
    ctx.out.fields(
        [
            ("well", True),
            ("took", f"{reply.get('durationMs', 0)} ms"),
            ("agents", [row["agentId"] for row in agents]),
            ("sessions", (reply.get("sessions") or {}).get("count")),
            ("channels", reply.get("channelOrder") or "none"),
        ]
    )


@command.command("probe", shows=SHOWS)
@pass_context
def probe(ctx: Context) -> None:
    """Whether somebody speaks the protocol there, and lets this token in. Pairs nothing.

    Exit code 0: let in; 4: reached, and refused; 6: not reached. Without a token only the
    latter two are told apart.
    """
    from homarus.gateway_client import asking

    token = ctx.token or ("" if not ctx.is_own_daemon() else None)
    asker, began = caller(ctx, token), time.monotonic()
    said: dict[str, Any] = {"url": asker.url, "reachable": True, "admitted": False}
    refused: HomarusError | None = None
    try:
        hello = asyncio.run(asking.look(asker))
        said |= {"admitted": True, "protocol": hello.get("protocol"),
                 "version": (hello.get("server") or {}).get("version"),
                 "method": (hello.get("auth") or {}).get("method")}  # fmt: skip
    except (Refused, NotFound) as error:
        refused = error
        said |= {"code": error.code, "why": error.message}
    said["tookMs"] = round((time.monotonic() - began) * 1000)
    ctx.out.document(said)
    ctx.out.fields(
        [
            ("address", said["url"]), ("reached", True), ("let in", said["admitted"]),
            ("version", said.get("version")), ("protocol", said.get("protocol")),
            ("auth", said.get("method")), ("took", f"{said['tookMs']} ms"),
        ]
    )  # fmt: skip
    if refused is not None:
        raise refused


@command.command("call", shows=SHOWS)
@click.argument("method")
@click.option("--params", default="{}", metavar="JSON", help="Its parameters, an object.")
@click.option("--timeout", "timeout_s", type=click.IntRange(1, 3_600), default=30,
              show_default=True, help="Seconds that the answer may take.")  # fmt: skip
@click.option(
    "--final", is_flag=True,
    help="Where the first answer is `accepted`, wait for the one that follows.",
)  # fmt: skip
@click.option("--key", is_flag=True, help="Add an idempotencyKey that nobody has used.")
@pass_context
def call(
    ctx: Context, method: str, params: str, timeout_s: int, final: bool, key: bool
) -> None:  # fmt: skip
    """Call one method and print its answer as JSON.

    \b
        homarus gateway call sessions.list --params '{"limit": 5}'
        homarus gateway call agent --params '{"message": "Good morning"}' --key --final
    """
    given = json_object(params)
    if key:
        given.setdefault("idempotencyKey", str(uuid4()))
    reply = ask(ctx, method, given, float(timeout_s), final=final)
    if ctx.json:
        ctx.out.document(reply)
    else:
        for line in json.dumps(reply, ensure_ascii=False, indent=2).splitlines():
            ctx.out.line(line)


def _span(ms: Any) -> str | None:
    if not isinstance(ms, int):
        return None
    seconds = ms // 1000
    hours, rest = divmod(seconds, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "none"
