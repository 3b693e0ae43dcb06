"""Redlines R1 to R4: the company's own records are the truth (governance contract, 3)."""

from typing import Final

from homarus.base.action import Effect
from homarus.base.ids import is_uuid
from homarus.kernel import documents
from homarus.kernel.case import Case, Judgement

_WRITES_DOCUMENT: Final = "document.write"
_NO_EDITS: Final = frozenset({"document.read", "change.switch"})
"""A change's switch is the one road; that its record is approved is judged where it is read."""

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
    """R4: governed documents change by a change record alone, whoever asks."""
    action = case.action
    noun, _, path = action.target.partition(":")
    aims = noun == "document" or action.capability == _WRITES_DOCUMENT
    if action.capability in _NO_EDITS or not (aims or case.effect is Effect.GOVERNED_WRITE):
        return None
    if aims and case.effect is Effect.READ:
        return None
    if aims and not documents.is_path(path):
        return case.refuse(
            "R4.path",
            "R4",
            f"{path[:100]!r} is no plain path of a document, so no rule can be sure what it means",
            "Write it without `..`, empty or hidden names, such as `notes/today.md`.",
        )
    if case.effect is not Effect.GOVERNED_WRITE and _class(case, path) != documents.GOVERNED:
        return None
    what = f"the document {path}" if aims else f"what {action.capability} writes"
    return case.refuse(
        "R4.governed",
        "R4",
        f"{what} is governed: it changes by an approved change alone",
        f"Propose it: `homarus change new --document {path} --file FILE`."
        if aims
        else "Propose it: `homarus change new --help`.",
    )


def _class(case: Case, path: str) -> str:
    """Of a governed place whatever a row says; elsewhere as the row says."""
    if documents.class_of(path) == documents.GOVERNED:
        return documents.GOVERNED
    return case.facts.document(case.rx, case.action.company, path) or documents.PLAIN
