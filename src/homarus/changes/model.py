"""What a change record is, and how it moves (governance contract, 10)."""

from enum import StrEnum
from typing import Any, Final

import msgspec


class Kind(StrEnum):
    CONFIG = "config"
    GOVERNED_DOCUMENT = "governed_document"
    GOVERNED_SETTING = "governed_setting"
    CAPABILITY_GRANT = "capability_grant"
    PIPELINE = "pipeline"
    UPGRADE = "upgrade"


class Status(StrEnum):
    """`found`: somebody edited a governed file on disk; what was found waits for approval."""

    PROPOSED = "proposed"
    VALIDATED = "validated"
    FOUND = "found"
    APPROVED = "approved"
    SWITCHED = "switched"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"


MOVES: Final[dict[tuple[Status, str], Status]] = {
    (Status.PROPOSED, "validate"): Status.VALIDATED,
    (Status.VALIDATED, "validate"): Status.VALIDATED,
    (Status.VALIDATED, "invalidate"): Status.PROPOSED,  # a later check found a fault
    (Status.VALIDATED, "approve"): Status.APPROVED,
    (Status.FOUND, "approve"): Status.APPROVED,
    (Status.APPROVED, "switch"): Status.SWITCHED,
    (Status.SWITCHED, "roll back"): Status.ROLLED_BACK,
    (Status.PROPOSED, "reject"): Status.REJECTED,
    (Status.VALIDATED, "reject"): Status.REJECTED,
    (Status.FOUND, "reject"): Status.REJECTED,
    (Status.APPROVED, "reject"): Status.REJECTED,
}
"""(status, act) -> status. A change waits for a person in every status but the last three."""

ROLE_OF_KIND: Final[dict[Kind, str]] = {
    Kind.GOVERNED_DOCUMENT: "coo",
    Kind.GOVERNED_SETTING: "coo",
    Kind.CAPABILITY_GRANT: "coo",
    Kind.CONFIG: "scoder",
    Kind.UPGRADE: "scoder",
    Kind.PIPELINE: "pm",
}
"""Who approves: Line A `coo`, technical `scoder`, product `pm`."""

ROLE_OF_ASPECT: Final = {"technical": "scoder", "product": "pm", "content": "marketer"}
"""What a change may touch besides its line, and whose agreement that asks for."""

MAJOR_ROLES: Final = ("coo", "scoder", "marketer")
"""A major version needs these three perspectives (manual, About Document Maintenance)."""

PERSPECTIVES: Final = ("coo", "scoder", "pm", "marketer")
OPINIONS: Final = ("agree", "object")
UNKNOWN_AUTHOR: Final = "unknown"

MAX_TEXT: Final = 4_000
MAX_REVIEWS: Final = 50
MAX_PATCH_BYTES: Final = 600_000


class NewChange(msgspec.Struct, frozen=True):
    """What somebody proposes: the four texts that say why and how, and the patch by kind.

    governed_document  {"path", "content" | "delete": true, "title"?, "state"?: Final | Draft}
    governed_setting   {"name", "value"}, or {"name": "role", "agent", "role": text | null}
    capability_grant   {"capability", "grants": [...], "sha256"? of a skill, "version"? of others}
    pipeline           {"text": YAML}
    config             {"text": JSON5}
    upgrade            {"version"}
    """

    kind: str
    patch: dict[str, Any]
    intent: str
    impact: str
    rollback_plan: str
    validation: str
    major: bool = False
    aspects: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """What a check found: `path` into the patch or the resulting thing."""

    path: str
    message: str


class Review(msgspec.Struct, frozen=True):
    """One opinion; an objection is answered before the change is approved."""

    n: int
    perspective: str
    opinion: str
    comment: str
    answer: str | None
    reviewer: str
    at_ms: int


class Change(msgspec.Struct, frozen=True):
    """A row of `change_record` with its reviews. Times in Unix ms."""

    id: str
    company: str
    no: int
    kind: Kind
    target: str
    intent: str
    impact: str
    rollback_plan: str
    validation: str
    patch: dict[str, Any]
    major: bool
    aspects: tuple[str, ...]
    status: Status
    author: str
    author_persons: frozenset[str]
    failures: tuple[Failure, ...]
    approver: str | None
    self_approved: bool
    confirm_ms: int | None
    previous: Any
    switch_no: int | None
    created_ms: int
    updated_ms: int
    approved_ms: int | None
    switched_ms: int | None
    reviews: tuple[Review, ...] = ()

    @property
    def number(self) -> str:
        return f"C-{self.no}"

    @property
    def role(self) -> str:
        """Whose approval it needs."""
        return ROLE_OF_KIND[self.kind]

    @property
    def perspectives(self) -> tuple[str, ...]:
        """Roles that must agree besides the approver."""
        wanted = {ROLE_OF_ASPECT[aspect] for aspect in self.aspects}
        if self.major:
            wanted |= set(MAJOR_ROLES)
        return tuple(sorted(wanted - {self.role}))
