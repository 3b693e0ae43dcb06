"""The head start of better-trusted agents at a claim (design, 6): 2 s over normal, 30 s over low.

A fresh task is left to a better-trusted agent that is online, has a free place and fits. It is the
task's age that counts, and that only grows: after its head start anybody who fits may have it.
"""

from homarus.company import agents
from homarus.kernel.facts import AgentFacts
from homarus.kernel.trust_rules import HEAD_START_MS, band, least_above
from homarus.store.port import Tx
from homarus.tasks.lanes import Head


def is_early(tx: Tx, agent: AgentFacts, head: Head) -> bool:
    """Whether this agent must leave the head of a lane to a better-trusted one for now."""
    if head.assigned:
        return False
    skills = frozenset(head.skills.split("\n")) if head.skills else frozenset()
    return waits(tx, agent, head.created_ms, head.role, skills)


def waits(
    tx: Tx, agent: AgentFacts, created_ms: int, role: str | None, skills: frozenset[str]
) -> bool:
    """One comparison for all but fresh tasks; for those one query by the index of trust."""
    if tx.now_ms - created_ms >= HEAD_START_MS[band(agent.trust)]:
        return False
    least = least_above(agent.trust)
    return least is not None and agents.better_waits(tx, tx.company, least, role, skills)
