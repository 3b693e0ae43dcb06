"""Routes of tasks (control-plane contract, 6) and the claim's replay rule (3.3)."""

from typing import Any

import msgspec

from homarus.company import agents, customers, projects
from homarus.control_plane import profiles, task_context, timeline
from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.approvals import waiting
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.times import opt_ms
from homarus.flows import by_hand, claiming, creating, editing, parking, reporting
from homarus.kernel import approvals
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks import rules, sql
from homarus.tasks.model import LEASE_MS, State, Task

UNSET = msgspec.UNSET
_encode = msgspec.json.Encoder().encode
_MEMORIES = 20
DONE = State.DONE.value


class Assignee(msgspec.Struct):
    type: str
    id: str


class NewTask(msgspec.Struct, rename="camel"):
    """POST /tasks. Spec fields are merged into `inputJson`; `slaDueAt`, `skills`, `capability`,
    `args` are ours."""

    project_id: str
    task_type: str
    title: Any = UNSET
    description: Any = UNSET
    acceptance_criteria: Any = UNSET
    definition_of_done: Any = UNSET
    deliverables: Any = UNSET
    blocked_reason: Any = UNSET
    goal: Any = UNSET
    owner_role: Any = UNSET
    input_json: dict[str, Any] | None = None
    priority: int = 0
    proof_required: bool = False
    human_approval_required: bool | None = None
    proof_types_json: list[Any] | None = None
    blocked_by_task_ids: list[Any] | None = None
    task_kind: str = "standard"
    recurring_task_definition_id: str | None = None
    assignee: Assignee | None = None
    assigned_agent_id: str | None = None
    allow_underspecified: bool = False
    sla_due_at: str | int | None = None
    skills: list[str] | None = None
    capability: str | None = None
    args: dict[str, Any] | None = None
    max_retries: int = 3

    def spec(self) -> dict[str, Any]:
        merged = dict(self.input_json or {})
        for field, wire in zip(_SPEC_ATTRIBUTES, rules.SPEC_FIELDS, strict=True):
            value = getattr(self, field)
            if value is not UNSET and value is not None:
                merged[wire] = value
        if self.args is not None:
            merged["args"] = self.args
        return merged

    def parsed(self, spec: dict[str, Any]) -> creating.NewTask:
        agent, member = _assigned(self.assignee, self.assigned_agent_id)
        return creating.NewTask(
            project=self.project_id,
            type=self.task_type,
            spec=spec,
            allow_underspecified=self.allow_underspecified,
            priority=self.priority,
            kind=self.task_kind,
            agent=agent,
            member=member,
            blockers=tuple(self.blocked_by_task_ids or ()),
            skills=tuple(self.skills or ()),
            capability=self.capability,
            proof_required=self.proof_required,
            approval_required=self.human_approval_required,
            proof_types=tuple(self.proof_types_json or ()),
            max_retries=self.max_retries,
            recurring=self.recurring_task_definition_id,
            sla_due_ms=opt_ms(self.sla_due_at, "slaDueAt"),
        )


_SPEC_ATTRIBUTES = (
    "title",
    "description",
    "acceptance_criteria",
    "definition_of_done",
    "deliverables",
    "blocked_reason",
    "goal",
    "owner_role",
)


def _assigned(assignee: Assignee | None, agent: str | None) -> tuple[str | None, str | None]:
    if assignee is not None and assignee.type == "human":
        return None, assignee.id
    return (assignee.id if assignee is not None else agent), None


def create(tx: Tx, call: Call[NewTask]) -> Reply:
    made = creating.create(tx, call.body.parsed(call.body.spec()))
    body = {"message": "Task created", "task": shapes.task(made.task, made.spec)}
    return json_reply(body, 201)


