"""Versions of pipelines, their runs and where each run stands.

Two pipelines are shipped; a company's own version of the same id takes their place. `put` is called
by the switch of a change record of kind `pipeline` (governance contract, 10) and by an owner.
"""

from functools import cache
from importlib import resources
from typing import Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.pipelines import text as yaml_text
from homarus.pipelines.model import (
    Definition,
    Pipeline,
    Position,
    Run,
    RunStatus,
    Status,
)
from homarus.store.port import Row, Rx, Tx

SHIPPED: Final = ("product-dev", "content-os")
MAX_PIPELINES: Final = 500
SHOWN_RUNS: Final = 20
MAX_POSITIONS: Final = yaml_text.MAX_STAGES

_RUN: Final = (
    "id, no, company, pipeline, version, project, card, title, origin, trace, stage, status, "
    "started_by, started_ms, ended_ms"
)
_NEWEST: Final = (
    "select id, version, title, status, text, created_ms from pipeline p where company=? and "
    "version=(select max(version) from pipeline q where q.company=p.company and q.id=p.id)"
)


@cache
def find_shipped(name: str) -> Pipeline:
    """One of SHIPPED, as it is shipped."""
    text = resources.files(__package__).joinpath("shipped", f"{name}.yaml").read_text("utf-8")
    definition = yaml_text.parse(text, name=f"{name}.yaml")
    return Pipeline(name, 0, definition.title, Status.ACTIVE, text, definition)


@cache
def _parsed(text: str) -> Definition:
    """Only texts that were validated before they were stored come here."""
    return yaml_text.parse(text)


def _pipeline(row: Row) -> Pipeline:
    return Pipeline(row[0], row[1], row[2], Status(row[3]), row[4], _parsed(row[4]), row[5])


# -- versions ------------------------------------------------------------------------------


def find(rx: Rx, company: str, pipeline: str) -> Pipeline | None:
    """The version in force."""
    row = rx.one(_NEWEST + " and id=?", (company, pipeline))
    if row is not None:
        return _pipeline(row)
    return find_shipped(pipeline) if pipeline in SHIPPED else None


def need(rx: Rx, company: str, pipeline: str) -> Pipeline:
    """Raises `pipeline.unknown` with the nearest names."""
    found = find(rx, company, pipeline)
    if found is None:
        names = [row.id for row in listed(rx, company)]
        raise NotFound(
            "pipeline.unknown",
            f"no pipeline {pipeline[:80]!r}",
            f"There are: {', '.join(names[:20])}.",
        )
    return found


def listed(rx: Rx, company: str) -> list[Pipeline]:
    """By id: the company's own, and the shipped ones that it has not replaced."""
    rows = rx.all(_NEWEST + " order by id limit ?", (company, MAX_PIPELINES))
    own = {row[0]: _pipeline(row) for row in rows}
    shipped = {name: find_shipped(name) for name in SHIPPED}
    return [row for _, row in sorted((shipped | own).items())]


def mature(rx: Rx, company: str, *, own: bool) -> list[Pipeline]:
    """Active ones. `own` False: the caller knows that the company has none of its own."""
    rows = listed(rx, company) if own else [find_shipped(name) for name in SHIPPED]
    return [row for row in rows if row.status is Status.ACTIVE]


def check(rx: Rx, company: str, text: str, known: yaml_text.Known) -> Definition:
    """Parse a text as `put` would. Raises `pipeline.*`."""
    _ = rx, company
    return yaml_text.parse(text, known=known)


def put(tx: Tx, text: str, known: yaml_text.Known = yaml_text.ANY) -> Pipeline:
    """Make a text the version in force of its pipeline. Runs go on as they were started.

    Raises `pipeline.*`; nothing changes then.
    """
    definition = yaml_text.parse(text, known=known)
    row = tx.one(
        "select coalesce(max(version), 0) from pipeline where company=? and id=?",
        (tx.company, definition.id),
    )
    version = 1 if row is None else int(row[0]) + 1
    count = tx.one("select count(distinct id) from pipeline where company=?", (tx.company,))
    if version == 1 and count is not None and count[0] >= MAX_PIPELINES:
        raise Conflict("pipeline.many", f"there are {MAX_PIPELINES} pipelines", "Replace one.")
    tx.run(
        "insert into pipeline(company, id, version, title, status, text, created_ms) "
        "values(?,?,?,?,'active',?,?)",
        (tx.company, definition.id, version, definition.title, text, tx.now_ms),
    )
    tx.emit("pipeline_registered", "", {"id": definition.id, "version": version})
    return need(tx, tx.company, definition.id)


# -- runs ----------------------------------------------------------------------------------


