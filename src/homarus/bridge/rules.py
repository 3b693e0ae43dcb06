"""Pure decisions of a bridge: no I/O, no clock."""

import re
from collections.abc import Container, Iterable
from enum import StrEnum
from typing import Any, Final

from homarus.client.shapes import Message, Stop, Task

BASE_S: Final = 2.0
CAP_S: Final = 60.0
JITTER: Final = 0.2
"""Reconnect delay: min(cap, base·2^attempt) and up to a fifth more, capped (contract, 13)."""

FINAL: Final = frozenset({"done", "failed", "dead_letter", "archived"})
_WAITING: Final = frozenset({"inbox", "queued"})


def reconnect_delay_s(
    attempt: int, chance: float, base_s: float = BASE_S, cap_s: float = CAP_S
) -> float:
    """Wait before the next try to connect, after `attempt` failed ones; `chance` in 0..1."""
    delay_s = min(cap_s, base_s * 2.0 ** min(attempt, 30))
    return min(cap_s, delay_s * (1 + JITTER * chance))


def is_waiting(task: Task, agent: str, passed_over: Container[str] = ()) -> bool:
    """Whether this task of a list may be claimed by the agent, as far as a list tells."""
    return (
        task.state in _WAITING
        and task.canonical_state in ("", "queued")
        and task.blocked_by == 0
        and task.assigned_member_id is None
        and task.assigned_agent_id in (None, agent)
        and task.id not in passed_over
    )


def next_waiting(
    tasks: Iterable[Task], agent: str, passed_over: Container[str] = ()
) -> Task | None:
    """The one that waits longest among those of the highest priority (contract, 6.5)."""
    waiting = [task for task in tasks if is_waiting(task, agent, passed_over)]
    return min(waiting, key=lambda task: (-task.priority, task.created_at, task.id), default=None)


def may_bring_work(task: dict[str, Any], agent: str) -> bool:
    """Whether a task's frame is a reason to look: it waits, or what waited for it may go on."""
    if task.get("state") in FINAL:
        return True
    return task.get("state") in _WAITING and task.get("assignedAgentId") in (None, agent)


def has_room(active: int, limit: int) -> bool:
    """Queue pressure's other half: fewer tasks in hand than the bridge may have."""
    return active < limit


def is_held(task: Task, agent: str) -> bool:
    """Whether the agent has this task in hand."""
    return task.state == "in_progress" and task.assigned_agent_id == agent


def stopped_by(
    stops: Iterable[Stop], agent: str, project: str = "", task: str = "", trace: str | None = None
) -> Stop | None:
    """The STOP that covers the agent, or this task of it."""
    for stop in stops:
        subject = {"agent": agent, "project": project, "task": task, "trace": trace}
        if stop.scope == "company" or subject.get(stop.scope) == stop.subject:
            return stop
    return None


class Attention(StrEnum):
    """What a message gets."""

    IGNORE = "ignore"
    OBSERVE = "observe"
    ANSWER = "answer"


def attention(
    message: Message, agent: str, name: str, *, mine: bool, addressed_only: bool
) -> Attention:
    """Own messages are ignored by sender id, and so is what was said to somebody else.

    `mine`: it stands in this agent's own direct thread. `addressed_only`: of what people say to
    everybody, only what names the agent (`@name`) is answered. What other agents say to this one is
    remembered, never answered: two bridges would talk for ever.
    """
    if message.sender_id == agent and message.sender_type != "human":
        return Attention.IGNORE
    if message.target_agent_id not in (None, agent):
        return Attention.IGNORE
    if message.thread_type == "direct" and not mine and message.target_agent_id is None:
        return Attention.IGNORE
    addressed = message.target_agent_id == agent or mine or names(message.text, name)
    if message.sender_type != "human":
        return Attention.OBSERVE if message.target_agent_id == agent else Attention.IGNORE
    return Attention.ANSWER if addressed or not addressed_only else Attention.OBSERVE


def names(text: str, name: str) -> bool:
    """Whether a text says `@name`."""
    return re.search(rf"(?<!\w)@{re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def unanswered(messages: list[Message], agent: str) -> list[Message]:
    """Of a thread's messages, oldest first: what people said after the agent's last word."""
    tail: list[Message] = []
    for message in messages:
        if message.sender_id == agent and message.sender_type == "agent":
            tail.clear()
        elif message.sender_type == "human" and message.delivery_state in ("", "queued"):
            tail.append(message)
    return tail


def message_key(message: str) -> str:
    return f"msg:{message}"


def fingerprint(task: dict[str, Any]) -> str:
    """Of a task's frame: the same state is news once."""
    return f"task:{task.get('id')}:{task.get('state')}:{task.get('updatedAt')}"
