"""Routes of pipelines and their runs: the governed ones that this company runs (contract, 11), and
records of those that run elsewhere (control-plane contract, 7; `recorded_pipelines.py`).

`PUT` takes the YAML text of a governed one; POST and PATCH write records. An id that names a
governed pipeline means it, whatever records are called.
"""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, Invalid
from homarus.control_plane import recorded_pipelines as records
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.times import opt_ms
from homarus.flows import pipelining
from homarus.flows.pipelining import Start
from homarus.pipelines import diagram, recorded, recorded_runs, service
from homarus.pipelines import text as yaml_text
from homarus.pipelines.model import Definition, Pipeline, Position, Run
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks import sql


def stages_shape(plan: Definition) -> list[dict[str, Any]]:
    return [
        {
            "name": stage.id,
            "title": stage.title,
            "ownerRole": stage.owner,
            "agentRef": stage.agent,
            "taskType": stage.type,
            "input": stage.input,
            "output": stage.output,
            "definitionOfDone": stage.done,
            "gates": stage.gates,
            "after": plan.before(stage.id),
        }
        for stage in plan.stages
    ]


def shape(row: Pipeline) -> dict[str, Any]:
    """Ours, and what the wire of records has a field for."""
    plan = row.definition
    steps = [(stage.title, stage.owner, _gates(stage.gates)) for stage in plan.stages]
    return {
        "id": row.id,
        "name": row.id,
        "kind": "governed",
        "purpose": row.title,
        "docMarkdown": None,
        "trigger": recorded.MANUAL,
        "triggerConfig": {},
        "diagramMermaid": diagram.flowchart(recorded.MANUAL, steps),
        "title": row.title,
        "label": plan.label,
        "version": row.version,
        "shipped": row.version == 0,
        "status": row.status.value,
        "starts": plan.starts,
        "covers": plan.covers,
        "steps": stages_shape(plan),
        "feedback": [{"from": a, "to": b} for a, b in plan.feedback],
        "createdAt": None if row.created_ms is None else iso_ms(row.created_ms),
    }


def _gates(numbers: tuple[int, ...]) -> str:
    return f"gates {', '.join(map(str, numbers))}" if numbers else ""


def run_shape(row: Run) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": row.number,
        "pipelineId": row.pipeline,
        "version": row.version,
        "projectId": row.project,
        "card": row.card,
        "title": row.title,
        "originTaskId": row.origin,
        "traceId": row.trace,
        "stage": row.stage,
        "status": row.status.value,
        "startedBy": row.started_by,
        "startedAt": iso_ms(row.started_ms),
        "endedAt": None if row.ended_ms is None else iso_ms(row.ended_ms),
    }


def _position(rx: Rx, company: str, row: Position) -> dict[str, Any]:
    task = sql.by_id(rx, company, row.task)
    return {
        "stage": row.stage,
        "taskId": row.task,
        "taskNumber": None if task is None else task.number,
        "state": None if task is None else task.state.value,
        "doneAt": None if row.done_ms is None else iso_ms(row.done_ms),
    }


