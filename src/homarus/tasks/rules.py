"""Pure decisions about tasks: what a create must say, what a result may do, wire words."""

import hashlib
import re
from typing import Any, Final

import msgspec

from homarus.base.canonical import canonical
from homarus.base.errors import Conflict, HomarusError, Invalid
from homarus.tasks.model import State, Task

ALIASES: Final = {
    "queued": "inbox",
    "running": "in_progress",
    "inprogress": "in_progress",
    "in-progress": "in_progress",
    "needs_review": "review",
    "needs-review": "review",
}
WIRE_STATES: Final = ("inbox", "in_progress", "review", "done", "failed", "dead_letter")
_TO_WIRE: Final = {State.QUEUED: "inbox", State.BLOCKED: "review", State.ARCHIVED: "archived"}
_FROM_WIRE: Final = {
    "inbox": (State.INBOX, State.QUEUED),
    "review": (State.REVIEW, State.BLOCKED),
}

_TYPE_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{2,40}\Z")
_VAGUE_TYPES: Final = frozenset({"any", "task", "todo", "work", "misc", "general"})
_TYPED_ITEM: Final = re.compile(r"(artifact|check|review):([A-Za-z0-9][\w./-]{0,99})\Z")
SPEC_FIELDS: Final = (
    "title",
    "description",
    "acceptanceCriteria",
    "definitionOfDone",
    "deliverables",
    "blockedReason",
    "goal",
    "ownerRole",
)


class Underspecified(Invalid):
    """400 with `missingFields` (control-plane contract, 6.2)."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            "TASK_SPEC_UNDERSPECIFIED",
            "TASK_SPEC_UNDERSPECIFIED",
            f"Give {', '.join(missing)}, or set allowUnderspecified.",
        )
        self.missing = missing


def to_wire(state: State) -> str:
    """Canonical → control-plane word (design, 6)."""
    return _TO_WIRE.get(state, state.value)


def wire_states(text: str) -> tuple[State, ...]:
    """Control-plane word or alias → the canonical states that it covers. Raises `task.state`."""
    word = ALIASES.get(text, text)
    if word not in WIRE_STATES:
        raise Invalid(
            "task.state", f"unknown state {text[:40]!r}", f"One of {', '.join(WIRE_STATES)}."
        )
    return _FROM_WIRE.get(word, (State(word),))


def target_state(text: str) -> State:
    """What a result or patch asks for: `inbox` means back to the queue. Raises `task.state`."""
    word = ALIASES.get(text, text)
    if word not in WIRE_STATES or word == "dead_letter":
        raise Invalid(
            "task.state",
            f"state {text[:40]!r} cannot be requested",
            "One of inbox, in_progress, review, done, failed.",
        )
    return State.QUEUED if word == "inbox" else State(word)


def _blank(value: Any) -> bool:
    return value is None or value in ("", [], {}) or (isinstance(value, str) and not value.strip())


def missing_fields(task_type: str, spec: dict[str, Any]) -> list[str]:
    """What a fully specified task still lacks, in the contract's words (6.2)."""
    missing = [f for f in ("title", "description") if _blank(spec.get(f))]
    if _blank(spec.get("acceptanceCriteria")) and _blank(spec.get("definitionOfDone")):
        missing.append("acceptanceCriteria_or_definitionOfDone")
    if _blank(spec.get("deliverables")):
        missing.append("deliverables")
    if not task_type.strip():
        missing.append("taskType")
    elif task_type.lower() in _VAGUE_TYPES:
        missing.append("taskType_specific")
    elif not _TYPE_KEY.match(task_type):
        missing.append("taskType_machine_key")
    return missing


def stored_input(task_type: str, spec: dict[str, Any], allow: bool) -> dict[str, Any]:
    """The `inputJson` that is kept: the spec, its readiness, a goal. Raises Underspecified."""
    missing = missing_fields(task_type, spec)
    if missing and not allow:
        raise Underspecified(missing)
    goal = spec.get("goal") or spec.get("title") or spec.get("description") or task_type
    return {
        **spec,
        "goal": goal,
        "taskType": task_type,
        "readiness": "underspecified" if missing else "ready",
        "missingFields": missing,
    }


def owner_role(spec: dict[str, Any]) -> str | None:
    """The role that a task is for; None: any."""
    role = spec.get("ownerRole")
    return role.strip() or None if isinstance(role, str) else None


def done_items(definition: Any) -> list[tuple[str, str]]:
    """`(kind, value)` of each line of a Definition of Done; typed ones need evidence rows."""
    lines = definition if isinstance(definition, list) else [definition]
    items: list[tuple[str, str]] = []
    for line in lines:
        if isinstance(line, str) and line.strip():
            typed = _TYPED_ITEM.match(line.strip())
            items.append((typed[1], typed[2]) if typed else ("text", line.strip()))
    return items


def result_digest(state: State, output: Any, comment: str | None) -> bytes:
    """Whether a repeated result says the same."""
    try:
        plain = canonical([state.value, output, comment])
    except (ValueError, TypeError):
        plain = msgspec.json.encode([state.value, output, comment], order="sorted")
    return digest_of(plain)


def digest_of(plain: bytes) -> bytes:
    return hashlib.sha256(plain).digest()


class Policy(msgspec.Struct, frozen=True):
    """A project's policies and the caller's place in it, as `result` sees them (contract 6.6)."""

    requires_approval: bool = False
    requires_review: bool = False
    comment_for_review: bool = False
    only_lead: bool = False
    is_lead: bool = False
    reviewing: bool = False


def policy_refusal(
    task: Task, policy: Policy, target: State, comment: str | None
) -> HomarusError | None:
    """The first policy that forbids the move, in the contract's order; None: it may pass."""
    if target is State.DONE:
        if policy.requires_review and task.state is not State.REVIEW:
            return _forbidden("review_first", "the project wants a review before done")
        if policy.only_lead and not policy.is_lead:
            return _forbidden("lead_only", "only the project's lead may finish tasks")
    if target is State.REVIEW and policy.comment_for_review and not (comment or "").strip():
        return _forbidden("comment_missing", "the project wants a comment with a review")
    if policy.only_lead and not policy.is_lead and target not in (State.REVIEW, State.FAILED):
        return _forbidden("lead_only", "only the project's lead may change this status")
    guarded = policy.requires_approval or policy.requires_review or policy.only_lead
    if target is State.DONE and guarded and not (policy.is_lead or policy.reviewing):
        return _forbidden("through_review", "workers of this project finish through review")
    return None


def wants_approval(task_wants: bool, policy: Policy, target: State) -> bool:
    """Whether a person has to accept it before the task is done (contract 6.6, the last line)."""
    return target is State.DONE and (task_wants or policy.requires_approval)


def _forbidden(word: str, what: str) -> HomarusError:
    return Conflict(
        f"task.policy_{word}",
        what,
        "Report state `review`; then an operator accepts it: `homarus task move T-… done`.",
    )
