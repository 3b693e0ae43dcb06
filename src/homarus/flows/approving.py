"""Approvals over tasks: asked by a refusal, answered by a person, used by the act.

A question never holds a worker: what waits is parked (`flows/parking.py`), and an answer queues it
again for the same agent, also after a restart, because nothing of it is in memory.
"""

from collections.abc import Mapping
from typing import Any, Final

from homarus.base.action import Consequence
from homarus.base.errors import Conflict
from homarus.flows import accepting, done, going, parking, pipelining, turn_waits
from homarus.kernel import approval_queries, approvals, registry
from homarus.kernel.approval_rows import Approval, Status
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import State, Task

MAX_REASON: Final = 300
MAX_NOTE: Final = 2_000


# -- consequences --------------------------------------------------------------------------


def opened(tx: Tx, consequence: Consequence) -> Mapping[str, Any]:
    """An act was refused for want of an approval: the question, and its task out of the holder's
    hands. Repeating the act finds the same question."""
    data = consequence.data
    if data["rejected"] is not None:
        row = approval_queries.need(tx, tx.company, data["rejected"])
        _park(tx, data, _answered(row))
        return {"approval": row.id, "number": row.number}
    found = registry.by_id(tx, tx.company, consequence.subject)
    title = consequence.subject if found is None else f"{found.title} ({found.id})"
    try:
        row = approvals.request(
            tx,
            capability=consequence.subject,
            target=data["target"],
            payload=data["payload"],
            task=data["task"],
            agent=data["agent"],
            project=data["project"],
            reason="",
            what=f"{title}: {data['what']}" if data["what"] else f"{title} on {data['target']}",
            risk="medium" if found is None else found.risk,
            cost=data["cost"],
        )
    except Conflict as full:
        return {"approval": None, "why": full.message}
    _park(tx, data, parking.REASON)
    return {"approval": row.id, "number": row.number}


def _park(tx: Tx, data: Mapping[str, Any], reason: str) -> None:
    task = None if data["task"] is None else sql.by_id(tx, tx.company, data["task"])
    if (
        task is not None
        and task.state is State.IN_PROGRESS
        and (task.agent, task.token) == (data["agent"], data["token"])
    ):
        parking.park(tx, task, reason)


def used(tx: Tx, consequence: Consequence) -> None:
    approvals.use(tx, consequence.subject)


# -- answers -------------------------------------------------------------------------------


def decide(tx: Tx, ref: str, *, approve: bool, note: str | None = None) -> Approval:
    """Answer a question. Who may is judged before (`kernel/approving.py`).

    Raises `approval.unknown`, `approval.decided` (by whom and when), `approval.over`.
    """
    row = approval_queries.need(tx, tx.company, ref)
    after = approvals.move(tx, row, "approve" if approve else "reject", note=note or None)
    tx.about(task=row.task)
    covered = row.kind == "task_done" and parking.covers(tx, row)
    for task in _tasks(tx, row):
        if row.kind == "task_done":
            _finish(tx, after, task, covered=covered)
        elif approve:
            _resume(tx, after, task)
        else:
            _keep_blocked(tx, after, task)
    turn_waits.resume(tx, row.id)
    _tell(tx, after)
    return after


def cancel(tx: Tx, ref: str, note: str | None = None) -> Approval:
    """Withdraw a question; what waited for it is queued again. Raises as `decide`."""
    row = approval_queries.need(tx, tx.company, ref)
    after = approvals.move(tx, row, "cancel", note=note or None)
    tx.about(task=row.task)
    for task in _tasks(tx, row):
        _resume(tx, after, task)
    turn_waits.resume(tx, row.id)
    return after


def expire_due(tx: Tx, limit: int) -> int:
    """Close this company's approvals whose time is up; how many."""
    rows = approval_queries.overdue(tx, tx.company, limit)
    for row in rows:
        after = approvals.move(tx, row, "expire")
        if row.status is Status.PENDING:
            for task in _tasks(tx, row):
                _keep_blocked(tx, after, task)
            turn_waits.resume(tx, row.id)
            _tell(tx, after)
    return len(rows)


def _tasks(tx: Tx, row: Approval) -> list[Task]:
    found = (sql.by_id(tx, tx.company, task) for task in approval_queries.tasks_of(tx, row.id))
    return [task for task in found if task is not None]


def _parked(task: Task) -> bool:
    return task.state is State.BLOCKED and task.reason == parking.REASON


def _resume(tx: Tx, row: Approval, task: Task) -> None:
    """Queue a parked task again for its agent, unless another question of it is still open."""
    if _parked(task) and not approval_queries.pending_for(tx, task.id):
        after = service.leave(tx, task, State.QUEUED, keep_agent=True, retries=task.retries)
        service.emit(tx, "task_updated", after, approval=row.id)


def _keep_blocked(tx: Tx, row: Approval, task: Task) -> None:
    """The task stays for an operator, who reads why."""
    if _parked(task):
        after = sql.set_reason(tx, task, _answered(row))
        service.emit(tx, "task_updated", after, approval=row.id)


def _finish(tx: Tx, row: Approval, task: Task, *, covered: bool) -> None:
    """Approved: done, unless that is not all it takes. Rejected: review (control-plane contract,
    7). `covered`: nothing was reported since it was asked; else whoever works on it goes on."""
    to = State.DONE if row.status is Status.APPROVED else State.REVIEW
    if task.state is to or not (_parked(task) or task.state in (State.IN_PROGRESS, State.REVIEW)):
        return
    reason = _unready(tx, task, covered=covered) if to is State.DONE else _answered(row)
    if to is State.DONE and not covered and task.state is State.IN_PROGRESS:
        service.emit(tx, "task_updated", task, approval=row.id, c=reason)
        return
    judged = reason is None or to is State.REVIEW
    to = State.DONE if reason is None else State.REVIEW
    after = service.leave(tx, task, to, keep_agent=True, reason=reason, retries=task.retries)
    parking.let_go(tx, task)
    if judged:
        accepting.judged(tx, task, accepted=to is State.DONE)
    if to is State.DONE:
        pipelining.finished(tx, after)
    service.emit(tx, "task_done" if to is State.DONE else "task_review", after, approval=row.id)


def _unready(tx: Tx, task: Task, *, covered: bool) -> str | None:
    """Why a yes does not finish a task; None: it does."""
    if not covered:
        return parking.CHANGED
    try:
        done.require(tx, task, tx.actor, reviewing=False)
    except Conflict as unmet:
        return unmet.message[:MAX_REASON]
    return going.unfinished(tx, task)


def _answered(row: Approval) -> str:
    text = f"approval {row.number} {row.status.value}"
    return (f"{text}: {row.note}" if row.note else text)[:MAX_REASON]


def _tell(tx: Tx, row: Approval) -> None:
    if row.agent is not None:
        sql.notify(tx, row.agent, f"approval_{row.status.value}", row.task, _answered(row))
