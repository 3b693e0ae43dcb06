"""The ordered table of interceptors: the only judge of every effect (governance contract, 1).

Each interceptor is `(case) -> Refuse | Divert | None`; the first that answers decides. Those of
later issues have their places named here, so that the order is fixed from the start.
"""

import json
from collections.abc import Callable
from typing import Final

from homarus.base.action import Action, Actor, ActorKind, Allow, Divert, Effect, Proof, Refuse
from homarus.base.ids import is_uuid
from homarus.kernel.capabilities import BUILTIN, Builtin, role_reaches
from homarus.kernel.facts import GOVERNED_ROLES, AgentFacts, Facts, TaskFacts
from homarus.kernel.stop import Stop, active
from homarus.kernel.tokens import Token
from homarus.store.port import Rx

_CREDENTIAL: Final = (
    "select t.id, t.company, t.kind, t.role, t.scope, t.agent, t.name, t.created_ms, t.expires_ms, "
    "t.revoked_ms, exists(select 1 from stop s where s.company=? and s.lifted_ms is null) "
    "from token t where t.id=?"
)
_HOLDS: Final = "select 1 from token_agent where token=? and agent=?"
_REGISTERED: Final = "select effect, enabled, grants from capability where company=? and id=?"


class Case:
    """One action being judged. Facts load when first asked for."""

    __slots__ = ("_stopped", "_task", "action", "actor", "agent", "builtin", "facts", "rx", "token")

    def __init__(self, rx: Rx, action: Action, facts: Facts) -> None:
        self.rx = rx
        self.action = action
        self.facts = facts
        self.builtin: Builtin | None = BUILTIN.get(action.capability)
        self.token: Token | None = None
        self.agent: AgentFacts | None = None
        self.actor: Actor | None = None
        self._stopped: bool | None = None
        self._task: TaskFacts | None = None

    def refuse(self, code: str, rule: str, reason: str, remedy: str) -> Refuse:
        return Refuse(code, rule, reason, remedy, actor=self.actor)

    def load_credential(self) -> None:
        row = self.rx.one(_CREDENTIAL, (self.action.company, self.action.credential))
        if row is not None:
            self.token = Token(*row[:10])
            self._stopped = bool(row[10])

    @property
    def stopped(self) -> bool:
        """Whether a STOP may be in force in the company."""
        return self._stopped is not False

    def stops(self) -> list[Stop]:
        return active(self.rx, self.action.company) if self.stopped else []

    def task(self) -> TaskFacts | None:
        if self._task is None and self.action.task is not None:
            self._task = self.facts.task(self.rx, self.action.company, self.action.task)
        return self._task


