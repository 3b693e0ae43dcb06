"""A turn's hold on the task that it does, and letting go of it."""

from homarus.conversations.turns import Turn
from homarus.flows import leases
from homarus.store.port import Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import State, Task


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
    """The turn ends without a report: its task is queued again as if its lease had run out, which
    counts as a retry."""
    task = holding(tx, row)
    if task is not None:
        leases.take_back(tx, task, why)
