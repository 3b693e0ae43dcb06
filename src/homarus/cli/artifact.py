"""homarus artifact"""

import hashlib
from pathlib import Path

import click

from homarus.base.errors import Conflict, HomarusError
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, project_id, show_list, show_one
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
_FIELDS = (*_COLUMNS, ("sha256", "sha256"), ("class", "artifactClass"), ("project", "projectId"))


@command.command("list")
@click.option("--task", help="Only of this task: T-192 or its id.")
@click.option("--project", help="Only of this project.")
@click.option("--kind", help="Only of this kind.")
@limit_option
@pass_context
def list_(
    ctx: Context, task: str | None, project: str | None, kind: str | None, limit: int
) -> None:
    """Artifacts, newest first."""
    show_list(
        ctx, "/artifacts", "artifacts", _COLUMNS, limit=limit, empty="No artifact.", kind=kind,
        taskId=_task_id(ctx, task), projectId=project_id(ctx, project) if project else None,
    )  # fmt: skip


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", default="file", show_default=True, help="What it is, in one word.")
@click.option("--task", help="The task it belongs to: T-192 or its id.")
@click.option("--project", help="The project it belongs to.")
@click.option("--title", help="A title for people; the file's name when left out.")
@pass_context
def upload(
    ctx: Context,
    file: Path,
    kind: str,
    task: str | None,
    project: str | None,
    title: str | None,
) -> None:
    """Store a file."""
    fields = given(
        kind=kind,
        title=title or file.name,
        taskId=_task_id(ctx, task),
        projectId=project_id(ctx, project) if project else None,
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
@click.option("--to", "to", type=click.Path(path_type=Path), help="Where to; its name here if not.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@pass_context
def download(ctx: Context, artifact: str, to: Path | None, force: bool) -> None:
    """Fetch a file, checked against its SHA-256."""
    row = ctx.api.get(f"/artifacts/{path_part(artifact)}")["artifact"]
    target = to or Path(Path(row.get("originalFilename") or row["id"]).name)
    if target.exists() and not force:
        raise Conflict("cli.exists", f"{target} is there already", "Give --to or --force.")
    size = fetch(ctx, artifact, target, row.get("sha256"))
    ctx.out.document({"path": str(target), "sizeBytes": size, "sha256": row.get("sha256")})
    ctx.out.line(f"{target}: {size} bytes")


def fetch(ctx: Context, artifact: str, target: Path, sha256: str | None) -> int:
    """Download to `target`, whole or not at all. Raises `artifact.torn`."""
    draft = target.with_name(target.name + ".part")
    try:
        with draft.open("wb") as file:
            size = ctx.api.download(f"/artifacts/{path_part(artifact)}/download", file)
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
