"""Edits of tasks that are no result: PATCH, notes, hand-over (control-plane contract, 6.2)."""

from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.errors import Conflict, Invalid
from homarus.company import agents, projects
from homarus.flows import by_hand, creating, pipelining, regating, reporting, watching
from homarus.store.port import Tx
from homarus.tasks import rules, service, sql
from homarus.tasks.model import WAITING, Note, State, Task

MAX_NOTE: Final = 100_000
MAX_TITLE: Final = 1_000


class TaskPatch(msgspec.Struct, frozen=True):
    """What a PATCH says, parsed; UNSET leaves a field. `agent` and `member` None clear."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    goal: str | msgspec.UnsetType = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET
    state: str | msgspec.UnsetType = msgspec.UNSET
    input: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    agent: str | msgspec.UnsetType | None = msgspec.UNSET
    member: str | msgspec.UnsetType | None = msgspec.UNSET
    blockers: tuple[Any, ...] | msgspec.UnsetType = msgspec.UNSET
    sla_due_ms: int | msgspec.UnsetType | None = msgspec.UNSET


def patch(tx: Tx, ref: str, change: TaskPatch) -> Task:
    """Apply an edit. A new state goes through the same machine as everywhere: an operator's by
    hand, an agent's as a result of a task that it holds. One that waits then passes the gates."""
    task = sql.need(tx, tx.company, ref)
    _words(tx, task, change)
    if change.priority is not msgspec.UNSET:
        if not -creating.MAX_PRIORITY <= change.priority <= creating.MAX_PRIORITY:
            raise Invalid("task.priority", "priority is out of range", f"±{creating.MAX_PRIORITY}.")
        tx.run("update task set priority=? where id=?", (change.priority, task.id))
    if change.sla_due_ms is not msgspec.UNSET:
        tx.run("update task_spec set sla_due_ms=? where task=?", (change.sla_due_ms, task.id))
        watching.expect(tx, task.id, change.sla_due_ms)
    if change.blockers is not msgspec.UNSET:
        _blockers(tx, task, list(change.blockers))
    if change.agent is not msgspec.UNSET or change.member is not msgspec.UNSET:
        _assignee(tx, sql.need(tx, tx.company, task.id), change)
    if change.state is not msgspec.UNSET:
        _state(tx, task, change.state)
    facts = (change.title, change.goal, change.input, change.agent, change.member)
    if any(fact is not msgspec.UNSET for fact in facts):
        assigned = change.agent is not msgspec.UNSET
        regating.changed(tx, sql.need(tx, tx.company, task.id), assigned=assigned)
    tx.run("update task set updated_ms=? where id=?", (tx.now_ms, task.id))
    after = sql.need(tx, tx.company, task.id, archived=True)
    service.emit(tx, "task_updated", after)
    return after


def _words(tx: Tx, task: Task, change: TaskPatch) -> None:
    before = sql.spec_of(tx, task.id)
    merged = dict(before.input)
    if change.input is not msgspec.UNSET:
        merged.update(change.input)
    for field, value in (("title", change.title), ("goal", change.goal)):
        if value is not msgspec.UNSET:
            if len(value) > MAX_TITLE:
                raise Invalid("task.title", f"the {field} is too long", f"At most {MAX_TITLE}.")
            merged[field] = value
    if merged == before.input:
        return
    regating.declared_stay(tx, before.input, merged)
    sql.set_input(tx, task.id, merged)
    role = rules.owner_role(merged)
    if role != before.role:
        sql.set_role(tx, task.id, role)
        service.into_lane(tx, task, service.cap_of(tx, task.project))


def _blockers(tx: Tx, task: Task, refs: list[Any]) -> None:
    if pipelining.is_running(tx, task):
        by_hand.only_operators(tx, f"change what {task.number}, a pipeline's stage, waits for")
    if task.state not in WAITING:
        raise Conflict(
            "task.claimed", f"{task.number} is {task.state.value}", "Too late to add blockers."
        )
    blockers = service.check_blockers(tx, task.project, refs, task.id)
    unfinished = service.link(tx, task.id, blockers)
    sql.set_blockers(tx, task.id, blockers)
    tx.run("update task set blocked=? where id=?", (unfinished, task.id))
    if task.state is State.QUEUED:
        after = sql.need(tx, tx.company, task.id)
        service.into_lane(tx, after, service.cap_of(tx, task.project))


def _assignee(tx: Tx, task: Task, change: TaskPatch) -> None:
    agent = task.agent if change.agent is msgspec.UNSET else change.agent
    member = task.member if change.member is msgspec.UNSET else change.member
    agent_id = agents.need(tx, tx.company, agent).id if agent else None
    if agent_id is not None and change.agent is not msgspec.UNSET:
        member = None
    if member is not None and change.member is not msgspec.UNSET:
        agent_id = None
    if (agent_id, member) == (task.agent, task.member):
        return
    if task.state not in WAITING:
        raise Conflict(
            "task.claimed",
            f"{task.number} is {task.state.value}; who does it cannot be changed now",
            "Move it back first: `homarus task move T-… queued`.",
        )
    by_hand.reassign(tx, task, agent=agent_id, member=member)
    if agent_id is not None and agent_id != task.agent:
        creating.notify_assigned(tx, task, agent_id)


def _state(tx: Tx, task: Task, wanted: str) -> None:
    if rules.to_wire(task.state) == rules.ALIASES.get(wanted, wanted):
        return
    target = rules.target_state(wanted)
    if tx.actor.kind is ActorKind.OPERATOR:
        by_hand.move(tx, task.id, target, None)
        return
    if tx.actor.kind is not ActorKind.AGENT:
        raise Conflict(
            "task.move_needs_result",
            "a task's state changes by the agent that holds it, or by an operator",
            "Report a result (POST …/result) with `agentId`.",
        )
    reporting.result(tx, reporting.ResultRequest(task.id, wanted))


class Handoff(msgspec.Struct, frozen=True, rename="camel"):
    """Who hands over to which role, and what comes next."""

    from_role: str
    to_role: str
    summary: str
    next_step: str
    blockers: list[Any] = []
    artifact_refs: list[Any] = []


def note(
    tx: Tx, ref: str, text: str, handoff: Handoff | None
) -> tuple[Note, projects.Memory | None]:
    """Write a note; a hand-over also leaves a line in the project's memory (contract 6.2)."""
    task = sql.need(tx, tx.company, ref)
    if not 0 < len(text.strip()) <= MAX_NOTE:
        raise Invalid("note.text", "the note is empty or too long", f"1 to {MAX_NOTE} characters.")
    agent = tx.actor.id if tx.actor.kind is ActorKind.AGENT else None
    plain = None if handoff is None else msgspec.to_builtins(handoff)
    row = sql.add_note(tx, task.id, agent, text, plain)
    memory = None
    if handoff is not None:
        memory = projects.remember(
            tx,
            task.project,
            f"{task.number} {handoff.from_role} → {handoff.to_role}: {handoff.summary} "
            f"Next: {handoff.next_step}",
            ("handoff", "task-context", handoff.from_role, handoff.to_role),
            agent,
        )
    more = {"n": row.id} | ({"m": memory.id} if memory else {})
    service.emit(tx, "task_note" if handoff is None else "task_handoff", task, **more)
    return row, memory
