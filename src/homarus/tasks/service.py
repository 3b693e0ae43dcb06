"""Moves of tasks over their own tables: conditional writes whose row count is the answer.

What a move means to agents and projects (slots, notices, records) is added by `flows/`.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid
from homarus.base.ids import is_uuid
from homarus.store.port import Tx
from homarus.tasks import lanes, sql
from homarus.tasks.model import FINISHED, TASK_COLUMNS, Spec, State, Task

MAX_BLOCKERS: Final = 200
MAX_CHAIN: Final = 500
"""Tasks that one task may wait for in all, behind one another: what one statement can look at."""

_TAKE: Final = (
    "update task set state='in_progress', agent=?, token=token+1, lease_until_ms=?, "
    "lease_proof=?, lease_owner=?, started_ms=?, reason=null, updated_ms=? "
    "where id=? and state=? and token=? and blocked=0 and lease_until_ms is null"
)
_READOPT: Final = (
    "update task set token=token+1, lease_until_ms=?, lease_owner=?, updated_ms=? "  # noqa: S608
    "where id=(select id from task where agent=? and state='in_progress' and lease_proof=?{} "
    f"order by started_ms, seq limit 1) returning {TASK_COLUMNS}"
)
_BEHIND: Final = (
    "with recursive behind(id) as (select id from task where id in ({}) union "
    "select d.blocker from behind b join task_dependency d on d.task=b.id) "
    "select id from behind limit ?"
)
_LEAVE: Final = (
    "update task set state=?, lease_until_ms=null, lease_proof=null, lease_owner=null, "
    "reviewer=null, agent=?, retries=?, reason=?, updated_ms=? where id=? and state=? and token=?"
)


class Lease(msgspec.Struct, frozen=True):
    """How a claim is held. `proof`: id of the access token; `owner`: the agent as it was named."""

    agent: str
    proof: str
    owner: str
    length_ms: int


def snapshot(task: Task) -> dict[str, Any]:
    """What a task's event carries, so that a replayed frame shows the task as it was then."""
    data: dict[str, Any] = {"s": task.state.value, "u": task.updated_ms}
    if task.agent is not None:
        data["a"] = task.agent
    if task.lease_until_ms is not None:
        data["l"] = task.lease_until_ms
    if task.lease_owner is not None and task.lease_owner != task.agent:
        data["o"] = task.lease_owner
    if task.retries:
        data["r"] = task.retries
    return data


def emit(tx: Tx, kind: str, task: Task, **more: Any) -> None:
    """A task's event. The receipt of this unit then concerns the task."""
    tx.about(task=task.id, trace=task.trace)
    tx.emit(kind, task.id, {**snapshot(task), **more} if more else snapshot(task))


# -- dependencies --------------------------------------------------------------------------


def check_blockers(tx: Tx, project: str, refs: list[Any], task: str | None) -> tuple[str, ...]:
    """Known tasks of the same project, and no cycle.

    Raises `task.blockers`, `task.blocker_unknown`, `task.blocker_foreign`, `task.blocker_cycle`.
    """
    if len(refs) > MAX_BLOCKERS:
        raise Invalid("task.blockers", f"{len(refs)} blockers", f"At most {MAX_BLOCKERS}.")
    blockers = tuple(dict.fromkeys(str(ref).lower() for ref in refs))
    for ref in blockers:
        row = sql.by_id(tx, tx.company, ref) if is_uuid(ref) else None
        if row is None:
            raise Invalid(
                "task.blocker_unknown",
                f"blockedByTaskIds names no task: {ref[:80]!r}",
                "Give ids of existing tasks.",
            )
        if row.project != project:
            raise Invalid(
                "task.blocker_foreign",
                f"{row.number} belongs to another project",
                "A task waits only for tasks of its own project.",
            )
    if task is not None and blockers:
        _refuse_cycle(tx, task, blockers)
    return blockers


def _refuse_cycle(tx: Tx, task: str, blockers: tuple[str, ...]) -> None:
    marks = ",".join("?" * len(blockers))
    behind = {row[0] for row in tx.all(_BEHIND.format(marks), (*blockers, MAX_CHAIN + 1))}
    if task in behind:
        raise Invalid(
            "task.blocker_cycle",
            "a task would wait for itself",
            "Remove the blocker that depends on this task.",
        )
    if len(behind) > MAX_CHAIN:
        raise Invalid("task.blockers", f"more than {MAX_CHAIN} tasks hang together", "Split them.")


def link(tx: Tx, task: str, blockers: tuple[str, ...]) -> int:
    """Replace a task's dependencies; how many of them are unfinished."""
    tx.run("delete from task_dependency where task=?", (task,))
    unfinished = 0
    for blocker in blockers:
        tx.run("insert into task_dependency(blocker, task) values(?,?)", (blocker, task))
        row = sql.by_id(tx, tx.company, blocker)
        unfinished += row is not None and row.state not in FINISHED
    return unfinished


def release_dependents(tx: Tx, task: str) -> None:
    """A blocker is finished: those who waited for it alone become claimable."""
    if tx.run(
        "update task set blocked=blocked-1 where blocked>0 and id in "
        "(select task from task_dependency where blocker=?)",
        (task,),
    ):
        tx.run(
            "update lane set live=1 where live=0 and id in (select t.lane from task t "
            "join task_dependency d on d.task=t.id where d.blocker=? and t.blocked=0 "
            "and t.state='queued')",
            (task,),
        )