def generate(tx: Tx, call: Call[NewTask]) -> Reply:
    """The alias takes only `inputJson` for the spec."""
    made = creating.create(tx, call.body.parsed(dict(call.body.input_json or {})))
    return json_reply({"message": "Task generated", "task": shapes.task(made.task, made.spec)}, 201)


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
    more = {"nextCursor": str(rows[-1][0].seq)} if len(rows) == call.limit() else {}
    asked = approvals.summaries(rx, [task.id for task, _ in rows])
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
    return _scope(rx, company, task) | shapes.task_detail(
        task,
        spec,
        sql.result_of(rx, task.id),
        of_project=project,
        of_customer=customer,
        of_agent=None if agent is None else shapes.agent(rx, agent),
        items=items,
        approvals=approvals.summaries(rx, [task.id]).get(task.id),
    )


def show(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"task": _detail(rx, call.company, call.path["id"])})


def _scope(rx: Rx, company: str, task: Task) -> dict[str, Any]:
    """Whose work it is; notes and results carry it, so that nobody has to ask for the project."""
    customer = projects.customer_of(rx, company, task.project)
    return {"projectId": task.project, "customerId": customer}


def context(rx: Rx, call: Call[None]) -> Reply:
    """What an agent needs to start: the task, its time line, what its project remembers.

    Secrets of resources never appear here (contract 18.19).
    """
    task = sql.need(rx, call.company, call.path["id"])
    memories = projects.memories(rx, task.project, limit=_MEMORIES)
    scope = _scope(rx, call.company, task)
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


class PatchTask(msgspec.Struct, rename="camel"):
    title: str | msgspec.UnsetType = UNSET
    goal: str | msgspec.UnsetType = UNSET
    priority: int | msgspec.UnsetType = UNSET
    state: str | msgspec.UnsetType = UNSET
    input_json: dict[str, Any] | msgspec.UnsetType = UNSET
    assignee: Assignee | msgspec.UnsetType | None = UNSET
    assigned_agent_id: str | msgspec.UnsetType | None = UNSET
    blocked_by_task_ids: list[Any] | msgspec.UnsetType = UNSET
    sla_due_at: str | int | msgspec.UnsetType | None = UNSET


def patch(tx: Tx, call: Call[PatchTask]) -> Reply:
    body = call.body
    agent: str | msgspec.UnsetType | None = body.assigned_agent_id
    member: str | msgspec.UnsetType | None = UNSET
    if body.assignee is None:
        agent, member = None, None
    elif body.assignee is not UNSET:
        agent, member = _assigned(body.assignee, None)
    change = editing.TaskPatch(
        title=body.title,
        goal=body.goal,
        priority=body.priority,
        state=body.state,
        input=body.input_json,
        agent=agent,
        member=member,
        blockers=UNSET if body.blocked_by_task_ids is UNSET else tuple(body.blocked_by_task_ids),
        sla_due_ms=UNSET if body.sla_due_at is UNSET else opt_ms(body.sla_due_at, "slaDueAt"),
    )
    task = editing.patch(tx, call.path["id"], change)
    if body.state == DONE and parking.awaits_done(tx, task):
        return waiting(tx, task)
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Task updated", "task": shape})


def delete(tx: Tx, call: Call[None]) -> Reply:
    task = by_hand.archive(tx, call.path["id"])
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Task deleted", "task": shape})


class Claim(msgspec.Struct, rename="camel"):
    """POST /tasks/claim. `leaseSeconds`, `readopt` and `review` are ours."""

    agent_id: str
    strict_owner_role: bool = True
    allowed_roles: list[str] | None = None
    lease_seconds: int = LEASE_MS // 1000
    readopt: bool = False
    review: bool = False


def _claim(tx: Tx, request: claiming.ClaimRequest) -> Reply:
    """A stored claim is the task's id and fence; "no task" is never stored (3.3)."""
    claimed = claiming.claim(tx, request)
    if claimed is None:
        return Reply(200, b'{"message":"No task available","task":null}', keep=None)
    shape = shapes.claimed_task(claimed.task, claimed.spec)
    kept = f"{claimed.task.id}:{claimed.task.token}".encode()
    return Reply(200, _encode({"message": "Task claimed", "task": shape}), keep=kept)


