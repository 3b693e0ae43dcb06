"""Making, changing and moving tasks (control-plane contract, 6)."""

from typing import Any

import msgspec

from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.approvals import waiting
from homarus.control_plane.route import Call, json_reply
from homarus.control_plane.times import opt_ms
from homarus.flows import by_hand, creating, editing, parking
from homarus.store.port import Reply, Tx
from homarus.tasks import rules, sql
from homarus.tasks.model import State

UNSET = msgspec.UNSET


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
    if body.state == State.DONE.value and parking.awaits_done(tx, task):
        return waiting(tx, task)
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Task updated", "task": shape})


def delete(tx: Tx, call: Call[None]) -> Reply:
    task = by_hand.archive(tx, call.path["id"])
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Task deleted", "task": shape})


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
