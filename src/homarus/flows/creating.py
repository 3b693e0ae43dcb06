"""A task comes into being: checked, shown to the gates, queued where its claimers look.

One unit. The actor is the one the kernel resolved (`tx.actor`).
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid
from homarus.company import agents, projects
from homarus.flows import gating, lineage, regating, watching
from homarus.kernel import routing, stop
from homarus.store.port import Tx
from homarus.tasks import lanes, rules, service, sql
from homarus.tasks.model import MAX_RETRIES, Spec, State, Task

MAX_PRIORITY: Final = 1_000_000


class NewTask(msgspec.Struct, frozen=True):
    """What a create says, parsed. `spec` is the merged inputJson; ids as the caller gave them."""

    project: str
    type: str
    spec: dict[str, Any]
    allow_underspecified: bool = False
    priority: int = 0
    kind: str = "standard"
    agent: str | None = None
    member: str | None = None
    blockers: tuple[Any, ...] = ()
    skills: tuple[str, ...] = ()
    capability: str | None = None
    proof_required: bool = False
    approval_required: bool | None = None
    proof_types: Any = ()
    max_retries: int = MAX_RETRIES
    sla_due_ms: int | None = None
    recurring: str | None = None
    trace: str | None = None


class Claim(msgspec.Struct, frozen=True):
    task: Task
    spec: Spec


def create(tx: Tx, new: NewTask) -> Claim:
    """A new task, as the gates let it in. Raises `project.*`, `task.*`, `agent.unknown`."""
    project = projects.need(tx, tx.company, new.project)
    if project.status not in ("active", "paused"):
        raise Conflict(
            "project.closed", f"the project is {project.status}", "Use an active project."
        )
    if not -MAX_PRIORITY <= new.priority <= MAX_PRIORITY:
        raise Invalid("task.priority", "priority is out of range", f"±{MAX_PRIORITY}.")
    if not 0 <= new.max_retries <= 100:
        raise Invalid("task.retries", "maxRetries is out of range", "0 to 100.")
    stored = rules.stored_input(new.type, new.spec, new.allow_underspecified)
    agent = agents.need(tx, tx.company, new.agent).id if new.agent is not None else None
    task_id, made_from = tx.new_id(), lineage.origin(tx)
    trace = new.trace or tx.action.trace or (made_from.trace if made_from else tx.new_id())
    spec = Spec(
        task=task_id,
        type=new.type,
        kind=new.kind,
        role=rules.owner_role(stored),
        skills=agents.normal_skills(list(new.skills)),
        input=stored,
        capability=new.capability,
        max_retries=new.max_retries,
        proof_required=new.proof_required,
        approval_required=project.require_approval_for_done
        if new.approval_required is None
        else new.approval_required,
        proof_types=new.proof_types,
        sla_due_ms=new.sla_due_ms,
        recurring=new.recurring,
        blockers=service.check_blockers(tx, project.id, list(new.blockers), None),
    )
    task = Task(
        id=task_id,
        seq=tx.number("task"),
        company=tx.company,
        project=project.id,
        state=State.QUEUED,
        lane=None,
        priority=new.priority,
        blocked=0,
        agent=agent,
        member=new.member,
        reviewer=None,
        token=0,
        lease_until_ms=None,
        lease_proof=None,
        lease_owner=None,
        started_ms=None,
        retries=0,
        reason=None,
        trace=trace,
        created_ms=tx.now_ms,
        updated_ms=tx.now_ms,
    )
    items = rules.done_items(stored.get("definitionOfDone"))
    entered = gating.enter(tx, task, spec)
    spec = entered.spec
    task = service.create(tx, entered.task, spec, items, project.max_active_agents)
    keep_closed(tx, project)
    if spec.sla_due_ms is not None:
        watching.expect(tx, task.id, spec.sla_due_ms)
    service.emit(tx, "task_generated", task)
    lineage.inherit(tx, made_from, task)
    gating.told(tx, entered, service.emit)
    if entered.start is not None:
        regating.begin(tx, entered, entered.start)
    if task.agent is not None:
        notify_assigned(tx, task, task.agent)
    return Claim(task, spec)


def keep_closed(tx: Tx, project: projects.Project) -> None:
    """The first lane of a project does not know that it is paused or stopped."""
    if project.status != "active" or stop.covers(tx, tx.company, "project", project.id):
        lanes.set_project(tx, project.id, is_open=False, cap=project.max_active_agents)


def notify_assigned(tx: Tx, task: Task, agent: str) -> None:
    """Tell an agent that a task is its own, with the routing note of the dispatch."""
    text = routing.with_note(f"{task.number} is yours", tx.admitted.context)
    sql.notify(tx, agent, "task_assigned", task.id, text, task.trace)
