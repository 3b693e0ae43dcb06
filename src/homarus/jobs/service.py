"""Rows of `job`: what comes again, on every wire (control-plane contract, 6.8 and 7)."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.jobs import rules
from homarus.jobs.model import SCHEDULE, Job, JobChange
from homarus.store.port import Row, Rx, Tx

MAX_JOBS: Final = 10_000
CREATED: Final = "recurring_task_definition_created"
UPDATED: Final = "recurring_task_definition_updated"
ARCHIVED: Final = "recurring_task_definition_archived"
SPAWNED: Final = "recurring_task_spawned"

_COLUMNS: Final = (
    "id, no, company, kind, name, project, agent, task_type, cron, payload, priority, "
    "proof_required, approval_required, proof_types, playbook, agent_pattern, active, "
    "next_run_ms, last_run_ms, runs, created_by, created_ms, updated_ms, deleted_ms"
)


def _job(row: Row) -> Job:
    values = list(row)
    values[9], values[13] = json.loads(row[9]), json.loads(row[13])
    values[11], values[16] = bool(row[11]), bool(row[16])
    values[12] = None if row[12] is None else bool(row[12])
    return Job(*values)


def by_id(rx: Rx, company: str, job: str) -> Job | None:
    """The removed ones too: what they spawned still names them."""
    row = rx.one(f"select {_COLUMNS} from job where id=? and company=?", (job, company))  # noqa: S608
    return None if row is None else _job(row)


def find(rx: Rx, company: str, ref: str) -> Job | None:
    """A live one, by id or number (`J-4`)."""
    at: str | int | None = numbered(ref, "J")
    where = "no=?"
    if at is None:
        at, where = ref.lower(), "id=?"
        if not is_uuid(at):
            return None
    row = rx.one(
        f"select {_COLUMNS} from job where company=? and {where} and deleted_ms is null",  # noqa: S608
        (company, at),
    )
    return None if row is None else _job(row)


def need(rx: Rx, company: str, ref: str, project: str | None = None) -> Job:
    """`project`: only one of this project. Raises `job.unknown`."""
    found = find(rx, company, ref)
    if found is None or project not in (None, found.project):
        raise NotFound("job.unknown", f"no job {ref[:80]!r} here", "See `homarus job list`.")
    return found


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    project: str | None = None,
    before: int | None = None,
    offset: int = 0,
) -> list[Job]:
    """Newest first; `before` is the `no` of the last one seen."""
    where, scope = ("company=?", company) if project is None else ("project=?", project)
    rows = rx.all(
        f"select {_COLUMNS} from job where {where} and deleted_ms is null and no<? "  # noqa: S608
        "order by no desc limit ? offset ?",
        (scope, before if before is not None else 2**62, limit, offset),
    )
    return [_job(row) for row in rows]


def count(rx: Rx, company: str) -> int:
    """Live ones; at most MAX_JOBS."""
    row = rx.one("select count(*) from job where company=? and deleted_ms is null", (company,))
    return 0 if row is None else int(row[0])


def schedule_named(rx: Rx, company: str, name: str) -> Job | None:
    row = rx.one(
        f"select {_COLUMNS} from job "  # noqa: S608
        "where company=? and name=? and kind=? and deleted_ms is null",
        (company, name, SCHEDULE),
    )
    return None if row is None else _job(row)


def _given(change: JobChange) -> dict[str, Any]:
    return {
        field: getattr(change, field)
        for field in change.__struct_fields__
        if getattr(change, field) is not msgspec.UNSET
    }


def create(tx: Tx, kind: str, change: JobChange) -> Job:
    """Raises `job.*`, `job.many`. Emits `recurring_task_definition_created`."""
    values = rules.check(_given(change))
    if "name" not in values:
        raise Invalid("job.name", "a job needs a name", f"1 to {rules.MAX_NAME} characters.")
    if count(tx, tx.company) >= MAX_JOBS:
        raise Conflict("job.many", f"there are {MAX_JOBS} jobs", "Remove what no longer runs.")
    job = tx.new_id()
    values.setdefault(
        "next_run_ms",
        rules.due(values.get("cron"), active=bool(values.get("active", 1)), now_ms=tx.now_ms),
    )
    values |= {
        "id": job,
        "no": tx.number("job"),
        "company": tx.company,
        "kind": kind,
        "created_by": tx.actor.key,
        "created_ms": tx.now_ms,
        "updated_ms": tx.now_ms,
    }
    tx.run(
        f"insert into job({', '.join(values)}) values({','.join('?' * len(values))})",
        tuple(values.values()),
    )
    tx.emit(CREATED, job, {"name": values["name"], "kind": kind})
    return need(tx, tx.company, job)


def update(tx: Tx, before: Job, change: JobChange) -> Job:
    """Raises `job.nothing`, `job.*`. Emits `recurring_task_definition_updated`."""
    values = rules.check(_given(change))
    if not values:
        raise Invalid("job.nothing", "nothing to change", "Give at least one field.")
    fields = sorted(values)
    if "next_run_ms" not in values and {"cron", "active"} & values.keys():
        values["next_run_ms"] = rules.due(
            values.get("cron", before.cron),
            active=bool(values.get("active", before.active)),
            now_ms=tx.now_ms,
        )
    values["updated_ms"] = tx.now_ms
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update job set {sets} where id=?", (*values.values(), before.id))  # noqa: S608
    tx.emit(UPDATED, before.id, {"fields": fields})
    return need(tx, tx.company, before.id)


def archive(tx: Tx, before: Job) -> Job:
    """Soft: nothing is spawned any more. Emits `recurring_task_definition_archived`."""
    tx.run(
        "update job set deleted_ms=?, active=0, next_run_ms=null where id=?", (tx.now_ms, before.id)
    )
    tx.emit(ARCHIVED, before.id, {"name": before.name})
    return msgspec.structs.replace(before, deleted_ms=tx.now_ms, active=False, next_run_ms=None)


def ran(tx: Tx, job: Job, task: str) -> Job:
    """A task was spawned. Emits `recurring_task_spawned`."""
    tx.run("update job set last_run_ms=?, runs=runs+1 where id=?", (tx.now_ms, job.id))
    tx.emit(SPAWNED, job.id, {"task": task})
    return need(tx, tx.company, job.id)
