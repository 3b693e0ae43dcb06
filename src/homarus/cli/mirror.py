"""homarus mirror"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from homarus.base.errors import Invalid
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import (
    Columns,
    Row,
    given,
    json_value,
    limit_option,
    show_list,
    show_one,
    table,
)
from homarus.client.paths import path_part

command = Group("mirror", help="Copies of the company's records in other tools.")

MAX_MAPPING = 65_536


def lag(row: Row) -> str:
    """`12 wait, the oldest for 4 s`; `up to date`."""
    rows = row["rows"]
    left = rows["pending"] + rows["processing"] + rows["unknown"]
    text = f"{left} wait, the oldest for {ago(row['lagMs'])}" if left else "up to date"
    return text + (f"; {rows['failed']} failed" if rows["failed"] else "")


def line(row: Row) -> str:
    """A mirror in one line: `homarus status`."""
    if row["state"] != "active":
        return f"{row['state']}; {lag(row)}"
    return f"{lag(row)}; held: {row['held']}" if row["held"] else lag(row)


def ago(ms: int) -> str:
    seconds = ms // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7_200 else f"{seconds // 3_600} h"


def why(status: str) -> Callable[[Row], str | None]:
    """Of the oldest row of a status, what it ended with when it was tried last."""

    def told(row: Row) -> str | None:
        for each in row.get("troubles", ()):
            if each["status"] == status:
                return f"{each['number'] or each['row']} since {each['createdAt']}: {each['error']}"
        return None

    return told


_COLUMNS = (
    ("name", "name"),
    ("target", "targetType"),
    ("state", "state"),
    ("shows", lambda row: ", ".join(row["entities"])),
    ("lag", lag),
    ("held", "held"),
)
_FIELDS: Columns = (
    *_COLUMNS,
    ("since", "heldSince"),
    ("reason", "reason"),
    *((status, why(status)) for status in ("failed", "unknown", "processing", "pending")),
    ("delay", lambda row: f"{row['delayMs'] / 1000:g} s"),
    ("resync runs", "resyncing"),
    ("last push", "lastOkAt"),
    ("calls this month", "callsThisMonth"),
    ("config", "config"),
    ("added", lambda row: f"{row['createdAt']} by {row['createdBy']}"),
)


def _mapping(path: Path | None) -> str | None:
    if path is None:
        return None
    if path.stat().st_size > MAX_MAPPING:
        raise Invalid("cli.mapping", f"{path} passes {MAX_MAPPING} bytes", "Show fewer fields.")
    return path.read_text("utf-8")


def _body(target_type: str, config: str | None, mapping: Path | None) -> dict[str, Any]:
    found = json_value(config, "--config")
    if found is not None and not isinstance(found, dict):
        raise Invalid("cli.json", "--config is no JSON object", 'Such as \'{"url": "https://…"}\'.')
    return given(targetType=target_type, config=found, mapping=_mapping(mapping))


_config = click.option("--config", help="JSON as the adapter wants it, or @FILE.")
_map = click.option(
    "--mapping", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="YAML file: which entities and fields, under which names.",
)  # fmt: skip


@command.command()
@click.argument("name")
@click.option("--type", "target_type", required=True, help="Adapter; a wrong name lists them.")
@_config
@_map
@click.option(
    "--delay", type=click.FloatRange(0, 86_400), help="Seconds from a change to its push."
)
@pass_context
def add(
    ctx: Context, name: str, target_type: str, config: str | None, mapping: Path | None,
    delay: float | None,
) -> None:  # fmt: skip
    """Mirror the company's records to a target. Everything there is goes out first."""
    body = _body(target_type, config, mapping) | given(name=name, delayS=delay)
    reply = ctx.api.post("/mirrors", body)
    show_one(ctx, reply, "mirror", _FIELDS)


