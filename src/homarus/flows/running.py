"""Runs of the `command` executor over tasks, runs, records and the ledger (design, 2, 7).

The intent is one unit, the outcome another; between them the process. A daemon that died between
the two finds the run at its next start: its outcome is `unknown`. A capability that is marked
`restartable` is queued again; any other waits for an operator, with an incident.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import Effect, Outcome
from homarus.flows import work
from homarus.kernel import receipts, registry
from homarus.records import artifacts, incidents
from homarus.store.port import Rx, Tx
from homarus.tasks import runs, service, sql
from homarus.tasks.model import State

NO_EXECUTOR: Final = "no executor fits"
UNKNOWN: Final = "a run's outcome is unknown"


class Produced(msgspec.Struct, frozen=True):
    """One file that a run left in `out/`; its content is in the blobs already."""

    filename: str
    sha256: str
    size_bytes: int


class Ended(msgspec.Struct, frozen=True):
    """How a process ended. `output` becomes the task's result."""

    run: str
    ok: bool
    facts: dict[str, Any]
    output: dict[str, Any]
    comment: str
    files: tuple[Produced, ...] = ()


def start(tx: Tx, task: str, token: int, capability: str, argv: tuple[str, ...]) -> runs.Run:
    """The intent: refused when the lease is gone."""
    row = sql.need(tx, tx.company, task)
    work.check_holder(tx, row, token, reviewing=False)
    tx.about(trace=row.trace)
    return runs.start(tx, task, token, capability, argv)


def end(tx: Tx, ended: Ended) -> bool:
    """The outcome: ledger, run, artifacts, evidence and the task's result in one unit.

    False when the lease was lost meanwhile: the run is recorded, the task is somebody else's.
    """
    run = next((r for r in runs.unfinished(tx, tx.company) if r.id == ended.run), None)
    if run is None:
        return False
    runs.end(tx, run.id, "done" if ended.ok else "failed", ended.facts)
    _outcome(tx, run, Outcome.DONE if ended.ok else Outcome.FAILED, ended.comment)
    task = sql.need(tx, tx.company, run.task, archived=True)
    if task.state is not State.IN_PROGRESS or task.token != run.token:
        service.emit(tx, "run_ended", task, run=run.id, late=True)
        return False
    for file in ended.files:
        artifacts.create(
            tx,
            artifacts.NewArtifact(
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
    if ended.ok:
        sql.meet(tx, task.id, "check", run.capability, run.id)
    work.result(
        tx,
        work.ResultRequest(
            task=task.id,
            state="done" if ended.ok else "failed",
            output=ended.output,
            comment=ended.comment,
            lease_token=run.token,
        ),
    )
    return True


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
    work.check_holder(tx, row, token, reviewing=False)
    note = sql.add_note(tx, row.id, tx.actor.id, f"Hand-over: {why}", None)
    service.emit(tx, "task_note", row, n=note.id)
    after = service.leave(
        tx, row, State.BLOCKED, keep_agent=False, reason=NO_EXECUTOR, retries=row.retries
    )
    work.let_go(tx, row)
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
        runs.end(tx, run.id, "unknown", {"reason": "the daemon ended before the run did"})
        _outcome(tx, run, Outcome.UNKNOWN, UNKNOWN)
        task = sql.need(tx, tx.company, run.task, archived=True)
        if task.state is not State.IN_PROGRESS or task.token != run.token:
            service.emit(tx, "run_ended", task, run=run.id, late=True)
            continue
        capability = registry.by_id(tx, tx.company, run.capability)
        again = capability is not None and capability.restartable
        after = service.leave(
            tx,
            task,
            State.QUEUED if again else State.BLOCKED,
            keep_agent=False,
            reason=None if again else UNKNOWN,
            retries=task.retries,
        )
        work.let_go(tx, task)
        service.emit(tx, "task_inbox" if again else "task_updated", after, run=run.id)
        if not again:
            incidents.open_incident(
                tx,
                severity="medium",
                reason_code="run_unknown",
                summary=f"{task.number}: {run.capability} was running when the daemon ended; "
                "look whether it took effect, then move the task",
                project=task.project,
                task=task.id,
            )
    return len(lost)
