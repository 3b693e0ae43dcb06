"""homarus device"""

from collections.abc import Mapping
from typing import Any, Final

import click

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid, NotFound
from homarus.cli.asking import SHOWS, ask, decide
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import table

command = Group("device", help="Devices of a gateway: let them in, name them, end what they may.")

Row = Mapping[str, Any]
ROLES: Final = ("operator", "node")
_PENDING: Final = (
    ("request", "requestId"),
    ("device", lambda row: row.get("displayName") or row["clientId"]),
    ("role", "role"),
    ("scopes", "scopes"),
    ("from", "remoteIp"),
    ("id", lambda row: row["deviceId"][:12]),
)
_PAIRED: Final = (
    ("device", lambda row: _name(row)),
    ("roles", "roles"),
    ("scopes", "scopes"),
    ("here", "connected"),
    ("tokens", lambda row: _tokens(row)),
    ("id", lambda row: row["deviceId"][:12]),
)


@command.command("list", shows=SHOWS)
@pass_context
def list_(ctx: Context) -> None:
    """Those that want in, and those that are in."""
    reply = ask(ctx, "device.pair.list", {})
    ctx.out.document(reply)
    if reply["pending"]:
        ctx.out.line("Want in:")
        table(ctx, _PENDING, reply["pending"], "")
        ctx.out.line()
    table(ctx, _PAIRED, reply["paired"], "No device is let in.")


def _decision(name: str, done: str, about: str) -> None:
    @command.command(name, help=about, shows=SHOWS)
    @click.argument("request", required=False)
    @click.option("--latest", is_flag=True, help="The newest request, where it is not named.")
    @pass_context
    def decision(ctx: Context, request: str | None, latest: bool) -> None:
        found = _request(ctx, request, latest)
        decide(ctx, f"device.pair.{name}", {"requestId": found}, done, "device")


_decision("approve", "let in", "Let a device in: the request of `homarus device list`.")
_decision("reject", "turned away", "Do not let it in.")


@command.command("remove", shows=SHOWS)
@click.argument("device")
@pass_context
def remove(ctx: Context, device: str) -> None:
    """Forget a device: it is cut off, and has to be let in anew."""
    decide(ctx, "device.pair.remove", {"deviceId": _id(ctx, device)}, "removed", "device")


@command.command("rename", shows=SHOWS)
@click.argument("device")
@click.argument("label")
@pass_context
def rename(ctx: Context, device: str, label: str) -> None:
    """Call a device something."""
    reply = ask(ctx, "device.pair.rename", {"deviceId": _id(ctx, device), "label": label})
    ctx.out.document(reply)
    ctx.out.line(f"{reply['deviceId']} is called {reply['label']}")


_role_option = click.option("--role", type=click.Choice(ROLES), default=ROLES[0],
                            show_default=True, help="In which role.")  # fmt: skip


@command.command("rotate", shows=SHOWS)
@click.argument("device")
@_role_option
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE",
              help="What it may from now on, again and again for more [as before].")  # fmt: skip
@pass_context
def rotate(ctx: Context, device: str, role: str, scopes: tuple[str, ...]) -> None:
    """Give a device another token; the device itself gets it when it connects."""
    params: dict[str, Any] = {"deviceId": _id(ctx, device), "role": role}
    if scopes:
        params["scopes"] = list(scopes)
    reply = ask(ctx, "device.token.rotate", params)
    ctx.out.document(reply)
    ctx.out.line(f"{reply['deviceId']} gets another token when it connects")


@command.command("revoke", shows=SHOWS)
@click.argument("device")
@_role_option
@pass_context
def revoke(ctx: Context, device: str, role: str) -> None:
    """End what a device may in a role, also while it is connected."""
    reply = ask(ctx, "device.token.revoke", {"deviceId": _id(ctx, device), "role": role})
    ctx.out.document(reply)
    ctx.out.line(f"{reply['deviceId']} is no longer {reply['role']}")


