"""R5: every dispatch between agents carries a routing note (governance contract, 4)."""

from homarus.kernel.case import Case, Judgement


def r5_kernel_injection(case: Case) -> Judgement:
    """Filled in by this module's own work; lets everything pass until then."""
    return None
