"""Jobs that fire by the clock (gateway contract, 9): faces of the one jobs table."""

import hashlib
from typing import Any, Final, Literal

from homarus.flows import firing, scheduling
from homarus.gateway.ws import cron_shapes, frames
from homarus.gateway.ws.cron_shapes import NewJob
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, Desk, Nothing, read, work, write
from homarus.jobs import runs, service
from homarus.jobs.model import CRON, Job, Run
from homarus.jobs.words import When
from homarus.kernel.scopes import ADMIN, READ
from homarus.store.port import Rx, Tx

LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_LISTED: Final = 1_000
Doc = dict[str, Any]
_KINDS: Final = {"interval": "every", "once": "at"}


class List(Params):
    include_disabled: bool = False
    enabled: str | bool | None = None
    limit: int | None = None
    offset: int = 0
    query: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    schedule_kind: str | None = None
    last_run_status: str | None = None
    payload_kind: str | None = None
    sort_by: str | None = None
    sort_dir: str | None = None
    compact: bool = False
    include_delivery_previews: bool = False
    snapshot_revision: str | None = None


class OfJob(Params):
    id: str


class Add(NewJob, kw_only=True):
    name: str
    schedule: When
    payload: dict[str, Any]


class Update(Params):
    id: str
    patch: NewJob


class RunNow(Params):
    id: str
    mode: Literal["due", "force", "if-enabled"] = "force"


class Runs(Params):
    id: str | None = None
    scope: Literal["job", "all"] | None = None
    run_id: str | None = None
    limit: int | None = None
    offset: int = 0
    status: str | None = None
    statuses: list[str] | None = None
    query: str | None = None
    sort_dir: str | None = None


def listed(rx: Rx, ask: Ask) -> Doc:
    params: List = ask.params
    rows = [row for row in service.listed(rx, ask.company, limit=MAX_LISTED) if _fits(row, params)]
    if params.agent_id is not None:
        rows = [row for row in rows if cron_shapes.agent_slug(rx, row) == params.agent_id]
    limit = max(1, min(params.limit or LIMIT, MAX_LIMIT))
    offset = max(0, params.offset)
    more = len(rows) > offset + limit
    return {
        "jobs": [cron_shapes.job(rx, row) for row in rows[offset : offset + limit]],
        "total": len(rows), "offset": offset, "limit": limit, "hasMore": more,
        "nextOffset": offset + limit if more else None, "snapshotRevision": _revision(rows),
    }  # fmt: skip


def _fits(row: Job, params: List) -> bool:
    enabled = {"enabled": True, "disabled": False}.get(str(params.enabled), params.enabled)
    if isinstance(enabled, bool) and row.active is not enabled:
        return False
    if params.enabled is None and not params.include_disabled and not row.active:
        return False
    kind = row.schedule.kind
    if params.schedule_kind not in (None, "all", _KINDS.get(kind, kind)):
        return False
    words = (params.query or "").strip().lower()
    return not words or words in row.name.lower()


def _revision(rows: list[Job]) -> str:
    text = "|".join(f"{row.id}:{row.updated_ms}" for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _need(rx: Rx, company: str, ref: str) -> Job:
    row = service.find(rx, company, ref)
    if row is None:
        details = {"code": "CRON_JOB_NOT_FOUND", "jobId": ref[:80]}
        raise Fault(frames.INVALID_REQUEST, f"unknown cron job id: {ref[:80]}", details)
    return row


def one(rx: Rx, ask: Ask) -> Doc:
    return cron_shapes.job(rx, _need(rx, ask.company, ask.params.id))


def status(rx: Rx, ask: Ask) -> Doc:
    rows = service.listed(rx, ask.company, limit=MAX_LISTED)
    due = [row.next_run_ms for row in rows if row.active and row.next_run_ms is not None]
    found: Doc = {"enabled": True, "storePath": "(the store)", "jobs": len(rows)}
    return found | ({"nextWakeAtMs": min(due)} if due else {})


def add(tx: Tx, ask: Ask) -> Doc:
    row = scheduling.define(tx, CRON, cron_shapes.change_of(tx, ask.params, None), ask.channels)
    return cron_shapes.job(tx, row)


def update(tx: Tx, ask: Ask) -> Doc:
    before = _need(tx, ask.company, ask.params.id)
    new = cron_shapes.change_of(tx, ask.params.patch, before)
    row = scheduling.change(tx, before, new, ask.channels)
    return cron_shapes.job(tx, row)


def remove(tx: Tx, ask: Ask) -> Doc:
    """One that is not there is no error: it is gone."""
    row = service.find(tx, ask.company, ask.params.id)
    if row is not None:
        scheduling.remove(tx, row)
    return {"ok": True, "removed": row is not None}


async def run_now(desk: Desk, params: RunNow) -> Doc:
    done: Run | None = await desk.write(_run, desk.ask(params))
    told: Doc = {"ok": True, "enqueued": done is not None,
                 "processInstanceId": desk.hub.boot_id}  # fmt: skip
    if done is None:
        return told | {"ran": False, "reason": "not-due"}
    return told | {"runId": cron_shapes.run_id(done)}


def _run(tx: Tx, ask: Ask) -> Run | None:
    params: RunNow = ask.params
    row = _need(tx, ask.company, params.id)
    scheduling.check_may(tx, row.what, row.agent)
    due = row.next_run_ms is not None and row.next_run_ms <= tx.now_ms
    if (params.mode == "due" and not due) or (params.mode == "if-enabled" and not row.active):
        return None
    return firing.by_hand(tx, row)


def runs_of(rx: Rx, ask: Ask) -> Doc:
    params: Runs = ask.params
    job = None if params.id is None else _need(rx, ask.company, params.id)
    limit = max(1, min(params.limit or LIMIT, MAX_LIMIT))
    offset = max(0, params.offset)
    wanted = {params.status, *(params.statuses or ())} - {None, "all"}
    states = tuple(s for s, word in cron_shapes.STATUS.items() if not wanted or word in wanted)
    rows = runs.listed(
        rx, ask.company, limit=MAX_LISTED, job=None if job is None else job.id, states=states
    )
    if params.run_id is not None:
        rows = [row for row in rows if cron_shapes.run_id(row) == params.run_id]
    more = len(rows) > offset + limit
    page = rows[offset : offset + limit]
    return {
        "entries": [
            cron_shapes.run(rx, row, job or service.by_id(rx, ask.company, row.job))
            for row in page
        ],
        "total": len(rows), "offset": offset, "limit": limit, "hasMore": more,
        "nextOffset": offset + limit if more else None,
    }  # fmt: skip


METHODS: Final = (
    read("cron.list", READ, List, listed, "Work that comes again", "jobs, total, snapshotRevision"),
    read("cron.get", READ, OfJob, one, "One of them", "a job"),
    read("cron.status", READ, Nothing, status, "How many there are, and the next that is due",
         "enabled, jobs, nextWakeAtMs"),
    read("cron.runs", READ, Runs, runs_of, "Runs that have ended, newest first", "entries, total"),
    write("cron.add", ADMIN, Add, "job.create", add, "Define a job", "a job", target="job:new"),
    write("cron.update", ADMIN, Update, "job.update", update, "Change a job", "a job",
          target="job:"),
    write("cron.remove", ADMIN, OfJob, "job.delete", remove, "Remove a job", "ok, removed",
          target="job:"),
    work("cron.run", ADMIN, RunNow, run_now, "Have a job run now", "ok, enqueued, runId",
         capability="job.run", target="job:"),
)  # fmt: skip
