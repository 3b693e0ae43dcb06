"""homarus folder"""

import click

from homarus.base.errors import Conflict
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, project_id, show_list, show_one, table
from homarus.client.paths import path_part

command = Group("folder", help="Folders of artifacts.")

_COLUMNS = (
    ("number", "number"),
    ("path", "path"),
    ("project", "projectId"),
    ("created", "createdAt"),
    ("id", "id"),
)
_LYING = (
    ("number", "number"),
    ("name", lambda row: row.get("name", row.get("originalFilename") or row.get("title"))),
    ("bytes", lambda row: row.get("sizeBytes", "folder")),
    ("created", "createdAt"),
)


@command.command("list")
@click.option("--parent", help="Only directly in this folder: F-3, its id, or root.")
@click.option("--project", help="Only of this project.")
@click.option("--search", help="Only with this in the name.")
@limit_option
@pass_context
def list_(
    ctx: Context, parent: str | None, project: str | None, search: str | None, limit: int
) -> None:
    """Folders, newest first."""
    show_list(
        ctx, "/folders", "folders", _COLUMNS, limit=limit, empty="No folder.", search=search,
        parentFolderId=parent, projectId=project_id(ctx, project) if project else None,
    )  # fmt: skip


@command.command()
@click.argument("name")
@click.option("--parent", help="The folder it lies in: F-3 or its id; at the top when left out.")
@click.option("--project", help="The project it belongs to, with all that lies in it.")
@pass_context
def create(ctx: Context, name: str, parent: str | None, project: str | None) -> None:
    """Make a folder."""
    body = given(
        name=name,
        parentFolderId=parent,
        projectId=project_id(ctx, project) if project else None,
    )
    show_one(ctx, ctx.api.post("/folders", body), "folder", _COLUMNS)


@command.command()
@click.argument("folder")
@limit_option
@pass_context
def show(ctx: Context, folder: str, limit: int) -> None:
    """What lies directly in FOLDER (F-3, its id, or root), newest first."""
    reply = ctx.api.get(f"/folders/{path_part(folder)}/contents", limit=limit)
    ctx.out.document(reply)
    table(ctx, _LYING, [*reply["folders"], *reply["artifacts"]], "Nothing lies in it.")


@command.command()
@click.argument("folder")
@click.option("--parent", help="Into this folder: F-3 or its id; root moves it to the top.")
@click.option("--name", help="Under this name.")
@pass_context
def move(ctx: Context, folder: str, parent: str | None, name: str | None) -> None:
    """Put a folder elsewhere with all that lies in it, or rename it."""
    body = given(parentFolderId=parent, name=name)
    show_one(ctx, ctx.api.patch(f"/folders/{path_part(folder)}", body), "folder", _COLUMNS)


@command.command()
@click.argument("folder")
@click.option("--all", "all_", is_flag=True, help="Also when something lies in it.")
@pass_context
def delete(ctx: Context, folder: str, all_: bool) -> None:
    """Remove a folder. With --all, everything that lies in it too."""
    path = f"/folders/{path_part(folder)}"
    reply = ctx.api.get(f"{path}/contents", limit=1)
    if not all_ and (reply["folders"] or reply["artifacts"]):
        raise Conflict(
            "cli.not_empty",
            f"something lies in {reply['folder']['path']}",
            f"See `homarus folder show {folder}`; --all removes it with everything.",
        )
    ctx.out.document(ctx.api.delete(path))
    ctx.out.line(f"{reply['folder']['path']}: removed")
