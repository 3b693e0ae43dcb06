"""homarus pipeline"""

from pathlib import Path
from typing import Any

import click

from homarus.base.errors import TooLarge
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, project_id, show_list, show_one, table
from homarus.client.paths import path_part

command = Group("pipeline", help="Pipelines: stages in order, and their runs.")

MAX_FILE_BYTES = 1_000_000


def _stages(row: Any) -> str:
    return " → ".join(step["name"] for step in row.get("steps", ()))


_COLUMNS = (
    ("id", "id"),
    ("title", "title"),
    ("version", lambda row: "shipped" if row.get("shipped") else row.get("version")),
    ("status", "status"),
    ("stages", _stages),
)
_STAGES = (
    ("stage", "name"),
    ("title", "title"),
    ("role", "ownerRole"),
    ("after", lambda row: ", ".join(row["after"])),
    ("gates", lambda row: ", ".join(str(gate) for gate in row["gates"])),
)
_RUN = (
    ("number", "number"),
    ("pipeline", "pipelineId"),
    ("title", "title"),
    ("stage", "stage"),
    ("status", "status"),
    ("trace", "traceId"),
    ("started", "startedAt"),
)
_PLACES = (("stage", "stage"), ("task", "taskNumber"), ("state", "state"))


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Pipelines that the company can start."""
    show_list(ctx, "/pipelines", "pipelines", _COLUMNS, limit=limit, empty="No pipeline.")


@command.command()
@click.argument("pipeline")
@pass_context
def show(ctx: Context, pipeline: str) -> None:
    """Stages and last runs of a pipeline; or one run (R-3)."""
    if pipeline[:2].upper() == "R-":
        reply = ctx.api.get(f"/pipelines/runs/{path_part(pipeline)}")
        show_one(ctx, reply, "run", _RUN)
        table(ctx, _PLACES, reply["run"]["positions"], "No stage.")
        return
    reply = ctx.api.get(f"/pipelines/{path_part(pipeline)}")
    show_one(ctx, reply, "pipeline", _COLUMNS)
    table(ctx, _STAGES, reply["pipeline"]["steps"], "No stage.")
    table(ctx, _RUN, reply["pipeline"]["runs"], "No run yet.")


def _text(file: Path) -> dict[str, str]:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise TooLarge("pipeline.too_large", f"{file} is too large", "Write a shorter one.")
    return {"text": file.read_text("utf-8"), "file": file.name}


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command.command()
@click.argument("file", type=_FILE)
@pass_context
def validate(ctx: Context, file: Path) -> None:
    """Check a file; says file, line, column and what was expected."""
    reply = ctx.api.post("/pipelines/validate", _text(file))
    ctx.out.document(reply)
    ctx.out.fields([("id", reply["pipeline"]["id"]), ("stages", _stages(reply["pipeline"]))])


@command.command()
@click.argument("file", type=_FILE)
@pass_context
def register(ctx: Context, file: Path) -> None:
    """Put a file in force; runs go on as they were started."""
    body = _text(file)
    plan = ctx.api.post("/pipelines/validate", body)["pipeline"]
    reply = ctx.api.put(f"/pipelines/{path_part(plan['id'])}", body)
    show_one(ctx, reply, "pipeline", _COLUMNS)


@command.command()
@click.argument("pipeline")
@click.option("--project", required=True, help="The project, by number, goal or id.")
@click.option("--title", required=True, help="What the run is about.")
@click.option("--card", help="The project card it belongs to: C-7.")
@pass_context
def start(ctx: Context, pipeline: str, project: str, title: str, card: str | None) -> None:
    """Start a run at its first stage; makes the tasks of all stages."""
    body = given(projectId=project_id(ctx, project), title=title, card=card)
    reply = ctx.api.post(f"/pipelines/{path_part(pipeline)}/runs", body)
    show_one(ctx, reply, "run", _RUN)
    table(ctx, _PLACES, reply["run"]["positions"], "No stage.")
