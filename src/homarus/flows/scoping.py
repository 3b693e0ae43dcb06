"""Whose resources a caller may write: what is an agent's is its own (contract, 18.15)."""

from homarus.base.action import ActorKind
from homarus.base.errors import Refused
from homarus.kernel import tokens
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
