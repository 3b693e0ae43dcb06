"""Who is it, and may this credential speak for the agent it names (design, 5)."""

from typing import Final

from homarus.base.action import Actor, ActorKind, Proof
from homarus.kernel.capabilities import role_reaches
from homarus.kernel.case import Case, Judgement
from homarus.kernel.facts import GOVERNED_ROLES, AgentFacts
from homarus.kernel.tokens import DEVICE, Token

_HOLDS: Final = "select 1 from token_agent where token=? and agent=?"


def identity(case: Case) -> Judgement:
    """Who is it, and may this credential speak for the agent it names (design, 5)."""
    action = case.action
    if action.system is not None:
        case.actor = Actor(ActorKind.SYSTEM, action.system, proof=Proof.SYSTEM)
        return None if action.acting is None else _worker_for(case, action.acting)
    case.load_credential()
    token = case.token
    if token is None:
        return case.refuse(
            "identity.unknown", "identity", "no such access token", "Use a token that exists."
        )
    if not token.live(case.rx.now_ms):
        word = "revoked" if token.revoked_ms is not None else "expired"
        return case.refuse(
            f"identity.{word}",
            "identity",
            f"the access token is {word}",
            "Ask an owner for a new one: `homarus token create`.",
        )
    if token.scope == DEVICE and action.proof is not Proof.DEVICE:
        return case.refuse(
            "identity.device",
            "identity",
            "a device's token counts only beside a signature of the device",
            "Use it at the gateway's WebSocket, or another token here.",
        )
    kind = ActorKind(token.kind)
    case.actor = Actor(kind, token.id, token.name, token.role, action.proof, token.id)
    if token.company not in ("", action.company):
        return case.refuse(
            "identity.company",
            "identity",
            "the token belongs to another company",
            "Use a token of this company.",
        )
    if kind is ActorKind.AGENT:
        return _own_agent(case, token)
    if action.acting is not None:
        return _acting(case, token, action.acting)
    if kind is ActorKind.RUNTIME and case.builtin is not None and case.builtin.acting:
        return case.refuse(
            "identity.agent_missing",
            "identity",
            f"`{action.capability}` is done by an agent, and none is named",
            "Name the agent (`agentId`: id or name).",
        )
    return None


def _worker_for(case: Case, ref: str) -> Judgement:
    """A worker of the daemon doing an agent's work has that agent's permissions, not its own."""
    agent = case.facts.agent(case.rx, case.action.company, ref)
    if agent is None:
        return case.refuse(
            "agent.unknown", "identity", f"no agent {ref!r} in this company", "Nothing to do."
        )
    case.agent = agent
    case.actor = Actor(ActorKind.AGENT, agent.id, agent.name, agent.role, Proof.SYSTEM)
    return None


def _as_agent(case: Case, token: Token, agent: AgentFacts, proof: Proof) -> None:
    case.agent = agent
    case.actor = Actor(ActorKind.AGENT, agent.id, agent.name, agent.role, proof, token.id)


def _own_agent(case: Case, token: Token) -> Judgement:
    agent = case.facts.agent(case.rx, case.action.company, token.agent or "")
    if agent is None:
        return case.refuse(
            "identity.agent_gone", "identity", "the token's agent is gone", "Use another token."
        )
    _as_agent(case, token, agent, case.action.proof)
    named = case.action.acting
    if named is not None and named != agent.name and named.lower() != agent.id:
        return case.refuse(
            "identity.not_you",
            "identity",
            f"this token is {agent.name}'s and cannot act for {named!r}",
            "Name yourself, or nobody.",
        )
    return None


def _acting(case: Case, token: Token, ref: str) -> Judgement:
    agent = case.facts.agent(case.rx, case.action.company, ref)
    if agent is None:
        return case.refuse(
            "agent.unknown",
            "identity",
            f"no agent {ref!r} in this company",
            "See `homarus agent list`, or create it first.",
        )
    if token.kind == "operator":
        if not role_reaches(token.role, "operator"):
            return case.refuse(
                "identity.role", "identity", "a viewer acts for nobody", "Ask an operator."
            )
        _as_agent(case, token, agent, Proof.ASSERTED)
        return None
    if agent.role in GOVERNED_ROLES:
        return case.refuse(
            "identity.governed_role",
            "identity",
            f"{agent.name} holds the governed role {agent.role}; no company token acts for it",
            "Use that agent's own token: `homarus token create --agent`.",
        )
    if case.rx.one(_HOLDS, (token.id, agent.id)) is None:
        return case.refuse(
            "identity.not_granted",
            "identity",
            f"the token {token.name!r} may not act for {agent.name}",
            f"Ask an owner: `homarus token grant {token.id} {agent.name}`.",
        )
    _as_agent(case, token, agent, Proof.ASSERTED)
    return None
