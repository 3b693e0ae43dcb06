"""homarus artifact"""

import hashlib
from pathlib import Path
from typing import Any

import click

from homarus.base.errors import Conflict, HomarusError, NotFound
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, project_id, show_list, show_one, table
from homarus.client.paths import path_part

command = Group("artifact", help="Files that the work produced.")

_COLUMNS = (
    ("title", lambda row: row.get("title") or row.get("originalFilename")),
    ("kind", "kind"),
    ("bytes", "sizeBytes"),
    ("type", "contentType"),
    ("task", "taskId"),
    ("created", "createdAt"),
    ("id", "id"),
)
_FIELDS = (
    *_COLUMNS,
    ("number", "number"),
    ("path", "path"),
    ("version", "version"),
    ("sha256", "sha256"),
    ("class", "artifactClass"),
    ("project", "projectId"),
)
_VERSIONS = (
    ("version", "version"),
    ("name", "originalFilename"),
    ("bytes", "sizeBytes"),
    ("type", "contentType"),
    ("replaced", "replacedAt"),
    ("sha256", "sha256"),
)


@command.command("list")
@click.option("--task", help="Only of this task: T-192 or its id.")
@click.option("--project", help="Only of this project.")
@click.option("--kind", help="Only of this kind.")
@click.option("--folder", help="Only in this folder: F-3, its id, or root for those in none.")
@click.option("--search", help="Only with this in title, name, kind or beginning.")
@limit_option
@pass_context
def list_(
    ctx: Context,
    task: str | None,
    project: str | None,
    kind: str | None,
    folder: str | None,
    search: str | None,
    limit: int,
) -> None:
    """Artifacts, newest first."""
    show_list(
        ctx, "/artifacts", "artifacts", _COLUMNS, limit=limit, empty="No artifact.", kind=kind,
        taskId=_task_id(ctx, task), projectId=project_id(ctx, project) if project else None,
        folderId=folder, search=search,
    )  # fmt: skip


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", default="file", show_default=True, help="What it is, in one word.")
@click.option("--task", help="The task it belongs to: T-192 or its id.")
@click.option("--project", help="The project it belongs to.")
@click.option("--folder", help="The folder it goes into: F-3 or its id.")
@click.option("--title", help="A title for people; the file's name when left out.")
@pass_context
def upload(
    ctx: Context,
    file: Path,
    kind: str,
    task: str | None,
    project: str | None,
    folder: str | None,
    title: str | None,
) -> None:
    """Store a file."""
    fields = given(
        kind=kind,
        title=title or file.name,
        taskId=_task_id(ctx, task),
        projectId=project_id(ctx, project) if project else None,
        folderId=folder,
    )
    show_one(ctx, ctx.api.upload("/artifacts/upload", fields, file), "artifact", _FIELDS)


@command.command()
@click.argument("artifact")
@pass_context
def show(ctx: Context, artifact: str) -> None:
    """One artifact."""
    show_one(ctx, ctx.api.get(f"/artifacts/{path_part(artifact)}"), "artifact", _FIELDS)


@command.command()
@click.argument("artifact")
@click.option("--folder", help="Into this folder: F-3 or its id; root takes it out of its folder.")
@click.option("--name", help="Under this file name.")
@pass_context
def move(ctx: Context, artifact: str, folder: str | None, name: str | None) -> None:
    """Put an artifact elsewhere, or rename it."""
    body = given(folderId=folder, name=name)
    show_one(
        ctx, ctx.api.patch(f"/artifacts/{path_part(artifact)}/move", body), "artifact", _FIELDS
    )


@command.command()
@click.argument("artifact")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_context
def replace(ctx: Context, artifact: str, file: Path) -> None:
    """Store FILE as its new content; the one before is kept as a version."""
    path = f"/artifacts/{path_part(artifact)}/replace"
    show_one(ctx, ctx.api.upload(path, {}, file, method="PATCH"), "artifact", _FIELDS)


@command.command("versions")
@click.argument("artifact")
@pass_context
def versions_(ctx: Context, artifact: str) -> None:
    """Earlier contents that are kept, newest first."""
    reply = ctx.api.get(f"/artifacts/{path_part(artifact)}/versions")
    ctx.out.document(reply)
    table(ctx, _VERSIONS, reply["versions"], "It was never replaced.")


@command.command()
@click.argument("artifact")
@pass_context
def delete(ctx: Context, artifact: str) -> None:
    """Remove an artifact, its content and its versions."""
    ctx.out.document(ctx.api.delete(f"/artifacts/{path_part(artifact)}/delete"))
    ctx.out.line(f"{artifact}: removed")


@command.command()
@click.argument("artifact")
@click.option("--to", "to", type=click.Path(path_type=Path), help="Where to; its name here if not.")
@click.option("--version", type=click.IntRange(1), help="An earlier content; see `versions`.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@pass_context
def download(
    ctx: Context, artifact: str, to: Path | None, version: int | None, force: bool
) -> None:
    """Fetch a file, checked against its SHA-256."""
    row = ctx.api.get(f"/artifacts/{path_part(artifact)}")["artifact"]
    if version is not None and version != row["version"]:
        row = _version(ctx, artifact, version)
    target = to or Path(Path(row.get("originalFilename") or artifact).name)
    if target.exists() and not force:
        raise Conflict("cli.exists", f"{target} is there already", "Give --to or --force.")
    size = fetch(ctx, artifact, target, row.get("sha256"), version)
    ctx.out.document({"path": str(target), "sizeBytes": size, "sha256": row.get("sha256")})
    ctx.out.line(f"{target}: {size} bytes")


def _version(ctx: Context, artifact: str, version: int) -> dict[str, Any]:
    """Raises `cli.unknown`."""
    for row in ctx.api.get(f"/artifacts/{path_part(artifact)}/versions")["versions"]:
        if row["version"] == version:
            return dict(row)
    raise NotFound(
        "cli.unknown",
        f"version {version} of {artifact} is not kept",
        f"See `homarus artifact versions {artifact}`.",
    )


def fetch(
    ctx: Context, artifact: str, target: Path, sha256: str | None, version: int | None = None
) -> int:
    """Download to `target`, whole or not at all. Raises `artifact.torn`."""
    draft = target.with_name(target.name + ".part")
    try:
        with draft.open("wb") as file:
            path = f"/artifacts/{path_part(artifact)}/download"
            size = ctx.api.download(path, file, version=version)
        if sha256 is not None and _sha256(draft) != sha256:
            raise HomarusError(
                "artifact.torn", f"{artifact} did not arrive whole", "Download it again."
            )
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _task_id(ctx: Context, task: str | None) -> str | None:
    if task is None:
        return None
    return str(ctx.api.get(f"/tasks/{path_part(task)}")["task"]["id"])
