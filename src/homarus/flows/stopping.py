"""STOP and what it takes out of reach at once: lanes of a project, a waiting task.

Work that comes back later (a lease that ends, a move by hand) is put aside by the claim that finds
it; a process that a STOP ends leaves its task so too (`flows/running.py`). When nothing holds it
any more, `give_back` queues it again.
"""

from typing import Final

from homarus.company import agents, projects
from homarus.kernel import stop
from homarus.store.port import Tx
from homarus.tasks import lanes, service, sql
from homarus.tasks.model import State, Task

REASON: Final = "stop"
MAX_GIVEN_BACK: Final = 50
"""Tasks that one unit queues again; the maintenance worker goes on where more are left."""


def held(tx: Tx) -> frozenset[str]:
    """Tasks, traces and projects under STOP: no claim, review or readoption hands them out."""
    if not tx.admitted.stops:
        return frozenset()
    scopes = ("task", "trace", "project")
    return frozenset(s.subject for s in stop.active(tx, tx.company) if s.scope in scopes)


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
            put_aside(tx, task)
    return stop.put(tx, scope, subject, reason)


def put_aside(tx: Tx, task: Task) -> None:
    """A stopped task leaves the queue."""
    after = service.leave(
        tx, task, State.BLOCKED, keep_agent=True, reason=REASON, retries=task.retries
    )
    service.emit(tx, "task_updated", after)


def lift(tx: Tx, stop_id: str) -> stop.Stop:
    """Give back what the STOP took. Raises `stop.unknown`."""
    lifted = stop.lift(tx, stop_id)
    if lifted.scope == "project":
        project = projects.by_id(tx, tx.company, lifted.subject)
        if project is not None and project.status == "active":
            lanes.set_project(tx, project.id, is_open=True, cap=project.max_active_agents)
    give_back(tx, MAX_GIVEN_BACK)
    return lifted


def give_back(tx: Tx, limit: int) -> int:
    """Queue tasks that a STOP blocked and none holds now; how many."""
    stops = stop.active(tx, tx.company)
    if any(row.scope == "company" for row in stops):
        return 0
    tasks = sql.stopped(tx, tx.company, frozenset(row.subject for row in stops), limit)
    for task in tasks:
        after = service.leave(tx, task, State.QUEUED, keep_agent=True, retries=task.retries)
        service.emit(tx, "task_updated", after)
    return len(tasks)
