"""The consequence `task.block`: a rule takes a task out of its holder's hands (contract, 2, A)."""

from collections.abc import Mapping
from typing import Any

from homarus.base.action import Consequence
from homarus.flows import parking
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import State


def block(tx: Tx, consequence: Consequence) -> Mapping[str, Any] | None:
    """Subject: the task, by id or number; data `reason`. A task that nobody works on is blocked as
    well; one that is finished or blocked already stays as it is."""
    task = sql.find(tx, tx.company, consequence.subject)
    if task is None or task.state not in (State.IN_PROGRESS, State.QUEUED):
        return None
    reason = str(consequence.data.get("reason") or "a rule blocked it")[:1_000]
    after = service.leave(
        tx, task, State.BLOCKED, keep_agent=False, reason=reason, retries=task.retries
    )
    parking.let_go(tx, task)
    service.emit(tx, "task_updated", after)
    return {"blockedTask": task.number}
