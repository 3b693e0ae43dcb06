"""Agents below the least trust claim nothing until an operator reviews them (contract, 12)."""

from homarus.kernel.case import Case, Judgement


def untrusted(case: Case) -> Judgement:
    """Filled in by this module's own work; lets everything pass until then."""
    return None
