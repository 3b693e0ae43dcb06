"""SQL of the task tables: rows in, rows out. Moves are in `service.py`."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.store.paging import among, newest, when
from homarus.store.port import Row, Rx, Tx
from homarus.tasks.model import TASK_COLUMNS, DoneItem, Note, Result, Spec, State, Task

_STATES: Final = {state.value: state for state in State}
_decode = msgspec.json.Decoder().decode

_SPEC_COLUMNS: Final = (
    "task, type, kind, role, skills, input, capability, max_retries, proof_required, "
    "approval_required, proof_types, sla_due_ms, recurring, blockers, route_level, assets"
)

_TASK_WIDTH: Final = TASK_COLUMNS.count(",") + 1
_WITH_SPEC: Final = (
    f"select {', '.join(f't.{c}' for c in TASK_COLUMNS.split(', '))}, "  # noqa: S608
    f"{', '.join(f's.{c}' for c in _SPEC_COLUMNS.split(', '))} "
    "from task t join task_spec s on s.task=t.id where t.id=? and t.company=?"
)


def task_of(row: Row) -> Task:
    """A row of TASK_COLUMNS."""
    return Task(row[0], row[1], row[2], row[3], _STATES[row[4]], *row[5:])


def by_id(rx: Rx, company: str, task: str) -> Task | None:
    row = rx.one(f"select {TASK_COLUMNS} from task where id=? and company=?", (task, company))  # noqa: S608
    return None if row is None else task_of(row)


def by_number(rx: Rx, company: str, seq: int) -> Task | None:
    row = rx.one(f"select {TASK_COLUMNS} from task where company=? and seq=?", (company, seq))  # noqa: S608
    return None if row is None else task_of(row)


def address(ref: str) -> str | int | None:
    """The id or number that a reference means; None: it is neither."""
    text = ref.strip()
    if is_uuid(text.lower()):
        return text.lower()
    return numbered(text, "T")


def find(rx: Rx, company: str, ref: str) -> Task | None:
    """By id in any case or by number (`T-192`), archived ones too."""
    at = address(ref)
    if isinstance(at, int):
        return by_number(rx, company, at)
    return None if at is None else by_id(rx, company, at)


def need(rx: Rx, company: str, ref: str, *, archived: bool = False) -> Task:
    """As `find`. Raises `request.bad_id`, `task.unknown`."""
    if address(ref) is None:
        raise Invalid(
            "request.bad_id", f"{ref[:80]!r} is not a task's id", "Give the UUID or T-number."
        )
    task = find(rx, company, ref)
    if task is None or (task.state is State.ARCHIVED and not archived):
        raise NotFound(
            "task.unknown", f"no task {ref[:80]} in this company", "See `homarus task list`."
        )
    return task


def with_spec(rx: Rx, company: str, task: str) -> tuple[Task, Spec]:
    """A task and what it asks for. Raises `task.unknown`."""
    row = rx.one(_WITH_SPEC, (task, company))
    if row is None:
        raise NotFound("task.unknown", f"no task {task}", "See `homarus task list`.")
    return task_of(row[:_TASK_WIDTH]), _spec(row[_TASK_WIDTH:])


def spec_of(rx: Rx, task: str) -> Spec:
    """Raises `task.unknown`."""
    row = rx.one(f"select {_SPEC_COLUMNS} from task_spec where task=?", (task,))  # noqa: S608
    if row is None:
        raise NotFound("task.unknown", f"no task {task}", "See `homarus task list`.")
    return _spec(row)


def _spec(row: Row) -> Spec:
    return Spec(
        task=row[0],
        type=row[1],
        kind=row[2],
        role=row[3],
        skills=tuple(_decode(row[4])) if row[4] else (),
        input=_decode(row[5]),
        capability=row[6],
        max_retries=row[7],
        proof_required=bool(row[8]),
        approval_required=bool(row[9]),
        proof_types=_decode(row[10]),
        sla_due_ms=row[11],
        recurring=row[12],
        blockers=tuple(_decode(row[13])) if row[13] else (),
        level=row[14],
        assets=bool(row[15]),
    )


def in_hand(rx: Rx, agent: str) -> tuple[str, str] | None:
    """Id and trace of what an agent claimed last and still works on."""
    row = rx.one(
        "select id, trace from task where agent=? and state='in_progress' and lease_until_ms>? "
        "order by started_ms desc, seq desc limit 1",
        (agent, rx.now_ms),
    )
    return None if row is None else (row[0], row[1])


def outside(subjects: frozenset[str], alias: str = "") -> tuple[str, tuple[str, ...]]:
    """A condition that leaves out these tasks, traces and projects, and its parameters."""
    if not subjects:
        return "", ()
    marks, ids = ",".join("?" * len(subjects)), tuple(sorted(subjects))
    columns = [f"{alias}{name}" for name in ("id", "trace", "project")]
    return "".join(f" and {column} not in ({marks})" for column in columns), ids * 3


def stopped(rx: Rx, company: str, still: frozenset[str], limit: int) -> list[Task]:
    """Tasks that a STOP blocked and none of the subjects `still` holds, oldest first."""
    free, params = outside(still)
    if still:
        marks = ",".join("?" * len(still))
        free += f" and coalesce(agent, '') not in ({marks})"
        params += tuple(sorted(still))
    rows = rx.all(
        f"select {TASK_COLUMNS} from task where company=? and state='blocked' "  # noqa: S608
        f"and reason='stop'{free} order by seq limit ?",
        (company, *params, limit),
    )
    return [task_of(row) for row in rows]


def insert(tx: Tx, task: Task, spec: Spec) -> None:
    tx.run(
        f"insert into task({TASK_COLUMNS}) values({','.join('?' * 21)})",
        (
            task.id, task.seq, task.company, task.project, task.state.value, task.lane,
            task.priority, task.blocked, task.agent, task.member, task.reviewer, task.token,
            task.lease_until_ms, task.lease_proof, task.lease_owner, task.started_ms,
            task.retries, task.reason, task.trace, task.created_ms, task.updated_ms,
        ),
    )  # fmt: skip
    tx.run(
        f"insert into task_spec({_SPEC_COLUMNS}) values({','.join('?' * 16)})",
        (
            spec.task, spec.type, spec.kind, spec.role,
            json.dumps(spec.skills) if spec.skills else None,
            json.dumps(spec.input, separators=(",", ":"), ensure_ascii=False),
            spec.capability, spec.max_retries, int(spec.proof_required),
            int(spec.approval_required), json.dumps(spec.proof_types), spec.sla_due_ms,
            spec.recurring, json.dumps(spec.blockers) if spec.blockers else None, spec.level,
            int(spec.assets),
        ),
    )  # fmt: skip


def set_input(tx: Tx, task: str, value: dict[str, Any]) -> None:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    tx.run("update task_spec set input=? where task=?", (text, task))


def set_reason(tx: Tx, task: Task, reason: str) -> Task:
    """Say anew why a task is where it is."""
    tx.run("update task set reason=?, updated_ms=? where id=?", (reason, tx.now_ms, task.id))
    return msgspec.structs.replace(task, reason=reason, updated_ms=tx.now_ms)


def set_role(tx: Tx, task: str, role: str | None) -> None:
    """The caller gives the task the lane of its new audience."""
    tx.run("update task_spec set role=? where task=?", (role, task))


def set_route(tx: Tx, spec: Spec) -> None:
    """What the gates made of a task: its level, bound capability, input, and whether it names
    governance assets. The owner role has `set_role`."""
    tx.run(
        "update task_spec set route_level=?, capability=?, assets=? where task=?",
        (spec.level, spec.capability, int(spec.assets), spec.task),
    )
    set_input(tx, spec.task, spec.input)


def set_blockers(tx: Tx, task: str, blockers: tuple[str, ...]) -> None:
    tx.run("update task_spec set blockers=? where task=?", (json.dumps(blockers), task))


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    states: tuple[State, ...] = (),
    project: str | None = None,
    agent: str | None = None,
    before: int | None = None,
) -> list[tuple[Task, Spec]]:
    """Newest first, archived ones left out; `before` is the number of the last one seen."""
    tasks = ", ".join(f"t.{c}" for c in TASK_COLUMNS.split(", "))
    specs = ", ".join(f"s.{c}" for c in _SPEC_COLUMNS.split(", "))
    select = (
        f"select {tasks}, {specs} from task t join task_spec s on s.task=t.id where t.company=?"  # noqa: S608
    )
    filters = {
        **among("t.state", tuple(state.value for state in states)),
        **when("t.state<>'archived'", not states),
        "t.project=?": project,
        "t.agent=?": agent,
    }
    rows = newest(rx, select, (company,), filters, limit=limit, before=before, by="t.seq")
    return [(task_of(row[:21]), _spec(row[21:])) for row in rows]


def result_of(rx: Rx, task: str) -> Result | None:
    row = rx.one(
        "select task, output, comment, digest, agent, at_ms from task_result where task=?", (task,)
    )
    if row is None:
        return None
    output = None if row[1] is None else json.loads(row[1])
    return Result(row[0], output, row[2], bytes(row[3]), row[4], row[5])


def put_result(tx: Tx, result: Result, *, reviewing: bool = False) -> None:
    """Keep the latest report. One that says nothing about the output leaves what the same agent
    said before it, and a reviewer's leaves the worker's."""
    output = None if result.output is None else json.dumps(result.output, ensure_ascii=False)
    tx.run(
        "insert into task_result(task, output, comment, digest, agent, at_ms) "
        "values(?,?,?,?,?,?) on conflict(task) do update set "
        "output=case when excluded.output is null and (?=1 or task_result.agent=excluded.agent) "
        "then task_result.output else excluded.output end, "
        "comment=excluded.comment, digest=excluded.digest, agent=excluded.agent, "
        "at_ms=excluded.at_ms",
        (
            result.task, output, result.comment, result.digest, result.agent, result.at_ms,
            int(reviewing),
        ),
    )  # fmt: skip


def add_note(
    tx: Tx, task: str, agent: str | None, text: str, handoff: dict[str, Any] | None
) -> Note:
    note = Note(tx.new_id(), task, agent, text, handoff, tx.now_ms)
    tx.run(
        "insert into task_note(id, task, agent, text, handoff, created_ms) values(?,?,?,?,?,?)",
        (
            note.id,
            task,
            agent,
            text,
            None if handoff is None else json.dumps(handoff, ensure_ascii=False),
            note.created_ms,
        ),
    )
    return note


def notes_of(rx: Rx, task: str) -> dict[str, Note]:
    """All notes of a task by id."""
    rows = rx.all(
        "select id, task, agent, text, handoff, created_ms from task_note where task=?", (task,)
    )
    return {
        r[0]: Note(r[0], r[1], r[2], r[3], None if r[4] is None else json.loads(r[4]), r[5])
        for r in rows
    }


def note(rx: Rx, note_id: str) -> Note | None:
    r = rx.one(
        "select id, task, agent, text, handoff, created_ms from task_note where id=?", (note_id,)
    )
    if r is None:
        return None
    return Note(r[0], r[1], r[2], r[3], None if r[4] is None else json.loads(r[4]), r[5])


def done_items(rx: Rx, task: str) -> list[DoneItem]:
    rows = rx.all(
        "select n, kind, value, evidence from task_done_item where task=? order by n", (task,)
    )
    return [DoneItem(*row) for row in rows]


def add_done_item(tx: Tx, task: str, n: int, kind: str, value: str) -> None:
    tx.run(
        "insert into task_done_item(task, n, kind, value) values(?,?,?,?)", (task, n, kind, value)
    )


def meet(tx: Tx, task: str, kind: str, value: str, evidence: str) -> int:
    """Record evidence for the open items of a kind and value; how many it met."""
    return tx.run(
        "update task_done_item set evidence=?, met_ms=? "
        "where task=? and kind=? and value=? and evidence is null",
        (evidence, tx.now_ms, task, kind, value),
    )


def unmeet(tx: Tx, task: str) -> None:
    """A reopened task has to show its evidence again."""
    tx.run(
        "update task_done_item set evidence=null, met_ms=null "
        "where task=? and evidence is not null",
        (task,),
    )


def notify(
    tx: Tx, agent: str, kind: str, task: str | None, text: str, trace: str | None = None
) -> None:
    """A notification row; the runtime service delivers it later."""
    tx.run(
        "insert into notification(id, company, agent, kind, task, text, created_ms, trace) "
        "values(?,?,?,?,?,?,?,?)",
        (tx.new_id(), tx.company, agent, kind, task, text, tx.now_ms, trace),
    )


def count_state(rx: Rx, company: str, state: State, most: int) -> int:
    """How many tasks of one state, counted no further than `most`."""
    row = rx.one(
        "select count(*) from (select 1 from task where company=? and state=? limit ?) n",
        (company, state.value, most),
    )
    return 0 if row is None else int(row[0])


def count(rx: Rx, company: str) -> int:
    """Tasks of a company that lists show."""
    row = rx.one("select count(*) from task where company=? and state<>'archived'", (company,))
    return 0 if row is None else int(row[0])
