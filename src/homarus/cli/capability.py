"""homarus capability"""

from pathlib import Path
from typing import Any, Final

import click

from homarus.base.errors import Invalid
from homarus.cli import mcp_server, skill_folder
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit
from homarus.cli.resource import (
    agent_id,
    given,
    json_value,
    limit_option,
    show_list,
    show_one,
    table,
)
from homarus.client.paths import path_part

command = Group("capability", help="What agents may call, and who may.")
command.add_command(mcp_server.command)

MAX_DOCUMENT_BYTES: Final = 1_000_000

_COLUMNS = (
    ("id", "id"),
    ("title", "title"),
    ("kind", "kind"),
    ("effect", "effect"),
    ("trusted", "trusted"),
    ("enabled", "enabled"),
    ("grants", "grants"),
)
_FIELDS = (
    *_COLUMNS,
    ("version", "version"),
    ("risk", "risk"),
    ("owner", "owner"),
    ("keywords", "keywords"),
    ("targets", "targets"),
    ("mirror", "mirror"),
    ("approval", "approval"),
    ("quarantined", "quarantined"),
    ("argv", "argv"),
    ("slots", "slots"),
    ("input", "input"),
    ("description", "description"),
)


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Registered capabilities of the company."""
    show_list(
        ctx, "/capabilities", "capabilities", _COLUMNS, limit=limit, empty="None is registered."
    )


@command.command()
@click.argument("id")
@click.argument("argv", nargs=-1, required=True)
@click.option("--title", help="One line for people; the id when left out.")
@click.option("--slots", help="JSON object: slot -> type, or @FILE.")
@click.option("--grant", "grants", multiple=True,
              help="role:NAME, agent:NAME or *, may be repeated; `*` when left out at the first "
              "registration.")  # fmt: skip
@click.option("--description", help="What it does, for people and for search.")
@click.option("--keyword", "keywords", multiple=True, help="For search; may be repeated.")
@click.option("--risk", type=click.Choice(["low", "medium", "high"]), help="medium when left out.")
@click.option("--owner", help="The agent that answers for it.")
@click.option("--input", "schema", help="JSON Schema of its arguments, or @FILE.")
@click.option("--target", "targets", multiple=True,
              help="Pattern of what it may be called on; may be repeated.")  # fmt: skip
@click.option("--approval", is_flag=True, help="Each call needs an approval.")
@click.option("--trusted", is_flag=True, help="May run without a sandbox.")
@click.option("--restartable", is_flag=True, help="May run again when its outcome is unknown.")
@pass_context
def register(
    ctx: Context,
    id: str,
    argv: tuple[str, ...],
    title: str | None,
    slots: str | None,
    grants: tuple[str, ...],
    description: str | None,
    keywords: tuple[str, ...],
    risk: str | None,
    owner: str | None,
    schema: str | None,
    targets: tuple[str, ...],
    approval: bool,
    trusted: bool,
    restartable: bool,
) -> None:
    """Register a command. ARGV is its template; put `--` before it."""
    body = given(
        id=id,
        title=title or id,
        argv=list(argv),
        slots=json_value(slots, "--slots") or {},
        grants=grants,
        description=description,
        keywords=keywords,
        risk=risk,
        owner=owner,
        input=json_value(schema, "--input"),
        targets=targets,
        approval=approval or None,
        trusted=trusted,
        restartable=restartable,
    )
    show_one(ctx, ctx.api.post("/capabilities", body), "capability", _FIELDS)


@command.command()
@click.argument("id")
@pass_context
def disable(ctx: Context, id: str) -> None:
    """Disable a capability: from now on it is refused."""
    reply = ctx.api.post(f"/capabilities/{path_part(id)}/disable")
    show_one(ctx, reply, "capability", _COLUMNS)


@command.command()
@click.argument("id")
@pass_context
def show(ctx: Context, id: str) -> None:
    """Everything about one capability; of a skill its text too (--json)."""
    show_one(ctx, ctx.api.get(f"/capabilities/{path_part(id)}"), "capability", _FIELDS)


@command.command()
@click.argument("intent", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True,
              help="At most this many.")  # fmt: skip
@click.pass_obj
def search(ctx: Context, intent: tuple[str, ...], limit: int) -> int | None:
    """Find what fits an intent, best first. Exit code 3: nothing does."""
    reply = ctx.api.get("/capability-search", intent=" ".join(intent), limit=limit)
    ctx.out.document(reply)
    columns = (("id", "id"), ("title", "title"), ("kind", "kind"), ("score", "score"))
    table(ctx, columns, reply["hits"], "Nothing fits.")
    return None if reply["hits"] else int(Exit.NOT_FOUND)


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def validate(ctx: Context, file: Path) -> int | None:
    """Check a capabilities.yaml; nothing is changed. Exit code 2: something is wrong."""
    if file.stat().st_size > MAX_DOCUMENT_BYTES:
        raise Invalid("cli.file", f"{file} passes {MAX_DOCUMENT_BYTES} bytes", "Make it smaller.")
    text = file.read_bytes().decode("utf-8", "replace")
    reply = ctx.api.post("/capability-document/validate", {"text": text})
    ctx.out.document(reply)
    if reply["valid"]:
        ctx.out.line(f"{file}: {len(reply['capabilities'])} capabilities, nothing is wrong")
        return None
    for problem in reply["problems"]:
        tail = f"; expected {problem['expected']}" if problem["expected"] else ""
        place = f"{file}:{problem['line']}:{problem['column']}"
        ctx.out.line(f"{place}: {problem['message']}{tail}")
    if reply["count"] > len(reply["problems"]):
        ctx.out.line(f"… and {reply['count'] - len(reply['problems'])} more")
    return int(Exit.USAGE)


@command.command("add-skill")
@click.argument("folder", type=click.Path(path_type=Path))
@pass_context
def add_skill(ctx: Context, folder: Path) -> None:
    """Register a skill's folder. It waits in quarantine until it is granted."""
    reply = ctx.api.post("/skills", skill_folder.read(folder))
    show_one(ctx, reply, "capability", _FIELDS)


