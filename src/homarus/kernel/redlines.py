"""Redlines R1 to R4: the company's own records are the truth (governance contract, 3)."""

from typing import Final

from homarus.base.action import ActorKind, Effect
from homarus.base.errors import CHANGE_TEXTS
from homarus.base.ids import is_uuid, numbered
from homarus.kernel import documents
from homarus.kernel.case import Case, Judgement
from homarus.kernel.targets import MIRROR, mirror_of

_WRITES_DOCUMENT: Final = "document.write"
_NO_EDITS: Final = frozenset({"document.read", "change.switch"})
"""A change's switch is the one road; that its record is approved is judged where it is read."""

_CLAIMS: Final = frozenset({"task.claim", "task.assign", "task.result", "task.release"})


def r1_ssot_authority(case: Case) -> Judgement:
    """R1: claims and progress name rows of the SSOT, never a mirror's record."""
    if case.action.capability not in _CLAIMS:
        return None
    noun, _, ref = case.action.target.partition(":")
    if noun != "task" or not ref or is_uuid(ref.lower()) or numbered(ref, "T") is not None:
        return None
    return case.refuse(
        "R1.external_id",
        "R1",
        f"{ref!r} is no task of this company's own records; a mirror's record cannot be claimed",
        "Claim by the task's own id or number (T-192), or ask for the next task.",
    )


OUTBOX: Final = "outbox"
"""The daemon's worker that carries changes to mirrors."""
CRON: Final = "cron"
"""The daemon's worker of jobs. A firing is a claim on its run row, which the unit holds by its
fence; what a job runs was said by an operator (design, 6)."""

MIRRORS: Final = "mirrors"
_LOCAL: Final = {
    "lark_base": "task.list",
    "lark_calendar": "calendar.list",
    "lark_wiki": "doc.search",
    "obsidian": "doc.search",
}


def r2_local_scan(case: Case) -> Judgement:
    """R2: scans are answered from the company's own records."""
    mirror = _mirror(case)
    if mirror is None or not case.by_agent or case.effect is not Effect.READ:
        return None
    local = _LOCAL.get(mirror, ", ".join(dict.fromkeys(_LOCAL.values())))
    return case.refuse(
        "R2.external_scan",
        "R2",
        f"{mirror or 'a mirror'} is a copy, and agents do not scan it",
        f"Ask this company's own records: {local}.",
    )


def r3_async_dual_write(case: Case) -> Judgement:
    """R3: nothing but the outbox worker writes to a mirror; whatever else leaves the company
    belongs to a claimed task."""
    mirror = _mirror(case)
    if mirror is None:
        return _claimed(case)
    if case.effect is Effect.READ:
        return None
    actor = case.actor
    if actor is None or actor.kind is not ActorKind.SYSTEM or actor.id != OUTBOX:
        return case.refuse(
            "R3.direct_write",
            "R3",
            f"{mirror or 'a mirror'} is written by the outbox alone",
            "Write the local row (task, calendar event, document); the outbox carries it there.",
        )
    if mirror not in case.setting(MIRRORS):
        return case.refuse(
            "R3.not_whitelisted",
            "R3",
            f"{mirror!r} is not among the mirrors of this company",
            f"Add it to the governed setting `{MIRRORS}` by a change record.",
        )
    return None


def _claimed(case: Case) -> Judgement:
    """An external write of an agent is part of a task that it holds, or of a firing of its job."""
    if case.builtin is not None or not case.by_agent or case.effect is not Effect.EXTERNAL_WRITE:
        return None
    if case.action.system == CRON or case.held() is not None:
        return None
    return case.refuse(
        "R3.unclaimed",
        "R3",
        f"{case.action.capability} acts outside, and no claimed task asks for it",
        "Claim the task that needs it, and name it (`taskId`).",
    )


def _mirror(case: Case) -> str | None:
    """The mirror that the action reaches, by its target or by its capability."""
    if case.action.target.startswith(MIRROR):
        return mirror_of(case.action.target)
    registered = None if case.builtin is not None else case.registered
    return None if registered is None else registered.mirror


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
        f"Propose it: `homarus change new --document {path} --file FILE {CHANGE_TEXTS}`."
        if aims
        else "Propose it: `homarus change new --help`.",
    )


def _class(case: Case, path: str) -> str:
    """Of a governed place whatever a row says; elsewhere as the row says."""
    if documents.class_of(path) == documents.GOVERNED:
        return documents.GOVERNED
    return case.facts.document(case.rx, case.action.company, path) or documents.PLAIN
