"""Whose work a caller may touch: what is an agent's is its own (contract, 18.15)."""

from homarus.base.action import ActorKind
from homarus.base.errors import Refused
from homarus.company import agents
from homarus.kernel import tokens
from homarus.kernel.facts import GOVERNED_ROLES
from homarus.store.port import Tx


def check_writer(tx: Tx, scope_type: str, scope: str | None) -> None:
    """What lies in an agent's scope goes into its context, so others may not write there: only that
    agent, a token that may act for it, or an operator. Raises `resource.not_yours`."""
    if scope_type != "agent" or scope is None:
        return
    actor = tx.actor
    match actor.kind:
        case ActorKind.AGENT:
            allowed = actor.id == scope
        case ActorKind.RUNTIME:
            allowed = tokens.may_act_for(tx, actor.credential, scope)
        case _:
            allowed = True
    if not allowed:
        raise Refused(
            "resource.not_yours",
            "it belongs to another agent",
            "That agent, a token that may act for it, or an operator writes there.",
            rule="scope",
        )


def speaks_for(tx: Tx, agent: str) -> bool:
    """Whether the caller is this agent (its id), or its token may act for it."""
    actor = tx.actor
    if actor.kind is ActorKind.AGENT and actor.id == agent:
        return True
    if not tokens.may_act_for(tx, actor.credential, agent):
        return False
    row = agents.by_id(tx, tx.company, agent)
    return row is not None and row.role not in GOVERNED_ROLES


def was_caller(tx: Tx, actor: str | None) -> bool:
    """Whether it was the caller, as receipts name an actor, or one that its token may act for. The
    company tokens of a company are one caller."""
    if actor is None:
        return False
    kind, _, ref = actor.partition(":")
    if kind == ActorKind.AGENT:
        return speaks_for(tx, ref)
    if kind == ActorKind.RUNTIME and tx.actor.kind is ActorKind.RUNTIME:
        return True
    return actor == tx.actor.key or actor == f"{ActorKind.RUNTIME}:{tx.actor.credential}"