def _whole(rx: Rx, company: str, row: Run) -> dict[str, Any]:
    places = [_position(rx, company, place) for place in service.positions(rx, row.id)]
    return run_shape(row) | {"positions": places}


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /pipelines: on the first page the governed ones, then records, newest first."""
    query, limit = call.query, call.limit()
    name, status = query.get("name"), query.get("status")
    found = []
    if call.cursor() is None and not query.get("projectId"):
        found = [
            shape(row)
            for row in service.listed(rx, call.company)
            if name in (None, "", row.id) and status in (None, "", row.status.value)
        ][:limit]
    rows, more = records.page(rx, call, limit - len(found))
    return json_reply({"pipelines": found + rows} | more)


def show(rx: Rx, call: Call[None]) -> Reply:
    record = records.named_by(rx, call)
    if record is not None:
        return records.show(rx, record)
    row = service.need(rx, call.company, call.path["id"])
    runs = [run_shape(run) for run in service.runs(rx, call.company, row.id)]
    return json_reply({"pipeline": shape(row) | {"text": row.text, "runs": runs}, "runs": runs})


def runs(rx: Rx, call: Call[None]) -> Reply:
    record = records.named_by(rx, call)
    if record is not None:
        return records.runs(rx, record, call)
    row = service.need(rx, call.company, call.path["id"])
    found = service.runs(rx, call.company, row.id, call.limit())
    return json_reply({"runs": [_whole(rx, call.company, run) for run in found]})


def show_run(rx: Rx, call: Call[None]) -> Reply:
    row = service.need_run(rx, call.company, call.path["id"])
    return json_reply({"run": _whole(rx, call.company, row)})


class TextBody(msgspec.Struct, frozen=True):
    """`text`: YAML, as docs/how-to/pipelines.md shows it. `file`: its name, for messages."""

    text: str
    file: str = "pipeline.yaml"


def validate(rx: Rx, call: Call[TextBody]) -> Reply:
    """POST /pipelines/validate: what `PUT` would say, without a change."""
    known = pipelining.known(rx, call.company)
    plan = yaml_text.parse(call.body.text, name=call.body.file[:200], known=known)
    found = {"id": plan.id, "title": plan.title, "steps": stages_shape(plan)}
    return json_reply({"pipeline": found})


def put(tx: Tx, call: Call[TextBody]) -> Reply:
    """PUT /pipelines/{id}: the text becomes the version in force."""
    known = pipelining.known(tx, tx.company)
    plan = yaml_text.parse(call.body.text, name=call.body.file[:200], known=known)
    if plan.id != call.path["id"]:
        raise Invalid(
            "pipeline.id", f"the text is of {plan.id}", f"PUT it to /pipelines/{plan.id}."
        )
    row = service.put(tx, call.body.text, known)
    return json_reply({"message": "Pipeline registered", "pipeline": shape(row)})


class StartBody(msgspec.Struct, rename="camel", frozen=True):
    """Of a governed pipeline: a run begins, `projectId` and `title` are needed. Of a record: what a
    runtime says of a run (`status`; `runId` of one that it began; `summary`, `stats`)."""

    project_id: str | None = None
    title: str | None = None
    card: str | None = None
    input_json: dict[str, Any] = {}
    status: str = recorded_runs.RUNNING
    run_id: str | None = None
    summary: str | None = None
    stats: dict[str, Any] | None = None
    started_at: str | int | None = None
    ended_at: str | int | None = None


def start(tx: Tx, call: Call[StartBody]) -> Reply:
    body, record = call.body, records.named_by(tx, call)
    if record is not None:
        said = recorded_runs.Report(
            status=body.status,
            run=body.run_id,
            summary=body.summary,
            stats=body.stats,
            started_ms=opt_ms(body.started_at, "startedAt"),
            ended_ms=opt_ms(body.ended_at, "endedAt"),
        )
        return records.report(tx, record, said)
    pipeline = service.need(tx, call.company, call.path["id"]).id
    if body.status != recorded_runs.RUNNING or body.run_id is not None:
        raise Conflict(
            "pipeline.governed",
            f"{pipeline} runs here: its stages' results move a run on, not a report",
            "Start one with `projectId` and `title`; report on recorded pipelines.",
        )
    if body.project_id is None or body.title is None:
        missing = [n for n, v in (("projectId", body.project_id), ("title", body.title)) if not v]
        raise Invalid(
            "pipeline.missing", f"a run needs {' and '.join(missing)}", "Give them.",
            missingFields=missing,
        )  # fmt: skip
    new = Start(
        pipeline=pipeline,
        project=body.project_id.lower(),
        title=body.title,
        card=body.card,
        input=body.input_json,
    )
    row = pipelining.start(tx, new)
    return json_reply({"message": "Run started", "run": _whole(tx, tx.company, row)}, 201)


TAGS: Final = ("pipelines",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/pipelines", listed, "List pipelines",
        query=("name", "status", "projectId", "limit", "cursor"), tags=TAGS,
    ),
    Route(
        method="POST", path="/pipelines/validate", capability="read", handler=validate,
        kind="read", summary="Check a pipeline's text", body=TextBody, tags=TAGS,
    ),
    read_route("/pipelines/runs/{id}", show_run, "Show a run, by id or number", tags=TAGS),
    read_route("/pipelines/{id}", show, "Show a pipeline and its last runs", tags=TAGS),
    write_route(
        "PUT", "/pipelines/{id}", "pipeline.register", put, "Register a pipeline's text",
        body=TextBody, target="pipeline:{id}", tags=TAGS,
    ),
    read_route(
        "/pipelines/{id}/runs", runs, "List runs of a pipeline", query=("limit", "cursor"),
        tags=TAGS,
    ),
    write_route(
        "POST", "/pipelines/{id}/runs", "pipeline.start", start,
        "Start a run at its first stage, or report one of a record",
        body=StartBody, keyed="required", status=201, also=(200,), target="pipeline:{id}",
        tags=TAGS,
    ),
    *records.ROUTES,
)  # fmt: skip