def claim(tx: Tx, call: Call[Claim]) -> Reply:
    body = call.body
    return _claim(
        tx,
        claiming.ClaimRequest(
            owner=body.agent_id,
            strict_role=body.strict_owner_role,
            allowed_roles=tuple(body.allowed_roles or ()),
            lease_ms=body.lease_seconds * 1000,
            readopt=body.readopt,
            review=body.review,
        ),
    )


def _holder(task: Task) -> str | None:
    """The agent that has it in hand or in review."""
    return {State.IN_PROGRESS: task.agent, State.REVIEW: task.reviewer}.get(task.state)


def replay_claim(tx: Tx, kept: bytes) -> Reply | None:
    """The stored claim, while that very claim still holds; else None: claim afresh (3.3)."""
    task_id, _, token = kept.decode().partition(":")
    task = sql.by_id(tx, tx.company, task_id)
    holds = (
        task is not None
        and _holder(task) == tx.actor.id
        and task.token == int(token)
        and task.lease_until_ms is not None
        and task.lease_until_ms > tx.now_ms
    )
    if task is None or not holds:
        return None
    shape = shapes.claimed_task(task, sql.spec_of(tx, task.id))
    body = _encode({"message": "Task claimed", "task": shape})
    return Reply(200, body, keep=kept, replayed=True)


class ClaimThis(msgspec.Struct, rename="camel"):
    agent_id: str | None = None
    lease_seconds: int = LEASE_MS // 1000


def claim_this(tx: Tx, call: Call[ClaimThis]) -> Reply:
    """The shell helper's alias: claim that very task (contract 16)."""
    owner = call.body.agent_id or tx.actor.name
    return _claim(
        tx,
        claiming.ClaimRequest(
            owner=owner, task=call.path["id"], lease_ms=call.body.lease_seconds * 1000
        ),
    )


class Assign(msgspec.Struct, rename="camel"):
    agent_id: str
    mode: str = "assign"
    routing_note: str | None = None


def assign(tx: Tx, call: Call[Assign]) -> Reply:
    """Mode `claim` claims for the named agent, which must be the one acting."""
    if call.body.mode == "claim":
        request = claiming.ClaimRequest(owner=call.body.agent_id, task=call.path["id"])
        return _claim(tx, request)
    task = by_hand.assign(tx, call.path["id"], call.body.agent_id)
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Task assigned", "task": shape})


class NoteBody(msgspec.Struct, rename="camel"):
    """`agentId` is needed of company tokens; an operator may speak for themselves."""

    note: str
    agent_id: str | None = None
    handoff: editing.Handoff | None = None


def add_note(tx: Tx, call: Call[NoteBody]) -> Reply:
    note, memory = editing.note(tx, call.path["id"], call.body.note, call.body.handoff)
    task = sql.need(tx, tx.company, note.task)
    event = timeline.note_event(tx, note) | _scope(tx, tx.company, task)
    more = {} if memory is None else {"memory": shapes.project_memory(memory)}
    return json_reply({"message": "Note added", "event": event} | more)


def notes(rx: Rx, call: Call[None]) -> Reply:
    task = sql.need(rx, call.company, call.path["id"])
    scope = _scope(rx, call.company, task)
    events = [event | scope for event in timeline.of_task(rx, call.company, task.id)]
    return json_reply({"events": events})


class ResultBody(msgspec.Struct, rename="camel"):
    state: str
    agent_id: str
    output_json: Any = None
    comment: str | None = None
    approval_rationale: str | None = None
    confidence: float = 0
    lease_token: int | None = None