@command.command()
@click.argument("id")
@click.argument("who", nargs=-1, required=True)
@click.option("--reason", default="", help="Why, for whoever approves it.")
@pass_context
def grant(ctx: Context, id: str, who: tuple[str, ...], reason: str) -> None:
    """Propose that WHO (role:NAME, agent:NAME or *) may call it too: a change to be approved."""
    _propose(ctx, id, who, (), reason)


@command.command()
@click.argument("id")
@click.argument("who", nargs=-1, required=True)
@click.option("--reason", default="", help="Why, for whoever approves it.")
@pass_context
def revoke(ctx: Context, id: str, who: tuple[str, ...], reason: str) -> None:
    """Propose that WHO may no longer call it: a change to be approved."""
    _propose(ctx, id, (), who, reason)


def _propose(
    ctx: Context, id: str, more: tuple[str, ...], fewer: tuple[str, ...], reason: str
) -> None:
    row = ctx.api.get(f"/capabilities/{path_part(id)}")["capability"]
    before = list(row["grants"])
    added, removed = ([_by_id(ctx, each) for each in names] for names in (more, fewer))
    missing = [each for each in removed if each not in before]
    if missing:
        raise Invalid("cli.grant", f"{id} is not granted to {', '.join(missing)}",
                      f"It is granted to {', '.join(before) or 'nobody'}.")  # fmt: skip
    after = sorted({*before, *added} - set(removed))
    verb = "Grant" if more else "Revoke"
    body = {
        "kind": "capability_grant",
        "patch": {"capability": id, "grants": after},
        "intent": reason or f"{verb} {id}: {', '.join(more or fewer)}",
        "impact": f"Who may call {id}: before {before}, after {after}.",
        "rollbackPlan": f"Set the grants of {id} to {before} again.",
        "validation": f"`homarus capability show {id}` names the grants.",
    }
    reply = ctx.api.post("/changes", body)
    change: dict[str, Any] = reply.get("change") or {}
    ctx.out.document(reply)
    ctx.out.fields([("change", change.get("number") or change.get("id")),
                    ("status", change.get("status")), ("grants", after)])  # fmt: skip


def _by_id(ctx: Context, who: str) -> str:
    """`agent:NAME` as rows keep it; anything else as it is."""
    kind, _, name = who.partition(":")
    return f"agent:{agent_id(ctx, name)}" if kind == "agent" and name else who
