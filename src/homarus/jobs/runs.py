"""Rows of `job_run`: each firing, before it runs and after (governance contract, 8).

A firing has one row by (job, moment), so that it cannot happen twice. Every change of state is
conditional; the row count is the answer to every race.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.jobs.model import MOVES, Job, Run, State
from homarus.store.paging import among, newest
from homarus.store.port import Row, Rx, Tx

MAX_OUTPUT: Final = 8_192
"""Characters kept of what a run printed last."""
MAX_ERROR: Final = 1_000
QUEUED: Final = "job_run_queued"
STARTED: Final = "job_run_started"
ENDED: Final = "job_run_ended"

_COLUMNS: Final = ", ".join(Run.__struct_fields__)
_FIRST_AGENT: Final = "select min(agent) from job_run where company=? and due_ms is not null {}"
_FLAGS: Final = ("restartable", "stopping")
_INSERT: Final = (
    f"insert into job_run({_COLUMNS}) values({','.join('?' * len(Run.__struct_fields__))})"
)


def _run(row: Row) -> Run:
    values = dict(zip(Run.__struct_fields__, row, strict=True))
    values["state"] = State(values["state"])
    for field in _FLAGS:
        values[field] = bool(values[field])
    return Run(**values)


def _all(rx: Rx, where: str, *params: Any) -> list[Run]:
    return [_run(row) for row in rx.all(f"select {_COLUMNS} from job_run where {where}", params)]  # noqa: S608


def by_id(rx: Rx, company: str, run: str) -> Run | None:
    found = _all(rx, "id=? and company=?", run, company)
    return found[0] if found else None


def need(rx: Rx, company: str, ref: str) -> Run:
    """By id or number (`X-12`). Raises `job_run.unknown`."""
    number, text = numbered(ref, "X"), ref.strip().lower()
    if number is not None:
        found = _all(rx, "company=? and no=?", company, number)
    else:
        found = _all(rx, "company=? and id=?", company, text) if is_uuid(text) else []
    if not found:
        raise NotFound("job_run.unknown", f"no run {ref[:80]!r} here", "See `homarus cron runs`.")
    return found[0]


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    job: str | None = None,
    states: tuple[State, ...] = (),
    before: int | None = None,
    offset: int = 0,
) -> list[Run]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {_COLUMNS} from job_run where company=?"  # noqa: S608
    filters = {"job=?": job, **among("state", tuple(state.value for state in states))}
    rows = newest(rx, select, (company,), filters, limit=limit, before=before, offset=offset)
    return [_run(row) for row in rows]


def last_of(rx: Rx, job: str) -> Run | None:
    """The newest one that ran, or was to."""
    found = _all(rx, "job=? and started_ms is not null order by no desc limit 1", job)
    return found[0] if found else None


def count(rx: Rx, company: str, state: State, most: int) -> int:
    row = rx.one(
        "select count(*) from (select 1 from job_run where company=? and state=? limit ?) n",
        (company, state.value, most),
    )
    return 0 if row is None else int(row[0])


# -- making ----------------------------------------------------------------------------------


def fired(rx: Rx, job: str, from_ms: int, until_ms: int) -> set[int]:
    """The moments of that time whose firing by the clock has its row already."""
    rows = rx.all(
        "select scheduled_ms from job_run where job=? and scheduled_ms between ? and ? and n=0",
        (job, from_ms, until_ms),
    )
    return {row[0] for row in rows}


def put(
    tx: Tx,
    job: Job,
    at_ms: int,
    state: State,
    *,
    n: int = 0,
    through_ms: int | None = None,
    reason: str | None = None,
    error: str | None = None,
) -> Run:
    """The row of a firing. One that waits may start at once. Emits what it is."""
    waits = state is State.WAITING
    made = Run(
        id=tx.new_id(), no=tx.number("job_run"), company=tx.company, job=job.id,
        agent=job.agent or "", what=job.what, scheduled_ms=at_ms, n=n, through_ms=through_ms,
        state=state, priority=job.priority, due_ms=tx.now_ms if waits else None, claimed_ms=None,
        started_ms=None, ended_ms=None if waits else tx.now_ms, attempt=0, token=0, until_ms=None,
        restartable=False, preempted_by=None, stopping=False, preemptions=0, receipt_seq=None,
        subject=None, cpu_ms=None, peak_bytes=None, exit_code=None, output=None, reason=reason,
        error=error, api_calls=0, by_actor=tx.actor.key, created_ms=tx.now_ms,
    )  # fmt: skip
    values = msgspec.structs.asdict(made)
    values |= {"state": state.value} | {field: int(values[field]) for field in _FLAGS}
    tx.run(_INSERT, tuple(values.values()))
    tell(tx, made)
    return made


def by_hand(rx: Rx, job: str, at_ms: int) -> int:
    """Which one by hand of that moment the next is: 1 and up."""
    row = rx.one("select max(n) from job_run where job=? and scheduled_ms=?", (job, at_ms))
    return 1 if row is None or row[0] is None else int(row[0]) + 1


# -- moving ----------------------------------------------------------------------------------


def move(tx: Tx, run: Run, what: str, **values: Any) -> Run:
    """The run after the move. Raises `job_run.moved`: it is not where it was, or the move is none.
    Emits what became of it."""
    to = MOVES.get((run.state, what))
    if to is None:
        raise Conflict(
            "job_run.state",
            f"{run.number} is {run.state}",
            "Only a dead run is retried or dropped: `homarus cron dead`.",
        )
    values |= {"state": to.value}
    sets = ", ".join(f"{column}=?" for column in values)
    changed = tx.run(
        f"update job_run set {sets} where id=? and state=? and token=?",  # noqa: S608
        (*values.values(), run.id, run.state.value, run.token),
    )
    if changed != 1:
        raise Conflict("job_run.moved", f"{run.number} is no longer {run.state}", "Look again.")
    after = msgspec.structs.replace(run, **(values | {"state": to}))
    tell(tx, after)
    return after


def tell(tx: Tx, run: Run) -> None:
    match run.state:
        case State.WAITING:
            kind = QUEUED
        case State.RUNNING:
            kind = STARTED
        case _:
            kind = ENDED
    tx.emit(kind, run.job, {"run": run.id, "state": run.state.value})


def begun(
    tx: Tx,
    run: str,
    *,
    until_ms: int | None,
    receipt_seq: int | None = None,
    subject: str | None = None,
) -> None:
    """It has begun. `until_ms` None: it ends with the turn that is its subject."""
    tx.run(
        "update job_run set started_ms=?, until_ms=?, receipt_seq=?, subject=? where id=?",
        (tx.now_ms, until_ms, receipt_seq, subject, run),
    )


def called(tx: Tx, run: str) -> None:
    """It has reached outside once more."""
    tx.run("update job_run set api_calls=api_calls+1 where id=?", (run,))


def put_off(tx: Tx, run: str, due_ms: int) -> None:
    tx.run("update job_run set due_ms=? where id=?", (due_ms, run))


def stop(tx: Tx, run: str, for_run: str) -> None:
    """Mark a run that is to make room."""
    tx.run("update job_run set stopping=1, preempted_by=? where id=?", (for_run, run))


# -- looking ---------------------------------------------------------------------------------


def next_due_ms(rx: Rx) -> int | None:
    """When the next run comes to its time; None: none does. One whose time has come and that has
    no room waits for another's end, and not for the clock."""
    row = rx.one("select min(due_ms) from job_run where due_ms>?", (rx.now_ms,))
    return None if row is None else row[0]


