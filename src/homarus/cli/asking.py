"""What commands share that ask by the gateway's own protocol."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from homarus.cli.context import Context

if TYPE_CHECKING:
    from homarus.gateway_client.asking import Caller

FOLDER: Final = Path("device")
"""In the home: this home's key, by which gateways elsewhere know it."""
REPLY_S: Final = 30.0
SHOWS: Final = ("home", "url", "token", "json")


def caller(ctx: Context, token: str | None = None) -> "Caller":
    """The gateway that is meant, and with which secret. Raises `cli.no_token`,
    `daemon.not_running`."""
    from homarus.gateway_client.asking import Caller

    url, own = ctx.address() if token is None else (ctx.url or ctx.daemon_url(), token)
    return Caller(url, own, ctx.home / FOLDER)


def ask(
    ctx: Context, method: str, params: dict[str, Any], wait_s: float = REPLY_S, *,
    final: bool = False,
) -> Any:  # fmt: skip
    """The payload of one call."""
    from homarus.gateway_client import asking

    return asyncio.run(asking.ask(caller(ctx), method, params, wait_s, final=final))


def decide(ctx: Context, method: str, params: dict[str, Any], done: str, kind: str) -> None:
    """Have it done to one device or node (`kind`), and say to which: `done`, then its id."""
    reply = ask(ctx, method, params)
    ctx.out.document(reply)
    ctx.out.line(f"{done} {(reply.get(kind) or reply)[f'{kind}Id']}")


def json_object(text: str) -> dict[str, Any]:
    """What --params holds. Raises UsageError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--params is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise click.UsageError("--params is no JSON object")
    return given
