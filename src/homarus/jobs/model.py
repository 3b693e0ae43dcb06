"""A job and its runs as values (governance contract, 8; control-plane contract, 6.8).

States of a run, and who takes it out of each, also after a crash:

    waiting    take, when it is due and there is room for it
    running    whoever settles it; the lease's end; for a turn, the turn's end
    failed     take, when its wait is over: it is tried again
    dead       an operator: retry, drop
    done, missed, skipped, dropped   final
"""

from enum import StrEnum
from typing import Any, Final

import msgspec

from homarus.jobs.timing import Schedule

RECURRING: Final = "recurring"
SCHEDULE: Final = "schedule"
CRON: Final = "cron"
"""Kinds: which face defined it. A recurring task of a project, a schedule of the original's legacy
surface, a job of `homarus cron` or the gateway."""

TASK: Final = "task"
COMMAND: Final = "command"
TURN: Final = "turn"
MAINTENANCE: Final = "maintenance"
WHAT: Final = (TASK, COMMAND, TURN, MAINTENANCE)

SKIP: Final = "skip"
RUN_ONCE: Final = "run_once"
RUN_ALL: Final = "run_all"
MISFIRE: Final = (SKIP, RUN_ONCE, RUN_ALL)

QUEUE: Final = "queue"
PARALLEL: Final = "parallel"
OVERLAP: Final = (SKIP, QUEUE, PARALLEL)

PRIORITIES: Final = {"P0": 100, "P1": 50, "P2": 0, "P3": -50}
"""The words for priorities (design, 6)."""
COMPANY: Final = "company"
"""The namespace of jobs that are no agent's."""


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    MISSED = "missed"
    SKIPPED = "skipped"
    DEAD = "dead"
    DROPPED = "dropped"


S = State
MOVES: Final[dict[tuple[State, str], State]] = {
    (S.WAITING, "take"): S.RUNNING,
    (S.FAILED, "take"): S.RUNNING,
    (S.WAITING, "skip"): S.SKIPPED,  # it waited too long, or its job is gone
    (S.FAILED, "skip"): S.SKIPPED,
    (S.RUNNING, "finish"): S.DONE,
    (S.RUNNING, "skip"): S.SKIPPED,  # taken up, and its job is gone
    (S.RUNNING, "fail"): S.FAILED,
    (S.RUNNING, "give_up"): S.DEAD,
    (S.RUNNING, "hand_back"): S.WAITING,  # preempted, held back, or lost and restartable
    (S.DEAD, "retry"): S.WAITING,
    (S.DEAD, "drop"): S.DROPPED,
}
"""(state, move) -> state. What is not here does not happen."""


class Job(msgspec.Struct, frozen=True, gc=False):
    """A row of `job`.

    `kind`: which face it came by; `what`: what it runs, `does` the details of that (a task's are
    in `payload`, `task_type`, …: `payload` is the input of what is spawned). `approval_required`
    None: as the project says. `playbook`, `agent_pattern`: a schedule's. `next_run_ms` None: due
    at no time. `runs`: how often it has run. `once`: it is removed when it has run well. `wire`:
    what else a client said of it, kept to be told again.
    """

    id: str
    no: int
    company: str
    kind: str
    name: str
    project: str | None
    agent: str | None
    task_type: str | None
    cron: str | None
    payload: dict[str, Any]
    priority: int
    proof_required: bool
    approval_required: bool | None
    proof_types: list[Any]
    playbook: str | None
    agent_pattern: str | None
    active: bool
    next_run_ms: int | None
    last_run_ms: int | None
    runs: int
    created_by: str
    created_ms: int
    updated_ms: int
    deleted_ms: int | None
    namespace: str
    key: str
    what: str
    does: dict[str, Any]
    description: str | None
    zone: str
    every_ms: int | None
    anchor_ms: int
    at_ms: int | None
    misfire: str
    overlap: str
    cpu_s: int
    memory_mb: int
    api_per_hour: int
    concurrent: int
    once: bool
    wire: dict[str, Any]

    @property
    def number(self) -> str:
        return f"J-{self.no}"

    @property
    def full_name(self) -> str:
        return f"cron.{self.namespace}.{self.key}"

    @property
    def schedule(self) -> Schedule:
        return Schedule(self.cron, self.zone, self.every_ms, self.anchor_ms, self.at_ms)


class JobChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. Project, agent and playbook: ids the caller checked.

    `namespace`: the agent's word in a session key. `key` UNSET on creation: made of the name.
    `next_run_ms` UNSET: it follows from the schedule and `active`. Of `cron`, `every_ms` and
    `at_ms` the one that is given ends the others.
    """

    name: str | msgspec.UnsetType = msgspec.UNSET
    project: str | msgspec.UnsetType | None = msgspec.UNSET
    agent: str | msgspec.UnsetType | None = msgspec.UNSET
    task_type: str | msgspec.UnsetType | None = msgspec.UNSET
    cron: str | msgspec.UnsetType | None = msgspec.UNSET
    payload: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET
    proof_required: bool | msgspec.UnsetType = msgspec.UNSET
    approval_required: bool | msgspec.UnsetType | None = msgspec.UNSET
    proof_types: list[Any] | msgspec.UnsetType = msgspec.UNSET
    playbook: str | msgspec.UnsetType | None = msgspec.UNSET
    agent_pattern: str | msgspec.UnsetType | None = msgspec.UNSET
    active: bool | msgspec.UnsetType = msgspec.UNSET
    next_run_ms: int | msgspec.UnsetType | None = msgspec.UNSET
    namespace: str | msgspec.UnsetType = msgspec.UNSET
    key: str | msgspec.UnsetType = msgspec.UNSET
    what: str | msgspec.UnsetType = msgspec.UNSET
    does: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    zone: str | msgspec.UnsetType = msgspec.UNSET
    every_ms: int | msgspec.UnsetType | None = msgspec.UNSET
    anchor_ms: int | msgspec.UnsetType = msgspec.UNSET
    at_ms: int | msgspec.UnsetType | None = msgspec.UNSET
    misfire: str | msgspec.UnsetType = msgspec.UNSET
    overlap: str | msgspec.UnsetType = msgspec.UNSET
    cpu_s: int | msgspec.UnsetType = msgspec.UNSET
    memory_mb: int | msgspec.UnsetType = msgspec.UNSET
    api_per_hour: int | msgspec.UnsetType = msgspec.UNSET
    concurrent: int | msgspec.UnsetType = msgspec.UNSET
    once: bool | msgspec.UnsetType = msgspec.UNSET
    wire: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Run(msgspec.Struct, frozen=True, gc=False):
    """A row of `job_run`: one firing. `agent` "": the company's own. `n` 0: by the clock. `due_ms`:
    not before then; None: it does not wait. `token`: the fence of whoever has it. `subject`: the
    task or turn that it made. `reason`: a stable code. `created_ms`: when it was queued; a dead
    letter that is tried again is queued anew. Times in Unix ms."""

    id: str
    no: int
    company: str
    job: str
    agent: str
    what: str
    scheduled_ms: int
    n: int
    through_ms: int | None
    state: State
    priority: int
    due_ms: int | None
    claimed_ms: int | None
    started_ms: int | None
    ended_ms: int | None
    attempt: int
    token: int
    until_ms: int | None
    restartable: bool
    preempted_by: str | None
    stopping: bool
    preemptions: int
    receipt_seq: int | None
    subject: str | None
    cpu_ms: int | None
    peak_bytes: int | None
    exit_code: int | None
    output: str | None
    reason: str | None
    error: str | None
    api_calls: int
    by_actor: str
    created_ms: int

    @property
    def number(self) -> str:
        return f"X-{self.no}"
