"""Execution logs of agents (control-plane contract, 7: actions)."""

from operator import attrgetter
from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.errors import Conflict, Invalid
from homarus.base.ids import is_uuid
from homarus.company import actions, agents, projects, sessions
from homarus.control_plane import shapes_actions as shapes
from homarus.control_plane.pages import cut, going_on
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.times import opt_ms
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks import sql as tasks

_TAGS: Final = ("actions",)


class RunBody(msgspec.Struct, rename="camel"):
    agent_id: str | None = None
    session_id: str | None = None
    project_id: str | None = None
    task_id: str | None = None
    kind: str | None = None
    status: str | None = None
    summary: str | None = None
    metadata_json: dict[str, Any] | None = None
    started_at: str | int | None = None


class StepBody(msgspec.Struct, rename="camel"):
    step_type: str | None = None
    tool_name: str | None = None
    status: str | None = None
    target: str | None = None
    input_summary_json: Any = None
    output_summary_json: Any = None
    error_text: str | None = None
    started_at: str | int | None = None
    ended_at: str | int | None = None


def _session(rx: Rx, company: str, agent: str | None, session: str | None) -> str | None:
    """Raises `session.unknown`, `action.agent_missing`: a session is some agent's."""
    if not session:
        return None
    if agent is None:
        raise Invalid("action.agent_missing", "a session is an agent's", "Give `agentId` too.")
    return sessions.need(rx, company, agent, session).id


def start(tx: Tx, call: Call[RunBody]) -> Reply:
    body, company = call.body, call.company
    agent = agents.need(tx, company, body.agent_id).id if body.agent_id else None
    row = actions.start(
        tx,
        actions.NewRun(
            agent=agent,
            session=_session(tx, company, agent, body.session_id),
            project=projects.need(tx, company, body.project_id).id if body.project_id else None,
            task=tasks.need(tx, company, body.task_id).id if body.task_id else None,
            kind=body.kind or "task_execution",
            status=body.status or "running",
            summary=body.summary,
            metadata=body.metadata_json or {},
            started_ms=opt_ms(body.started_at, "startedAt"),
        ),
    )
    return json_reply({"actionRun": shapes.run(row)}, 201)


def add_step(tx: Tx, call: Call[StepBody]) -> Reply:
    body = call.body
    _own(tx, actions.need(tx, call.company, call.id()))
    row = actions.add_step(
        tx,
        call.id(),
        actions.NewStep(
            type=body.step_type or "tool_call",
            tool=body.tool_name,
            status=body.status or "completed",
            target=body.target,
            input_summary=body.input_summary_json,
            output_summary=body.output_summary_json,
            error=body.error_text,
            started_ms=opt_ms(body.started_at, "startedAt"),
            ended_ms=opt_ms(body.ended_at, "endedAt"),
        ),
    )
    return json_reply({"step": shapes.step(row, call.company)}, 201)


class ChangeBody(msgspec.Struct, rename="camel"):
    """`agentId`: who says it, where a company token speaks for an agent. A `status` other than
    `running` ends the run."""

    agent_id: str | None = None
    status: str | None = None
    summary: str | None = None
    metadata_json: dict[str, Any] | None = None
    ended_at: str | int | None = None


def _own(tx: Tx, row: actions.ActionRun) -> None:
    """An agent writes its own log alone (contract, 18.15). Raises `action.not_yours`."""
    if tx.actor.kind is ActorKind.AGENT and row.agent not in (None, tx.actor.id):
        raise Conflict(
            "action.not_yours", "the execution log is another agent's", "Start one of your own."
        )


def change(tx: Tx, call: Call[ChangeBody]) -> Reply:
    body = call.body
    _own(tx, actions.need(tx, call.company, call.id()))
    row = actions.change(
        tx,
        call.id(),
        actions.RunChange(
            status=body.status,
            summary=body.summary,
            metadata=body.metadata_json,
            ended_ms=opt_ms(body.ended_at, "endedAt"),
        ),
    )
    return json_reply({"actionRun": shapes.run(row)})


def listed(rx: Rx, call: Call[None]) -> Reply:
    query, limit = call.query, call.limit()
    before = (query.get("cursor") or "").lower() or None
    if before is not None and not is_uuid(before):
        raise Invalid("request.cursor", "unreadable cursor", "Repeat `nextCursor` as given.")
    agent = query.get("agentId")
    chosen = actions.RunFilter(
        agent=agents.need(rx, call.company, agent).id if agent else None,
        task=(query.get("taskId") or "").lower() or None,
        project=(query.get("projectId") or "").lower() or None,
        status=query.get("status"),
        kind=query.get("kind"),
    )
    rows = actions.listed(rx, call.company, chosen, limit=limit + 1, before=before)
    rows, cursor = cut(rows, limit, attrgetter("id"))
    return json_reply({"actionRuns": [shapes.run(row) for row in rows]} | going_on(cursor))


def show(rx: Rx, call: Call[None]) -> Reply:
    """A run with its steps, oldest first; `nextCursor` goes on with the steps."""
    row, limit = actions.need(rx, call.company, call.id()), call.limit()
    found = actions.steps(rx, row.id, limit=limit + 1, after=call.cursor() or 0)
    found, cursor = cut(found, limit, attrgetter("n"))
    steps = [shapes.step(step, call.company) for step in found]
    return json_reply({"actionRun": shapes.run(row), "steps": steps} | going_on(cursor))


ROUTES: Final[tuple[Route, ...]] = (
    write_route(
        "POST", "/actions", "action.create", start, "Start an execution log", body=RunBody,
        acting=lambda call: call.body.agent_id or None, status=201, target="action:", tags=_TAGS,
    ),
    write_route(
        "POST", "/actions/{id}/steps", "action.step", add_step, "Add a step to it",
        body=StepBody, status=201, target="action:{id}", tags=_TAGS,
    ),
    write_route(
        "PATCH", "/actions/{id}", "action.finish", change, "Finish it, or say more of it",
        body=ChangeBody, acting=lambda call: call.body.agent_id or None, target="action:{id}",
        tags=_TAGS,
    ),
    read_route(
        "/actions", listed, "Execution logs, newest first",
        query=("agentId", "taskId", "projectId", "status", "kind", "limit", "cursor"), tags=_TAGS,
    ),
    read_route(
        "/actions/{id}", show, "One, with its steps", query=("limit", "cursor"), tags=_TAGS
    ),
)  # fmt: skip
