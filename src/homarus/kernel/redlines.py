"""Redlines R1 to R4: the company's own records are the truth (governance contract, 3)."""

from typing import Final

from homarus.base.ids import is_uuid
from homarus.kernel.case import Case, Judgement

_CLAIMS: Final = frozenset({"task.claim", "task.assign", "task.result", "task.release"})


def r1_ssot_authority(case: Case) -> Judgement:
    """R1: claims and progress name rows of the SSOT, never a mirror's record."""
    if case.action.capability not in _CLAIMS:
        return None
    noun, _, ref = case.action.target.partition(":")
    if noun != "task" or not ref or is_uuid(ref.lower()) or _is_number(ref):
        return None
    return case.refuse(
        "R1.external_id",
        "R1",
        f"{ref!r} is no task of this company's own records; a mirror's record cannot be claimed",
        "Claim by the task's own id or number (T-192), or ask for the next task.",
    )


def _is_number(ref: str) -> bool:
    return ref[:2].upper() == "T-" and ref[2:].isascii() and ref[2:].isdecimal()


def r2_local_scan(case: Case) -> Judgement:
    """R2: scans are answered from the company's own records."""
    return None


def r3_async_dual_write(case: Case) -> Judgement:
    """R3: nothing but the outbox worker writes to a mirror."""
    return None


def r4_governed_documents(case: Case) -> Judgement:
    """R4: governed documents change by a change record alone."""
    return None
