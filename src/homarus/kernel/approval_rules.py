"""What a question must be, and which act an approval covers: pure decisions over rows."""

from typing import Final

import msgspec

from homarus.base.errors import Invalid
from homarus.kernel.approval_rows import Approval, Status

HOURS_MOST: Final = 168
PAYLOAD_BYTES: Final = 32
KINDS: Final = ("act", "task_done", "custom")
RISKS: Final = ("low", "medium", "high")
SCOPES: Final = ("once", "task", "hours")
MAX_PENDING: Final = 200
"""Open questions of one agent; a further one is refused until some are answered."""


class Ask(msgspec.Struct, frozen=True, gc=False):
    """An act that needs an approval."""

    capability: str
    target: str
    payload: bytes
    agent: str
    task: str | None


def payload_of(arguments: bytes | None) -> bytes:
    """What stands for an act without arguments: 32 zero bytes."""
    return bytes(PAYLOAD_BYTES) if arguments is None else arguments


def permits(row: Approval, ask: Ask, now_ms: int) -> bool:
    """Whether an approved row covers the act: once, this very payload; task, this task; hours, the
    same capability and target until its time is up."""
    if row.status is not Status.APPROVED or now_ms >= row.expires_ms:
        return False
    match row.scope:
        case "once":
            return row.target == ask.target and row.payload == ask.payload
        case "task":
            return ask.task is not None and row.task == ask.task
        case _:
            return row.target == ask.target


def same(row: Approval, ask: Ask) -> bool:
    """Whether a row asks for this very act."""
    return row.target == ask.target and row.payload == ask.payload and row.task == ask.task


def check(
    *, scope: str, hours: int | None, kind: str, risk: str, payload: bytes,
    expires_ms: int | None, now_ms: int,
) -> None:  # fmt: skip
    """Raises `approval.scope|payload|kind|risk|expires` for a question that nobody could answer."""
    if scope not in SCOPES or (scope == "hours") != (hours is not None):
        raise Invalid(
            "approval.scope", f"scope {scope[:20]!r} with hours {hours}",
            f"One of {', '.join(SCOPES)}; `hours` goes with scope hours alone.",
        )  # fmt: skip
    if hours is not None and not 1 <= hours <= HOURS_MOST:
        raise Invalid("approval.scope", f"{hours} hours", f"1 to {HOURS_MOST} hours.")
    if len(payload) != PAYLOAD_BYTES:
        raise Invalid(
            "approval.payload", f"a payload hash of {len(payload)} bytes", "Give SHA-256: 32 bytes."
        )
    if kind not in KINDS:
        raise Invalid("approval.kind", f"unknown kind {kind[:40]!r}", f"One of {', '.join(KINDS)}.")
    if risk not in RISKS:
        raise Invalid("approval.risk", f"unknown risk {risk[:20]!r}", f"One of {', '.join(RISKS)}.")
    if expires_ms is not None and expires_ms <= now_ms:
        raise Invalid("approval.expires", "it would have expired already", "Give a later time.")
