"""Gates again: when a task's facts change, and for tasks that a gate holds (contract, 7)."""

from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.errors import Refused
from homarus.flows import gating, pipelining
from homarus.kernel import rdp
from homarus.kernel.gates import Evaluation
from homarus.pipelines import service as pipelines
from homarus.pipelines.model import STAGE_KIND, RunStatus
from homarus.store.port import Rx, Tx
from homarus.tasks import service, sql
from homarus.tasks.model import Spec, State, Task

MAX_COMPANIES: Final = 10_000


def due(rx: Rx, limit: int) -> list[str]:
    """Companies with a held task to look at."""
    rows = rx.all(
        "select distinct company from gate_waiting where check_ms<=? limit ?", (rx.now_ms, limit)
    )
    return [str(row[0]) for row in rows]


def look(tx: Tx, limit: int) -> int:
    """Evaluate this company's held tasks that are due; how many."""
    rows = tx.all(
        "select task from gate_waiting where company=? and check_ms<=? order by check_ms limit ?",
        (tx.company, tx.now_ms, limit),
    )
    for (task_id,) in rows:
        task = sql.by_id(tx, tx.company, task_id)
        if task is None or not gating.by_gate(task):
            gating.no_longer(tx, task_id)
        else:
            again(tx, task)
    return len(rows)


def changed(tx: Tx, task: Task, *, assigned: bool = False) -> Task:
    """A waiting task's facts changed: title, input, labels, who it is for. `assigned`: somebody
    was named for it just now; what an operator insists on, only a declared fact overrides."""
    if task.state is not State.QUEUED and not gating.by_gate(task):
        return task
    chosen = assigned and tx.actor.kind is ActorKind.OPERATOR
    return again(tx, task, assigned=assigned, chosen=chosen)


def again(tx: Tx, task: Task, *, assigned: bool = False, chosen: bool = False) -> Task:
    """One more evaluation; a row only where it says something new."""
    spec = sql.spec_of(tx, task.id)
    last = rdp.last_decision(tx, task.id)
    if last is not None and last.evidence.get("1", {}).get("by") == "search":
        asked = msgspec.structs.replace(spec, capability=None)
    else:
        asked = spec
    insisted = last is not None and "chosen" in last.evidence.get("5", {}) and not assigned
    stage = pipelining.place(tx, task.id) if spec.kind == STAGE_KIND else None
    run = pipelines.run_from(tx, task.id) if task.state is not State.QUEUED else None

    def new(found: Evaluation) -> bool:
        return last is None or (found.letters, found.evidence) != (last.verdicts, last.evidence)

    clear = msgspec.structs.replace(task, state=State.QUEUED, reason=None)
    entered = gating.decide(
        tx, clear, asked, gating.next_n(tx, task.id), stage=stage,
        floor=_floor(tx, last),
        chosen=insisted or (chosen and _was_diverted(tx, task.id)),
        run_done=run is not None and run.status is RunStatus.SUCCEEDED, keep=new,
    )  # fmt: skip
    start = entered.start if run is None else None
    after = _settled(tx, task, spec, entered)
    if start is not None:
        begin(tx, entered, start)
    return after


def _floor(tx: Tx, last: rdp.Decision | None) -> int:
    """A task once on L2 or L3 stays there, whatever it is called since; an operator may lower it.
    The level of a block by gate 6 goes with the block."""
    if last is None or last.level < 2 or tx.actor.kind is ActorKind.OPERATOR:
        return 0
    return 0 if last.verdicts[5:6] == "b" else last.level


def declared_stay(tx: Tx, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Who is no operator takes no declared fact of a gate away from a task. Raises
    `gate.declared`."""
    if tx.actor.kind is ActorKind.OPERATOR:
        return
    lost = [key for key in gating.DECLARED if key in before and before[key] != after.get(key)]
    gone = gating.gate_labels(before) - gating.gate_labels(after)
    if lost or gone:
        raise Refused(
            "gate.declared",
            f"{', '.join((*lost, *sorted(gone)))} was declared of this task",
            "An operator changes what gates go by.",
            rule="gate-4",
        )


def _was_diverted(rx: Rx, task: str) -> bool:
    row = rx.one(
        "select 1 from gate_decision where task=? and substr(verdicts, 5, 1)='d' limit 1", (task,)
    )
    return row is not None


def begin(tx: Tx, entered: gating.Entered, pipeline: str) -> None:
    """Gate 3: the pipeline at its first stage, for a task that is in the store."""
    task, spec = entered.task, entered.spec
    card = spec.input.get("card")
    pipelining.start(
        tx,
        pipelining.Start(
            pipeline=pipeline,
            project=task.project,
            title=gating.title_of(spec)[: pipelining.MAX_TITLE],
            card=card if isinstance(card, str) else None,
            input={"origin": task.number},
            origin=task,
        ),
    )


def _settled(tx: Tx, before: Task, old: Spec, entered: gating.Entered) -> Task:
    """Bring the stored task to what the evaluation made of it."""
    task, spec = entered.task, entered.spec
    if spec != old:
        sql.set_route(tx, spec)
        if spec.role != old.role:
            sql.set_role(tx, task.id, spec.role)
    if task.agent != before.agent:
        tx.run("update task set agent=? where id=?", (task.agent, task.id))
    before = sql.need(tx, tx.company, task.id)
    if task.state is not State.QUEUED:
        gating.wait(tx, task.id) if entered.waits else gating.no_longer(tx, task.id)
        return _hold(tx, before, task.reason or "", entered)
    if before.state is not State.QUEUED:
        gating.no_longer(tx, task.id)
        after = service.leave(tx, before, State.QUEUED, keep_agent=True, retries=before.retries)
    else:
        after = before
    if spec.role != old.role or task.agent != before.agent or before.state is not State.QUEUED:
        after = service.into_lane(tx, after, service.cap_of(tx, after.project))
    if before.state is not State.QUEUED or entered.told:
        gating.told(tx, entered, service.emit)
        service.emit(tx, "task_updated", after)
    return after


def _hold(tx: Tx, before: Task, reason: str, entered: gating.Entered) -> Task:
    """Out of the queue, or still out of it."""
    if before.state is State.QUEUED:
        after = service.leave(
            tx, before, State.BLOCKED, keep_agent=True, reason=reason, retries=before.retries
        )
    elif before.reason != reason:
        tx.run("update task set reason=? where id=?", (reason, before.id))
        after = msgspec.structs.replace(before, reason=reason)
    else:
        return before
    gating.told(tx, entered, service.emit)
    service.emit(tx, "task_updated", after)
    return after
