"""homarus change"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from homarus.base.errors import Invalid
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit
from homarus.cli.resource import given, json_value, limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("change", help="Change the company's rules: propose, approve, switch.")

F = TypeVar("F", bound=Callable[..., Any])
MAX_FILE_BYTES: Final = 524_288
KINDS = (
    "config", "governed_document", "governed_setting", "capability_grant", "pipeline", "upgrade",
)  # fmt: skip
STATUSES = ("proposed", "validated", "found", "approved", "switched", "rejected", "rolled_back")
_COLUMNS = (
    ("number", "number"),
    ("status", "status"),
    ("kind", "kind"),
    ("target", "target"),
    ("intent", "intent"),
    ("author", "author"),
    ("approves", "approvalRole"),
)
_FIELDS = (
    *_COLUMNS,
    ("impact", "impact"),
    ("rollback", "rollbackPlan"),
    ("validation", "validation"),
    ("major", "major"),
    ("aspects", "aspects"),
    ("also agrees", "perspectives"),
    ("approver", "approver"),
    ("self-approved", "selfApproved"),
    ("created", "createdAt"),
    ("approved", "approvedAt"),
    ("in force", "switchedAt"),
)
_NEXT = {
    "proposed": "homarus change validate {number}",
    "validated": "homarus change approve {number}",
    "found": "homarus change approve {number}   (or `homarus change reject {number} REASON`)",
    "approved": "homarus change switch {number}",
    "switched": "homarus change rollback {number}   (if it does harm)",
}


def texts(fn: F) -> F:
    """The four texts that every change has."""
    for flag, name, help in reversed((
        ("--intent", "intent", "What it is for."),
        ("--impact", "impact", "Whom and what it touches."),
        ("--rollback", "rollback_plan", "How it is taken back."),
        ("--validation", "validation", "How one sees that it holds."),
    )):  # fmt: skip
        fn = click.option(flag, name, required=True, help=help)(fn)
    return fn


def read_text(path: str) -> str:
    """A file's text. Raises `cli.file`."""
    at = Path(path)
    if at.stat().st_size > MAX_FILE_BYTES:
        raise Invalid("cli.file", f"{at} passes {MAX_FILE_BYTES} bytes", "Make it smaller.")
    try:
        return at.read_text("utf-8")
    except UnicodeDecodeError:
        raise Invalid("cli.file", f"{at} is no UTF-8 text", "Convert it.") from None


def _pair(text: str, flag: str) -> tuple[str, str]:
    left, sign, right = text.partition("=")
    if not sign or not left:
        raise click.UsageError(f"{flag} is NAME=VALUE.")
    return left, right