def companies_due(rx: Rx, limit: int, least: int | None = None) -> list[str]:
    """`least`: those alone with a run of no lower priority."""
    ranked = "" if least is None else "and r.priority>=?"
    rows = rx.all(
        "select c.id from company c where exists(select 1 from job_run r where r.company=c.id "  # noqa: S608
        f"and r.due_ms<=? {ranked}) limit ?",
        (rx.now_ms, *(() if least is None else (least,)), limit),
    )
    return [row[0] for row in rows]


def agents_waiting(rx: Rx, company: str, limit: int) -> list[str]:
    """Namespaces with a run that waits: a seek for each, however many wait there."""
    found: list[str] = []
    row = rx.one(_FIRST_AGENT.format(""), (company,))
    while row is not None and row[0] is not None and len(found) < limit:
        found.append(row[0])
        row = rx.one(_FIRST_AGENT.format("and agent>?"), (company, row[0]))
    return found


def queue(rx: Rx, company: str, agent: str, without: list[str], limit: int) -> list[Run]:
    """What may start of a namespace: by priority, then first come first served. `without`: jobs
    that have no second run beside the one that there is."""
    others = f"and job not in ({','.join('?' * len(without))})" if without else ""
    return _all(
        rx, "company=? and agent=? and due_ms is not null and +due_ms<=? "
        f"{others} order by priority desc, no limit ?",  # the plus: in the order of the index
        company, agent, rx.now_ms, *without, limit,
    )  # fmt: skip


