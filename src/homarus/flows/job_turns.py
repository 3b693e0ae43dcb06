"""The turn of a job: what may be said of it when the job is defined, and how it is then run."""

import re
from typing import Any, Final

from homarus.base.errors import Conflict, Invalid
from homarus.company import agents, models
from homarus.config.channels import Channels
from homarus.conversations import keys, turns
from homarus.conversations.sessions import THINKING
from homarus.flows import announcing, turn_inbound
from homarus.jobs.model import Job
from homarus.store.port import Tx

MAX_MESSAGE: Final = turn_inbound.MAX_TEXT
MAX_TOOLS: Final = 64
MAX_TOOL: Final = 128
"""Characters of a tool's name, or of a pattern of names."""
_TOOL: Final = re.compile(rf"[A-Za-z0-9_.*-]{{1,{MAX_TOOL}}}")
MAX_TIMEOUT_S: Final = 24 * 3_600
SAID_BY: Final = "saidBy"
"""In what a job does: who wrote its message last, as receipts name them. Kept, not shown."""
SCRIPTED: Final = "scripted"
"""The model that needs no row (`agents/scripted.py`)."""


def checked(
    tx: Tx, agent: str, does: dict[str, Any], known: dict[str, Any], configured: Channels
) -> dict[str, Any]:
    """What it does, as it is kept; `known`: what of it was there before, and is let be.

    Raises `job.message`, `job.thinking`, `job.timeout`, `job.tools`, `agent.*`, `session.key`,
    `model.unknown`, `channel.*`, `delivery.*`.
    """
    _check_message(does.get("message"))
    row = agents.need(tx, tx.company, agent)
    if row.executor != turn_inbound.LLM:
        raise Conflict(
            "agent.not_run_here",
            f"{row.name} is not run by this daemon (executor {row.executor})",
            f"Let it be: `homarus agent update {row.name} --executor llm`.",
        )
    named = str(does["session"]) if does.get("session") else None
    key = None if named is None else keys.resolve(named, row.name)
    does = _signed(tx, does, known)
    new = {name for name, value in does.items() if value != known.get(name)}
    if "thinking" in new:
        _check_thinking(does["thinking"])
    if "timeoutSeconds" in new:
        _check_timeout(does["timeoutSeconds"])
    if "toolsAllow" in new:
        _check_tools(does["toolsAllow"])
    if "model" in new and does["model"] != SCRIPTED:
        models.named(tx, tx.company, str(does["model"]))
    if announcing.FIELD not in new:
        return does
    home = announcing.home_of(tx, tx.company, row, key)
    wish = announcing.read(does[announcing.FIELD])
    wish = announcing.checked(tx, wish, configured, home)
    return does | {announcing.FIELD: announcing.stored(wish)}


def _signed(tx: Tx, does: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """With who wrote its message: whoever changes it, else whoever did before."""
    does = {name: value for name, value in does.items() if name != SAID_BY}
    by = known.get(SAID_BY) if does["message"] == known.get("message") else tx.actor.key
    return does if by is None else does | {SAID_BY: by}


def shown(job: Job) -> dict[str, Any]:
    """What it does, as its readers are told."""
    return {name: value for name, value in job.does.items() if name != SAID_BY}


def _check_message(message: Any) -> None:
    if not isinstance(message, str) or not 0 < len(message.strip()) <= MAX_MESSAGE:
        raise Invalid(
            "job.message", "what is to be said is empty or too long", f"1 to {MAX_MESSAGE}."
        )


def _check_thinking(level: Any) -> None:
    if level not in THINKING:
        raise Invalid("job.thinking", f"no level of thinking {str(level)[:40]!r}",
                      f"One of {', '.join(THINKING)}.")  # fmt: skip


def _check_timeout(timeout_s: Any) -> None:
    number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if not number or not 1 <= timeout_s <= MAX_TIMEOUT_S:
        raise Invalid("job.timeout", f"a turn cannot be given {str(timeout_s)[:20]} seconds",
                      f"1 to {MAX_TIMEOUT_S}; leave it out for no bound.")  # fmt: skip


def are_tools(named: Any) -> bool:
    """Whether this is a list of tools' names and patterns, as a turn may be held to."""
    return (
        isinstance(named, list)
        and len(named) <= MAX_TOOLS
        and all(isinstance(name, str) and _TOOL.fullmatch(name) is not None for name in named)
    )


def _check_tools(named: Any) -> None:
    if not are_tools(named):
        raise Invalid(
            "job.tools", "unusable list of tools",
            f"Names of tools, such as `read`, or patterns with `*`: {MAX_TOOLS} at most. There are "
            "no groups.",
        )  # fmt: skip


def without_delivery(what: str, does: dict[str, Any]) -> dict[str, Any]:
    """What a job does that is no turn. Raises `delivery.turn` where it has an answer delivered."""
    said = does.get(announcing.FIELD)
    if said is not None and announcing.read(said).mode != announcing.NONE:
        raise Invalid("delivery.turn", f"a {what} has no answer that could be delivered",
                      "Only a turn has one: `--say`.")  # fmt: skip
    return {name: value for name, value in does.items() if name != announcing.FIELD}


def options(job: Job) -> dict[str, Any]:
    """How the turn is to be run. A level that was taken before levels were checked says nothing."""
    thinking = job.does.get("thinking")
    found = {
        turn_inbound.MAKER: job.does.get(SAID_BY) or job.created_by,
        "thinking": thinking if thinking in THINKING else None,
        turn_inbound.MODEL: job.does.get("model"),
        turns.TIMEOUT_S: job.does.get("timeoutSeconds"),
        turn_inbound.TOOLS: job.does.get("toolsAllow"),
    }
    wish = announcing.of_job(job)
    if wish.mode != announcing.NONE:
        found[announcing.OPTION] = announcing.stored(wish)
    return {name: value for name, value in found.items() if value is not None}
