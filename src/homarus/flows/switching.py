"""What each kind of change checks, puts in force and takes back (governance contract, 10).

check(tx, change)    failures of the whole resulting thing, listed by path; reads only
switch(tx, change)   put it in force; what it replaced, as JSON
back(tx, change)     put what it replaced in force again
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, HomarusError, Invalid
from homarus.changes import sql
from homarus.changes.model import Change, Failure, Kind
from homarus.flows import governing_documents as documents
from homarus.flows import governing_rows as rows
from homarus.store.port import Rx, Tx


class Plan(msgspec.Struct, frozen=True):
    """`fields` of the patch: name -> type; a name with `?` may be left out. `target` names what it
    is about, from the patch; `pin` says what that was when it was proposed: check compares it."""

    fields: dict[str, type | tuple[type, ...]]
    target: Callable[[dict[str, Any]], str]
    check: Callable[[Rx, str, Change], list[Failure]]
    switch: Callable[[Tx, Change], Any]
    back: Callable[[Tx, Change], None]
    pin: Callable[[Rx, str, str], dict[str, Any]] | None = None


NONE: Final = type(None)
PLANS: Final[dict[Kind, Plan]] = {
    Kind.GOVERNED_DOCUMENT: Plan(
        {"path": str, "content?": str, "delete?": bool, "title?": str, "state?": str,
         "base?": (str, NONE), "note?": str},
        lambda patch: str(patch["path"]),
        documents.check, documents.switch, documents.back, documents.pin,
    ),
    Kind.GOVERNED_SETTING: Plan(
        {"name": str, "value?": object, "agent?": str, "role?": (str, NONE)},
        rows.setting_target, rows.check_setting, rows.switch_setting, rows.back_setting,
    ),
    Kind.CAPABILITY_GRANT: Plan(
        {"capability": str, "grants": list, "sha256?": (str, NONE), "version?": int},
        lambda patch: str(patch["capability"]),
        rows.check_grants, rows.switch_grants, rows.back_grants, rows.pin_grants,
    ),
    Kind.PIPELINE: Plan(
        {"text": str}, rows.pipeline_target,
        rows.check_pipeline, rows.switch_pipeline, rows.back_pipeline,
    ),
    Kind.CONFIG: Plan(
        {"text": str}, lambda patch: "homarus.json",
        rows.check_config, rows.switch_config, rows.no_way_back,
    ),
    Kind.UPGRADE: Plan(
        {"version": str}, lambda patch: "homarus",
        rows.check_upgrade, rows.switch_upgrade, rows.no_way_back,
    ),
}  # fmt: skip


def shaped(kind: Kind, patch: dict[str, Any]) -> str:
    """The target of a patch whose fields have the right names and types. Raises `change.patch`."""
    plan = PLANS[kind]
    known = {name.rstrip("?"): kinds for name, kinds in plan.fields.items()}
    wrong = [f"unknown field {name!r}"[:80] for name in patch if name not in known]
    wrong += [f"{name} is missing" for name in plan.fields if name[-1] != "?" and name not in patch]
    wrong += [
        f"{name} has a wrong type"
        for name, value in patch.items()
        if name in known and not isinstance(value, known[name])
    ]
    if wrong:
        raise Invalid(
            "change.patch",
            f"the patch of a {kind} does not fit: {'; '.join(wrong[:5])}",
            f"It has {', '.join(plan.fields)} (? may be left out).",
        )
    return plan.target(patch)


def pinned(rx: Rx, company: str, kind: Kind, patch: dict[str, Any]) -> dict[str, Any]:
    """The patch with what its target is now. What the author says that it was stays."""
    plan = PLANS[kind]
    return patch if plan.pin is None else plan.pin(rx, company, plan.target(patch)) | patch


def check(rx: Rx, company: str, change: Change) -> tuple[Failure, ...]:
    """Everything that is wrong with what would result; nothing: it may be put in force."""
    try:
        return tuple(PLANS[change.kind].check(rx, company, change))
    except HomarusError as error:
        return (Failure("patch", f"{error.message} {error.remedy}".strip()),)


def prepare(rx: Rx, company: str, ref: str) -> None:
    """Before a unit, in a read of its own: long texts are parsed here and remembered."""
    change = sql.need(rx, company, ref)
    if change.kind is Kind.GOVERNED_DOCUMENT:
        documents.prepare(change)


def put_in_force(tx: Tx, change: Change) -> Any:
    """Check once more, then switch. Raises `change.invalid`, or what the switch itself refuses."""
    failures = check(tx, tx.company, change)
    if failures:
        raise invalid(change, failures)
    return PLANS[change.kind].switch(tx, change)


def take_back(tx: Tx, change: Change) -> None:
    PLANS[change.kind].back(tx, change)


def invalid(change: Change, failures: tuple[Failure, ...]) -> Conflict:
    said = "; ".join(f"{failure.path}: {failure.message}" for failure in failures[:5])
    return Conflict(
        "change.invalid",
        f"{change.number} would not hold: {said}"[:1_000],
        "Propose a corrected change, and reject this one.",
        failures=[{"path": f.path, "message": f.message} for f in failures],
    )
