"""Money, tokens and calls are reserved before they are spent (design, 1)."""

from homarus.kernel.case import Case, Judgement


def budget(case: Case) -> Judgement:
    """Filled in by this module's own work; lets everything pass until then."""
    return None
