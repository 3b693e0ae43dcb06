"""Work that waits for an approval: its holder is let go, the task keeps its agent.

A parked task is `blocked` for the reason `approval`; the answer queues it again for the same agent.
"""

from typing import Final

from homarus.base.canonical import canonical
from homarus.base.errors import Conflict
from homarus.company import agents
from homarus.flows.standing import Standing
from homarus.kernel import approval_queries, approvals
from homarus.kernel.approval_rows import Approval
from homarus.store.port import Tx
from homarus.tasks import lanes, rules, service, sql
from homarus.tasks.model import State, Task

REASON: Final = "approval"
DONE: Final = "task.result"
"""The capability that a `task_done` approval is about."""
CHANGED: Final = "what was reported has changed since it was asked"


def let_go(tx: Tx, before: Task, *, capped: bool = True) -> None:
    """Free what a task in progress occupied: the agent's slot, the project's place."""
    if before.state is State.IN_PROGRESS and before.agent is not None:
        agents.free_slot(tx, before.agent)
        if capped:
            lanes.leave(tx, before.project, before.agent)


def park(tx: Tx, task: Task, reason: str = REASON) -> Task:
    """Take a task in progress out of its holder's hands; it keeps its agent."""
    after = service.leave(
        tx, task, State.BLOCKED, keep_agent=True, reason=reason, retries=task.retries
    )
    let_go(tx, task)
    service.emit(tx, "task_updated", after)
    return after


def ask_done(tx: Tx, found: Standing, comment: str | None) -> Task:
    """A result `done` that a person has to accept: ask (once), and let the worker go. A task in
    review stays there."""
    task = found.task
    payload = done_payload(tx, [task.id])
    open_done(tx, task, agent=task.agent, reason=comment or "", payload=payload)
    if task.state is State.IN_PROGRESS:
        return park(tx, task)
    after = service.leave(tx, task, State.REVIEW, keep_agent=True, retries=task.retries)
    service.emit(tx, "task_updated", after)
    return after


def open_done(
    tx: Tx,
    task: Task,
    *,
    agent: str | None,
    reason: str,
    payload: bytes,
    confidence: float | None = None,
) -> Approval:
    """The approval of kind task_done that the task waits for, or a new one."""
    waiting = still_asked(tx, task.id)
    if waiting is not None:
        return waiting
    title = sql.spec_of(tx, task.id).input.get("title")
    return approvals.request(
        tx,
        capability=DONE,
        target=f"task:{task.id}",
        payload=payload,
        task=task.id,
        agent=agent,
        reason=reason,
        kind="task_done",
        what=f"{task.number} is done: {title or 'no title'}",
        risk="low",
        project=task.project,
        confidence=confidence,
    )


def done_pending(tx: Tx, task: str) -> Approval | None:
    """The open question whether a task is done."""
    return next(
        (
            row
            for row in approval_queries.pending_for(tx, task)
            if row.kind == "task_done" and row.open(tx.now_ms)
        ),
        None,
    )


def still_asked(tx: Tx, task: str) -> Approval | None:
    """The open question whether a task is done as it was last reported. One about an earlier report
    is voided."""
    found = None
    for row in approval_queries.pending_for(tx, task):
        if row.kind != "task_done" or not row.open(tx.now_ms):
            continue
        if covers(tx, row):
            found = found or row
        else:
            _void(tx, row, task)
    return found


def _void(tx: Tx, row: Approval, changed: str) -> None:
    """What was asked of several tasks is asked anew of each other one that waits for the answer."""
    approvals.move(tx, row, "void", note=CHANGED)
    for ref in approval_queries.tasks_of(tx, row.id):
        task = None if ref == changed else sql.by_id(tx, tx.company, ref)
        if task is not None and _says_done(task) and done_pending(tx, ref) is None:
            payload = done_payload(tx, [ref])
            open_done(tx, task, agent=task.agent, reason=row.reason, payload=payload)


def covers(tx: Tx, row: Approval) -> bool:
    """Whether a question of kind task_done is about what was last reported of its tasks."""
    tasks = approval_queries.tasks_of(tx, row.id)
    return row.payload == done_payload(tx, tasks) or row.payload in _payloads_before(tx, tasks)


def _payloads_before(tx: Tx, tasks: list[str]) -> set[bytes]:
    """Of questions that were open when questions were first bound to reports."""
    last = sql.result_of(tx, tasks[0]) if len(tasks) == 1 else None
    by_hand = rules.digest_of(canonical(["task_done", sorted(tasks)]))
    return {by_hand} if last is None else {by_hand, last.digest}


def awaits_done(tx: Tx, task: Task) -> bool:
    """Whether the worker has said done, and a person has not yet."""
    return _says_done(task) and done_pending(tx, task.id) is not None


def _says_done(task: Task) -> bool:
    return task.state is State.REVIEW or (task.state is State.BLOCKED and task.reason == REASON)


def forbid_while_pending(tx: Tx, task: Task, target: State) -> None:
    """`blockStatusChangesWithPendingApproval` (control-plane contract, 6.6). Raises
    `task.policy_pending`."""
    if target is State.REVIEW:
        return
    for row in approval_queries.pending_for(tx, task.id):
        if row.open(tx.now_ms):
            raise Conflict(
                "task.policy_pending",
                f"{row.number} about {task.number} waits for an answer",
                "Wait for it; the task goes on by itself: `homarus approval show`.",
                approval=row.id,
            )


def done_payload(tx: Tx, tasks: list[str]) -> bytes:
    """What a question of kind task_done is about: which tasks are done, and what was last said of
    each. A report without output and comment says nothing."""
    said = [[task, _said(tx, task)] for task in sorted(tasks)]
    return rules.digest_of(canonical(["task_done", said]))


def _said(tx: Tx, task: str) -> str:
    last = sql.result_of(tx, task)
    output, comment = (None, None) if last is None else (last.output, last.comment)
    return rules.result_digest(State.DONE, output, comment).hex()
