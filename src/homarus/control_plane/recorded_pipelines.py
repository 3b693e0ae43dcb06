"""Records of pipelines that run elsewhere, in the original's wire (control-plane contract, 7).

`pipelines.py` has the routes that records share with governed pipelines.
"""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.company import agents, context_sources, customers, projects
from homarus.company.context_pack import DEFAULT_CHARS
from homarus.company.context_sources import Scopes
from homarus.control_plane import shapes_resources as shapes
from homarus.control_plane.pages import cut, going_on
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.shapes_work import ts
from homarus.jobs import timing
from homarus.pipelines import diagram, recorded, recorded_runs, service
from homarus.pipelines.recorded import Change, Record, Step
from homarus.pipelines.recorded_runs import RecordedRun, Report
from homarus.store.port import Reply, Rx, Tx

UNSET = msgspec.UNSET
Unset = msgspec.UnsetType
MAX_LOOKED_FOR: Final = 20
"""Agents of steps that a warning looks for: a unit is short."""


# -- shapes --------------------------------------------------------------------------------


def shape(row: Record) -> dict[str, Any]:
    """The contract's fields, and the names that the original's own pages read."""
    steps = [(step.name, step.agent_ref or "", step.gate or "") for step in row.steps]
    return {
        "id": row.id,
        "companyId": row.company,
        "kind": row.kind,
        "name": row.name,
        "purpose": row.purpose,
        "docMarkdown": row.doc,
        "trigger": row.trigger,
        "triggerConfig": row.trigger_config,
        "steps": row.steps,
        "stepsJson": row.steps,
        "diagramMermaid": diagram.flowchart(row.trigger, steps),
        "runtimeRef": row.runtime_ref,
        "projectId": row.project,
        "customerId": row.customer,
        "agentId": row.agent,
        "ownerAgentId": row.agent,
        "status": row.status,
        "contextQuery": row.context_query,
        "contextResourceIds": row.context_resources,
        "contextTagFilters": row.context_tags,
        "contextMaxChars": row.context_max_chars,
        "runCount": row.runs,
        "lastRunAt": ts(row.last_run_ms),
        "lastRunStatus": row.last_run_status,
        "createdBy": row.created_by,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def run_shape(row: RecordedRun) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "pipelineId": row.pipeline,
        "status": row.status,
        "summary": row.summary,
        "stats": row.stats,
        "statsJson": row.stats,
        "reportedBy": row.reported_by,
        "startedAt": iso_ms(row.started_ms),
        "endedAt": ts(row.ended_ms),
        "createdAt": iso_ms(row.created_ms),
    }


# -- what the shared routes ask ------------------------------------------------------------


def named_by(rx: Rx, call: Call[Any]) -> Record | None:
    """The record that the path's id names; None: perhaps a governed pipeline."""
    return recorded.find(rx, call.company, call.path["id"], (recorded.PIPELINE,))


