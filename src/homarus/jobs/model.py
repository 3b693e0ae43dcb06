"""A job as a value: what is spawned, when, for whom (control-plane contract, 6.8)."""

from typing import Any, Final

import msgspec

RECURRING: Final = "recurring"
SCHEDULE: Final = "schedule"


class Job(msgspec.Struct, frozen=True, gc=False):
    """A row of `job`.

    `kind`: RECURRING (of a project) or SCHEDULE (the original's legacy surface); both spawn alike.
    `cron` is read in UTC; None: by hand only. `approval_required` None: as the project says.
    `payload` is the input of what is spawned. `playbook`, `agent_pattern`: a schedule's.
    `next_run_ms` None: due at no time. `runs`: how many tasks it has spawned.
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

    @property
    def number(self) -> str:
        return f"J-{self.no}"


class JobChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. Project, agent and playbook: ids the caller checked.

    `next_run_ms` UNSET: it follows from `cron` and `active`.
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
