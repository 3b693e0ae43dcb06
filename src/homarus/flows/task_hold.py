"""A turn's hold on the task that it does, and letting go of it."""

from homarus.conversations.turns import Turn
from homarus.flows import approving, leases, parking
from homarus.kernel import approval_queries
from homarus.kernel.approval_rows import Status
from homarus.store.port import Rx, Tx
from homarus.tasks import service, sql
from homarus.tasks.model import WAITING, State, Task


def holding(rx: Rx, row: Turn) -> Task | None:
    """The task of the turn, while the claim stands that the turn works under."""
    if row.work is None or row.work_token is None:
        return None
    task = sql.by_id(rx, row.company, row.work)
    if task is None or task.state is not State.IN_PROGRESS or task.token != row.work_token:
        return None
    until = task.lease_until_ms
    return task if task.agent == row.agent and until is not None and until > rx.now_ms else None


def reported(rx: Rx, row: Turn) -> bool:
    """Whether the turn has reported on its task already (by a tool), and may say its last words."""
    if row.work is None or row.work_token is None:
        return False
    task = sql.by_id(rx, row.company, row.work)
    return (
        task is not None
        and task.state in (State.REVIEW, State.DONE, State.FAILED)
        and (task.agent, task.token) == (row.agent, row.work_token)
    )


def give_back(tx: Tx, row: Turn, why: str) -> None:
    """The turn ends without a report, its calls are closed. A task of the queue is queued again as
    if its lease had run out, which counts as a retry; one that a conversation made for itself ends
    with its turn, and what it asked a person is withdrawn."""
    if row.work_token is None:
        _withdraw(tx, row, why, with_task=_end_own(tx, row, why))
        return
    task = holding(tx, row)
    if task is not None:
        leases.take_back(tx, task, why)


def _end_own(tx: Tx, row: Turn, why: str) -> bool:
    """In hand: failed. Still waiting (for an approval, say): archived. What has a result, also one
    that a person has yet to accept, or is another's by now, is let be: False."""
    task = None if row.work is None else sql.by_id(tx, row.company, row.work)
    if task is None or task.agent not in (None, row.agent) or parking.awaits_done(tx, task):
        return False
    if task.state is not State.IN_PROGRESS and task.state not in WAITING:
        return False
    in_hand = task.state is State.IN_PROGRESS
    to = State.FAILED if in_hand else State.ARCHIVED
    after = service.leave(tx, task, to, keep_agent=True, reason=why, retries=task.retries)
    parking.let_go(tx, task)
    service.emit(tx, "task_failed" if in_hand else "task_archived", after)
    return True


def _withdraw(tx: Tx, row: Turn, why: str, *, with_task: bool) -> None:
    """Open questions of the turn's calls, and of its task where that ended with it, unless another
    turn waits for them."""
    rows = tx.all(
        "select distinct approval from tool_call where turn=? and approval is not null", (row.id,)
    )
    asked = {str(one[0]) for one in rows}
    if row.work is not None and with_task:
        asked |= {one.id for one in approval_queries.pending_for(tx, row.work)}
    for ref in sorted(asked):
        found = approval_queries.find(tx, row.company, ref)
        others = tx.one(
            "select 1 from tool_call where company=? and approval=? and state='waiting' limit 1",
            (row.company, ref),
        )
        pending = found is not None and found.status is Status.PENDING and found.open(tx.now_ms)
        if pending and others is None:
            approving.cancel(tx, ref, why)
