"""Pipelines as values: stages, transitions, versions, runs and positions (contract, 11)."""

from enum import StrEnum
from typing import Final

import msgspec

STAGE_KIND: Final = "pipeline_stage"
"""Task kind of a stage's task."""


class Status(StrEnum):
    ACTIVE = "active"
    RETIRED = "retired"


class RunStatus(StrEnum):
    """A running one is moved on by the result of its stage's task; also after a crash."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"


class Stage(msgspec.Struct, frozen=True):
    """`owner` is a role; `agent` the name of the one agent that does it. `done`: its Definition of
    Done. `gates`: numbers of the gates that are asked when the stage begins."""

    id: str
    title: str
    owner: str
    agent: str | None = None
    type: str = ""
    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    gates: tuple[int, ...] = ()


class Definition(msgspec.Struct, frozen=True):
    """What a file says. `stages` stand in the order of work; `transitions` and `feedback` are
    pairs of stage ids. `starts`: task types that begin it; `covers`: types of work that only runs
    inside it."""

    id: str
    title: str
    stages: tuple[Stage, ...]
    transitions: tuple[tuple[str, str], ...]
    feedback: tuple[tuple[str, str], ...] = ()
    starts: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    label: str = ""

    def before(self, stage: str) -> tuple[str, ...]:
        """The stages that have to be done before this one begins."""
        return tuple(a for a, b in self.transitions if b == stage)

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(stage.owner for stage in self.stages)


class Pipeline(msgspec.Struct, frozen=True):
    """A version that a company has; version 0 is the one that is shipped."""

    id: str
    version: int
    title: str
    status: Status
    text: str
    definition: Definition
    created_ms: int | None = None


class Run(msgspec.Struct, frozen=True):
    """A row of `pipeline_run`. `stage` None: at its end."""

    id: str
    no: int
    company: str
    pipeline: str
    version: int
    project: str
    card: str | None
    title: str
    origin: str | None
    trace: str
    stage: str | None
    status: RunStatus
    started_by: str
    started_ms: int
    ended_ms: int | None

    @property
    def number(self) -> str:
        return f"R-{self.no}"


class Position(msgspec.Struct, frozen=True):
    n: int
    stage: str
    task: str
    done_ms: int | None
