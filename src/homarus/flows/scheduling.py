"""Jobs are defined and changed: whose they are, what they run, who may say so (contract, 8).

A job acts as its agent, and its firing stands for the claim that such an act needs. So commands and
housekeeping are operators' to define: else an agent could grant itself what a rule has it ask for.
A turn is defined by whoever may act for its agent: an operator for any, an agent for itself, a
company token for the agents that it holds. Task templates only make tasks, as `task.create` does:
those anybody defines who may create tasks.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.errors import Invalid, Refused
from homarus.company import agents, founding
from homarus.config.channels import Channels
from homarus.conversations import keys
from homarus.flows import announcing, job_agents, job_turns
from homarus.flows.calling import check
from homarus.jobs import service
from homarus.jobs.model import COMMAND, CRON, TASK, TURN, Job, JobChange
from homarus.kernel import tokens
from homarus.kernel.facts import GOVERNED_ROLES
from homarus.store.port import Tx

UNSET: Final = msgspec.UNSET
DUTIES: Final = {
    "retention": "forget what is kept no longer: keys, notes, attempts, ended runs, old deliveries",
    "contents": "remove contents that no artifact has",
    "backup": "take an online backup",
    "integrity": "look through the store for damage",
    "documents": "compare the documents of the main space with their hashes",
    "trust": "compute the scores whose week is over",
    "anchors": "put the last seal of each ledger beside the store",
}
"""Housekeeping that a job may run, by name."""
NO_CHANNELS: Final[Channels] = {}


def define(tx: Tx, kind: str, change: JobChange, configured: Channels = NO_CHANNELS) -> Job:
    """A new job; `change.agent` by id or name. Its clock hangs where the company's does.
    `configured`: the channels that an answer may be delivered to.

    Raises `job.*`, `agent.*`, `capability.unknown`, `call.*`, `time.zone`, `channel.*`,
    `delivery.*`, `model.unknown`.
    """
    change = _named(tx, change)
    if change.zone is UNSET and kind == CRON:
        change = msgspec.structs.replace(change, zone=founding.need(tx, tx.company).zone)
    what = TASK if change.what is UNSET else str(change.what)
    does = {} if change.does is UNSET else change.does
    does = _checked(tx, what, change.agent or None, does, {}, configured)
    return service.create(tx, kind, msgspec.structs.replace(change, does=does))


def change(tx: Tx, before: Job, new: JobChange, configured: Channels = NO_CHANNELS) -> Job:
    """The job as it is then; one that is another's stays. What of it does not change is not looked
    at again: a channel or a model that is gone keeps nobody from pausing it. Raises as `define`."""
    new = _named(tx, new)
    what = before.what if new.what is UNSET else str(new.what)
    agent = before.agent if new.agent is UNSET else new.agent
    does = before.does if new.does is UNSET else new.does
    check_may(tx, before.what, before.agent)
    if new.active is True:
        job_agents.check(tx, before, agent or None)
    does = _checked(tx, what, agent, does, before.does, configured)
    if new.does is not UNSET:
        new = msgspec.structs.replace(new, does=does)
    return service.update(tx, before, new)


def remove(tx: Tx, job: Job) -> Job:
    check_may(tx, job.what, job.agent)
    return service.archive(tx, job)


def _named(tx: Tx, change: JobChange) -> JobChange:
    if not change.agent:
        return change
    agent = agents.need(tx, tx.company, change.agent)
    return msgspec.structs.replace(change, agent=agent.id, namespace=keys.slug(agent.name))


def check_may(tx: Tx, what: str, agent: str | None) -> None:
    """Whether the actor may define what runs as this agent. Raises `job.not_yours`."""
    actor = tx.actor
    if actor.kind in (ActorKind.OPERATOR, ActorKind.SYSTEM) or what == TASK:
        return
    if what == TURN and agent is not None:
        if actor.kind is ActorKind.AGENT and actor.id == agent:
            return
        if actor.kind is ActorKind.RUNTIME and _holds(tx, agent):
            return
    raise Refused(
        "job.not_yours",
        f"a {what} of that agent is not yours to define",
        "Ask an operator: `homarus cron add`. What is said to yourself, and tasks, you may define.",
        rule="permission",
    )


def _holds(tx: Tx, agent: str) -> bool:
    row = agents.by_id(tx, tx.company, agent)
    governed = row is not None and row.role in GOVERNED_ROLES
    return not governed and tokens.may_act_for(tx, tx.actor.id, agent)


def _checked(
    tx: Tx, what: str, agent: str | None, does: dict[str, Any], known: dict[str, Any],
    configured: Channels,
) -> dict[str, Any]:  # fmt: skip
    """What it does, as it is kept; `known`: what of it was there before."""
    check_may(tx, what, agent)
    if what in (COMMAND, TURN) and agent is None:
        raise Invalid("job.no_agent", f"a {what} is somebody's", "Name the agent.")
    if what != TURN:
        does = job_turns.without_delivery(what, does)
    match what:
        case "command":
            check(tx, tx.company, str(does.get("capability", "")), _object(does, "arguments"))
        case "turn":
            does = job_turns.checked(tx, agent or "", does, known, configured)
            _check_target(tx, does, known)
        case "maintenance":
            if does.get("duty") not in DUTIES:
                raise Invalid(
                    "job.duty", f"no duty {str(does.get('duty'))[:40]!r}",
                    f"One of {', '.join(DUTIES)}.",
                )  # fmt: skip
    return does


def _check_target(tx: Tx, does: dict[str, Any], known: dict[str, Any]) -> None:
    """To say something to anybody is an act of its own, which operators may. Raises
    `job.not_yours`."""
    said = does.get(announcing.FIELD)
    if said is None or said == known.get(announcing.FIELD) or said.get("to") is None:
        return
    if tx.actor.kind not in (ActorKind.OPERATOR, ActorKind.SYSTEM):
        raise Refused(
            "job.not_yours", "a chat of your choice is not yours to have answers delivered to",
            "Leave `to` out: `last` is where the agent was last heard from. Or ask an operator.",
            rule="permission",
        )  # fmt: skip


def _object(does: dict[str, Any], name: str) -> dict[str, Any]:
    value = does.get(name)
    if value is not None and not isinstance(value, dict):
        raise Invalid("job.does", f"{name} is no object", "Give names and values.")
    return value or {}
