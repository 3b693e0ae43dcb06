"""What an effect without a preflight brings about (governance contract, 2: instinct A)."""

from homarus.base.action import Consequence
from homarus.flows import work
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import State


def block(tx: Tx, blocked: Consequence) -> None:
    """Take a task from whoever holds it, until somebody has looked at the reason."""
    task = sql.by_id(tx, tx.company, blocked.subject)
    if task is None or task.state is not State.IN_PROGRESS:
        return
    after = service.leave(
        tx,
        task,
        State.BLOCKED,
        keep_agent=False,
        reason=str(blocked.data["reason"]),
        retries=task.retries,
    )
    work.let_go(tx, task)
    service.emit(tx, "task_updated", after)
