"""What verdicts bring about besides themselves, in their own transaction (design, 2).

A handler is `(tx, consequence) -> what a refused caller should know of it, or None`. It must do no
harm when it runs again for a refusal that repeats.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from homarus.base.action import Consequence, Verdict
from homarus.flows import approving, blocking, lending, spending, trusting
from homarus.kernel import contexts
from homarus.store.port import Tx

Handler = Callable[[Tx, Consequence], Mapping[str, Any] | None]

HANDLERS: Final[dict[str, Handler]] = {
    "trust.event": trusting.on_event,
    "agent.restrict": trusting.on_restrict,
    "incident.open": trusting.on_incident,
    "task.block": blocking.block,
    "note.use": contexts.use,
    "budget.reserve": spending.on_reserve,
    "budget.count": spending.on_count,
    "quota.count": spending.on_call,
    "approval.open": approving.opened,
    "approval.use": approving.used,
    "secret.denied": lending.on_denied,
}
"""Consequence kind -> what it does. Each part of the kernel adds its own."""


def apply(tx: Tx, verdict: Verdict) -> Mapping[str, Any]:
    told: dict[str, Any] = {}
    for consequence in verdict.consequences:
        told |= HANDLERS[consequence.kind](tx, consequence) or {}
    trusting.punish(tx, verdict)
    lending.refused(tx, verdict)
    return told