Judgement = Refuse | Divert | None
Interceptor = Callable[[Case], Judgement]


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
    if case.action.acting not in (None, agent.id, agent.name):
        return case.refuse(
            "identity.not_you",
            "identity",
            f"this token is {agent.name}'s and cannot act for {case.action.acting!r}",
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


def stop(case: Case) -> Judgement:
    """STOP binds all but operators and the daemon's own bookkeeping; reads go on."""
    action, actor = case.action, case.actor
    effect = _effect(case)
    if effect is Effect.READ or actor is None or actor.kind is ActorKind.OPERATOR:
        return None
    if actor.kind is ActorKind.SYSTEM and effect is Effect.LOCAL_WRITE:
        return None
    for row in case.stops():
        if _covers(case, row):
            return case.refuse(
                f"stop.{row.scope}",
                "stop",
                f"STOP is in force on this {row.scope}: {row.reason or 'no reason given'}",
                f"Wait until an owner lifts it: `homarus stop lift {row.id}`.",
            )
    _ = action
    return None


def _covers(case: Case, row: Stop) -> bool:
    action = case.action
    match row.scope:
        case "company":
            return True
        case "agent":
            return case.actor is not None and case.actor.id == row.subject
        case "task":
            task = case.task()
            named = (action.task, action.target.partition(":")[2])
            return row.subject in named or (task is not None and task.id == row.subject)
        case "trace":
            task = case.task()
            return row.subject in (action.trace, task.trace if task else None)
        case _:
            task = case.task()
            return action.target == f"project:{row.subject}" or (
                task is not None and task.project == row.subject
            )


def suspended(case: Case) -> Judgement:
    """A suspended agent reads and talks about itself, nothing else (governance contract, 12)."""
    if case.agent is None or not case.agent.suspended or _effect(case) is Effect.READ:
        return None
    return case.refuse(
        "suspended.agent",
        "suspended",
        f"{case.agent.name} is suspended",
        "An operator reviews and restores it: `homarus agent update --resume`.",
    )


def _effect(case: Case) -> Effect:
    return case.builtin.effect if case.builtin is not None else case.action.effect


def permission(case: Case) -> Judgement:
    """Capability permission: the registry grants it, or it is refused."""
    builtin, actor = case.builtin, case.actor
    if actor is None:
        return case.refuse("identity.unknown", "identity", "nobody acts", "Authenticate.")
    if builtin is None:
        return _registered(case, actor)
    if not _may(builtin, actor):
        return case.refuse(
            "permission.capability",
            "permission",
            f"{actor.kind} {actor.name or actor.id} may not `{builtin.id}`",
            f"It needs an operator of role {builtin.operator}."
            if builtin.operator
            else "Only the daemon itself does this.",
        )
    if builtin.scope == "mcp_danger" and case.token and case.token.scope != "mcp_danger":
        return case.refuse(
            "permission.scope",
            "permission",
            f"`{builtin.id}` needs a token of scope mcp_danger",
            "Ask an owner for one: `homarus token create --scope mcp_danger`.",
        )
    return None


def _may(builtin: Builtin, actor: Actor) -> bool:
    match actor.kind:
        case ActorKind.AGENT:
            return builtin.agents
        case ActorKind.OPERATOR:
            return role_reaches(actor.role, builtin.operator)
        case ActorKind.RUNTIME:
            return builtin.runtimes
        case ActorKind.SYSTEM:
            return builtin.system
        case _:
            return False


def _registered(case: Case, actor: Actor) -> Judgement:
    row = case.rx.one(_REGISTERED, (case.action.company, case.action.capability))
    if row is None:
        return case.refuse(
            "permission.unknown_capability",
            "permission",
            f"no capability {case.action.capability!r} is registered",
            "See `homarus capability list`; only registered capabilities run.",
        )
    _, enabled, grants = row
    if not enabled:
        return case.refuse(
            "permission.disabled",
            "permission",
            f"{case.action.capability} is disabled",
            "An owner enables it by registering it again.",
        )
    granted = set(json.loads(grants))
    mine = {"*", f"role:{actor.role}", f"agent:{actor.id}"}
    if actor.kind is ActorKind.SYSTEM or granted & mine:
        return None
    return case.refuse(
        "permission.capability",
        "permission",
        f"{actor.name or actor.id} is not granted {case.action.capability}",
        "An owner grants it when registering the capability.",
    )


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


def place(_: Case) -> Judgement:
    """A place in the order that a later part fills; it lets everything pass."""
    return None


INTERCEPTORS: Final[tuple[tuple[str, Interceptor], ...]] = (
    ("identity", identity),
    ("stop", stop),
    ("suspended", suspended),
    ("R5", place),
    ("R6", place),
    ("permission", permission),
    ("R1", r1_ssot_authority),
    ("R2", place),
    ("R3", place),
    ("R4", place),
    ("gates", place),
    ("approval", place),
    ("budget", place),
    ("quota", place),
)
_ACTIVE: Final = tuple(fn for _, fn in INTERCEPTORS if fn is not place)


def judge(rx: Rx, action: Action, facts: Facts) -> Allow | Refuse | Divert:
    """The verdict on one action. Reads only."""
    case = Case(rx, action, facts)
    for interceptor in _ACTIVE:
        judgement = interceptor(case)
        if judgement is not None:
            return judgement
    if case.actor is None:
        raise AssertionError("identity let nobody pass")
    return Allow(case.actor, case.agent, case.stopped)
