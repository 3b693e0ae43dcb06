"""The ordered table of interceptors: the only judge of every effect (governance contract, 1).

Each interceptor is `(case) -> Refuse | Divert | None`; the first that answers decides. A company of
level `observe` lets pass what a row marked `OBSERVABLE` refuses; its receipt then says what would
have been refused.
"""

from typing import Final

from homarus.base.action import Action, Allow, Divert, Refuse
from homarus.kernel.approving import approval
from homarus.kernel.budgeting import budget
from homarus.kernel.case import Case, Interceptor, NoteKey
from homarus.kernel.dispatching import r5_kernel_injection
from homarus.kernel.facts import Facts
from homarus.kernel.gating import gates
from homarus.kernel.halted import stop, suspended
from homarus.kernel.identity import identity
from homarus.kernel.permission import permission
from homarus.kernel.preflighting import r6_preflight
from homarus.kernel.quota import quota
from homarus.kernel.redlines import (
    r1_ssot_authority,
    r2_local_scan,
    r3_async_dual_write,
    r4_governed_documents,
)
from homarus.kernel.trusting import untrusted
from homarus.store.port import Rx

OBSERVABLE: Final = True
ALWAYS: Final = False

INTERCEPTORS: Final[tuple[tuple[str, Interceptor, bool], ...]] = (
    ("identity", identity, ALWAYS),
    ("stop", stop, ALWAYS),
    ("suspended", suspended, ALWAYS),
    ("trust", untrusted, ALWAYS),
    ("R5", r5_kernel_injection, ALWAYS),
    ("R6", r6_preflight, OBSERVABLE),
    ("permission", permission, ALWAYS),
    ("R1", r1_ssot_authority, OBSERVABLE),
    ("R2", r2_local_scan, OBSERVABLE),
    ("R3", r3_async_dual_write, OBSERVABLE),
    ("R4", r4_governed_documents, ALWAYS),
    ("gates", gates, OBSERVABLE),
    ("approval", approval, ALWAYS),
    ("budget", budget, ALWAYS),
    ("quota", quota, OBSERVABLE),
)
_TABLE: Final = tuple((fn, observable) for _, fn, observable in INTERCEPTORS)


def judge(
    rx: Rx, action: Action, facts: Facts, note_key: NoteKey | None = None
) -> Allow | Refuse | Divert:
    """The verdict on one action. Reads only."""
    case = Case(rx, action, facts, note_key)
    observed: Refuse | Divert | None = None
    for interceptor, observable in _TABLE:
        judgement = interceptor(case)
        if judgement is None:
            continue
        if not observable or not case.observes:
            return judgement
        observed = observed or judgement
    if case.actor is None:
        raise AssertionError("identity let nobody pass")
    return Allow(
        case.actor,
        case.agent,
        case.stopped,
        case.consequences,
        observed,
        case.preflight,
        case.context,
    )
