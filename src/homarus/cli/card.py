"""homarus card"""

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, project_id, show_list, show_one
from homarus.client.paths import path_part

command = Group("card", help="Project cards: what new capabilities are mounted on.")

_COLUMNS = (
    ("number", "number"),
    ("title", "title"),
    ("class", "class"),
    ("status", "status"),
    ("project", "projectId"),
    ("created", "createdAt"),
)


@command.command("list")
@click.option("--project", help="Only this project's.")
@limit_option
@pass_context
def list_(ctx: Context, project: str | None, limit: int) -> None:
    """Cards, newest first."""
    chosen = project_id(ctx, project) if project else None
    show_list(ctx, "/cards", "cards", _COLUMNS, limit=limit, empty="No card.", projectId=chosen)


@command.command()
@click.argument("title")
@click.option("--project", required=True, help="The project, by number, goal or id.")
@click.option("--goal", help="What it is for.")
@click.option("--class", "class_", type=click.Choice(("normal", "governance")), default="normal",
              show_default=True)  # fmt: skip
@pass_context
def create(ctx: Context, title: str, project: str, goal: str | None, class_: str) -> None:
    """Create a card in a project."""
    body = given(projectId=project_id(ctx, project), title=title, goal=goal) | {"class": class_}
    show_one(ctx, ctx.api.post("/cards", body), "card", _COLUMNS)


@command.command()
@click.argument("card")
@pass_context
def show(ctx: Context, card: str) -> None:
    """One card, by number (C-7) or id."""
    show_one(ctx, ctx.api.get(f"/cards/{path_part(card)}"), "card", (*_COLUMNS, ("goal", "goal")))