@command.command()
@click.argument("name", required=False)
@click.option("--type", "target_type", help="Adapter of a mirror that is not there yet.")
@_config
@_map
@pass_context
def check(
    ctx: Context, name: str | None, target_type: str | None, config: str | None,
    mapping: Path | None,
) -> None:  # fmt: skip
    """Whether the target of mirror NAME is well, and what a push would do there.

    With --type instead of NAME: whether a configuration and a mapping fit, and what they would
    show."""
    if (name is None) == (target_type is None):
        raise click.UsageError("Give the NAME of a mirror, or --type with --config and --mapping.")
    if name is not None:
        reply = ctx.api.post(f"/mirrors/{path_part(name)}/check")
        ctx.out.document(reply)
        health = reply["health"]
        ctx.out.fields([("target", "well" if health["ok"] else f"not well: {health['why']}")])
        for line in reply["wouldDo"]:
            ctx.out.line(line)
        return
    reply = ctx.api.post("/mirrors/check", _body(str(target_type), config, mapping))
    ctx.out.document(reply)
    ctx.out.fields(
        [("writes to", reply["place"]), ("shows", ", ".join(reply["entities"])),
         ("secrets", ", ".join(reply["secrets"]) or None)]
    )  # fmt: skip
    for sample in reply["samples"]:
        ctx.out.line(f"{sample['number']}: {sample['fields']}")


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Mirrors, and how far each lags."""
    reply = ctx.api.get("/mirrors", limit=min(limit, 500))
    ctx.out.document(reply)
    table(ctx, _COLUMNS, reply["mirrors"], "No mirror yet: homarus mirror add --help")


@command.command()
@click.argument("name")
@pass_context
def status(ctx: Context, name: str) -> None:
    """One mirror: what waits, since when, and why."""
    show_one(ctx, ctx.api.get(f"/mirrors/{path_part(name)}"), "mirror", _FIELDS)


def _act(ctx: Context, name: str, act: str, said: str, body: dict[str, Any] | None = None) -> None:
    reply = ctx.api.post(f"/mirrors/{path_part(name)}/{act}", body)
    ctx.out.document(reply)
    ctx.out.line(said)


@command.command()
@click.argument("name")
@pass_context
def resync(ctx: Context, name: str) -> None:
    """Ask the target for everything, and mend it; what is equal costs no write."""
    _act(ctx, name, "resync", f"{name} is compared, in chunks: homarus mirror status {name}")


@command.command()
@click.argument("name")
@click.option("--reason", default="", help="Why.")
@pass_context
def pause(ctx: Context, name: str, reason: str) -> None:
    """Push nothing for a while; what changes waits."""
    _act(ctx, name, "pause", f"{name} rests.", {"reason": reason})


@command.command()
@click.argument("name")
@pass_context
def resume(ctx: Context, name: str) -> None:
    """Push again."""
    _act(ctx, name, "resume", f"{name} goes on.")


@command.command()
@click.argument("name")
@click.option("--drop", metavar="REASON", help="Drop what waits, and say why.")
@pass_context
def remove(ctx: Context, name: str, drop: str | None) -> None:
    """Remove a mirror; what its target holds stays there.

    While changes wait for it, it is refused: let them out first, or give them up with --drop.
    """
    _act(ctx, name, "remove", f"Removed {name}.", {"drop": drop})


@command.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Resolved ones too.")
@limit_option
@pass_context
def conflicts(ctx: Context, name: str | None, every: bool, limit: int) -> None:
    """What somebody else changed at a mirror. Ours is kept, and pushed again."""
    columns = (
        ("no", "number"), ("mirror", "mirror"), ("what", "what"), ("theirs", "theirs"),
        ("state", "state"), ("at", "createdAt"),
    )  # fmt: skip
    query = given(mirror=name, all="true" if every else None)
    show_list(
        ctx, "/mirrors/conflicts", "conflicts", columns, limit=limit, empty="No conflict is open.",
        **query,
    )  # fmt: skip


@command.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--note", default="", help="What was done about it.")
@pass_context
def resolve(ctx: Context, number: int, note: str) -> None:
    """Say that a conflict was seen."""
    reply = ctx.api.post(f"/mirrors/conflicts/{number}/resolve", {"note": note})
    ctx.out.document(reply)
    ctx.out.line(f"Conflict {number} is resolved.")
