"""R6: a tool call needs a live preflight whose scope covers it (governance contract, 3, 5)."""

from homarus.kernel.case import Case, Judgement


def r6_preflight(case: Case) -> Judgement:
    """Filled in by this module's own work; lets everything pass until then."""
    return None
