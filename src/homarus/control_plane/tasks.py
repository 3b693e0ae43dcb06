"""The routes of tasks, and the reading of them (control-plane contract, 6).

What else their routes do: `task_edits`, `task_claims`, `task_reports`.
"""

from typing import Any, Final

from homarus.company import agents, customers, projects
from homarus.control_plane import profiles, task_context, timeline
from homarus.control_plane import shapes_work as shapes
from homarus.control_plane import task_claims as claims
from homarus.control_plane import task_edits as edits
from homarus.control_plane import task_reports as reports
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.kernel import approval_queries
from homarus.store.port import Reply, Rx
from homarus.tasks import rules, sql

_MEMORIES: Final = 20


def listed(rx: Rx, call: Call[None]) -> Reply:
    state = call.query.get("state")
    agent = call.query.get("agentId")
    rows = sql.listed(
        rx,
        call.company,
        limit=call.limit(),
        states=rules.wire_states(state) if state else (),
        project=call.query.get("projectId"),
        agent=agents.need(rx, call.company, agent).id if agent else None,
        before=call.cursor(),
    )
    more = behind(rows, call.limit(), lambda row: row[0].seq)
    asked = approval_queries.summaries(rx, [task.id for task, _ in rows])
    return json_reply({"tasks": [shapes.task_row(t, s, asked.get(t.id)) for t, s in rows]} | more)


def _detail(rx: Rx, company: str, ref: str) -> dict[str, Any]:
    task = sql.need(rx, company, ref)
    spec = sql.spec_of(rx, task.id)
    project = projects.by_id(rx, company, task.project)
    customer = (
        customers.by_id(rx, company, project.customer) if project and project.customer else None
    )
    agent = agents.by_id(rx, company, task.agent) if task.agent else None
    items = [
        {"kind": i.kind, "value": i.value, "evidence": i.evidence}
        for i in sql.done_items(rx, task.id)
    ]
    return task_context.scope_of(rx, company, task) | shapes.task_detail(
        task,
        spec,
        sql.result_of(rx, task.id),
        of_project=project,
        of_customer=customer,
        of_agent=None if agent is None else shapes.agent(rx, agent),
        items=items,
        approvals=approval_queries.summaries(rx, [task.id]).get(task.id),
    )


def show(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"task": _detail(rx, call.company, call.path["id"])})


def context(rx: Rx, call: Call[None]) -> Reply:
    """What an agent needs to start: the task, its time line, what its project remembers.

    Secrets of resources never appear here (contract 18.19).
    """
    task = sql.need(rx, call.company, call.path["id"])
    memories = projects.memories(rx, task.project, limit=_MEMORIES)
    scope = task_context.scope_of(rx, call.company, task)
    return json_reply(
        {
            "task": _detail(rx, call.company, task.id),
            "notes": [event | scope for event in timeline.of_task(rx, call.company, task.id)],
            "projectMemory": [shapes.project_memory(m) for m in memories],
            "resources": task_context.resources_for(rx, call.company, task),
            "relatedThreads": task_context.threads_of(rx, call.company, task),
            "agentProfile": profiles.of_task(rx, task),
            "dispatch": task_context.dispatch_of(rx, call.company, task),
        }
    )


def _agent(call: Call[Any]) -> str | None:
    ref: str | None = call.body.agent_id
    return ref


def _task(call: Call[Any]) -> str | None:
    return call.path["id"]


def _note(call: Call[claims.Assign]) -> str | None:
    return call.body.routing_note


def _claims_for(call: Call[Any]) -> str | None:
    """Assigning names the receiver; only mode `claim` acts as that agent."""
    return _agent(call) if call.body.mode == "claim" else None


ROUTES: tuple[Route, ...] = (
    read_route(
        "/tasks", listed, "List tasks, newest first",
        query=("limit", "state", "projectId", "agentId", "cursor"),
    ),
    write_route(
        "POST", "/tasks", "task.create", edits.create, "Create a task",
        body=edits.NewTask, keyed="required", strict=True, status=201, target="task:new",
    ),
    write_route(
        "POST", "/tasks/generate", "task.create", edits.generate, "Create a task from inputJson",
        body=edits.NewTask, keyed="required", strict=True, status=201, target="task:new",
    ),
    write_route(
        "POST", "/tasks/claim", "task.claim", claims.claim, "Claim the best fitting task",
        body=claims.Claim, keyed="required", replay=claims.replay_claim, acting=_agent,
        target="task:",
    ),
    read_route("/tasks/{id}", show, "Show a task"),
    read_route("/tasks/{id}/context", context, "What an agent needs to start on a task"),
    write_route(
        "PATCH", "/tasks/{id}", "task.update", edits.patch, "Change a task",
        body=edits.PatchTask, keyed="required", target="task:{id}", task=_task,
    ),
    write_route(
        "DELETE", "/tasks/{id}", "task.delete", edits.delete, "Archive a task",
        keyed="required", target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/claim", "task.claim", claims.claim_this, "Claim this very task",
        body=claims.ClaimThis, replay=claims.replay_claim, acting=_agent,
        target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/complete", "task.result", reports.complete, "Report a task done",
        body=reports.Complete, acting=_agent, target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/assign", "task.assign", claims.assign, "Assign or claim a task",
        body=claims.Assign, keyed="required", acting=_claims_for, note=_note, callee=_agent,
        target="task:{id}", task=_task,
    ),
    read_route("/tasks/{id}/notes", reports.notes, "The time line of a task"),
    write_route(
        "POST", "/tasks/{id}/notes", "task.note", reports.add_note, "Write a note or a hand-over",
        body=reports.NoteBody, keyed="required", acting=_agent, target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/result", "task.result", reports.result, "Report a result",
        body=reports.ResultBody, keyed="required", strict=True, acting=_agent,
        target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/move", "task.move", edits.move, "Move a task by hand",
        body=edits.Move, target="task:{id}", task=_task,
    ),
)  # fmt: skip

FRAMES = timeline.FRAMES
