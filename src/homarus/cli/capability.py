"""homarus capability"""

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, json_value, limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("capability", help="Commands that agents may run.")

_COLUMNS = (
    ("id", "id"),
    ("title", "title"),
    ("kind", "kind"),
    ("effect", "effect"),
    ("trusted", "trusted"),
    ("enabled", "enabled"),
    ("grants", "grants"),
)
_FIELDS = (*_COLUMNS, ("argv", "argv"), ("slots", "slots"))


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
@click.option("--grant", "grants", multiple=True, default=("*",), show_default=True,
              help="role:NAME, agent:ID or *; may be repeated.")  # fmt: skip
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
    trusted: bool,
    restartable: bool,
) -> None:
    """Register a command. ARGV is its template; put `--` before it."""
    body = given(
        id=id,
        title=title or id,
        argv=list(argv),
        slots=json_value(slots, "--slots") or {},
        grants=list(grants),
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
