"""Reports on a task by whoever holds it: done, failed, for review, given back, further on.

One unit each. A report counts under a live lease alone; a repeated one with the same content
succeeds.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict
from homarus.flows import accepting, done, going, parking, pipelining, standing
from homarus.kernel import trust
from homarus.pipelines.model import STAGE_KIND
from homarus.store.port import Tx
from homarus.tasks import rules, service, sql
from homarus.tasks.model import LEASE_MS, Mover, Result, State, Task, may_move


class ResultRequest(msgspec.Struct, frozen=True):
    """`lease_token` is checked whenever it is sent (governance contract, 1)."""

    task: str
    state: str
    output: Any = None
    comment: str | None = None
    lease_token: int | None = None


def result(tx: Tx, request: ResultRequest) -> Task:
    """Report on a task that the acting agent holds.

    A repeated result with the same content succeeds. A `done` that a person has to accept
    asks for an approval and lets the worker go: see `parking.awaits_done`. Raises `task.state`,
    `task.unknown`, `task.lease_lost`, `task.illegal_move`, `task.policy_*`, `task.dod_unmet`,
    `divert.wild_task`, `trust.acceptance`.
    """
    target = rules.target_state(request.state)
    found = standing.need(tx, tx.company, request.task)
    task = found.task
    digest = rules.result_digest(target, request.output, request.comment)
    if task.state is target and target in (State.DONE, State.FAILED, State.REVIEW):
        before = sql.result_of(tx, task.id)
        if before is not None and before.digest == digest and before.agent == tx.actor.id:
            return task
    asked = target
    if target is State.DONE and _told_already(tx, task, digest):
        return task
    reviewing = task.state is State.REVIEW and task.reviewer == tx.actor.id
    check_holder(tx, task, request.lease_token, reviewing)
    if target is State.IN_PROGRESS:
        return _progress(tx, task, request, digest)
    if not may_move(task.state, target, Mover.HOLDER):
        raise illegal(task, target)
    if found.level >= 2:
        target = going.result_target(tx, task, found.level, target, reviewing=reviewing)
    policy = rules.Policy(
        requires_approval=found.project_approval,
        requires_review=found.project_review,
        comment_for_review=found.comment_for_review,
        only_lead=found.only_lead,
        is_lead=found.lead == tx.actor.id,
        reviewing=reviewing,
    )
    if found.pending_blocks:
        parking.forbid_while_pending(tx, task, target)
    refusal = rules.policy_refusal(task, policy, target, request.comment)
    if refusal is not None:
        raise refusal
    if found.has_items and (target is State.DONE or target is not asked):
        done.require(tx, task, tx.actor, reviewing=reviewing, reviews=target is asked)
    if target is State.DONE and found.has_assets:
        going.require_written_back(tx, task)
    asks = rules.wants_approval(found.approval_required, policy, target)
    lands = target if asks else accepting.landing(tx, task, target, reviewing=reviewing)
    report = Result(task.id, request.output, request.comment, digest, tx.actor.id, tx.now_ms)
    sql.put_result(tx, report, reviewing=reviewing)
    if asks:
        return parking.ask_done(tx, found, request.comment)
    keep = target is not State.QUEUED
    after = service.leave(
        tx, task, lands, keep_agent=keep, retries=task.retries,
        has_dependents=found.has_dependents,
        reason=accepting.REASON if lands is not asked else None,
    )  # fmt: skip
    parking.let_go(tx, task, capped=found.cap is not None)
    if lands is State.DONE and found.kind == STAGE_KIND:
        pipelining.finished(tx, after)
    _announce_result(tx, after, lands, request.comment)
    if reviewing:
        accepting.reviewed(tx, task, target)
    elif target is State.FAILED:
        trust.event(tx, tx.actor.id, "failed", task=task.id, note=task.number)
    return after


def _told_already(tx: Tx, task: Task, digest: bytes) -> bool:
    """Whether this agent has said done, and the task waits for somebody else's word on it."""
    if accepting.told_already(tx, task, digest):
        return True
    return task.agent == tx.actor.id and parking.awaits_done(tx, task)


RESULT_EVENT: Final = {
    State.REVIEW: "task_review",
    State.DONE: "task_done",
    State.FAILED: "task_failed",
    State.QUEUED: "task_inbox",
}


def _announce_result(tx: Tx, task: Task, target: State, comment: str | None) -> None:
    service.emit(tx, RESULT_EVENT[target], task, **({"c": comment} if comment else {}))


def _progress(tx: Tx, task: Task, request: ResultRequest, digest: bytes) -> Task:
    """`in_progress` again: partial output is kept, the lease starts afresh, a longer one stays."""
    if task.state is not State.IN_PROGRESS:
        raise illegal(task, State.IN_PROGRESS)
    sql.put_result(
        tx, Result(task.id, request.output, request.comment, digest, tx.actor.id, tx.now_ms)
    )
    tx.run(
        "update task set lease_until_ms=?, updated_ms=? where id=? and token=?",
        (max(task.lease_until_ms or 0, tx.now_ms + LEASE_MS), tx.now_ms, task.id, task.token),
    )
    after = sql.need(tx, tx.company, task.id)
    service.emit(tx, "task_in_progress", after)
    return after


def check_holder(tx: Tx, task: Task, lease_token: int | None, reviewing: bool) -> None:
    """Whether the acting agent holds this task now. Raises `task.lease_lost`.

    With a lease token: agent and token. Without: task, agent, access token. Either way the lease
    must not have run out. A task in review needs no lease of its agent (design, 6).
    """
    holder = task.reviewer if reviewing else task.agent
    if holder != tx.actor.id:
        raise accepting.not_yours(tx, task)
    if lease_token is not None and lease_token != task.token:
        raise service.lost(task)
    if task.state is State.REVIEW and not reviewing:
        if task.lease_until_ms is not None:
            raise service.lost(task)
        return
    if task.lease_until_ms is None:
        if task.state is State.IN_PROGRESS:
            raise service.lost(task)
        return
    if lease_token is None and task.lease_proof != tx.actor.credential:
        raise service.lost(task)
    if task.lease_until_ms <= tx.now_ms:
        raise service.lost(task)


def illegal(task: Task, target: State) -> Conflict:
    return Conflict(
        "task.illegal_move",
        f"{task.number} is {task.state.value} and cannot become {target.value} this way",
        "See docs/reference/tasks.md for the legal moves; an operator can move it by hand.",
        task=task.id,
    )


def finished(tx: Tx, task: Task) -> None:
    """A task was made done by hand or by its acceptance: the pipeline that it belongs to moves."""
    if sql.spec_of(tx, task.id).kind == STAGE_KIND:
        pipelining.finished(tx, task)


def written_back(tx: Tx, task: Task) -> None:
    """Gate 7, however a task becomes done. Raises `gate-7.not_written_back`."""
    if standing.need(tx, tx.company, task.id).has_assets:
        going.require_written_back(tx, task)


def release(tx: Tx, task_ref: str, lease_token: int | None, reason: str | None) -> Task:
    """Hand a claimed task back to the queue before its lease ends."""
    return result(tx, ResultRequest(task_ref, "inbox", comment=reason, lease_token=lease_token))