def add_run(tx: Tx, run: Run) -> None:
    tx.run(
        f"insert into pipeline_run({_RUN}) values({','.join('?' * 15)})",
        (
            run.id, run.no, run.company, run.pipeline, run.version, run.project, run.card,
            run.title, run.origin, run.trace, run.stage, run.status.value, run.started_by,
            run.started_ms, run.ended_ms,
        ),
    )  # fmt: skip


def add_position(tx: Tx, run: str, n: int, stage: str, task: str) -> None:
    tx.run(
        "insert into pipeline_position(run, n, stage, task) values(?,?,?,?)", (run, n, stage, task)
    )


def _run(row: Row) -> Run:
    values = list(row)
    values[11] = RunStatus(values[11])
    return Run(*values)


def run_of(rx: Rx, run: str) -> Run | None:
    row = rx.one(f"select {_RUN} from pipeline_run where id=?", (run,))  # noqa: S608
    return None if row is None else _run(row)


def need_run(rx: Rx, company: str, ref: str) -> Run:
    """By id or number (`R-3`). Raises `pipeline.run_unknown`."""
    row = None
    if is_uuid(ref.lower()):
        row = rx.one(
            f"select {_RUN} from pipeline_run where company=? and id=?",  # noqa: S608
            (company, ref.lower()),
        )
    elif (no := numbered(ref, "R")) is not None:
        row = rx.one(
            f"select {_RUN} from pipeline_run where company=? and no=?",  # noqa: S608
            (company, no),
        )
    if row is None:
        raise NotFound(
            "pipeline.run_unknown", f"no run {ref[:80]!r}", "See `homarus pipeline show`."
        )
    return _run(row)


def run_from(rx: Rx, task: str) -> Run | None:
    """The newest run that a gate started for this task."""
    row = rx.one(
        f"select {_RUN} from pipeline_run where origin=? order by no desc limit 1",  # noqa: S608
        (task,),
    )
    return None if row is None else _run(row)


def runs(rx: Rx, company: str, pipeline: str, limit: int = SHOWN_RUNS) -> list[Run]:
    """Newest first."""
    rows = rx.all(
        f"select {_RUN} from pipeline_run where company=? and pipeline=? "  # noqa: S608
        "order by no desc limit ?",
        (company, pipeline, limit),
    )
    return [_run(row) for row in rows]


def positions(rx: Rx, run: str) -> list[Position]:
    rows = rx.all(
        "select n, stage, task, done_ms from pipeline_position where run=? order by n limit ?",
        (run, MAX_POSITIONS),
    )
    return [Position(*row) for row in rows]


def position_of(rx: Rx, task: str) -> tuple[Run, Position] | None:
    """Where a stage's task stands; None: it is no stage's."""
    row = rx.one("select run, n, stage, task, done_ms from pipeline_position where task=?", (task,))
    run = None if row is None else run_of(rx, row[0])
    return None if row is None or run is None else (run, Position(*row[1:]))


def definition_of(rx: Rx, run: Run) -> Definition:
    """The version that a run was started with. Raises `pipeline.unknown`."""
    if run.version == 0:
        return find_shipped(run.pipeline).definition
    row = rx.one(
        "select text from pipeline where company=? and id=? and version=?",
        (run.company, run.pipeline, run.version),
    )
    if row is None:
        raise NotFound("pipeline.unknown", f"no pipeline {run.pipeline}", "See the list.")
    return _parsed(row[0])


def move_on(tx: Tx, run: Run, done: Position, stage: str | None) -> Run:
    """A stage is done: the run stands at `stage` now, or at its end."""
    tx.run(
        "update pipeline_position set done_ms=? where run=? and n=?", (tx.now_ms, run.id, done.n)
    )
    ended = None if stage is not None else tx.now_ms
    status = RunStatus.RUNNING if stage is not None else RunStatus.SUCCEEDED
    tx.run(
        "update pipeline_run set stage=?, status=?, ended_ms=? where id=?",
        (stage, status.value, ended, run.id),
    )
    after = msgspec.structs.replace(run, stage=stage, status=status, ended_ms=ended)
    tx.emit("pipeline_moved", run.id, {"stage": stage, "status": status.value})
    return after


def reopen(tx: Tx, run: Run, position: Position) -> None:
    """A finished stage is open again: the run stands there, whatever came after."""
    tx.run("update pipeline_position set done_ms=null where run=? and n=?", (run.id, position.n))
    tx.run(
        "update pipeline_run set stage=?, status='running', ended_ms=null where id=?",
        (position.stage, run.id),
    )
    tx.emit("pipeline_moved", run.id, {"stage": position.stage, "status": "running"})