def _value(text: str) -> Any:
    """A setting's value: JSON where it is that, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _patch(chosen: dict[str, Any], file: str | None, delete: bool) -> tuple[str, dict[str, Any]]:
    """Kind and patch from the one option that names what changes."""
    named = [name for name, value in chosen.items() if value is not None]
    if len(named) != 1:
        raise click.UsageError(f"Give one of --{', --'.join(chosen)}.")
    name = named[0]
    value: str = chosen[name]
    match name:
        case "document":
            if (file is None) is not delete:
                raise click.UsageError("--document goes with --file FILE or with --delete.")
            what = {"delete": True} if file is None else {"content": read_text(file)}
            return "governed_document", {"path": value} | what
        case "setting":
            left, right = _pair(value, "--setting")
            return "governed_setting", {"name": left, "value": _value(right)}
        case "role":
            agent, role = _pair(value, "--role")
            return "governed_setting", {"name": "role", "agent": agent, "role": role or None}
        case "grant":
            capability, grants = _pair(value, "--grant")
            wanted = [grant for grant in grants.split(",") if grant]
            return "capability_grant", {"capability": capability, "grants": wanted}
        case "pipeline" | "config":
            return name, {"text": read_text(value)}
        case "upgrade":
            return name, {"version": value}
        case _:
            kind, patch = _pair(value, "--patch")
            return kind, json_value(patch, "--patch")


@command.command()
@texts
@click.option("--document", help="A governed document, by its path; with --file or --delete.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False), help="Its new text.")
@click.option("--delete", is_flag=True, help="Remove the document.")
@click.option("--setting", metavar="NAME=VALUE", help="A governed setting, such as level=enforce.")
@click.option("--role", metavar="AGENT=ROLE", help="Who holds a role; empty takes it away.")
@click.option("--grant", metavar="CAPABILITY=G,G", help="Who may call it: role:X, agent:ID, *.")
@click.option("--pipeline", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="A pipeline, as YAML.")  # fmt: skip
@click.option("--config", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="A whole homarus.json.")  # fmt: skip
@click.option("--upgrade", metavar="VERSION", help="A version of Homarus.")
@click.option("--patch", metavar="KIND=JSON", help="Any kind, its patch as JSON or @FILE.")
@click.option("--major", is_flag=True, help="A major version: three perspectives must agree.")
@click.option("--aspect", "aspects", multiple=True,
              type=click.Choice(("content", "product", "technical")),
              help="It also touches this; may be repeated.")  # fmt: skip
@pass_context
def new(
    ctx: Context,
    /,
    intent: str,
    impact: str,
    rollback_plan: str,
    validation: str,
    file: str | None,
    delete: bool,
    major: bool,
    aspects: tuple[str, ...],
    **chosen: Any,
) -> None:
    """Propose a change."""
    kind, patch = _patch(chosen, file, delete)
    body = given(
        kind=kind,
        patch=patch,
        intent=intent,
        impact=impact,
        rollbackPlan=rollback_plan,
        validation=validation,
        major=major,
        aspects=aspects,
    )
    _show(ctx, ctx.api.post("/changes", body))


@command.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--kind", type=click.Choice(KINDS), help="Only these.")
@limit_option
@pass_context
def list_(ctx: Context, status: str | None, kind: str | None, limit: int) -> None:
    """Changes, newest first."""
    show_list(
        ctx, "/changes", "changes", _COLUMNS,
        limit=limit, empty="No change.", status=status, kind=kind,
    )  # fmt: skip


@command.command()
@click.argument("change")
@pass_context
def show(ctx: Context, change: str) -> None:
    """One change with its patch, reviews and failures."""
    reply = ctx.api.get(f"/changes/{path_part(change)}")
    _show(ctx, reply)
    row = reply["change"]
    for review in row["reviews"]:
        answer = f"; answered: {review['answer']}" if review["answer"] else ""
        ctx.out.line(
            f"review {review['n']}: {review['perspective']} ({review['reviewer']}) "
            f"{review['opinion']}: {review['comment']}{answer}"
        )
    patch = dict(row["patch"])
    text = patch.pop("content", patch.pop("text", None))
    ctx.out.line()
    ctx.out.fields(patch.items())
    if text is not None:
        ctx.out.line("--- text ---")
        ctx.out.line(text)


@command.command()
@click.argument("change")
@click.pass_context
@pass_context
def validate(ctx: Context, click_context: click.Context, change: str) -> None:
    """Check what would result. Fails when it does not hold."""
    reply = _act(ctx, change, "validate")
    click_context.exit(Exit.OK if reply["valid"] else Exit.FAILED)


@command.command()
@click.argument("change")
@click.option("--perspective", type=click.Choice(("coo", "scoder", "pm", "marketer")))
@click.option("--agree", metavar="TEXT", help="You agree, and why.")
@click.option("--object", "objection", metavar="TEXT", help="You object, and why.")
@click.option("--answer", nargs=2, type=(int, str), metavar="N TEXT", help="Answer review N.")
@pass_context
def review(
    ctx: Context,
    change: str,
    perspective: str | None,
    agree: str | None,
    objection: str | None,
    answer: tuple[int, str] | None,
) -> None:
    """Give an opinion, or answer one."""
    if answer is not None:
        _act(ctx, change, "review", {"n": answer[0], "answer": answer[1]})
        return
    if perspective is None or (agree is None) == (objection is None):
        raise click.UsageError("Give --perspective with --agree or --object, or --answer.")
    body = {
        "perspective": perspective,
        "opinion": "object" if agree is None else "agree",
        "comment": objection if agree is None else agree,
    }
    _act(ctx, change, "review", body)


@command.command()
@click.argument("change")
@click.option("--confirm", is_flag=True, help="As its author and the only operator.")
@pass_context
def approve(ctx: Context, change: str, confirm: bool) -> None:
    """Approve a change."""
    _act(ctx, change, "approve", {"confirm": confirm})


@command.command()
@click.argument("change")
@click.argument("reason")
@pass_context
def reject(ctx: Context, change: str, reason: str) -> None:
    """Reject a change, or withdraw your own."""
    _act(ctx, change, "reject", {"reason": reason})


@command.command()
@click.argument("change")
@pass_context
def switch(ctx: Context, change: str) -> None:
    """Put an approved change in force."""
    _act(ctx, change, "switch")


@command.command()
@click.argument("change")
@pass_context
def rollback(ctx: Context, change: str) -> None:
    """Put in force again what a change replaced."""
    _act(ctx, change, "rollback")


def _act(ctx: Context, change: str, act: str, body: Any = None) -> dict[str, Any]:
    reply = ctx.api.post(f"/changes/{path_part(change)}/{act}", body)
    _show(ctx, reply)
    return reply


def _show(ctx: Context, reply: dict[str, Any]) -> None:
    """The change in short, and the command that comes next."""
    show_one(ctx, reply, "change", _FIELDS)
    row = reply["change"]
    for failure in row["failures"]:
        ctx.out.line(f"fails: {failure['path']}: {failure['message']}")
    if reply.get("confirmNeeded"):
        ctx.out.line(f"{reply['message']}.")
        ctx.out.line(f"Next: homarus change approve {row['number']} --confirm")
    elif row["status"] in _NEXT:
        ctx.out.line(f"Next: {_NEXT[row['status']].format(number=row['number'])}")
