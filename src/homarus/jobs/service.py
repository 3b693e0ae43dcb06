"""Rows of `job`: what comes again, on every wire (governance contract, 8; control-plane contract,
6.8 and 7). Its firings are in `runs.py`."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.jobs import rules, timing
from homarus.jobs.model import COMPANY, PARALLEL, SCHEDULE, TASK, Job, JobChange
from homarus.jobs.timing import Schedule
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

MAX_JOBS: Final = 10_000
CREATED: Final = "recurring_task_definition_created"
UPDATED: Final = "recurring_task_definition_updated"
ARCHIVED: Final = "recurring_task_definition_archived"
SPAWNED: Final = "recurring_task_spawned"

_WHEN: Final = ("cron", "every_ms", "at_ms")
_PLANNED: Final = {*_WHEN, "zone", "anchor_ms", "active", "what"}

_COLUMNS: Final = (
    "id, no, company, kind, name, project, agent, task_type, cron, payload, priority, "
    "proof_required, approval_required, proof_types, playbook, agent_pattern, active, "
    "next_run_ms, last_run_ms, runs, created_by, created_ms, updated_ms, deleted_ms, namespace, "
    "key, what, does, description, zone, every_ms, anchor_ms, at_ms, misfire, overlap, cpu_s, "
    "memory_mb, api_per_hour, concurrent, once, wire"
)


_JSON: Final = ("payload", "proof_types", "does", "wire")
_YES_NO: Final = ("proof_required", "approval_required", "active", "once")


def _job(row: Row) -> Job:
    values = dict(zip(Job.__struct_fields__, row, strict=True))
    for field in _JSON:
        values[field] = json.loads(values[field] or "{}")
    for field in _YES_NO:
        values[field] = None if values[field] is None else bool(values[field])
    return Job(**values)


def by_id(rx: Rx, company: str, job: str) -> Job | None:
    """The removed ones too: what they spawned still names them."""
    row = rx.one(f"select {_COLUMNS} from job where id=? and company=?", (job, company))  # noqa: S608
    return None if row is None else _job(row)


def find(rx: Rx, company: str, ref: str) -> Job | None:
    """A live one, by id, number (`J-4`) or full name (`cron.ada.weekly-report`)."""
    number = numbered(ref, "J")
    if number is not None:
        return _one(rx, company, "no=?", number)
    text = ref.strip().lower()
    if is_uuid(text):
        return _one(rx, company, "id=?", text)
    word, _, rest = text.partition(".")
    namespace, _, key = rest.partition(".")
    return _one(rx, company, "namespace=? and key=?", namespace, key) if word == "cron" else None


def _one(rx: Rx, company: str, where: str, *params: Any) -> Job | None:
    row = rx.one(
        f"select {_COLUMNS} from job where company=? and {where} and deleted_ms is null",  # noqa: S608
        (company, *params),
    )
    return None if row is None else _job(row)


def need(rx: Rx, company: str, ref: str, project: str | None = None) -> Job:
    """`project`: only one of this project. Raises `job.unknown`."""
    found = find(rx, company, ref)
    if found is None or project not in (None, found.project):
        raise NotFound("job.unknown", f"no job {ref[:80]!r} here", "See `homarus cron list`.")
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
    select = f"select {_COLUMNS} from job where {where} and deleted_ms is null"  # noqa: S608
    rows = newest(rx, select, (scope,), limit=limit, before=before, offset=offset)
    return [_job(row) for row in rows]


def count(rx: Rx, company: str) -> int:
    """Live ones; at most MAX_JOBS."""
    row = rx.one("select count(*) from job where company=? and deleted_ms is null", (company,))
    return 0 if row is None else int(row[0])


def schedule_named(rx: Rx, company: str, name: str) -> Job | None:
    return _one(rx, company, "name=? and kind=?", name, SCHEDULE)


def _given(change: JobChange) -> dict[str, Any]:
    return {
        field: getattr(change, field)
        for field in change.__struct_fields__
        if getattr(change, field) is not msgspec.UNSET
    }


def create(tx: Tx, kind: str, change: JobChange) -> Job:
    """Raises `job.*`, `time.zone`. Emits `recurring_task_definition_created`."""
    values = rules.check(_given(change))
    if "name" not in values:
        raise Invalid("job.name", "a job needs a name", f"1 to {rules.MAX_NAME} characters.")
    job, no = tx.new_id(), tx.number("job")
    if no > MAX_JOBS and count(tx, tx.company) >= MAX_JOBS:
        raise Conflict("job.many", f"there are {MAX_JOBS} jobs", "Remove what no longer runs.")
    values.setdefault("namespace", COMPANY)
    values["key"] = _free_key(tx, values, no)
    values.setdefault("anchor_ms", tx.now_ms)
    schedule = _checked(tx, values, None)
    values.setdefault("next_run_ms", _next(tx, schedule, values.get("active", 1)))
    values |= {
        "id": job,
        "no": no,
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


def _free_key(tx: Tx, values: dict[str, Any], no: int) -> str:
    """The one that was asked for, or one made of the name that nobody has yet."""
    asked = values.get("key")
    key = asked or rules.key_of(values["name"])
    if _one(tx, tx.company, "namespace=? and key=?", values["namespace"], key) is None:
        return str(key)
    if asked is None:
        return f"{key[: rules.MAX_WORD - 12]}-j{no}"
    raise Conflict(
        "job.exists", f"there is a job cron.{values['namespace']}.{key}", "Choose another name."
    )


def _checked(tx: Tx, values: dict[str, Any], before: Job | None) -> Schedule:
    """The schedule that these values make; of several kinds the given one stays. In `values` it
    then stands in its one form."""
    given = [field for field in _WHEN if values.get(field) is not None]
    if given:
        values |= {field: None for field in _WHEN if field not in values}
    schedule = Schedule() if before is None else before.schedule
    new = {field: values[field] for field in Schedule.__struct_fields__ if field in values}
    what = values.get("what", TASK if before is None else before.what)
    return timing.check(msgspec.structs.replace(schedule, **new), tx.now_ms, rules.spacing_ms(what))


def _next(tx: Tx, schedule: Schedule, active: Any) -> int | None:
    return timing.next_after(schedule, tx.now_ms) if active else None


def update(tx: Tx, before: Job, change: JobChange) -> Job:
    """Raises `job.nothing`, `job.*`, `time.zone`. Emits `recurring_task_definition_updated`."""
    values = rules.check(_given(change))
    if not values:
        raise Invalid("job.nothing", "nothing to change", "Give at least one field.")
    fields = sorted(values)
    named = {"namespace": before.namespace, "key": before.key}
    if any(values.get(field, word) != word for field, word in named.items()):
        _free_key(tx, named | values, before.no)
    if _PLANNED & values.keys():
        active = values.get("active", before.active)
        newly = {*_WHEN, "zone", "anchor_ms"} & values.keys()
        schedule = _checked(tx, values, before) if active or newly else before.schedule
        if "next_run_ms" not in values:
            values["next_run_ms"] = _next(tx, schedule, active)
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
    counted(tx, job.id)
    tx.emit(SPAWNED, job.id, {"task": task})
    found = by_id(tx, tx.company, job.id)
    return job if found is None else found


def counted(tx: Tx, job: str) -> None:
    """It has run once more."""
    tx.run("update job set last_run_ms=?, runs=runs+1 where id=?", (tx.now_ms, job))


# -- the clock -------------------------------------------------------------------------------


def next_ms(rx: Rx) -> int | None:
    """When the next job of all companies is due; None: none is."""
    row = rx.one("select min(next_run_ms) from job where next_run_ms is not null")
    return None if row is None else row[0]


def companies_due(rx: Rx, limit: int) -> list[str]:
    rows = rx.all(
        "select c.id from company c where exists(select 1 from job j where j.company=c.id "
        "and j.next_run_ms<=?) limit ?",
        (rx.now_ms, limit),
    )
    return [row[0] for row in rows]


def due(rx: Rx, company: str, limit: int) -> list[Job]:
    """Whose time has come, the longest due first."""
    rows = rx.all(
        f"select {_COLUMNS} from job where company=? and next_run_ms<=? and deleted_ms is null "  # noqa: S608
        "order by next_run_ms, no limit ?",
        (company, rx.now_ms, limit),
    )
    return [_job(row) for row in rows]


def active_of(rx: Rx, company: str, agent: str, limit: int) -> list[Job]:
    """Of an agent, whatever face they came by."""
    rows = rx.all(
        f"select {_COLUMNS} from job where company=? and agent=? and active=1 "  # noqa: S608
        "and deleted_ms is null order by no limit ?",
        (company, agent, limit),
    )
    return [_job(row) for row in rows]


def not_parallel(rx: Rx, jobs: set[str]) -> list[str]:
    """Those of the jobs that have no two runs beside each other."""
    if not jobs:
        return []
    marks = ",".join("?" * len(jobs))
    rows = rx.all(
        f"select id from job where id in ({marks}) and overlap<>?",  # noqa: S608
        (*sorted(jobs), PARALLEL),
    )
    return [row[0] for row in rows]


def plan(tx: Tx, job: str, next_run_ms: int | None) -> None:
    tx.run("update job set next_run_ms=? where id=?", (next_run_ms, job))
