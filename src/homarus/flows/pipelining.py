"""Runs of pipelines over pipelines, tasks and projects: start, move on, go back (contract, 11).

Starting one makes the tasks of all its stages at once, each waiting for the ones before it, on one
trace. A stage's result moves the run on; the gates that a stage names are asked when it begins.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid
from homarus.company import agents, cards, projects
from homarus.flows import gating
from homarus.kernel import gates
from homarus.kernel.classifier import ROLES
from homarus.pipelines import service as pipelines
from homarus.pipelines.model import (
    STAGE_KIND,
    Definition,
    Position,
    Run,
    RunStatus,
    Stage,
    Status,
)
from homarus.pipelines.text import Known
from homarus.store.port import Rx, Tx
from homarus.tasks import rules, service, sql
from homarus.tasks.model import Spec, State, Task

MAX_TITLE: Final = 300
MAX_KNOWN: Final = 10_000


class Start(msgspec.Struct, frozen=True):
    """`project` by id; `card` by number or id; `origin`: the task that a gate sent here."""

    pipeline: str
    project: str
    title: str
    card: str | None = None
    input: dict[str, Any] = {}
    origin: Task | None = None


def start(tx: Tx, new: Start) -> Run:
    """A run at its first stage. Raises `pipeline.*`, `project.*`, `card.unknown`."""
    pipeline = pipelines.need(tx, tx.company, new.pipeline)
    if pipeline.status is not Status.ACTIVE:
        raise Conflict("pipeline.retired", f"{pipeline.id} is retired", "Register it again.")
    if not 0 < len(new.title.strip()) <= MAX_TITLE:
        raise Invalid("pipeline.title", "a run needs a title", f"1 to {MAX_TITLE} characters.")
    project = projects.need(tx, tx.company, new.project)
    if project.status != "active":
        raise Conflict("project.closed", f"the project is {project.status}", "Use an active one.")
    card = None if new.card is None else cards.need(tx, tx.company, new.card).number
    plan = pipeline.definition
    run = Run(
        id=tx.new_id(),
        no=tx.number("run"),
        company=tx.company,
        pipeline=pipeline.id,
        version=pipeline.version,
        project=project.id,
        card=card,
        title=new.title.strip(),
        origin=None if new.origin is None else new.origin.id,
        trace=tx.action.trace or tx.new_id() if new.origin is None else new.origin.trace,
        stage=plan.stages[0].id,
        status=RunStatus.RUNNING,
        started_by=tx.actor.key,
        started_ms=tx.now_ms,
        ended_ms=None,
    )
    pipelines.add_run(tx, run)
    tx.about(trace=run.trace)
    tx.emit("pipeline_started", run.id, {"pipeline": pipeline.id, "number": run.number})
    made: dict[str, str] = {}
    for n, stage in enumerate(plan.stages, 1):
        blockers = tuple(made[before] for before in plan.before(stage.id))
        made[stage.id] = _stage_task(tx, run, project, stage, blockers, new.input).id
        pipelines.add_position(tx, run.id, n, stage.id, made[stage.id])
    gating.look_again(tx)
    return run


def _stage_task(
    tx: Tx,
    run: Run,
    project: projects.Project,
    stage: Stage,
    blockers: tuple[str, ...],
    given: dict[str, Any],
) -> Task:
    agent = None if stage.agent is None else agents.need(tx, tx.company, stage.agent).id
    title = f"{stage.title}: {run.title}"
    wanted = {
        **given,
        "title": title,
        "description": f"Stage {stage.id} of {run.pipeline} ({run.number}).",
        "acceptanceCriteria": list(stage.done),
        "definitionOfDone": list(stage.done),
        "deliverables": list(stage.output),
        "inputs": list(stage.input),
        "ownerRole": stage.owner,
        "run": run.number,
        "stage": stage.id,
    }
    if run.card is not None:
        wanted["card"] = run.card
    stored = rules.stored_input(stage.type, wanted, True)
    task_id = tx.new_id()
    spec = Spec(
        task=task_id, type=stage.type, kind=STAGE_KIND, role=stage.owner, input=stored,
        blockers=blockers,
    )  # fmt: skip
    task = Task(
        id=task_id, seq=tx.number("task"), company=tx.company, project=project.id,
        state=State.QUEUED, lane=None, priority=0, blocked=0, agent=agent, member=None,
        reviewer=None, token=0, lease_until_ms=None, lease_proof=None, lease_owner=None,
        started_ms=None, retries=0, reason=None, trace=run.trace, created_ms=tx.now_ms,
        updated_ms=tx.now_ms,
    )  # fmt: skip
    entered = gating.enter(tx, task, spec, _here(run, stage))
    items = rules.done_items(stored.get("definitionOfDone"))
    task = service.create(tx, entered.task, entered.spec, items, project.max_active_agents)
    service.emit(tx, "task_generated", task)
    if agent is not None:
        sql.notify(tx, agent, "task_assigned", task.id, f"{task.number} is yours")
    return task


def _here(run: Run, stage: Stage) -> gates.Stage:
    return gates.Stage(run.number, run.pipeline, stage.id, stage.gates)


def place(tx: Tx, task: str) -> gates.Stage | None:
    """The stage that a task is; None: it is none."""
    found = pipelines.position_of(tx, task)
    if found is None:
        return None
    run, position = found
    return _here(run, _stage(pipelines.definition_of(tx, run), position))


def _stage(plan: Definition, position: Position) -> Stage:
    return next(stage for stage in plan.stages if stage.id == position.stage)


def finished(tx: Tx, task: Task) -> None:
    """A stage's task is done or archived: the run moves on, the next stage's gates are asked."""
    found = pipelines.position_of(tx, task.id)
    if found is None or found[1].done_ms is not None:
        return
    run, position = found
    plan = pipelines.definition_of(tx, run)
    rows = pipelines.positions(tx, run.id)
    left = [row for row in rows if row.done_ms is None and row.n != position.n]
    run = pipelines.move_on(tx, run, position, left[0].stage if left else None)
    for row in left:
        if position.stage in plan.before(row.stage):
            _begin(tx, run, plan, row)
    if not left:
        gating.look_again(tx)


def _begin(tx: Tx, run: Run, plan: Definition, row: Position) -> None:
    """A stage change: the stage's task passes the gates again."""
    task, spec = sql.with_spec(tx, tx.company, row.task)
    if task.state is State.QUEUED:
        gating.decide(
            tx, task, spec, gating.next_n(tx, task.id), stage=_here(run, _stage(plan, row))
        )


def is_running(rx: Rx, task: Task) -> bool:
    """Whether it is a stage's of a run that has not ended."""
    found = pipelines.position_of(rx, task.id)
    return found is not None and found[0].status is RunStatus.RUNNING


def reopened(tx: Tx, task: Task) -> None:
    """A finished stage is open again: its run stands there (feedback loop)."""
    found = pipelines.position_of(tx, task.id)
    if found is not None and found[1].done_ms is not None:
        pipelines.reopen(tx, *found)


def known(rx: Rx, company: str) -> Known:
    """The roles and agents that a pipeline's text may name: those of the roster, and the roles that
    the classifier knows."""
    rows = rx.all(
        "select role, name from agent where company=? and deleted_ms is null order by no limit ?",
        (company, MAX_KNOWN),
    )
    roles = {role for role, _ in rows if role} | set(ROLES) | {gates.COO}
    return Known(frozenset(roles), frozenset(name for _, name in rows))
