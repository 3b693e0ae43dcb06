"""Reading of approvals: by name, by task, by what an act needs, and by time."""

import msgspec

from homarus.base.errors import NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.kernel.actor_names import actor_name
from homarus.kernel.approval_rows import FIELDS, Approval, from_row
from homarus.kernel.approval_rules import MAX_PENDING, Ask, permits, same
from homarus.store.paging import newest
from homarus.store.port import Rx


def by_id(rx: Rx, company: str, approval: str) -> Approval | None:
    row = rx.one(f"select {FIELDS} from approval where id=? and company=?", (approval, company))  # noqa: S608
    return None if row is None else from_row(row)


def find(rx: Rx, company: str, ref: str) -> Approval | None:
    """By id in any case or by number (`A-7`)."""
    if is_uuid(ref.lower()):
        return by_id(rx, company, ref.lower())
    no = numbered(ref, "A")
    if no is None:
        return None
    row = rx.one(f"select {FIELDS} from approval where company=? and no=?", (company, no))  # noqa: S608
    return None if row is None else from_row(row)


def need(rx: Rx, company: str, ref: str) -> Approval:
    """As `find`. Raises `approval.unknown`."""
    found = find(rx, company, ref)
    if found is None:
        raise NotFound(
            "approval.unknown",
            f"no approval {ref[:80]!r} in this company",
            "List them: `homarus approval list`.",
        )
    return found


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    before: int | None = None,
    status: str | None = None,
    project: str | None = None,
    task: str | None = None,
    agent: str | None = None,
) -> list[Approval]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {FIELDS} from approval where company=?"  # noqa: S608
    filters = {
        "status=?": status,
        "project=?": project,
        "agent=?": agent,
        "id in (select approval from approval_task where task=?)": task,
    }
    rows = newest(rx, select, (company,), filters, limit=limit, before=before)
    return [from_row(row) for row in rows]


def tasks_of(rx: Rx, approval: str) -> list[str]:
    rows = rx.all("select task from approval_task where approval=? order by task", (approval,))
    return [str(row[0]) for row in rows]


def tasks_of_all(rx: Rx, approvals: list[str]) -> dict[str, list[str]]:
    """The same of many, in one query; those without a task are left out."""
    if not approvals:
        return {}
    rows = rx.all(
        "select approval, task from approval_task "  # noqa: S608
        f"where approval in ({','.join('?' * len(approvals))}) order by approval, task",
        tuple(approvals),
    )
    found: dict[str, list[str]] = {}
    for approval, task in rows:
        found.setdefault(approval, []).append(task)
    return found


def pending_for(rx: Rx, task: str) -> list[Approval]:
    """What of a task waits for an answer, oldest first."""
    fields = ", ".join(f"a.{name}" for name in FIELDS.split(", "))
    rows = rx.all(
        f"select {fields} from approval_task t join approval a on a.id=t.approval "  # noqa: S608
        "where t.task=? and a.status='pending' order by a.no limit ?",
        (task, MAX_PENDING),
    )
    return [from_row(row) for row in rows]


class Summary(msgspec.Struct, frozen=True):
    total: int
    pending: int
    latest_pending: str | None


def summaries(rx: Rx, tasks: list[str]) -> dict[str, Summary]:
    """What approvals each of `tasks` has; tasks without any are left out."""
    if not tasks:
        return {}
    marks = ",".join("?" * len(tasks))
    rows = rx.all(
        "select t.task, count(*), sum(case when a.status='pending' then 1 else 0 end), "  # noqa: S608
        "max(case when a.status='pending' then a.id end) from approval_task t "
        f"join approval a on a.id=t.approval where t.task in ({marks}) group by t.task",
        tuple(tasks),
    )
    return {row[0]: Summary(int(row[1]), int(row[2]), row[3]) for row in rows}


def standing(rx: Rx, company: str, ask: Ask) -> Approval | None:
    """What the rows say of an act: the approval that permits it, else the rejection of it that
    still holds, else the question that is open, else the one whose time ran out; None: nothing."""
    rows = [
        from_row(row)
        for row in rx.all(
            f"select {FIELDS} from approval where company=? and agent=? and capability=? "  # noqa: S608
            "and status in ('approved', 'pending', 'rejected', 'expired') and kind='act' "
            "and (target=? or task=?) "
            "order by case status when 'approved' then 0 when 'pending' then 1 else 2 end, "
            "no desc limit ?",
            (company, ask.agent, ask.capability, ask.target, ask.task, 2 * MAX_PENDING),
        )
    ]
    permitting = next((row for row in rows if permits(row, ask, rx.now_ms)), None)
    if permitting is not None:
        return permitting
    mine = sorted((row for row in rows if same(row, ask)), key=lambda row: row.no)
    return mine[-1] if mine else None


def pending_like(
    rx: Rx, company: str, *, capability: str, target: str, task: str | None, agent: str | None
) -> list[Approval]:
    """Questions about the same, whatever the arguments, oldest first; also those that are over."""
    rows = rx.all(
        f"select {FIELDS} from approval where company=? and coalesce(agent, '')=? "  # noqa: S608
        "and capability=? and status='pending' and target=? and coalesce(task, '')=? "
        "order by no limit ?",
        (company, agent or "", capability, target, task or "", MAX_PENDING),
    )
    return [from_row(row) for row in rows]


def due(rx: Rx, limit: int) -> list[str]:
    """Companies with an approval whose time is up."""
    rows = rx.all(
        "select distinct company from approval where status in ('pending', 'approved') "
        "and expires_ms<=? and (status='pending' or kind='act') limit ?",
        (rx.now_ms, limit),
    )
    return [str(row[0]) for row in rows]


def overdue(rx: Rx, company: str, limit: int) -> list[Approval]:
    """Those of one company, by time."""
    rows = rx.all(
        f"select {FIELDS} from approval where company=? and status in ('pending', 'approved') "  # noqa: S608
        "and expires_ms<=? and (status='pending' or kind='act') order by expires_ms limit ?",
        (company, rx.now_ms, limit),
    )
    return [from_row(row) for row in rows]


def who_decided(rx: Rx, row: Approval) -> str | None:
    """The name of who answered."""
    return actor_name(rx, row.decided_by) if row.decided_by else None
