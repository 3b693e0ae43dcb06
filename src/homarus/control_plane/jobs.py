"""Recurring tasks, and schedules: two faces of the same rows (control-plane contract, 6.8, 7)."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, Invalid
from homarus.company import agents, projects
from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.pages import cut, going_on
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.shapes_work import ts
from homarus.control_plane.times import opt_ms
from homarus.flows import recurring, scheduling
from homarus.jobs import service
from homarus.jobs.model import RECURRING, SCHEDULE, Job, JobChange
from homarus.pipelines import recorded
from homarus.store.port import Event, Reply, Rx, Tx
from homarus.tasks import sql

UNSET = msgspec.UNSET
Unset = msgspec.UnsetType

ACTIVE: Final = "active"
PAUSED: Final = "paused"
MAX_PAGE_DIGITS: Final = 6


# -- shapes --------------------------------------------------------------------------------


def definition(row: Job) -> dict[str, Any]:
    """A recurring task as the wire knows it, with our number and counts."""
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "projectId": row.project,
        "kind": row.kind,
        "name": row.name,
        "taskType": row.task_type,
        "cronExpression": row.cron,
        "payloadJson": row.payload,
        "priority": row.priority,
        "proofRequired": row.proof_required,
        "humanApprovalRequired": bool(row.approval_required),
        "proofTypesJson": row.proof_types,
        "active": row.active,
        "nextRunAt": ts(row.next_run_ms),
        "lastRunAt": ts(row.last_run_ms),
        "runs": row.runs,
        "agentId": row.agent,
        "createdBy": row.created_by,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def schedule(row: Job) -> dict[str, Any]:
    """The same row as the legacy surface shows it."""
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "kind": row.kind,
        "name": row.name,
        "playbookId": row.playbook,
        "cronExpression": row.cron,
        "targetProjectId": row.project,
        "agentPattern": row.agent_pattern,
        "agentId": row.agent,
        "taskType": row.task_type,
        "payloadJson": row.payload,
        "status": ACTIVE if row.active else PAUSED,
        "nextRunAt": ts(row.next_run_ms),
        "lastRunAt": ts(row.last_run_ms),
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": ts(row.deleted_ms),
    }


# -- recurring tasks -----------------------------------------------------------------------


class JobBody(msgspec.Struct, rename="camel"):
    """`cronExpression`: five fields, in UTC; null: by hand only. `agentId`: id or name."""

    name: str | Unset = UNSET
    task_type: str | Unset = UNSET
    cron_expression: str | Unset | None = UNSET
    payload_json: dict[str, Any] | Unset | None = UNSET
    priority: int | Unset = UNSET
    proof_required: bool | Unset = UNSET
    human_approval_required: bool | Unset | None = UNSET
    proof_types_json: list[Any] | Unset | None = UNSET
    active: bool | Unset = UNSET
    next_run_at: str | int | Unset | None = UNSET
    agent_id: str | Unset | None = UNSET


def _payload(value: dict[str, Any] | Unset | None) -> dict[str, Any] | Unset:
    return {} if value is None else value


def _time(value: str | int | Unset | None) -> int | Unset | None:
    return value if isinstance(value, Unset) else opt_ms(value, "nextRunAt")


def _agent(tx: Tx, ref: str | Unset | None) -> str | Unset | None:
    """Raises `agent.unknown`."""
    return agents.need(tx, tx.company, ref).id if isinstance(ref, str) and ref else ref or None


def _change(tx: Tx, body: JobBody) -> JobChange:
    types = body.proof_types_json
    return JobChange(
        name=body.name,
        agent=UNSET if body.agent_id is UNSET else _agent(tx, body.agent_id),
        task_type=body.task_type,
        cron=body.cron_expression,
        payload=_payload(body.payload_json),
        priority=body.priority,
        proof_required=body.proof_required,
        approval_required=body.human_approval_required,
        proof_types=[] if types is None else types,
        active=body.active,
        next_run_ms=_time(body.next_run_at),
    )


def _project(rx: Rx, call: Call[Any]) -> str:
    return projects.need(rx, call.company, call.id("pid")).id


def _job(rx: Rx, call: Call[Any]) -> Job:
    return service.need(rx, call.company, call.id(), _project(rx, call))


def _missing(*fields: str) -> Invalid:
    return Invalid(
        "job.missing",
        f"missing: {', '.join(fields)}",
        f"Give {' and '.join(f'`{field}`' for field in fields)}.",
        missingFields=list(fields),
    )


def listed(rx: Rx, call: Call[None]) -> Reply:
    limit = call.limit()
    rows = service.listed(
        rx, call.company, limit=limit + 1, project=_project(rx, call), before=call.cursor()
    )
    rows, cursor = cut(rows, limit)
    return json_reply({"recurringTasks": [definition(row) for row in rows]} | going_on(cursor))


def create(tx: Tx, call: Call[JobBody]) -> Reply:
    body, project = call.body, _project(tx, call)
    missing = [
        wire for wire, value in (("name", body.name), ("taskType", body.task_type)) if not value
    ]
    if missing:
        raise _missing(*missing)
    change = msgspec.structs.replace(_change(tx, body), project=project)
    row = scheduling.define(tx, RECURRING, change)
    return json_reply({"message": "Recurring task created", "recurringTask": definition(row)}, 201)


def change(tx: Tx, call: Call[JobBody]) -> Reply:
    row = scheduling.change(tx, _job(tx, call), _change(tx, call.body))
    return json_reply({"message": "Recurring task updated", "recurringTask": definition(row)})


def archive(tx: Tx, call: Call[None]) -> Reply:
    row = scheduling.remove(tx, _job(tx, call))
    return json_reply({"message": "Recurring task archived", "recurringTask": definition(row)})


def spawn(tx: Tx, call: Call[None]) -> Reply:
    row, made = recurring.spawn(tx, _job(tx, call))
    body = {
        "message": "Recurring task spawned",
        "recurringTask": definition(row),
        "task": shapes.task(made.task, made.spec),
    }
    return json_reply(body, 201)


# -- schedules -----------------------------------------------------------------------------


class ScheduleBody(msgspec.Struct, rename="camel"):
    """The original's fields, and what lets a schedule spawn: `taskType`, `payloadJson`, `agentId`.
    `projectId` is another name of `targetProjectId`."""

    name: str | Unset = UNSET
    playbook_id: str | Unset | None = UNSET
    cron_expression: str | Unset | None = UNSET
    target_project_id: str | Unset | None = UNSET
    project_id: str | Unset | None = UNSET
    next_run_at: str | int | Unset | None = UNSET
    agent_pattern: str | Unset | None = UNSET
    agent_id: str | Unset | None = UNSET
    task_type: str | Unset | None = UNSET
    payload_json: dict[str, Any] | Unset | None = UNSET
    status: str | Unset = UNSET


def _schedule_change(tx: Tx, body: ScheduleBody) -> JobChange:
    project = body.project_id if body.target_project_id is UNSET else body.target_project_id
    playbook = body.playbook_id
    if isinstance(project, str) and project:
        project = projects.need(tx, tx.company, project.lower()).id
    if isinstance(playbook, str) and playbook:
        playbook = recorded.need(tx, tx.company, playbook, (recorded.PLAYBOOK,)).id
    if body.status not in (UNSET, ACTIVE, PAUSED):
        raise Invalid(
            "job.status", f"no status {str(body.status)[:40]!r}", f"`{ACTIVE}` or `{PAUSED}`."
        )
    return JobChange(
        name=body.name,
        project=project or None if project is not UNSET else UNSET,
        agent=UNSET if body.agent_id is UNSET else _agent(tx, body.agent_id),
        task_type=body.task_type,
        cron=body.cron_expression,
        payload=_payload(body.payload_json),
        playbook=playbook or None if playbook is not UNSET else UNSET,
        agent_pattern=body.agent_pattern,
        active=UNSET if body.status is UNSET else body.status == ACTIVE,
        next_run_ms=_time(body.next_run_at),
    )


def schedules(rx: Rx, call: Call[None]) -> Reply:
    """GET /schedules: all jobs, newest first, by page."""
    text, limit = call.query.get("page", ""), call.limit()
    fits = text.isascii() and text.isdecimal() and len(text) <= MAX_PAGE_DIGITS
    page = max(1, int(text)) if fits else 1
    total = service.count(rx, call.company)
    pages = -(-total // limit)
    rows = service.listed(rx, call.company, limit=limit, offset=min((page - 1) * limit, total))
    return json_reply(
        {
            "schedules": [schedule(row) for row in rows],
            "pagination": {
                "page": page,
                "limit": limit,
                "total": total,
                "totalPages": pages,
                "hasMore": page < pages,
            },
        }
    )


def put_schedule(tx: Tx, call: Call[ScheduleBody]) -> Reply:
    """POST /schedules: by name, a new one or the one of that name changed."""
    body = call.body
    if not isinstance(body.name, str) or not body.name.strip():
        raise _missing("name")
    change = _schedule_change(tx, body)
    before = service.schedule_named(tx, tx.company, body.name)
    if before is not None:
        row = scheduling.change(tx, before, change)
    elif not body.cron_expression:
        raise _missing("cronExpression")
    else:
        row = scheduling.define(tx, SCHEDULE, change)
    word = {"message": "Schedule registered", "schedule": schedule(row)}
    return json_reply(word, 201 if before is None else 200)


def change_schedule(tx: Tx, call: Call[ScheduleBody]) -> Reply:
    before = service.need(tx, tx.company, call.id())
    change = _schedule_change(tx, call.body)
    if change.name not in (UNSET, before.name) and before.kind == SCHEDULE:
        _free(tx, str(change.name))
    row = scheduling.change(tx, before, change)
    return json_reply({"message": "Schedule updated", "schedule": schedule(row)})


def _free(tx: Tx, name: str) -> None:
    if service.schedule_named(tx, tx.company, name) is not None:
        raise Conflict("job.exists", f"there is a schedule {name[:80]!r}", "Choose another name.")


def archive_schedule(tx: Tx, call: Call[None]) -> Reply:
    row = scheduling.remove(tx, service.need(tx, tx.company, call.id()))
    return json_reply({"message": "Schedule archived", "schedule": schedule(row)})


_TAGS: Final = ("jobs",)
_LIST: Final = "/projects/{pid}/recurring-tasks"
_ONE: Final = "/projects/{pid}/recurring-tasks/{id}"


def _write(method: str, path: str, capability: str, *more: Any, **fields: Any) -> Route:
    known = {"keyed": "required", "target": "job:{id}", "tags": _TAGS}
    return write_route(method, path, capability, *more, **(known | fields))


ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        _LIST, listed, "Recurring tasks of a project", query=("limit", "cursor"), tags=_TAGS
    ),
    _write(
        "POST", _LIST, "job.create", create, "Define a recurring task",
        body=JobBody, status=201, target="job:new",
    ),
    _write("PATCH", _ONE, "job.update", change, "Change a recurring task", body=JobBody),
    _write("DELETE", _ONE, "job.delete", archive, "Archive a recurring task"),
    _write(
        "POST", f"{_ONE}/spawn", "job.run", spawn, "Spawn its task now", status=201),
    read_route("/schedules", schedules, "All jobs as schedules", query=("page", "limit"),
               tags=_TAGS),
    _write(
        "POST", "/schedules", "job.create", put_schedule, "Create a schedule, or change it by name",
        body=ScheduleBody, status=201, also=(200,), target="job:new",
    ),
    _write("PATCH", "/schedules/{id}", "job.update", change_schedule, "Change a schedule",
           body=ScheduleBody),
    _write("DELETE", "/schedules/{id}", "job.delete", archive_schedule, "Archive a schedule"),
)  # fmt: skip


def _definition_frame(kind: str) -> Any:
    def frames(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
        row = service.by_id(rx, company, event.subject)
        return [] if row is None else [{"type": kind, "definition": definition(row)}]

    return frames


def _spawned(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = service.by_id(rx, company, event.subject)
    task = sql.by_id(rx, company, event.data["task"])
    if row is None or task is None:
        return []
    shape = shapes.task(task, sql.spec_of(rx, task.id))
    return [{"type": "recurring_task_spawned", "definition": definition(row), "task": shape}]


FRAMES: Final = {
    service.CREATED: _definition_frame("recurring_task_definition_created"),
    service.UPDATED: _definition_frame("recurring_task_definition_updated"),
    service.ARCHIVED: _definition_frame("recurring_task_definition_archived"),
    service.SPAWNED: _spawned,
}
