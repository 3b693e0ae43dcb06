"""What is done to a task by hand: assigned, moved, archived."""

from typing import Final

from homarus.base.action import ActorKind
from homarus.base.errors import Conflict, Refused
from homarus.company import agents, projects
from homarus.flows import (
    accepting,
    creating,
    gating,
    going,
    parking,
    pipelining,
    regating,
    reporting,
    scoping,
    standing,
)
from homarus.kernel import rdp
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import FINISHED, WAITING, Mover, State, Task, may_move

MAX_REQUESTERS: Final = 200
"""Of the tasks that wait for one; behind more of them only an operator archives it."""

_WAIT_FOR: Final = (
    "select distinct g.actor from task_dependency d join task t on t.id=d.task "
    "left join gate_decision g on g.task=t.id and g.n=1 "
    "where d.blocker=? and t.state not in ('done', 'archived') limit ?"
)


def assign(tx: Tx, task_ref: str, agent_ref: str) -> Task:
    """Say who shall do a task that nobody works on. Raises `task.claimed`, `agent.unknown`."""
    agent = agents.need(tx, tx.company, agent_ref)
    task = sql.need(tx, tx.company, task_ref)
    if task.state is State.IN_PROGRESS and task.agent == agent.id:
        return task
    if task.state not in WAITING:
        raise Conflict(
            "task.claimed",
            f"{task.number} is {task.state.value}; it cannot be assigned now",
            "Wait for its lease or move it back: `homarus task move`.",
        )
    after = regating.changed(tx, reassign(tx, task, agent=agent.id, member=None), assigned=True)
    kind = "task_reassigned" if task.agent not in (None, agent.id) else "task_assigned"
    service.emit(tx, kind, after)
    creating.notify_assigned(tx, after, agent.id)
    return after


def reassign(tx: Tx, task: Task, *, agent: str | None, member: str | None) -> Task:
    """Change whom a waiting task is for, and its lane with it."""
    tx.run(
        "update task set agent=?, member=?, updated_ms=? where id=?",
        (agent, member, tx.now_ms, task.id),
    )
    project = projects.by_id(tx, tx.company, task.project)
    after = sql.need(tx, tx.company, task.id)
    cap = service.cap_of(tx, task.project) if project is None else project.max_active_agents
    after = service.into_lane(tx, after, cap)
    if project is not None:
        creating.keep_closed(tx, project)
    return after


def move(tx: Tx, task_ref: str, to: State, reason: str | None) -> Task:
    """An operator's move by hand: retry, reopen, accept, take back, archive."""
    task = sql.need(tx, tx.company, task_ref)
    if task.state is to:
        return task
    if not may_move(task.state, to, Mover.OPERATOR):
        raise reporting.illegal(task, to)
    _by_the_route(tx, task, to)
    keep = to is not State.QUEUED or task.state in WAITING
    retries = 0 if to is State.QUEUED else task.retries
    after = service.leave(tx, task, to, keep_agent=keep, reason=reason, retries=retries)
    parking.let_go(tx, task)
    accepting.reviewed(tx, task, to)
    if task.state is State.DONE and to is not State.ARCHIVED:
        sql.unmeet(tx, task.id)
        pipelining.reopened(tx, after)
    if to in FINISHED:
        reporting.finished(tx, after)
    kind = reporting.RESULT_EVENT.get(to, "task_updated")
    service.emit(tx, "task_archived" if to is State.ARCHIVED else kind, after, by="operator")
    return after


def _by_the_route(tx: Tx, task: Task, to: State) -> None:
    """A hand spares no level L3 task its three identities, and no governance asset gate 7."""
    if to is State.DONE:
        found = standing.need(tx, tx.company, task.id)
        if found.level == 3 and going.enforced(tx, tx.company):
            raise going.acceptance_due(task)
        if found.has_assets:
            going.require_written_back(tx, task)
    if to is State.QUEUED and gating.by_gate(task):
        gating.no_longer(tx, task.id)


def archive(tx: Tx, task_ref: str) -> Task:
    """DELETE, for good. A task in progress is refused: release it first. A pipeline goes on as if
    its stage were done. Raises `task.unknown`, `task.claimed`, `task.not_yours`,
    `permission.operator`."""
    task = sql.need(tx, tx.company, task_ref)
    if tx.actor.kind not in (ActorKind.OPERATOR, ActorKind.SYSTEM):
        _may_archive(tx, task)
    if task.state is State.IN_PROGRESS:
        raise Conflict(
            "task.claimed",
            f"{task.number} is being worked on",
            "Wait for its result, or move it back: `homarus task move T-… queued`.",
        )
    after = service.leave(tx, task, State.ARCHIVED, keep_agent=True, retries=task.retries)
    reporting.finished(tx, after)
    service.emit(tx, "task_archived", after)
    return after


def _may_archive(tx: Tx, task: Task) -> None:
    """Who is no operator archives what it created, or has worked on and still holds; and nothing
    that keeps others' work back. Raises `task.not_yours`, `permission.operator`."""
    holds = task.agent is not None and task.state not in WAITING
    created = scoping.was_caller(tx, rdp.requester(tx, task.id))
    if not created and not (holds and scoping.speaks_for(tx, task.agent or "")):
        raise Refused(
            "task.not_yours",
            f"{task.number} is another's: you did not create it, nor do you hold it",
            f"Who created it archives it, or an operator: `homarus task delete {task.number}`.",
            rule="scope",
        )
    if pipelining.is_running(tx, task):
        only_operators(tx, f"archive {task.number}, a stage of a running pipeline")
    rows = tx.all(_WAIT_FOR, (task.id, MAX_REQUESTERS + 1)) if task.state not in FINISHED else []
    theirs = [actor for (actor,) in rows if not scoping.was_caller(tx, actor)]
    if theirs or len(rows) > MAX_REQUESTERS:
        only_operators(tx, f"archive {task.number}, which others' tasks wait for")


def only_operators(tx: Tx, what: str) -> None:
    """Some fields of open routes are a person's to change. Raises `permission.operator`."""
    if tx.actor.kind not in (ActorKind.OPERATOR, ActorKind.SYSTEM):
        raise Refused(
            "permission.operator",
            f"only an operator may {what}",
            "Ask an operator, or report a result instead (POST …/result).",
            rule="permission",
        )
