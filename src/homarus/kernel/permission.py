"""Capability permission: the registry grants it, or it is refused. Nothing is implicit."""

from typing import Final

from homarus.base.action import Actor, ActorKind, Effect
from homarus.kernel import targets
from homarus.kernel.capabilities import Builtin, role_reaches
from homarus.kernel.case import Case, Judgement, Registered
from homarus.kernel.registry import nearest

_WORKSPACE: Final = (f"{targets.WORKSPACE}**",)


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
    row = case.registered
    if row is None:
        return case.refuse(
            "permission.unknown_capability",
            "permission",
            f"no capability {case.action.capability[:100]!r} is registered",
            nearest(
                case.rx,
                case.action.company,
                case.action.capability,
                "See `homarus capability list`; only registered capabilities run.",
            ),
        )
    if row.quarantined:
        return case.refuse(
            "permission.quarantined",
            "permission",
            f"{case.action.capability} is new or has changed, and waits for its grant",
            f"Propose it: `homarus capability grant {case.action.capability} role:NAME`.",
        )
    if not row.enabled:
        return case.refuse(
            "permission.disabled",
            "permission",
            f"{case.action.capability} is disabled",
            "An owner enables it by registering it again.",
        )
    mine = {"*", f"role:{actor.role}", f"agent:{actor.id}"}
    if actor.kind is not ActorKind.SYSTEM and not row.grants & mine:
        return case.refuse(
            "permission.capability",
            "permission",
            f"{actor.name or actor.id} is not granted {case.action.capability}",
            f"Propose it: `homarus capability grant {case.action.capability} agent:NAME`.",
        )
    return _target(case, row)


def _target(case: Case, row: Registered) -> Judgement:
    """Without patterns a capability reaches its task and the caller's workspace, and one that reads
    whatever it names. What lies at a mirror is judged by R2 and R3."""
    target = case.action.target
    if target.startswith(targets.MIRROR) or _own(case, target):
        return None
    if not row.targets:
        if row.effect is Effect.READ or targets.matches(_WORKSPACE, target):
            return None
    elif targets.matches(row.targets, target):
        return None
    return case.refuse(
        "permission.target",
        "permission",
        f"{case.action.capability} does not reach {target[:100]!r}",
        f"It reaches {', '.join(row.targets)[:300] or 'its task and the workspace'}.",
    )


def _own(case: Case, target: str) -> bool:
    """No target at all, or the very task that the action concerns."""
    scheme, _, named = target.partition(":")
    task = case.action.task
    if scheme == "task":
        return task is None or named in ("", task)
    return target == "company:"
