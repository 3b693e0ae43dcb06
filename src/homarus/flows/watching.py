"""Work that waits too long becomes an incident (control-plane contract, 6.7).

A task's deadline (`slaDueAt`) is a row that is taken out when its time comes. A task that nobody
has claimed an hour after its creation is looked at once, in the order of creation: `stale_watch`
keeps how far, so a look costs one seek however many tasks wait.
"""

from typing import Final

from homarus.base.clock import iso_ms
from homarus.records import incidents
from homarus.store.port import Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import WAITING, State, Task

STALE_MS: Final = 3_600_000
MAX_STALE: Final = 100
"""Unresolved incidents of this kind that a company has at most; the rest follow as they are
resolved."""
OPEN: Final = WAITING | {State.IN_PROGRESS, State.REVIEW}


def expect(tx: Tx, task: str, due_ms: int | None) -> None:
    """Set, move or (None) forget a task's deadline."""
    if due_ms is None:
        tx.run("delete from task_deadline where task=?", (task,))
        return
    tx.run(
        "insert into task_deadline(task, company, due_ms) values(?,?,?) "
        "on conflict(task) do update set due_ms=excluded.due_ms",
        (task, tx.company, due_ms),
    )


def late(rx: Rx, limit: int) -> list[str]:
    """Companies with a deadline that has passed."""
    rows = rx.all(
        "select distinct company from task_deadline where due_ms<=? limit ?", (rx.now_ms, limit)
    )
    return [str(row[0]) for row in rows]


def tell_late(tx: Tx, limit: int) -> int:
    """Open incidents about this company's tasks whose deadline passed unfinished; how many
    deadlines passed."""
    rows = tx.all(
        "select task, due_ms from task_deadline where due_ms<=? and company=? "
        "order by due_ms limit ?",
        (tx.now_ms, tx.company, limit),
    )
    for task_id, due_ms in rows:
        expect(tx, task_id, None)
        task = sql.by_id(tx, tx.company, task_id)
        if task is not None and task.state in OPEN:
            _tell(
                tx, task, "medium", "sla_breach",
                f"{task.number} was due {iso_ms(due_ms)} and is {task.state.value}",
            )  # fmt: skip
    return len(rows)


def unclaimed(rx: Rx, limit: int) -> list[str]:
    """Companies with a task that turned an hour old since the last look."""
    rows = rx.all(
        "select c.id from company c left join stale_watch w on w.company=c.id "
        "where (select t.created_ms from task t where t.company=c.id and t.seq>coalesce(w.seq, 0) "
        "order by t.seq limit 1)<=? limit ?",
        (rx.now_ms - STALE_MS, limit),
    )
    return [str(row[0]) for row in rows]


def tell_unclaimed(tx: Tx, limit: int) -> int:
    """Look at this company's tasks that turned an hour old, and open incidents about those that
    nobody has claimed; how many were looked at. 0 too while MAX_STALE are unresolved."""
    room = MAX_STALE - _unresolved(tx)
    rows = tx.all(
        "select t.id, t.seq from task t where t.company=? and t.seq>coalesce("
        "(select w.seq from stale_watch w where w.company=t.company), 0) and t.created_ms<=? "
        "order by t.seq limit ?",
        (tx.company, tx.now_ms - STALE_MS, min(limit, room)),
    )
    for task_id, _ in rows:
        task = sql.by_id(tx, tx.company, task_id)
        if task is not None and task.state in (State.INBOX, State.QUEUED):
            _tell(
                tx, task, "low", "unclaimed_stale",
                f"nobody has claimed {task.number} within an hour",
            )  # fmt: skip
    if rows:
        tx.run(
            "insert into stale_watch(company, seq) values(?,?) "
            "on conflict(company) do update set seq=excluded.seq",
            (tx.company, rows[-1][1]),
        )
    return len(rows)


def _unresolved(rx: Tx) -> int:
    row = rx.one(
        "select count(*) from incident where company=? and reason_code='unclaimed_stale' "
        "and status<>'resolved' and deleted_ms is null",
        (rx.company,),
    )
    return 0 if row is None else int(row[0])


def _tell(tx: Tx, task: Task, severity: str, reason: str, summary: str) -> None:
    incidents.open_once(
        tx, severity=severity, reason_code=reason, summary=summary, project=task.project,
        task=task.id,
    )  # fmt: skip
