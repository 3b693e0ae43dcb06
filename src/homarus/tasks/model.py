"""Tasks: states, legal moves, rows (design, 6).

Beside each state stands who moves a task out of it after a crash.
"""

from enum import StrEnum
from typing import Any, Final

import msgspec


class State(StrEnum):
    INBOX = "inbox"  # triage; the gate worker re-evaluates
    QUEUED = "queued"  # stays; any fitting agent claims it
    IN_PROGRESS = "in_progress"  # always has a lease; its expiry queues it again
    REVIEW = "review"  # stays; a reviewer claims it, its agent reports again
    BLOCKED = "blocked"  # the owner of the reason re-evaluates at start
    DONE = "done"  # final; an operator may reopen it
    FAILED = "failed"  # an operator may queue it again
    DEAD_LETTER = "dead_letter"  # the same
    ARCHIVED = "archived"  # final


class Mover(StrEnum):
    """Who makes a move."""

    CLAIM = "claim"
    HOLDER = "holder"
    LEASE = "lease"
    KERNEL = "kernel"
    OPERATOR = "operator"


S, M = State, Mover

MOVES: Final[dict[tuple[State, State], frozenset[Mover]]] = {
    (S.INBOX, S.QUEUED): frozenset({M.KERNEL, M.OPERATOR}),
    (S.INBOX, S.BLOCKED): frozenset({M.KERNEL}),
    (S.QUEUED, S.IN_PROGRESS): frozenset({M.CLAIM}),
    (S.QUEUED, S.BLOCKED): frozenset({M.KERNEL, M.OPERATOR}),
    (S.IN_PROGRESS, S.REVIEW): frozenset({M.HOLDER}),
    (S.IN_PROGRESS, S.DONE): frozenset({M.HOLDER}),
    (S.IN_PROGRESS, S.FAILED): frozenset({M.HOLDER}),
    (S.IN_PROGRESS, S.QUEUED): frozenset({M.HOLDER, M.LEASE, M.OPERATOR}),
    (S.IN_PROGRESS, S.BLOCKED): frozenset({M.KERNEL, M.OPERATOR}),
    (S.IN_PROGRESS, S.DEAD_LETTER): frozenset({M.LEASE}),
    (S.REVIEW, S.DONE): frozenset({M.HOLDER, M.OPERATOR}),
    (S.REVIEW, S.FAILED): frozenset({M.HOLDER, M.OPERATOR}),
    (S.REVIEW, S.QUEUED): frozenset({M.HOLDER, M.OPERATOR}),
    (S.REVIEW, S.IN_PROGRESS): frozenset({M.CLAIM}),
    (S.BLOCKED, S.QUEUED): frozenset({M.KERNEL, M.OPERATOR}),
    (S.BLOCKED, S.DONE): frozenset({M.KERNEL}),
    (S.BLOCKED, S.REVIEW): frozenset({M.KERNEL}),
    (S.FAILED, S.QUEUED): frozenset({M.OPERATOR}),
    (S.DEAD_LETTER, S.QUEUED): frozenset({M.OPERATOR}),
    (S.DONE, S.REVIEW): frozenset({M.OPERATOR}),
    **{(s, S.ARCHIVED): frozenset({M.OPERATOR, M.HOLDER}) for s in S
       if s not in (S.IN_PROGRESS, S.ARCHIVED)},
}  # fmt: skip
"""(from, to) -> who may. What is not here is refused."""

FINISHED: Final = frozenset({State.DONE, State.ARCHIVED})
"""States that release dependents."""

WAITING: Final = frozenset({State.INBOX, State.QUEUED, State.BLOCKED})
"""States in which nobody has worked on it (or no longer), and who shall may change."""

LEASE_MS: Final = 600_000
LEASE_MS_LEAST: Final = 5_000
LEASE_MS_MOST: Final = 3_600_000
MAX_RETRIES: Final = 3

TASK_COLUMNS: Final = (
    "id, seq, company, project, state, lane, priority, blocked, agent, member, reviewer, token, "
    "lease_until_ms, lease_proof, lease_owner, started_ms, retries, reason, trace, created_ms, "
    "updated_ms"
)


class Task(msgspec.Struct, frozen=True, gc=False):
    """A row of `task`: what changes as it moves. Times in Unix ms. See migration 0004."""

    id: str
    seq: int
    company: str
    project: str
    state: State
    lane: int | None
    priority: int
    blocked: int
    agent: str | None
    member: str | None
    reviewer: str | None
    token: int
    lease_until_ms: int | None
    lease_proof: str | None
    lease_owner: str | None
    started_ms: int | None
    retries: int
    reason: str | None
    trace: str
    created_ms: int
    updated_ms: int

    @property
    def number(self) -> str:
        return f"T-{self.seq}"


class Spec(msgspec.Struct, frozen=True, gc=False):
    """What a task asks for; changes only when edited. `input` is the wire's inputJson; `level` the
    route's (0 to 3); `assets`: it names governance assets that it produces (contract 7)."""

    task: str
    type: str
    kind: str = "standard"
    role: str | None = None
    skills: tuple[str, ...] = ()
    input: dict[str, Any] = {}
    capability: str | None = None
    max_retries: int = MAX_RETRIES
    proof_required: bool = False
    approval_required: bool = False
    proof_types: Any = ()
    sla_due_ms: int | None = None
    recurring: str | None = None
    blockers: tuple[str, ...] = ()
    level: int = 0
    assets: bool = False


class Result(msgspec.Struct, frozen=True, gc=False):
    task: str
    output: Any
    comment: str | None
    digest: bytes
    agent: str | None
    at_ms: int


class Note(msgspec.Struct, frozen=True, gc=False):
    id: str
    task: str
    agent: str | None
    text: str
    handoff: dict[str, Any] | None
    created_ms: int


class DoneItem(msgspec.Struct, frozen=True, gc=False):
    """One line of the Definition of Done. `kind`: text | artifact | check | review."""

    n: int
    kind: str
    value: str
    evidence: str | None


def may_move(before: State, after: State, mover: Mover) -> bool:
    return mover in MOVES.get((before, after), frozenset())
