"""Runs of executors that are no turn (a command, a gateway, a program) over tasks, runs, records
and the ledger (design, 2, 7).

The intent is one unit, the outcome another; between them the process. A daemon that died between
the two finds the run at its next start: its outcome is `unknown`. A capability that is marked
`restartable` is queued again; any other waits for an operator, with an incident.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import Effect, Outcome
from homarus.base.errors import Conflict, Refused, TooLarge
from homarus.flows import parking, reporting, spending, stopping
from homarus.kernel import receipts, registry
from homarus.records import artifacts, incidents, quota
from homarus.records.artifact_fields import NewArtifact
from homarus.store.port import Rx, Tx
from homarus.tasks import rules, runs, service, sql
from homarus.tasks.model import Result, State, Task

NO_EXECUTOR: Final = "no executor fits"
UNKNOWN: Final = "a run's outcome is unknown"
MAX_NOTE: Final = 4_000
UNDER_STOP: Final = "its run ended while STOP was in force"


class Produced(msgspec.Struct, frozen=True):
    """One file that a run left in `out/`; its content is in the blobs already."""

    filename: str
    sha256: str
    size_bytes: int


class Ended(msgspec.Struct, frozen=True):
    """How a process ended. `output` becomes the task's result. `cancelled`: by STOP; `note` for
    whoever takes the task next; `unknown`: nobody can say whether it was done."""

    run: str
    ok: bool
    facts: dict[str, Any]
    output: dict[str, Any]
    comment: str
    files: tuple[Produced, ...] = ()
    cancelled: bool = False
    spent: "Spent | None" = None
    note: str | None = None
    unknown: bool = False


class Spent(msgspec.Struct, frozen=True):
    """What an executor says that the run used. `money` in micros; None: what the model's price
    makes of the tokens."""

    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    money: int | None = None


def start(
    tx: Tx, task: str, token: int, capability: str, argv: tuple[str, ...], restartable: bool = False
) -> runs.Run:
    """The intent: refused when the lease is gone. `restartable`: see `tasks/runs.py`."""
    row = sql.need(tx, tx.company, task)
    reporting.check_holder(tx, row, token, reviewing=False)
    tx.about(trace=row.trace)
    return runs.start(tx, task, token, capability, argv, restartable)


def end(tx: Tx, ended: Ended) -> bool:
    """The outcome: ledger, run, artifacts, evidence and the task's result in one unit.

    A command that succeeded where the project wants more than its word (a review, a person) leaves
    the task in review; one whose files do not fit has failed. So the run is always on record, and
    nothing is run again. False when the lease was lost meanwhile: the task is somebody else's.
    """
    run = next((r for r in runs.unfinished(tx, tx.company) if r.id == ended.run), None)
    if run is None:
        return False
    task = _record(tx, run, ended)
    if task.state is not State.IN_PROGRESS or not _held(tx, run):
        service.emit(tx, "run_ended", task, run=run.id, late=True)
        return False
    try:
        quota.check(tx, tx.company, sum(file.size_bytes for file in ended.files))
    except TooLarge as error:
        return _report(tx, run, ended, "failed", f"{ended.comment}; {error.message}")
    _keep(tx, run, task, ended)
    if not ended.ok:
        return _report(tx, run, ended, "failed", ended.comment)
    sql.meet(tx, task.id, "check", run.capability, run.id)
    try:
        return _report(tx, run, ended, "done", ended.comment)
    except (Conflict, Refused) as error:
        return _report(tx, run, ended, "review", f"{ended.comment}; {error.message}")


def settle(tx: Tx, ended: Ended, why: str) -> bool:
    """The outcome of a run whose task may not be reported on now (STOP): the lease ends by itself.

    False when it was recorded before.
    """
    run = next((r for r in runs.unfinished(tx, tx.company) if r.id == ended.run), None)
    if run is None:
        return False
    task = _record(tx, run, ended)
    service.emit(tx, "run_ended", task, run=run.id, why=why)
    return True


def halted(tx: Tx, ended: Ended) -> bool:
    """The outcome of a run under STOP; its task keeps its agent and the lease is over.

    One that STOP ended goes on when the STOP is lifted: what it had written lies in its workspace.
    One that ended by itself is not run again: its report is kept, and an operator moves the task.
    """
    run = next((r for r in runs.unfinished(tx, tx.company) if r.id == ended.run), None)
    if run is None:
        return False
    task = _record(tx, run, ended)
    service.emit(tx, "run_ended", task, run=run.id, why="stop")
    if not ended.cancelled:
        digest = rules.result_digest(State.DONE, ended.output, ended.comment)
        sql.put_result(
            tx, Result(task.id, ended.output, ended.comment, digest, run.agent, tx.now_ms)
        )
    if task.state is State.IN_PROGRESS and task.token == run.token:
        parking.park(tx, task, stopping.REASON if ended.cancelled else UNDER_STOP)
    return True


def put_aside(tx: Tx, task: str, token: int) -> bool:
    """A task that was claimed and, for a STOP, not begun."""
    row = sql.need(tx, tx.company, task)
    if row.state is not State.IN_PROGRESS or row.token != token:
        return False
    parking.park(tx, row, stopping.REASON)
    return True


def _record(tx: Tx, run: runs.Run, ended: Ended) -> Task:
    state = "cancelled" if ended.cancelled else "done" if ended.ok else "failed"
    runs.end(tx, run.id, state, ended.facts)
    _outcome(tx, run, Outcome.DONE if ended.ok else Outcome.FAILED, ended.comment)
    task = sql.need(tx, tx.company, run.task, archived=True)
    _charge(tx, run, task, ended)
    _note(tx, run, ended)
    return task


def _charge(tx: Tx, run: runs.Run, task: Task, ended: Ended) -> None:
    """The act is past: what it cost is spend, also where it is more than was left."""
    spent = ended.spent
    if spent is not None:
        tokens = (spent.input_tokens, spent.output_tokens)
        spending.came_to(tx, task.project, run.agent, task.id, spent.model, *tokens, spent.money)


def _note(tx: Tx, run: runs.Run, ended: Ended) -> None:
    if ended.note:
        note = sql.add_note(tx, run.task, run.agent, ended.note[:MAX_NOTE], None)
        service.emit(tx, "task_note", sql.need(tx, tx.company, run.task, archived=True), n=note.id)


def unknown(tx: Tx, ended: Ended) -> bool:
    """Nobody can say how a run ended: what there is of it is kept, and it is done again only where
    that does no harm; else an operator looks. False when it was recorded before."""
    run = next((r for r in runs.unfinished(tx, tx.company) if r.id == ended.run), None)
    if run is None:
        return False
    _note(tx, run, ended)
    _lose(tx, run, ended.facts, ended.comment, again=False)
    _charge(tx, run, sql.need(tx, tx.company, run.task, archived=True), ended)
    return True


def _report(tx: Tx, run: runs.Run, ended: Ended, state: str, comment: str) -> bool:
    reporting.result(
        tx, reporting.ResultRequest(run.task, state, ended.output, comment, lease_token=run.token)
    )
    return True


def _keep(tx: Tx, run: runs.Run, task: Task, ended: Ended) -> None:
    """The files that the command left, as artifacts of the task."""
    for file in ended.files:
        artifacts.create(
            tx,
            NewArtifact(
                kind="output",
                content_type="application/octet-stream",
                project=task.project,
                task=task.id,
                agent=run.agent,
                title=file.filename,
                filename=file.filename,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                stored=True,
                source_kind="run",
                source_ref=run.id,
            ),
        )


def _outcome(tx: Tx, run: runs.Run, outcome: Outcome, reason: str) -> None:
    receipts.write_outcome(
        tx,
        run.receipt_seq,
        tx.actor,
        run.capability,
        f"task:{run.task}",
        outcome,
        effect=Effect.EXEC,
        reason=reason,
        task=run.task,
    )


def hand_off(tx: Tx, task: str, token: int, why: str) -> None:
    """No executor fits: an honest note, and the task stays open for a person or another agent."""
    row = sql.need(tx, tx.company, task)
    reporting.check_holder(tx, row, token, reviewing=False)
    note = sql.add_note(tx, row.id, tx.actor.id, f"Hand-over: {why}", None)
    service.emit(tx, "task_note", row, n=note.id)
    after = service.leave(
        tx, row, State.BLOCKED, keep_agent=False, reason=NO_EXECUTOR, retries=row.retries
    )
    parking.let_go(tx, row)
    service.emit(tx, "task_updated", after)


def companies_with_runs(rx: Rx) -> list[str]:
    """Companies that have a run without an outcome."""
    rows = rx.all("select distinct company from run where state='running'")
    return [row[0] for row in rows]


def _held(tx: Tx, run: runs.Run) -> bool:
    task = sql.need(tx, tx.company, run.task, archived=True)
    until = task.lease_until_ms
    return task.token == run.token and until is not None and until > tx.now_ms


def recover(tx: Tx, limit: int, alone: bool) -> int:
    """At a start: settle this company's runs whose daemon died; how many.

    `alone`: no other daemon works on this store, so every run without an outcome is lost.
    Otherwise only those are whose lease has gone: a living neighbour renews the others.
    """
    lost = [run for run in runs.unfinished(tx, tx.company) if alone or not _held(tx, run)][:limit]
    for run in lost:
        capability = registry.by_id(tx, tx.company, run.capability)
        again = run.restartable or (capability is not None and capability.restartable)
        facts = {"reason": "the daemon ended before the run did"}
        why = f"{run.capability} was running when the daemon ended"
        _lose(tx, run, facts, why, again=again)
    return len(lost)


def _lose(tx: Tx, run: runs.Run, facts: dict[str, Any], why: str, *, again: bool) -> None:
    """A run without an outcome: its task is queued again, or blocked with an incident."""
    runs.end(tx, run.id, "unknown", facts)
    _outcome(tx, run, Outcome.UNKNOWN, UNKNOWN)
    task = sql.need(tx, tx.company, run.task, archived=True)
    if task.state is not State.IN_PROGRESS or task.token != run.token:
        service.emit(tx, "run_ended", task, run=run.id, late=True)
        return
    after = service.leave(
        tx,
        task,
        State.QUEUED if again else State.BLOCKED,
        keep_agent=False,
        reason=None if again else UNKNOWN,
        retries=task.retries,
    )
    parking.let_go(tx, task)
    service.emit(tx, "task_inbox" if again else "task_updated", after, run=run.id)
    if not again:
        incidents.open_incident(
            tx,
            severity="medium",
            reason_code="run_unknown",
            summary=f"{task.number}: {why}; look whether it took effect, then move the task",
            project=task.project,
            task=task.id,
        )