def hold_dependents(tx: Tx, task: str) -> None:
    """A finished blocker is open again."""
    tx.run(
        "update task set blocked=blocked+1 where id in "
        "(select task from task_dependency where blocker=?)",
        (task,),
    )


# -- moves ---------------------------------------------------------------------------------


def create(tx: Tx, task: Task, spec: Spec, items: list[tuple[str, str]], cap: int | None) -> Task:
    """Insert a queued task with its lane, dependencies and typed Definition of Done."""
    unfinished = link(tx, task.id, spec.blockers) if spec.blockers else 0
    lane = None
    if task.member is None:
        lane = lanes.lane_for(
            tx,
            task.project,
            cap=cap,
            agent=task.agent,
            role=spec.role,
            skills=spec.skills,
            claimable=not unfinished,
        )
    task = msgspec.structs.replace(task, lane=lane, blocked=unfinished)
    sql.insert(tx, task, spec)
    if any(kind != "text" for kind, _ in items):
        for n, (kind, value) in enumerate(items, 1):
            sql.add_done_item(tx, task.id, n, kind, value)
    return task


def take(tx: Tx, task: Task, lease: Lease) -> Task | None:
    """The claim itself, of a task as this transaction read it; None: it is no longer claimable."""
    until_ms = tx.now_ms + lease.length_ms
    if not tx.run(
        _TAKE,
        (
            lease.agent, until_ms, lease.proof, lease.owner, tx.now_ms, tx.now_ms,
            task.id, task.state.value, task.token,
        ),
    ):  # fmt: skip
        return None
    return msgspec.structs.replace(
        task,
        state=State.IN_PROGRESS,
        agent=lease.agent,
        token=task.token + 1,
        lease_until_ms=until_ms,
        lease_proof=lease.proof,
        lease_owner=lease.owner,
        started_ms=tx.now_ms,
        reason=None,
        updated_ms=tx.now_ms,
    )


def readopt(tx: Tx, lease: Lease, without: frozenset[str]) -> Task | None:
    """The oldest task that this agent already holds with this access token, under a new fence.

    `without`: ids of tasks, traces and projects that STOP holds.
    """
    outside, subjects = sql.outside(without)
    row = tx.one(
        _READOPT.format(outside),
        (tx.now_ms + lease.length_ms, lease.owner, tx.now_ms, lease.agent, lease.proof, *subjects),
    )
    return None if row is None else sql.task_of(row)


def leave(
    tx: Tx,
    task: Task,
    to: State,
    *,
    keep_agent: bool,
    reason: str | None = None,
    retries: int = 0,
    has_dependents: bool = True,
) -> Task:
    """Out of a state by fenced update, of a task as this transaction read it.

    Raises `task.lease_lost` when the task moved meanwhile.
    `has_dependents` False: the caller has seen in this transaction that no task names it a blocker.
    """
    agent = task.agent if keep_agent else None
    if not tx.run(
        _LEAVE,
        (to.value, agent, retries, reason, tx.now_ms, task.id, task.state.value, task.token),
    ):
        raise lost(task)
    after = msgspec.structs.replace(
        task,
        state=to,
        lease_until_ms=None,
        lease_proof=None,
        lease_owner=None,
        reviewer=None,
        agent=agent,
        retries=retries,
        reason=reason,
        updated_ms=tx.now_ms,
    )
    if to is State.QUEUED:
        after = requeued(tx, after)
    if not has_dependents:
        return after
    if to in FINISHED and task.state not in FINISHED:
        release_dependents(tx, task.id)
    if task.state in FINISHED and to not in FINISHED:
        hold_dependents(tx, task.id)
    return after


def requeued(tx: Tx, task: Task) -> Task:
    """Back in the queue: into the lane of its audience."""
    row = tx.one("select agent, cap from lane where id=?", (task.lane,)) if task.lane else None
    if row is not None and row[0] == task.agent:
        if not task.blocked:
            lanes.wake(tx, task.lane)
        return task
    return into_lane(tx, task, cap_of(tx, task.project))


def cap_of(tx: Tx, project: str) -> int | None:
    """The cap that the project's lanes carry; None: none, or no lane yet."""
    row = tx.one("select cap from lane where project=? limit 1", (project,))
    return None if row is None else row[0]


def into_lane(tx: Tx, task: Task, cap: int | None) -> Task:
    """Give a queued task the lane of its present audience; none when a person holds it."""
    lane = None
    if task.member is None:
        spec = sql.spec_of(tx, task.id)
        lane = lanes.lane_for(
            tx,
            task.project,
            cap=cap,
            agent=task.agent,
            role=spec.role,
            skills=spec.skills,
            claimable=not task.blocked,
        )
    tx.run("update task set lane=? where id=?", (lane, task.id))
    return msgspec.structs.replace(task, lane=lane)


def lost(task: Task) -> Conflict:
    """The error of a holder that is one no longer."""
    return Conflict(
        "task.lease_lost",
        f"your lease on {task.number} is gone; it is {task.state.value} now",
        f"Stop working on it, and see `homarus task log {task.number}`. "
        "To get other work, claim again.",
        task=task.id,
    )