def page(rx: Rx, call: Call[None], limit: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """At most `limit` shapes, and `nextCursor` where there are more."""
    query = call.query
    rows, after = recorded.page(
        rx, call.company, recorded.PIPELINE, limit=limit, before=call.cursor(),
        name=query.get("name"), status=query.get("status"),
        project=(query.get("projectId") or "").lower(),
    )  # fmt: skip
    more = {} if after is None else {"nextCursor": str(after)}
    return [shape(row) for row in rows], more


def show(rx: Rx, record: Record) -> Reply:
    found = [run_shape(run) for run in recorded_runs.listed(rx, record.id)]
    return json_reply({"pipeline": shape(record) | {"runs": found}, "runs": found})


def runs(rx: Rx, record: Record, call: Call[None]) -> Reply:
    limit = call.limit()
    rows = recorded_runs.listed(rx, record.id, limit=limit + 1, before=call.cursor())
    rows, cursor = cut(rows, limit)
    return json_reply({"runs": [run_shape(run) for run in rows]} | going_on(cursor))


def report(tx: Tx, record: Record, said: Report) -> Reply:
    row = recorded_runs.report(tx, record, said)
    word = "finished" if row.ended else "started"
    body = {"message": f"Run {word}", "run": run_shape(row)}
    return json_reply(body, 201 if said.run is None else 200)


# -- records -------------------------------------------------------------------------------


class RecordBody(msgspec.Struct, rename="camel"):
    """`agentId` (also `ownerAgentId`): id or name. What a `steps[].agentRef` names may run
    elsewhere, so it is only warned about. `kind`: `pipeline` or `template`, at the start only."""

    name: str | Unset = UNSET
    kind: str = recorded.PIPELINE
    purpose: str | Unset | None = UNSET
    doc_markdown: str | Unset | None = UNSET
    trigger: str | Unset = UNSET
    trigger_config: dict[str, Any] | Unset | None = UNSET
    steps: list[Step] | Unset | None = UNSET
    runtime_ref: str | Unset | None = UNSET
    project_id: str | Unset | None = UNSET
    customer_id: str | Unset | None = UNSET
    agent_id: str | Unset | None = UNSET
    owner_agent_id: str | Unset | None = UNSET
    status: str | Unset = UNSET
    context_query: str | Unset | None = UNSET
    context_resource_ids: list[str] | Unset | None = UNSET
    context_tag_filters: list[str] | Unset | None = UNSET
    context_max_chars: int | Unset | None = UNSET


def _change(tx: Tx, body: RecordBody) -> Change:
    """References resolved within the company; null empties a list or object."""
    agent = body.owner_agent_id if body.agent_id is UNSET else body.agent_id
    project, customer = body.project_id, body.customer_id
    if isinstance(agent, str):
        agent = agents.need(tx, tx.company, agent).id if agent else None
    if isinstance(project, str):
        project = projects.need(tx, tx.company, project.lower()).id if project else None
    if isinstance(customer, str):
        customer = customers.need(tx, tx.company, customer.lower()).id if customer else None
    return Change(
        name=body.name,
        purpose=body.purpose,
        doc=body.doc_markdown,
        trigger_kind=body.trigger,
        trigger_config=body.trigger_config if body.trigger_config is not None else {},
        steps=body.steps if body.steps is not None else [],
        runtime_ref=body.runtime_ref,
        project=project,
        customer=customer,
        agent=agent,
        status=body.status,
        context_query=body.context_query,
        context_resources=_items(body.context_resource_ids),
        context_tags=_items(body.context_tag_filters),
        context_max_chars=body.context_max_chars,
    )


def _items(value: list[str] | Unset | None) -> list[str] | Unset:
    return [] if value is None else value


def put(tx: Tx, call: Call[RecordBody]) -> Reply:
    """POST /pipelines: by name, a new record or the one of that name changed."""
    body = call.body
    if not isinstance(body.name, str):
        raise recorded.wrong("name", "a name is needed", "Give `name`.")
    if body.kind not in (recorded.PIPELINE, recorded.TEMPLATE):
        raise recorded.wrong("kind", "unknown kind", "`pipeline` or `template`.")
    _not_governed(tx, body.name)
    before = recorded.named(tx, tx.company, body.kind, body.name)
    change = _change(tx, body)
    if before is None:
        row = recorded.create(tx, body.kind, change, recorded.DRAFT)
    else:
        row = recorded.update(tx, before, change)
    word = "registered" if before is None else "updated"
    answer = {
        "message": f"Pipeline {word}",
        "pipeline": shape(row),
        "warnings": warnings(tx, row),
    }
    return json_reply(answer, 201 if before is None else 200)


def _not_governed(tx: Tx, name: str) -> None:
    """A record never bears the name of what this company runs and governs."""
    if service.find(tx, tx.company, name) is not None:
        raise _governed(name)


def _governed(name: str) -> Conflict:
    return Conflict(
        "pipeline.governed",
        f"{name} is a pipeline that this company runs, and it is governed",
        "An owner puts its text (`homarus pipeline register`); others propose a change of kind "
        "`pipeline`. A record needs another name.",
    )


def _record(tx: Tx, call: Call[Any]) -> Record:
    found = named_by(tx, call)
    if found is not None:
        return found
    ref = call.path["id"]
    if service.find(tx, call.company, ref) is not None:
        raise _governed(ref)
    raise NotFound("pipeline.unknown", f"no pipeline {ref[:80]!r}", "See GET /pipelines.")


def patch(tx: Tx, call: Call[RecordBody]) -> Reply:
    before = _record(tx, call)
    if isinstance(call.body.name, str):
        _not_governed(tx, call.body.name)
    row = recorded.update(tx, before, _change(tx, call.body))
    answer = {"message": "Pipeline updated", "pipeline": shape(row), "warnings": warnings(tx, row)}
    return json_reply(answer)


def delete(tx: Tx, call: Call[None]) -> Reply:
    row = recorded.delete(tx, _record(tx, call))
    return json_reply({"message": "Pipeline deleted", "pipeline": shape(row)})


def warnings(rx: Rx, row: Record) -> list[str]:
    """What is accepted and may not be meant; nothing here refuses."""
    found = []
    missing = recorded.lacks(row.purpose, row.doc, row.steps)
    if missing:
        found.append(f"Before it can be active it needs {', '.join(missing)}.")
    if row.trigger == "cron":
        found += _cron(row.trigger_config)
    named = dict.fromkeys(step.agent_ref for step in row.steps if step.agent_ref)
    for ref in list(named)[:MAX_LOOKED_FOR]:
        if not _is_agent(rx, row.company, ref):
            found.append(f"No agent here is called {ref[:80]!r}.")
    return found


def _cron(config: dict[str, Any]) -> list[str]:
    given = (config.get(key) for key in ("cronExpression", "expression", "cron", "schedule"))
    text = next((value for value in given if isinstance(value, str) and value.strip()), None)
    if text is None:
        return ["The trigger is cron, and triggerConfig has no `cronExpression`."]
    try:
        timing.cron_text(text)
    except Invalid as error:
        return [error.message]
    return []


def _is_agent(rx: Rx, company: str, ref: str) -> bool:
    try:
        agents.need(rx, company, ref)
    except NotFound:
        return False
    return True


def context(rx: Rx, call: Call[None]) -> Reply:
    """GET /pipelines/{id}/context."""
    record = named_by(rx, call)
    if record is None:
        raise NotFound(
            "pipeline.unknown",
            f"no recorded pipeline {call.path['id'][:80]!r}",
            "Only records choose a context; a stage's task has its own: GET /tasks/{id}/context.",
        )
    text = call.query.get("maxChars", "")
    chars = record.context_max_chars or DEFAULT_CHARS
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        chars = max(1, min(int(text), recorded.MAX_CONTEXT_CHARS))
    tags = tuple(tag.lstrip("#").lower() for tag in record.context_tags)
    made = context_sources.pack(
        rx,
        call.company,
        scopes=Scopes(record.agent, record.customer, record.project),
        selected=tuple(ref.lower() for ref in record.context_resources),
        tags=tags,
        search=record.context_query,
        max_chars=chars,
    )
    head = {"pipelineId": record.id, "query": record.context_query}
    return json_reply(head | shapes.context_pack(made, tags))


_TAGS: Final = ("pipelines",)
ROUTES: Final[tuple[Route, ...]] = (
    write_route(
        "POST", "/pipelines", "pipeline.record", put, "Record a pipeline, or change it by name",
        body=RecordBody, keyed="required", status=201, also=(200,), target="pipeline:new",
        tags=_TAGS,
    ),
    write_route(
        "PATCH", "/pipelines/{id}", "pipeline.record", patch, "Change a recorded pipeline",
        body=RecordBody, keyed="required", target="pipeline:{id}", tags=_TAGS,
    ),
    write_route(
        "DELETE", "/pipelines/{id}", "pipeline.forget", delete, "Remove a recorded pipeline",
        keyed="required", target="pipeline:{id}", tags=_TAGS,
    ),
    read_route(
        "/pipelines/{id}/context", context, "What a recorded pipeline's agents should read",
        query=("maxChars",), tags=_TAGS,
    ),
)  # fmt: skip
