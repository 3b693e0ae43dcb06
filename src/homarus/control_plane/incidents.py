"""Incidents on the wire (control-plane contract, 7), with the list and read that it lacks."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.base.ids import is_uuid
from homarus.company import projects
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.records import incidents
from homarus.records.incidents import Incident
from homarus.store.port import Event, Reply, Rx, Tx
from homarus.tasks import sql as task_sql


class NewIncident(msgspec.Struct, frozen=True, rename="camel"):
    severity: str
    reason_code: str
    summary: str
    project_id: str | None = None
    task_id: str | None = None
    recommended_action_json: Any = None
    agent_id: str | None = None


class IncidentChange(msgspec.Struct, frozen=True, rename="camel"):
    """The contract asks for a status; a summary or an action alone is a change too."""

    status: str | None = None
    summary: str | None = None
    recommended_action_json: Any = msgspec.UNSET


def wire(row: Incident) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "projectId": row.project,
        "taskId": row.task,
        "severity": row.severity,
        "reasonCode": row.reason_code,
        "summary": row.summary,
        "recommendedActionJson": row.recommended_action,
        "status": row.status,
        "openedBy": row.opened_by,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "resolvedAt": None if row.resolved_ms is None else iso_ms(row.resolved_ms),
    }


def _about(tx: Tx, task: str | None) -> str | None:
    """The project of the incident's task, which its receipt then concerns."""
    row = None if task is None else task_sql.by_id(tx, tx.company, task)
    if row is None:
        return None
    tx.about(task=row.id, trace=row.trace)
    return row.project


def opened(tx: Tx, call: Call[NewIncident]) -> Reply:
    """POST /incidents."""
    body = call.body
    task = None if not body.task_id else task_sql.need(tx, tx.company, body.task_id).id
    project = _about(tx, task)
    if body.project_id:
        project = projects.need(tx, tx.company, body.project_id.lower()).id
    row = incidents.open_incident(
        tx,
        severity=body.severity,
        reason_code=body.reason_code,
        summary=body.summary,
        task=task,
        project=project,
        recommended_action=body.recommended_action_json,
    )
    return json_reply({"message": "Incident created", "incident": wire(row)}, 201)


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /incidents: newest first."""
    query, limit = call.query, call.limit()
    for name in ("taskId", "projectId"):
        if query.get(name) and not is_uuid(query[name].lower()):
            raise Invalid("request.bad_id", f"{name} is not an id", "Give the UUID.")
    rows = incidents.listed(
        rx,
        call.company,
        limit=limit,
        before=call.cursor(),
        status=query.get("status") or None,
        severity=query.get("severity") or None,
        task=(query.get("taskId") or "").lower() or None,
        project=(query.get("projectId") or "").lower() or None,
    )
    return json_reply({"incidents": [wire(row) for row in rows]} | behind(rows, limit))


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /incidents/{id}: by id or number."""
    return json_reply({"incident": wire(incidents.need(rx, call.company, call.path["id"]))})


def changed(tx: Tx, call: Call[IncidentChange]) -> Reply:
    """PATCH /incidents/{id}."""
    body = call.body
    row = incidents.update(
        tx,
        call.path["id"],
        status=body.status,
        summary=body.summary,
        recommended_action=body.recommended_action_json,
    )
    _about(tx, row.task)
    return json_reply({"message": "Incident updated", "incident": wire(row)})


def deleted(tx: Tx, call: Call[None]) -> Reply:
    """DELETE /incidents/{id}."""
    row = incidents.delete(tx, call.path["id"])
    _about(tx, row.task)
    return json_reply({"message": "Incident deleted", "incident": wire(row)})


def frame_updated(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = incidents.by_id(rx, company, event.subject)
    return [] if row is None else [{"type": "incident_updated", "incident": wire(row)}]


def frame_deleted(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    _ = rx, company
    return [{"type": "incident_deleted", "incidentId": event.subject}]


def _named_agent(call: Call[NewIncident]) -> str | None:
    return call.body.agent_id or None


def _task(call: Call[NewIncident]) -> str | None:
    return call.body.task_id or None


TAGS: Final = ("incidents",)
QUERY: Final = ("status", "severity", "taskId", "projectId", "limit", "cursor")
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/incidents", listed, "List incidents", query=QUERY, tags=TAGS),
    write_route(
        "POST", "/incidents", "incident.open", opened, "Open an incident",
        body=NewIncident, keyed="required", acting=_named_agent, task=_task, status=201,
        target="incident:", tags=TAGS,
    ),
    read_route("/incidents/{id}", read, "Read an incident", tags=TAGS),
    write_route(
        "PATCH", "/incidents/{id}", "incident.update", changed, "Acknowledge, resolve or amend",
        body=IncidentChange, keyed="required", target="incident:{id}", tags=TAGS,
    ),
    write_route(
        "DELETE", "/incidents/{id}", "incident.delete", deleted, "Remove an incident",
        keyed="required", target="incident:{id}", tags=TAGS,
    ),
)  # fmt: skip
FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "incident_opened": frame_updated,
    "incident_updated": frame_updated,
    "incident_deleted": frame_deleted,
}
