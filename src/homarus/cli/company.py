"""homarus company"""

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("company", help="Companies of this daemon.")

_COLUMNS = (
    ("slug", "slug"),
    ("name", "name"),
    ("template", "template"),
    ("zone", "timeZone"),
    ("created", "createdAt"),
)


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """All companies."""
    show_list(ctx, "/companies", "companies", _COLUMNS, limit=limit, empty="No company.")


@command.command()
@click.argument("slug")
@click.option("--name", help="Name for people; the slug when left out.")
@click.option("--template", type=click.Choice(["studio", "solo"]), default="studio",
              show_default=True, help="studio enforces all rules, solo observes.")  # fmt: skip
@pass_context
def create(ctx: Context, slug: str, name: str | None, template: str) -> None:
    """Found a company."""
    body = given(slug=slug, name=name or slug, template=template)
    show_one(ctx, ctx.api.post("/companies", body), "company", (("id", "id"), *_COLUMNS))


@command.command()
@click.argument("slug")
@pass_context
def show(ctx: Context, slug: str) -> None:
    """One company."""
    reply = ctx.api.get(f"/companies/{path_part(slug)}")
    show_one(ctx, reply, "company", (("id", "id"), *_COLUMNS))


@command.command()
@click.argument("slug")
@click.option("--name", help="A new name.")
@click.option("--time-zone", help="Where its clock on the wall hangs, such as Europe/Berlin.")
@pass_context
def update(ctx: Context, slug: str, name: str | None, time_zone: str | None) -> None:
    """Change a company; what is not given stays."""
    body = given(name=name, timeZone=time_zone)
    if not body:
        raise click.UsageError("Nothing to change: give at least one option.")
    reply = ctx.api.patch(f"/companies/{path_part(slug)}", body)
    show_one(ctx, reply, "company", (("id", "id"), *_COLUMNS))


@command.command()
@click.argument("slug", required=False)
@pass_context
def use(ctx: Context, slug: str | None) -> None:
    """Act in this company from now on; without SLUG, in the default one again."""
    if slug is not None:
        ctx.api.get(f"/companies/{path_part(slug)}")
    ctx.prefer("company", slug)
    ctx.out.document({"company": slug})
    ctx.out.line(f"Commands of {ctx.home} now act in {slug or 'the default company'}.")
