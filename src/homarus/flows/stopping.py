"""STOP and what it takes out of reach at once: lanes of a project, a waiting task."""

from homarus.base.errors import NotFound
from homarus.company import agents, projects
from homarus.kernel import stop
from homarus.store.port import Tx
from homarus.tasks import lanes, service, sql
from homarus.tasks.model import State

REASON = "stop"


def put(tx: Tx, scope: str, subject: str, reason: str) -> stop.Stop:
    """`subject`: id (agents by name too, tasks by number; the company needs none)."""
    if scope == "company":
        subject = tx.company
    elif scope == "agent":
        subject = agents.need(tx, tx.company, subject).id
    elif scope == "project":
        project = projects.need(tx, tx.company, subject)
        lanes.set_project(tx, project.id, is_open=False, cap=project.max_active_agents)
    elif scope == "task":
        task = sql.need(tx, tx.company, subject)
        subject = task.id
        if task.state is State.QUEUED:
            after = service.leave(
                tx, task, State.BLOCKED, keep_agent=True, reason=REASON, retries=task.retries
            )
            service.emit(tx, "task_updated", after)
    return stop.put(tx, scope, subject, reason)


def lift(tx: Tx, stop_id: str) -> stop.Stop:
    """Give back what `put` took. Raises `stop.unknown`."""
    lifted = stop.lift(tx, stop_id)
    if lifted.scope == "project":
        project = projects.by_id(tx, tx.company, lifted.subject)
        if project is not None and project.status == "active":
            lanes.set_project(tx, project.id, is_open=True, cap=project.max_active_agents)
    elif lifted.scope == "trace":
        for (task_id,) in tx.all(
            "select id from task where company=? and state='blocked' and reason=? and trace=? "
            "limit 500",
            (tx.company, REASON, lifted.subject),
        ):
            task = sql.need(tx, tx.company, task_id)
            after = service.leave(tx, task, State.QUEUED, keep_agent=True, retries=task.retries)
            service.emit(tx, "task_updated", after)
    elif lifted.scope == "task":
        try:
            task = sql.need(tx, tx.company, lifted.subject)
        except NotFound:
            return lifted
        if task.state is State.BLOCKED and task.reason == REASON:
            after = service.leave(tx, task, State.QUEUED, keep_agent=True, retries=task.retries)
            service.emit(tx, "task_updated", after)
    return lifted
