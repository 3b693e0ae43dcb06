"""Runs of recorded pipelines, as the runtimes that ran them reported."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.pipelines.recorded import MAX_JSON, RETIRED, Record, wrong
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

RUNNING: Final = "running"
ENDINGS: Final = ("succeeded", "failed", "partial")

MAX_SUMMARY: Final = 10_000
SHOWN_RUNS: Final = 20
_RUN: Final = (
    "id, no, company, pipeline, status, summary, stats, reported_by, started_ms, ended_ms, "
    "created_ms"
)


class RecordedRun(msgspec.Struct, frozen=True, gc=False):
    """A row of `recorded_run`: what a runtime said of a run of its own."""

    id: str
    no: int
    company: str
    pipeline: str
    status: str
    summary: str | None
    stats: dict[str, Any] | None
    reported_by: str
    started_ms: int
    ended_ms: int | None
    created_ms: int

    @property
    def ended(self) -> bool:
        return self.status in ENDINGS


def _run(row: Row) -> RecordedRun:
    values = list(row)
    values[6] = None if row[6] is None else json.loads(row[6])
    return RecordedRun(*values)


def listed(
    rx: Rx, record: str, *, limit: int = SHOWN_RUNS, before: int | None = None
) -> list[RecordedRun]:
    """Newest first."""
    select = f"select {_RUN} from recorded_run where pipeline=?"  # noqa: S608
    rows = newest(rx, select, (record,), limit=limit, before=before)
    return [_run(row) for row in rows]


class Report(msgspec.Struct, frozen=True):
    """What a runtime says of a run; `run` None: a new one."""

    status: str
    run: str | None = None
    summary: str | None = None
    stats: dict[str, Any] | None = None
    started_ms: int | None = None
    ended_ms: int | None = None


def report(tx: Tx, record: Record, said: Report) -> RecordedRun:
    """A run begins, ends, or both at once. The same ending said again changes nothing.

    Raises `pipeline.retired`, `pipeline.run_unknown`, `pipeline.run_ended`, `pipeline.run_*`.
    """
    stats = None if said.stats is None else msgspec.json.encode(said.stats).decode()
    if said.status not in (RUNNING, *ENDINGS):
        raise wrong("run_status", f"no status {said.status[:40]!r}",
                     f"`{RUNNING}`, or one of {', '.join(ENDINGS)}.")  # fmt: skip
    if len(said.summary or "") > MAX_SUMMARY or len((stats or "").encode()) > MAX_JSON:
        raise wrong("run_text", "summary or stats are too long",
                     f"At most {MAX_SUMMARY} characters and {MAX_JSON} bytes.")  # fmt: skip
    if said.run is None:
        return _begin(tx, record, said, stats)
    return _go_on(tx, record, _need_run(tx, record, said.run), said, stats)


def _need_run(rx: Rx, record: Record, run: str) -> RecordedRun:
    row = rx.one(
        f"select {_RUN} from recorded_run where id=? and pipeline=?",  # noqa: S608
        (run.lower(), record.id),
    )
    if row is None:
        raise NotFound("pipeline.run_unknown", f"no run {run[:80]!r} of it", "See GET …/runs.")
    return _run(row)


def _begin(tx: Tx, record: Record, said: Report, stats: str | None) -> RecordedRun:
    if record.status == RETIRED:
        raise Conflict("pipeline.retired", f"{record.name} is retired", "Set its status first.")
    run = tx.new_id()
    ended = said.status in ENDINGS
    tx.run(
        f"insert into recorded_run({_RUN}) values(?,?,?,?,?,?,?,?,?,?,?)",
        (
            run, tx.number("recorded_run"), tx.company, record.id, said.status, said.summary, stats,
            tx.actor.key, tx.now_ms if said.started_ms is None else said.started_ms,
            (said.ended_ms or tx.now_ms) if ended else None, tx.now_ms,
        ),
    )  # fmt: skip
    tx.run("update recorded_pipeline set runs=runs+1 where id=?", (record.id,))
    return _told(tx, record, run, said.status)


def _go_on(
    tx: Tx, record: Record, before: RecordedRun, said: Report, stats: str | None
) -> RecordedRun:
    if before.ended:
        if said.status == before.status and said.summary in (None, before.summary):
            return before
        raise Conflict(
            "pipeline.run_ended", f"the run {before.status} already", "Start another run."
        )
    ended = said.status in ENDINGS
    tx.run(
        "update recorded_run set status=?, summary=coalesce(?, summary), stats=coalesce(?, stats), "
        "ended_ms=? where id=?",
        (
            said.status, said.summary, stats, (said.ended_ms or tx.now_ms) if ended else None,
            before.id,
        ),
    )  # fmt: skip
    return _told(tx, record, before.id, said.status)


def _told(tx: Tx, record: Record, run: str, status: str) -> RecordedRun:
    tx.run(
        "update recorded_pipeline set last_run_ms=?, last_run_status=? where id=?",
        (tx.now_ms, status, record.id),
    )
    tx.emit("pipeline_run_reported", record.id, {"run": run, "status": status})
    return _need_run(tx, record, run)