def waiting_of(rx: Rx, company: str, agent: str, limit: int) -> list[Run]:
    """Whatever of a namespace waits, also for its time."""
    where = "company=? and agent=? and due_ms is not null order by no limit ?"
    return _all(rx, where, company, agent, limit)


def running(rx: Rx, company: str, agent: str) -> list[Run]:
    return _all(rx, "company=? and agent=? and state='running'", company, agent)


def of_ids(rx: Rx, company: str, ids: frozenset[str]) -> list[Run]:
    """Those of these runs that are the company's and running."""
    if not ids:
        return []
    marks = ",".join("?" * len(ids))
    return _all(rx, f"company=? and state='running' and id in ({marks})", company, *sorted(ids))


def waiting(rx: Rx, job: str, most: int) -> int:
    """How many runs of the job wait for their start, counted no further than `most`."""
    row = rx.one(
        "select count(*) from (select 1 from job_run where job=? and due_ms is not null limit ?) n",
        (job, most),
    )
    return 0 if row is None else int(row[0])


def runs_now(rx: Rx, job: str) -> bool:
    return rx.one(
        "select 1 from job_run where job=? and state='running' limit 1", (job,)
    ) is not None  # fmt: skip


def stopping(rx: Rx, limit: int) -> list[Run]:
    """Runs that are to make room."""
    return _all(rx, "state='running' and stopping=1 limit ?", limit)


_LOST: Final = "state='running' and until_ms is not null and (until_ms<? or ?=1)"


def lost(rx: Rx, company: str, alone: bool, held: frozenset[str], limit: int) -> list[Run]:
    """Runs whose worker is gone. `alone`: no other daemon works on this store; `held`: runs that
    whoever asks has in hand, and that a clock that jumped takes from nobody."""
    where = f"company=? and {_LOST} order by no limit ?"
    found = _all(rx, where, company, rx.now_ms, int(alone), limit + len(held))
    return [run for run in found if run.id not in held][:limit]


def companies_with_lost(rx: Rx, alone: bool, held: frozenset[str]) -> list[str]:
    rows = rx.all(f"select company, id from job_run where {_LOST}", (rx.now_ms, int(alone)))  # noqa: S608
    return list(dict.fromkeys(company for company, run in rows if run not in held))


def of_subject(rx: Rx, company: str, subject: str) -> Run | None:
    """The run that made this task or turn."""
    found = _all(rx, "subject=? and company=? limit 1", subject, company)
    return found[0] if found else None


def forget(tx: Tx, before_ms: int, limit: int) -> int:
    """Remove up to `limit` of a company's runs that ended before then; the dead ones stay."""
    rows = tx.all(
        "select id from job_run where company=? and ended_ms<? and state<>'dead' limit ?",
        (tx.company, before_ms, limit),
    )
    for (run,) in rows:
        tx.run("delete from job_run where id=?", (run,))
    return len(rows)


def companies_with_old(rx: Rx, before_ms: int, limit: int) -> list[str]:
    rows = rx.all(
        "select distinct company from job_run where ended_ms<? and state<>'dead' limit ?",
        (before_ms, limit),
    )
    return [row[0] for row in rows]
