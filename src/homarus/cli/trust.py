"""homarus trust"""

from typing import Any

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import Columns, Row, limit_option, show_list, table
from homarus.client.paths import path_part


class _ShowsAgents(Group):
    """`homarus trust ada` is `homarus trust show ada`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


command = _ShowsAgents("trust", help="How far an agent is trusted, and why.")

_PARTS: Columns = (
    ("dimension", "name"),
    ("weight", "weight"),
    ("value", "value"),
    ("points", "points"),
    ("for", "good"),
    ("against", "bad"),
    ("acts", "acts"),
)
_EVENTS: Columns = (
    ("at", "at"), ("kind", "kind"), ("note", "note"), ("task", "taskId"),
)  # fmt: skip
_CHANGES: Columns = (
    ("at", "at"),
    ("from", "before"),
    ("to", "after"),
    ("band", "band"),
    ("causes", lambda row: "; ".join(row.get("causes") or ())),
    ("by", "by"),
)


@command.command()
@click.argument("agent")
@pass_context
def show(ctx: Context, agent: str) -> None:
    """Explain an agent's trust score: what it is made of, what counted, what would raise it.

    `homarus trust AGENT` says the same.
    """
    reply = ctx.api.get(f"/agents/{path_part(agent)}/trust")
    ctx.out.document(reply)
    _explain(ctx, reply.get("trust") or {})


def _explain(ctx: Context, row: Row) -> None:
    now = row.get("computed") or {}
    ctx.out.fields(
        [
            ("agent", row.get("name")),
            ("score", f"{row.get('score')} ({row.get('band')})"),
            ("read-only", row.get("restricted")),
            ("computed", row.get("computedAt") or "not yet; a new agent starts at 60"),
            ("today it would be", f"{now.get('score')} ({now.get('band')})"),
        ]
    )
    ctx.out.line()
    table(ctx, _PARTS, now.get("dimensions") or [], "No data.")
    if now.get("training"):
        ctx.out.line(f"and {now['training']} for training")
    _list(ctx, "Since it was computed:", row.get("causes"))
    _list(ctx, "What would raise it:", row.get("raise"))
    if row.get("events"):
        ctx.out.line()
        table(ctx, _EVENTS, row["events"], "")


def _list(ctx: Context, title: str, lines: Any) -> None:
    if lines:
        ctx.out.line()
        ctx.out.line(title)
        for text in lines:
            ctx.out.line(f"  {text}")


@command.command()
@click.argument("agent")
@limit_option
@pass_context
def history(ctx: Context, agent: str, limit: int) -> None:
    """Every change of an agent's score with its causes, newest first."""
    path = f"/agents/{path_part(agent)}/trust/history"
    show_list(ctx, path, "changes", _CHANGES, limit=limit, empty="Its score never changed.")


@command.command()
@click.argument("agent")
@click.option("--note", default="", help="What you found.")
@pass_context
def review(ctx: Context, agent: str, note: str) -> None:
    """Restore an untrusted or read-only agent: at least 50, earlier acts no longer count."""
    reply = ctx.api.post(f"/agents/{path_part(agent)}/trust/review", {"note": note})
    ctx.out.document(reply)
    _explain(ctx, reply.get("trust") or {})
