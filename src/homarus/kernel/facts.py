"""What `admit` may ask about the world, beyond the kernel's own tables.

Implemented by the packages that own the rows and handed in by `app.py`. Each call reads little and
only when an interceptor needs it.
"""

from typing import Protocol

import msgspec

from homarus.store.port import Rx

GOVERNED_ROLES = frozenset({"coo", "approver", "owner"})
"""Roles whose holders no company token may act as (design, 5)."""


class AgentFacts(msgspec.Struct, frozen=True, gc=False):
    """`trust` 0 to 100 (governance contract, 12). `limited`: it or its company has a budget."""

    id: str
    name: str
    role: str | None
    suspended: bool
    skills: frozenset[str] = frozenset()
    trust: int = 60
    limited: bool = False


class TaskFacts(msgspec.Struct, frozen=True, gc=False):
    """`agent` is who holds it or is to have it; `token` its fence; `level` the route's level (0 to
    3); `capability` the one that the task is bound to; `project` "" for a conversation's own. Times
    in Unix ms."""

    id: str
    project: str
    agent: str | None
    trace: str
    state: str = "queued"
    token: int = 0
    lease_until_ms: int | None = None
    lease_proof: str | None = None
    level: int = 0
    capability: str | None = None

    def held_by(self, agent: str, now_ms: int) -> bool:
        """Whether this agent works on it now, under a lease that has not run out."""
        until = self.lease_until_ms
        return self.agent == agent and until is not None and until > now_ms


class Facts(Protocol):
    def agent(self, rx: Rx, company: str, ref: str) -> AgentFacts | None:
        """A live agent by exact name, else by id (control-plane contract, 4.2)."""
        ...

    def task(self, rx: Rx, company: str, task: str) -> TaskFacts | None:
        """By id in any case or by number (`T-192`): a rule binds a task however it is named."""
        ...

    def held(self, rx: Rx, company: str, agent: str, task: str | None) -> TaskFacts | None:
        """What the agent holds under a live lease: `task` if it is that, else the newest claim."""
        ...

    def document(self, rx: Rx, company: str, path: str) -> str | None:
        """The class of a document of the main space (`governed`, `plain`); None: no such row."""
        ...
