"""Agents below the least trust claim nothing until an operator reviews them (contract, 12)."""

from typing import Final

from homarus.kernel.case import Case, Judgement
from homarus.kernel.trust_rules import LOW

_CLAIM: Final = "task.claim"


def untrusted(case: Case) -> Judgement:
    """Below 30 an agent claims no task. It still reads, talks and reports on what it holds."""
    agent = case.agent
    if agent is None or agent.trust >= LOW or case.action.capability != _CLAIM:
        return None
    return case.refuse(
        "trust.untrusted",
        "trust",
        f"{agent.name} is untrusted (score {agent.trust}; claims need {LOW})",
        f"An operator reviews it: `homarus trust review {agent.name}`.",
    )
