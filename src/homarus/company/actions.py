"""Execution logs: what an agent did, step by step, in its own words (contract, 7: actions)."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

MAX_WORD: Final = 200
MAX_TEXT: Final = 10_000
MAX_STEPS: Final = 10_000
LAST_ID: Final = "g"
"""Sorts after every id."""

RUNNING: Final = "running"
"""The one status that is no ending."""

_RUN: Final = (
    "id, company, agent, session, project, task, kind, status, summary, metadata, started_ms, "
    "ended_ms, created_ms"
)
_STEP: Final = (
    "run, n, id, type, tool, status, target, input_summary, output_summary, error, started_ms, "
    "ended_ms, created_ms"
)


class ActionRun(msgspec.Struct, frozen=True, gc=False):
    id: str
    company: str
    agent: str | None
    session: str | None
    project: str | None
    task: str | None
    kind: str
    status: str
    summary: str | None
    metadata: dict[str, Any]
    started_ms: int
    ended_ms: int | None
    created_ms: int


class ActionStep(msgspec.Struct, frozen=True, gc=False):
    """`n` counts the steps of a run from 1."""

    run: str
    n: int
    id: str
    type: str
    tool: str | None
    status: str
    target: str | None
    input_summary: Any
    output_summary: Any
    error: str | None
    started_ms: int
    ended_ms: int | None
    created_ms: int


class NewRun(msgspec.Struct, frozen=True):
    """The ids are checked by the caller."""

    agent: str | None = None
    session: str | None = None
    project: str | None = None
    task: str | None = None
    kind: str = "task_execution"
    status: str = "running"
    summary: str | None = None
    metadata: dict[str, Any] = {}
    started_ms: int | None = None


class NewStep(msgspec.Struct, frozen=True):
    type: str = "tool_call"
    tool: str | None = None
    status: str = "completed"
    target: str | None = None
    input_summary: Any = None
    output_summary: Any = None
    error: str | None = None
    started_ms: int | None = None
    ended_ms: int | None = None


class RunChange(msgspec.Struct, frozen=True):
    """What is said of a run later; None leaves a field. `metadata` is merged into what is there.
    A `status` other than RUNNING ends it, at `ended_ms` or now."""

    status: str | None = None
    summary: str | None = None
    metadata: dict[str, Any] | None = None
    ended_ms: int | None = None


class RunFilter(msgspec.Struct, frozen=True):
    """None leaves a field open."""

    agent: str | None = None
    task: str | None = None
    project: str | None = None
    status: str | None = None
    kind: str | None = None


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _run(row: Row) -> ActionRun:
    values = list(row)
    values[9] = json.loads(values[9])
    return ActionRun(*values)


def _step(row: Row) -> ActionStep:
    values = list(row)
    for at in (7, 8):
        values[at] = None if values[at] is None else json.loads(values[at])
    return ActionStep(*values)


def need(rx: Rx, company: str, run: str) -> ActionRun:
    """Raises `action.unknown`."""
    row = rx.one(f"select {_RUN} from action_run where id=? and company=?", (run, company))  # noqa: S608
    if row is None:
        raise NotFound("action.unknown", f"no action {run[:80]!r}", "POST /actions first.")
    return _run(row)


def listed(
    rx: Rx, company: str, chosen: RunFilter, *, limit: int, before: str | None = None
) -> list[ActionRun]:
    """Newest first; `before` is the id of the last one seen."""
    select = f"select {_RUN} from action_run where company=?"  # noqa: S608
    filters = {
        f"{column}=?": getattr(chosen, column) or None for column in chosen.__struct_fields__
    }
    rows = newest(rx, select, (company,), filters, limit=limit, before=before or LAST_ID, by="id")
    return [_run(row) for row in rows]


def steps(rx: Rx, run: str, *, limit: int, after: int = 0) -> list[ActionStep]:
    """Oldest first; `after` is the `n` of the last one seen."""
    rows = rx.all(
        f"select {_STEP} from action_step where run=? and n>? order by n limit ?",  # noqa: S608
        (run, after, limit),
    )
    return [_step(row) for row in rows]


def _check(*words: str | None, text: str | None) -> None:
    if any(word is not None and not 0 < len(word) <= MAX_WORD for word in words):
        raise Invalid("action.word", "a kind, status or name is unusable", f"1 to {MAX_WORD}.")
    if text is not None and len(text) > MAX_TEXT:
        raise Invalid("action.text", "the text is too long", f"At most {MAX_TEXT} characters.")


def start(tx: Tx, new: NewRun) -> ActionRun:
    """Raises `action.word`, `action.text`. Emits `action_started`."""
    _check(new.kind, new.status, text=new.summary)
    run = tx.new_id()
    tx.run(
        f"insert into action_run({_RUN}) values(?,?,?,?,?,?,?,?,?,?,?,null,?)",
        (
            run, tx.company, new.agent, new.session, new.project, new.task, new.kind, new.status,
            new.summary, _json(new.metadata),
            tx.now_ms if new.started_ms is None else new.started_ms, tx.now_ms,
        ),
    )  # fmt: skip
    if new.task is not None:
        tx.about(task=new.task)
    tx.emit("action_started", run, {"kind": new.kind})
    return need(tx, tx.company, run)


def add_step(tx: Tx, run: str, new: NewStep) -> ActionStep:
    """Raises `action.unknown`, `action.full` past 10,000 steps, `action.word`, `action.text`."""
    found = need(tx, tx.company, run)
    _check(new.type, new.tool, new.status, text=new.error)
    _check(text=new.target)
    last = tx.one("select coalesce(max(n), 0) from action_step where run=?", (run,))
    n = 1 + (0 if last is None else int(last[0]))
    if n > MAX_STEPS:
        raise Conflict("action.full", f"the run has {MAX_STEPS} steps", "Start another run.")
    tx.run(
        f"insert into action_step({_STEP}) values(?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            run, n, tx.new_id(), new.type, new.tool, new.status, new.target,
            _json(new.input_summary), _json(new.output_summary), new.error,
            tx.now_ms if new.started_ms is None else new.started_ms, new.ended_ms, tx.now_ms,
        ),
    )  # fmt: skip
    if found.task is not None:
        tx.about(task=found.task)
    tx.emit("action_step", run, {"n": n})
    row = tx.one(f"select {_STEP} from action_step where run=? and n=?", (run, n))  # noqa: S608
    if row is None:
        raise AssertionError("a step that was just written is gone")
    return _step(row)


def change(tx: Tx, run: str, said: RunChange) -> ActionRun:
    """Finish a run, or say more of it. The same ending said again changes nothing.

    Raises `action.unknown`, `action.nothing`, `action.ended`, `action.word`, `action.text`.
    """
    before = need(tx, tx.company, run)
    _check(said.status, text=said.summary)
    if said == RunChange():
        raise Invalid("action.nothing", "nothing to change", "Give `status`, for instance.")
    metadata = before.metadata | (said.metadata or {})
    if before.ended_ms is not None:
        same = said.status in (None, before.status) and metadata == before.metadata
        if same and said.summary in (None, before.summary):
            return before
        raise Conflict("action.ended", f"the run is {before.status}", "Start another run.")
    status = said.status or before.status
    ended = None if status == RUNNING else said.ended_ms or tx.now_ms
    tx.run(
        "update action_run set status=?, summary=coalesce(?, summary), metadata=?, ended_ms=? "
        "where id=?",
        (status, said.summary, _json(metadata), ended, run),
    )
    if before.task is not None:
        tx.about(task=before.task)
    tx.emit("action_ended" if ended else "action_changed", run, {"status": status})
    return need(tx, tx.company, run)