def result(tx: Tx, call: Call[ResultBody]) -> Reply:
    body = call.body
    task = reporting.result(
        tx,
        reporting.ResultRequest(
            task=call.path["id"],
            state=body.state,
            output=body.output_json,
            comment=body.comment,
            lease_token=body.lease_token,
        ),
    )
    if body.state == DONE and parking.awaits_done(tx, task):
        return waiting(tx, task)
    stored = sql.result_of(tx, task.id)
    shape = shapes.task(task, sql.spec_of(tx, task.id), stored) | _scope(tx, tx.company, task)
    return json_reply({"message": "Result recorded", "task": shape})


class Complete(msgspec.Struct, rename="camel"):
    agent_id: str | None = None
    output_json: Any = None
    comment: str | None = None
    lease_token: int | None = None


def complete(tx: Tx, call: Call[Complete]) -> Reply:
    """The shell helper's alias: result done (contract 16)."""
    body = call.body
    task = reporting.result(
        tx,
        reporting.ResultRequest(
            call.path["id"], "done", body.output_json, body.comment, body.lease_token
        ),
    )
    if parking.awaits_done(tx, task):
        return waiting(tx, task)
    shape = shapes.task(task, sql.spec_of(tx, task.id), sql.result_of(tx, task.id))
    shape |= _scope(tx, tx.company, task)
    return json_reply({"message": "Task completed", "task": shape})


class Move(msgspec.Struct, rename="camel"):
    state: str
    reason: str | None = None


def move(tx: Tx, call: Call[Move]) -> Reply:
    """An operator's move, in canonical words."""
    try:
        target = State(call.body.state)
    except ValueError:
        target = rules.target_state(call.body.state)
    task = by_hand.move(tx, call.path["id"], target, call.body.reason)
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Task moved", "task": shape})


def _agent(call: Call[Any]) -> str | None:
    ref: str | None = call.body.agent_id
    return ref


def _task(call: Call[Any]) -> str | None:
    return call.path["id"]


def _note(call: Call[Assign]) -> str | None:
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
        "POST", "/tasks", "task.create", create, "Create a task",
        body=NewTask, keyed="required", strict=True, status=201, target="task:new",
    ),
    write_route(
        "POST", "/tasks/generate", "task.create", generate, "Create a task from inputJson",
        body=NewTask, keyed="required", strict=True, status=201, target="task:new",
    ),
    write_route(
        "POST", "/tasks/claim", "task.claim", claim, "Claim the best fitting task",
        body=Claim, keyed="required", replay=replay_claim, acting=_agent, target="task:",
    ),
    read_route("/tasks/{id}", show, "Show a task"),
    read_route("/tasks/{id}/context", context, "What an agent needs to start on a task"),
    write_route(
        "PATCH", "/tasks/{id}", "task.update", patch, "Change a task",
        body=PatchTask, keyed="required", target="task:{id}", task=_task,
    ),
    write_route(
        "DELETE", "/tasks/{id}", "task.delete", delete, "Archive a task",
        keyed="required", target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/claim", "task.claim", claim_this, "Claim this very task",
        body=ClaimThis, replay=replay_claim, acting=_agent, target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/complete", "task.result", complete, "Report a task done",
        body=Complete, acting=_agent, target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/assign", "task.assign", assign, "Assign or claim a task",
        body=Assign, keyed="required", acting=_claims_for, note=_note, callee=_agent,
        target="task:{id}", task=_task,
    ),
    read_route("/tasks/{id}/notes", notes, "The time line of a task"),
    write_route(
        "POST", "/tasks/{id}/notes", "task.note", add_note, "Write a note or a hand-over",
        body=NoteBody, keyed="required", acting=_agent, target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/result", "task.result", result, "Report a result",
        body=ResultBody, keyed="required", strict=True, acting=_agent,
        target="task:{id}", task=_task,
    ),
    write_route(
        "POST", "/tasks/{id}/move", "task.move", move, "Move a task by hand",
        body=Move, target="task:{id}", task=_task,
    ),
)  # fmt: skip

FRAMES = timeline.FRAMES
