"""A row of `approval`: a question bound to what was asked, which is capability, target and the
SHA-256 of the arguments. What may become of it is in `kernel/approvals.py`: MOVES.
"""

from enum import StrEnum
from typing import Final

import msgspec

from homarus.store.port import Row


class Status(StrEnum):
    PENDING = "pending"  # the sweeper expires it
    APPROVED = "approved"  # used by the act it permits; the sweeper expires it
    REJECTED = "rejected"  # final; the same act may be asked for again after `expires_ms`
    EXPIRED = "expired"  # final
    VOIDED = "voided"  # final: what was asked for has changed
    CANCELLED = "cancelled"  # final
    USED = "used"  # final


FIELDS: Final = (
    "id, company, no, kind, capability, target, payload, what, requester, credential, agent, task, "
    "project, reason, confidence, cost, risk, scope, hours, status, expires_ms, decided_by, "
    "decided_ms, note, uses, created_ms, updated_ms"
)


class Approval(msgspec.Struct, frozen=True, gc=False):
    """A row of `approval`. `requester` as `Actor.key`; `credential`: id of the token that asked;
    `cost` in millionths of the currency unit; times in Unix ms.

    `expires_ms`: while pending, when it can no longer be decided; when approved, when it can no
    longer be used; when rejected, until when the same act is refused without being asked again.
    """

    id: str
    company: str
    no: int
    kind: str
    capability: str
    target: str
    payload: bytes
    what: str
    requester: str
    credential: str
    agent: str | None
    task: str | None
    project: str | None
    reason: str
    confidence: float | None
    cost: int | None
    risk: str
    scope: str
    hours: int | None
    status: Status
    expires_ms: int
    decided_by: str | None
    decided_ms: int | None
    note: str | None
    uses: int
    created_ms: int
    updated_ms: int

    @property
    def number(self) -> str:
        return f"A-{self.no}"

    def open(self, now_ms: int) -> bool:
        """Whether it can still be decided: until `expires_ms`, exclusive."""
        return self.status is Status.PENDING and now_ms < self.expires_ms


def from_row(row: Row) -> Approval:
    values = list(row)
    values[6] = bytes(values[6])
    values[19] = Status(values[19])
    return Approval(*values)
