"""Who may approve a change, and what a proposal must say. Pure (governance contract, 10).

A *person* is a text: `agent:<id>`, `operator:<name>`, `runtime:<token>`. One act may have two: an
agent, and the credential that spoke for it (docs/adr/0012).
"""

from typing import Final

import msgspec

from homarus.base.errors import CHANGE_TEXTS, Conflict, HomarusError, Invalid, Refused
from homarus.changes.model import (
    MAX_TEXT,
    MOVES,
    ROLE_OF_ASPECT,
    Change,
    Kind,
    NewChange,
    Status,
)

STANDING_IN: Final = ("approver", "owner")
"""Roles, of operators and of agents, that approve where the required role has nobody."""


class Voter(msgspec.Struct, frozen=True):
    """Who decides. `role`: the agent's confirmed role, or the operator's; `relayed`: a credential
    speaks for an agent, or is a company token."""

    key: str
    persons: frozenset[str]
    is_agent: bool
    role: str | None
    relayed: bool = False


class Electorate(msgspec.Struct, frozen=True):
    """Who there is. `holders`: person -> confirmed role, of agents that are not suspended;
    `operators`: person -> role, of live operator tokens above viewer."""

    holders: dict[str, str] = {}
    operators: dict[str, str] = {}

    def agents_of(self, role: str, but: frozenset[str]) -> list[str]:
        return sorted(p for p, held in self.holders.items() if held == role and p not in but)

    def stand_ins(self, but: frozenset[str]) -> list[str]:
        both = [*self.holders.items(), *self.operators.items()]
        return sorted(p for p, role in both if role in STANDING_IN and p not in but)


def check_new(new: NewChange) -> None:
    """Raises `change.kind`, `change.text`, `change.aspect`."""
    if new.kind not in {*Kind}:
        raise Invalid(
            "change.kind",
            f"no kind of change {new.kind[:60]!r}",
            f"One of {[str(k) for k in Kind]}.",
        )
    for name in ("intent", "impact", "rollback_plan", "validation"):
        text = getattr(new, name)
        if not 0 < len(text.strip()) <= MAX_TEXT:
            raise Invalid(
                "change.text",
                f"{name} is missing or too long",
                f"Say it in 1 to {MAX_TEXT} characters: a change has an intent, an impact, a way "
                "back and a way to check it.",
            )
    for aspect in new.aspects:
        if aspect not in ROLE_OF_ASPECT:
            raise Invalid(
                "change.aspect", f"no aspect {aspect[:60]!r}", f"One of {sorted(ROLE_OF_ASPECT)}."
            )


def moved(change: Change, act: str) -> Status:
    """The status after an act. Raises `change.move`."""
    after = MOVES.get((change.status, act))
    if after is None:
        acts = sorted(a for s, a in MOVES if s is change.status and a != "invalidate")
        raise Conflict(
            "change.move",
            f"{change.number} is {change.status}; it cannot {act} now",
            f"Possible now: {', '.join(acts)}." if acts else "It is final; propose a new change.",
        )
    return after


def may_approve(role: str, author: frozenset[str], voter: Voter, there: Electorate) -> bool:
    """True: yes. False: yes, as author and only operator, in a second act.

    Raises `change.relayed`, `change.author`, `change.role`.
    """
    _in_person(voter)
    named = there.agents_of(role, author)
    others = named or there.stand_ins(author)
    if voter.persons & author:
        if voter.is_agent or others or not _alone(voter, there):
            raise _refused(
                "change.author",
                "the author of a change never approves it",
                _ask(role, named, others),
            )
        return False
    if not _speaks(role, voter, named):
        raise _refused(
            "change.role",
            f"this change is for {role} to approve, and you are {voter.role or 'of no such role'}",
            _ask(role, named, others),
        )
    return True


def may_put_in_force(role: str, voter: Voter, there: Electorate) -> None:
    """Switch or roll back: who may approve such changes, the author too if an operator.

    Raises `change.relayed`, `change.role`.
    """
    _in_person(voter)
    if voter.role != role and voter.role not in STANDING_IN:
        raise _refused(
            "change.role",
            f"only {role}, an approver or an owner puts this in force",
            _ask(role, there.agents_of(role, frozenset()), []),
        )


def may_review(perspective: str, author: frozenset[str], voter: Voter, there: Electorate) -> None:
    """Raises `change.relayed`, `change.author`, `change.role`."""
    _in_person(voter)
    named = there.agents_of(perspective, author)
    if voter.persons & author:
        raise _refused("change.author", "the author does not review", _ask(perspective, named, []))
    if not _speaks(perspective, voter, named):
        raise _refused(
            "change.role", f"you do not speak for {perspective}", _ask(perspective, named, [])
        )


def _speaks(role: str, voter: Voter, named: list[str]) -> bool:
    """The role's holder; where there is no other than the author, an approver or owner."""
    if voter.is_agent and voter.role == role:
        return True
    return not named and voter.role in STANDING_IN


def _alone(voter: Voter, there: Electorate) -> bool:
    return voter.role in STANDING_IN and set(there.operators) <= voter.persons


def _in_person(voter: Voter) -> None:
    if voter.relayed:
        raise _refused(
            "change.relayed",
            "a change is decided in person, not by a token that speaks for somebody",
            "Use the agent's own token, or an operator's without naming an agent.",
        )


def _ask(role: str, named: list[str], others: list[str]) -> str:
    if named:
        return f"Ask an agent of role {role}: {', '.join(named[:5])}."
    if others:
        return f"Ask an approver or owner: {', '.join(others[:5])}."
    return (
        f"Nobody else may: make somebody {role} (`homarus change new --role AGENT={role} "
        f"{CHANGE_TEXTS}`), or give another person a token of role approver."
    )


def _refused(code: str, reason: str, remedy: str) -> HomarusError:
    return Refused(code, reason, remedy, rule="R4")


def next_version(version: str, *, major: bool) -> str:
    """`5.0.3` becomes `5.0.4`, or `6.0.0` (manual, About Document Maintenance)."""
    parts = [int(part) for part in version.split(".")]
    if major:
        return f"{parts[0] + 1}.0.0"
    return ".".join(map(str, [*parts[:-1], parts[-1] + 1]))
