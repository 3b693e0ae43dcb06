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
    id: str
    name: str
    role: str | None
    suspended: bool
    skills: frozenset[str] = frozenset()


class TaskFacts(msgspec.Struct, frozen=True, gc=False):
    id: str
    project: str
    agent: str | None
    trace: str


class Facts(Protocol):
    def agent(self, rx: Rx, company: str, ref: str) -> AgentFacts | None:
        """A live agent by exact name, else by id (control-plane contract, 4.2)."""
        ...

    def task(self, rx: Rx, company: str, task: str) -> TaskFacts | None:
        """By id in any case or by number (`T-192`): a rule binds a task however it is named."""
        ...
