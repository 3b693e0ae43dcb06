"""For whom a worker of the daemon may claim: free agents of ours for which something waits."""

from typing import Final

from homarus.company import agents
from homarus.store.port import Rx
from homarus.tasks import lanes

MAX_LOOKED: Final = 2_000
"""Agents of one look, the least busy first."""


def ready(rx: Rx, *executors: str) -> list[agents.Agent]:
    """Agents whose work these executors do, that may hold more, and for which a task waits; a claim
    judges further. An idle company costs one statement, whatever its agents are."""
    waiting = lanes.companies(rx)
    if not waiting:
        return []
    free = [at for at in agents.run_here(rx, *executors) if at[0] in waiting]
    found = []
    for company, agent in free[:MAX_LOOKED]:
        row = agents.by_id(rx, company, agent)
        if row is not None and lanes.waits(rx, company, agent, row.role, frozenset(row.skills)):
            found.append(row)
    return found
