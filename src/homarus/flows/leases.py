"""Leases: renewed by a heartbeat, taken back when they have run out (design, 6)."""

from typing import Final

from homarus.flows import accepting, parking, partial
from homarus.records import incidents
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import LEASE_MS, State, Task

RENEW_MS: Final = LEASE_MS // 10
"""A heartbeat rewrites a lease only when this much of it has passed."""


def renew(tx: Tx, agent: str, task: str | None = None) -> int:
    """Renew what this agent holds by this access token, in hand or in review; how many leases
    were rewritten. `task`: that one alone, by id or number."""
    until = tx.now_ms + LEASE_MS
    where, params = "", tuple[str | int | None, ...]()
    if task is not None:
        at = sql.address(task)
        where = " and company=? and seq=?" if isinstance(at, int) else " and company=? and id=?"
        params = (tx.company, at)
    return sum(
        tx.run(
            f"update task set lease_until_ms=? where {holds} "  # noqa: S608
            f"and lease_proof=? and lease_until_ms>? and lease_until_ms<?{where}",
            (until, agent, tx.actor.credential, tx.now_ms, until - RENEW_MS, *params),
        )
        for holds in ("agent=? and state='in_progress'", "reviewer=? and state='review'")
    )


def expire_due(tx: Tx, limit: int) -> int:
    """Take back this company's leases that have run out, re-checking each; how many."""
    rows = tx.all(
        "select id from task where company=? and lease_until_ms is not null "
        "and lease_until_ms<=? order by lease_until_ms limit ?",
        (tx.company, tx.now_ms, limit),
    )
    for (task_id,) in rows:
        _expire(tx, sql.need(tx, tx.company, task_id))
    return len(rows)


def _expire(tx: Tx, task: Task) -> None:
    if task.state is State.REVIEW:
        after = service.leave(
            tx, task, State.REVIEW, keep_agent=True, reason=task.reason, retries=task.retries
        )
        service.emit(tx, "task_review", after, expired=True)
        return
    take_back(tx, task, "its lease ran out")


def take_back(tx: Tx, task: Task, why: str) -> None:
    """Out of its holder's hands without a report: queued again, or given up after its retries. What
    a turn had done of it becomes a note. `why` in a few words."""
    partial.note(tx, task, why)
    accepting.no_write_back(tx, task)
    spec = sql.spec_of(tx, task.id)
    if task.retries < spec.max_retries:
        after = service.leave(tx, task, State.QUEUED, keep_agent=False, retries=task.retries + 1)
        parking.let_go(tx, task)
        service.emit(tx, "lease_expired_retry", after, held=task.agent)
        return
    reason = f"{why} {task.retries + 1} times"
    after = service.leave(
        tx, task, State.DEAD_LETTER, keep_agent=True, reason=reason, retries=task.retries
    )
    parking.let_go(tx, task)
    service.emit(tx, "dead_lettered", after)
    incidents.open_incident(
        tx,
        severity="high",
        reason_code="max_retries_exceeded",
        summary=f"{task.number}: {reason}",
        project=task.project,
        task=task.id,
    )