@command.command("setup-code", shows=SHOWS)
@click.option("--role", type=click.Choice(("node", "operator")), default="node", show_default=True,
              help="What the device becomes.")  # fmt: skip
@click.option(
    "--public-url",
    metavar="URL",
    help="Where the device finds the gateway [`gateway.publicUrl`, or as it was asked].",
)
@pass_context
def setup_code(ctx: Context, role: str, public_url: str | None) -> None:
    """Mint a code by which one new device pairs without being asked about; it lasts ten minutes."""
    params = {"bootstrapProfile": role} | ({} if public_url is None else {"publicUrl": public_url})
    reply = ask(ctx, "device.pair.setupCode", params)
    ctx.out.document(reply)
    ctx.out.line(f"For one {role}, until {iso_ms(reply['expiresAtMs'])}, at {reply['gatewayUrl']}:")
    ctx.out.line()
    ctx.out.line(reply["setupCode"])
    ctx.out.line()
    how = "homarus node run --setup-code CODE" if role == "node" else "the client's setup code"
    ctx.out.line(f"There: {how}")
    id_ = reply["setupId"]
    ctx.out.line(f"What became of it: homarus device setup-status {id_}")
    ctx.out.line(f"Take it back:      homarus device setup-revoke {id_}")


@command.command("setup-status", shows=SHOWS)
@click.argument("code")
@pass_context
def setup_status(ctx: Context, code: str) -> None:
    """What became of a set-up code, by its id."""
    reply = ask(ctx, "device.pair.setupStatus", {"setupId": code})
    if not reply:
        raise NotFound("device.code_unknown", f"no set-up code {code[:80]!r}",
                       "Its id was given when it was minted.")  # fmt: skip
    ctx.out.document(reply)
    done = reply.get("completion") or {}
    who = f" by {done.get('deviceName') or done['deviceId']}" if done else ""
    ctx.out.line(f"{reply['state']}{who}")


@command.command("setup-revoke", shows=SHOWS)
@click.argument("code")
@pass_context
def setup_revoke(ctx: Context, code: str) -> None:
    """Take a set-up code back that nobody has used, by its id."""
    reply = ask(ctx, "device.pair.setupRevoke", {"setupId": code})
    ctx.out.document(reply)
    ctx.out.line(f"{reply['setupId']} is {reply['state']}")


def _name(row: Row) -> str:
    return str(row.get("operatorLabel") or row.get("displayName") or row["clientId"])


def _tokens(row: Row) -> str:
    live = [token["role"] for token in row["tokens"] if not token.get("revokedAtMs")]
    return ", ".join(live) or "none"


def _request(ctx: Context, ref: str | None, latest: bool) -> str:
    """By id or the beginning of one, or the newest. Raises `device.request`."""
    if (ref is None) is not latest:
        raise click.UsageError("Name the request, or say --latest.")
    rows = ask(ctx, "device.pair.list", {})["pending"]
    rows = sorted(rows, key=lambda row: row["ts"])[-1:] if latest else [
        row for row in rows if row["requestId"].startswith(str(ref))
    ]  # fmt: skip
    if len(rows) != 1:
        raise NotFound("device.request", f"{len(rows)} requests are {str(ref or 'open')[:80]!r}",
                       "See `homarus device list`; a request lives for five minutes.")  # fmt: skip
    return str(rows[0]["requestId"])


def _id(ctx: Context, ref: str) -> str:
    """By id, the beginning of one, or name. Raises `device.unknown`, `device.ambiguous`."""
    rows = ask(ctx, "device.pair.list", {})["paired"]
    found = [row["deviceId"] for row in rows
             if row["deviceId"].startswith(ref) or _name(row) == ref]  # fmt: skip
    if not found:
        raise NotFound("device.unknown", f"no device {ref[:80]!r}", "See `homarus device list`.")
    if len(found) > 1:
        raise Invalid("device.ambiguous", f"{len(found)} devices are {ref[:80]!r}", "Give the id.")
    return str(found[0])
