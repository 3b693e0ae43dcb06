"""Who accepts finished work, and what reviews, returns and broken-off work say about an agent.

A low-trusted agent's `done` lands in review: another identity accepts it (governance contract, 12).
"""

from typing import Final

from homarus.base.action import ActorKind
from homarus.base.errors import Conflict
from homarus.kernel import stop, trust
from homarus.kernel.trust_rules import NORMAL
from homarus.records import incidents
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import State, Task

REASON: Final = "acceptance"
"""Why a task of a low-trusted agent is in review."""

REVIEWER: Final = "reviewer"
"""The role that may accept low-trusted agents' work of any audience."""

UNDO: Final = "receipt.undo"

_REVIEWED: Final = {
    (State.REVIEW, State.DONE): "accepted",
    (State.REVIEW, State.QUEUED): "returned",
    (State.REVIEW, State.FAILED): "returned",
    (State.DONE, State.REVIEW): "reopened",
}
_CLAIMED: Final = "select 1 from event where subject=? and actor=? and kind='task_claimed' limit 1"


def landing(tx: Tx, task: Task, target: State, *, reviewing: bool) -> State:
    """Where a report takes the task: a low-trusted agent's `done` to review, else as it says.

    Raises `trust.acceptance` when that agent would accept its own work.
    """
    agent = tx.admitted.agent
    if target is not State.DONE or reviewing or agent is None or agent.trust >= NORMAL:
        return target
    if task.state is State.REVIEW:
        raise Conflict(
            "trust.acceptance",
            f"{task.number} waits for another identity to accept it ({agent.name} stands at "
            f"{agent.trust}; below {NORMAL} nobody finishes alone)",
            "A reviewer claims it with `review`, or an operator accepts it: "
            f"`homarus task move {task.number} done`.",
        )
    return State.REVIEW


def told_already(tx: Tx, task: Task, digest: bytes) -> bool:
    """Whether this very report has brought the task into review before."""
    if task.state is not State.REVIEW or task.reason != REASON or task.agent != tx.actor.id:
        return False
    before = sql.result_of(tx, task.id)
    return before is not None and before.digest == digest and before.agent == tx.actor.id


def reviewed(tx: Tx, task: Task, to: State) -> None:
    """Another identity has accepted, returned or reopened the task as it was before the move. An
    operator who takes a slip back says nothing about the agent."""
    kind = None if tx.action.capability == UNDO else _REVIEWED.get((task.state, to))
    if kind is not None:
        _say(tx, task, kind)


def judged(tx: Tx, task: Task, *, accepted: bool) -> None:
    """Another identity has answered the question whether the work is good."""
    _say(tx, task, "accepted" if accepted else "returned")


def _say(tx: Tx, task: Task, kind: str) -> None:
    if task.agent is not None and task.agent != tx.actor.id:
        trust.event(tx, task.agent, kind, task=task.id, note=task.number)


def not_yours(tx: Tx, task: Task) -> Conflict:
    """The error of an agent that reports on a task it does not hold: it held it once, or it is a
    wild task, work that no claim stands for and that is never counted (governance contract, 2)."""
    if tx.actor.kind is not ActorKind.AGENT or _ever_claimed(tx, task):
        return service.lost(task)
    return Conflict(
        "divert.wild_task",
        f"{tx.actor.name or tx.actor.id} never claimed {task.number}; work without a claim does "
        "not count",
        "Claim a task first, or create one for this work and claim it.",
        rule="wild-task",
        task=task.id,
    )


def _ever_claimed(tx: Tx, task: Task) -> bool:
    blob = bytes.fromhex(task.id.replace("-", ""))
    return tx.one(_CLAIMED, (blob, tx.actor.key)) is not None


def no_write_back(tx: Tx, task: Task) -> None:
    """A lease ran out. If its agent wrote nothing back, that is an incident and counts against it
    (governance contract, 2, B), unless a STOP or a suspension kept it from reporting."""
    if task.agent is None or _wrote_back(tx, task) or _held_back(tx, task):
        return
    trust.event(tx, task.agent, "no_write_back", task=task.id, note=task.number)
    incidents.open_once(
        tx,
        severity="medium",
        reason_code="no_write_back",
        summary=f"{task.number}: the lease ran out and its agent reported nothing",
        project=task.project,
        task=task.id,
    )


def _wrote_back(tx: Tx, task: Task) -> bool:
    row = tx.one(
        "select 1 from task_result where task=? and agent=? and at_ms>=?",
        (task.id, task.agent, task.started_ms or 0),
    )
    return row is not None


def _held_back(tx: Tx, task: Task) -> bool:
    row = tx.one("select suspended from agent where id=?", (task.agent,))
    if row is None or row[0]:
        return True
    subjects = {tx.company, task.agent, task.id, task.project, task.trace}
    return any(s.subject in subjects for s in stop.active(tx, tx.company))
