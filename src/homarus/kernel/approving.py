"""What needs a person or a governed role to say yes first, and who may say it.

An act by an agent of a registered capability that is marked so needs an approval row of exactly
that act; what is missing is asked for by the refusal's own consequence. Who decides is judged here
too: never who asked, never a runtime, agents only of a governed role by their own token.
"""

from typing import Final

from homarus.base.action import ActorKind, Consequence, Proof
from homarus.base.clock import iso_ms
from homarus.kernel import approval_queries, approval_rules
from homarus.kernel.approval_rows import Approval, Status
from homarus.kernel.approval_rules import Ask
from homarus.kernel.case import Case, Judgement
from homarus.kernel.facts import GOVERNED_ROLES, TaskFacts

RULE: Final = "approval"
DECIDE: Final = "approval.decide"
CANCEL: Final = "approval.cancel"


def approval(case: Case) -> Judgement:
    """An approval-bound act needs a live approval of its own; deciding needs somebody else."""
    if case.builtin is not None:
        capability = case.action.capability
        if capability == DECIDE:
            return _decides(case)
        return _cancels(case) if capability == CANCEL else None
    if not case.by_agent or case.registered is None or not case.registered.approval:
        return None
    return _acts(case)


def _acts(case: Case) -> Judgement:
    action, agent = case.action, case.agent
    if agent is None:
        return None
    about = _about(case, agent.id)
    ask = Ask(
        capability=action.capability,
        target=action.target,
        payload=approval_rules.payload_of(action.arguments),
        agent=agent.id,
        task=None if about is None else about.id,
    )
    row = approval_queries.standing(case.rx, action.company, ask)
    now = case.rx.now_ms
    if row is not None and approval_rules.permits(row, ask, now):
        case.then("approval.use", row.id)
        return None
    if row is not None and row.status is Status.REJECTED and now < row.expires_ms:
        return _refuse(
            case,
            ask,
            "rejected",
            f"{row.number} for this very act was rejected: {row.note or 'no reason given'}",
            f"Do it differently, or ask again after {iso_ms(row.expires_ms)}.",
            row,
        )
    if row is not None and row.status is not Status.REJECTED and not row.open(now):
        return _refuse(
            case,
            ask,
            "expired",
            f"{row.number} for this very act expired at {iso_ms(row.expires_ms)}",
            "A new one is open; the task goes on once it is approved.",
        )
    return _refuse(
        case,
        ask,
        "needed",
        f"{action.capability} needs an approval of exactly this act",
        "One is open; the task goes on once it is approved: `homarus approval list`.",
    )


def _refuse(
    case: Case, ask: Ask, word: str, reason: str, remedy: str, rejected: Approval | None = None
) -> Judgement:
    held = _about(case, ask.agent)
    data = {
        "target": ask.target,
        "payload": ask.payload,
        "agent": ask.agent,
        "task": ask.task,
        "token": None if held is None else held.token,
        "project": None if held is None else held.project,
        "what": case.action.what,
        "cost": None if case.action.estimate is None else case.action.estimate.money,
        "rejected": None if rejected is None else rejected.id,
    }
    return case.refuse(
        f"approval.{word}",
        RULE,
        reason,
        remedy,
        once=True,
        consequences=(Consequence("approval.open", ask.capability, data),),
    )


def _about(case: Case, agent: str) -> TaskFacts | None:
    """The task that the agent works on; else the named one that is its own and waits (parked)."""
    held = case.held()
    if held is not None:
        return held
    named = case.task()
    return named if named is not None and named.agent == agent else None


# -- who decides ---------------------------------------------------------------------------


def _named(case: Case) -> Approval | None:
    return approval_queries.find(
        case.rx, case.action.company, case.action.target.removeprefix("approval:")
    )


def _decides(case: Case) -> Judgement:
    actor, row = case.actor, _named(case)
    if actor is None or row is None:
        return None  # the function answers 404
    if _asked(case, row):
        return case.refuse(
            "approval.requester",
            RULE,
            f"who asked for {row.number} cannot decide it",
            "Ask another approver: an operator of role approver, or an agent of a governed role.",
        )
    if actor.kind is ActorKind.AGENT:
        own = case.token is not None and case.token.agent == actor.id
        if not own or actor.proof is Proof.ASSERTED:
            return case.refuse(
                "approval.own_token",
                RULE,
                f"{actor.name} decides by its own access token alone",
                "Use that agent's token: `homarus token create --agent`.",
            )
        if actor.role not in GOVERNED_ROLES:
            return case.refuse(
                "approval.role",
                RULE,
                f"{actor.name} holds none of the roles {', '.join(sorted(GOVERNED_ROLES))}",
                "Ask an operator of role approver.",
            )
    return None


def _asked(case: Case, row: Approval) -> bool:
    """Whether the actor asked, was asked for, or acts by the access token that asked."""
    actor = case.actor
    if actor is None:
        return False
    return (
        actor.key == row.requester
        or (actor.kind is ActorKind.AGENT and actor.id == row.agent)
        or (row.credential != "" and case.action.credential == row.credential)
    )


def _cancels(case: Case) -> Judgement:
    actor, row = case.actor, _named(case)
    if actor is None or row is None or actor.kind is ActorKind.OPERATOR or _asked(case, row):
        return None
    return case.refuse(
        "approval.not_yours",
        RULE,
        f"{row.number} was asked for by somebody else",
        "Only who asked, or an operator, withdraws it.",
    )
