"""Routes of pipelines and their runs (contract, 11). `PUT` takes the YAML text; POST and PATCH of
the collection stay free for the contract's registry (control-plane contract, 7)."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import pipelining
from homarus.flows.pipelining import Start
from homarus.pipelines import service
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
    plan = row.definition
    return {
        "id": row.id,
        "name": row.id,
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
    rows = service.listed(rx, call.company)
    name, status = call.query.get("name"), call.query.get("status")
    found = [
        row for row in rows if name in (None, "", row.id) and status in (None, "", row.status.value)
    ]
    return json_reply({"pipelines": [shape(row) for row in found[: call.limit()]]})


def show(rx: Rx, call: Call[None]) -> Reply:
    row = service.need(rx, call.company, call.path["id"])
    runs = [run_shape(run) for run in service.runs(rx, call.company, row.id)]
    return json_reply({"pipeline": shape(row) | {"text": row.text, "runs": runs}})


def runs(rx: Rx, call: Call[None]) -> Reply:
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
    """`status` other than `running` is for runs that are recorded, not run; there are none yet."""

    project_id: str
    title: str
    card: str | None = None
    input_json: dict[str, Any] = {}
    status: str = "running"


def start(tx: Tx, call: Call[StartBody]) -> Reply:
    body = call.body
    if body.status != "running":
        raise Invalid("pipeline.status", f"no status {body.status[:40]!r}", "Give `running`.")
    new = Start(
        pipeline=call.path["id"],
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
        "/pipelines", listed, "List pipelines", query=("name", "status", "limit"), tags=TAGS,
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
        "/pipelines/{id}/runs", runs, "List runs of a pipeline", query=("limit",), tags=TAGS,
    ),
    write_route(
        "POST", "/pipelines/{id}/runs", "pipeline.start", start, "Start a run at its first stage",
        body=StartBody, status=201, target="pipeline:{id}", tags=TAGS,
    ),
)  # fmt: skip
