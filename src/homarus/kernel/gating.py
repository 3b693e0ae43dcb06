"""Stored gate verdicts that an act runs into (governance contract, 7).

Gates are evaluated when a task enters and at each stage change, not here. Here is asked only of
acts outside the store, and only where the task is bound to a capability or its route is L2 or L3:
everything else costs nothing, or the one look at the task that other rules share.
"""

from typing import Final

from homarus.base.action import Effect
from homarus.kernel import rdp
from homarus.kernel.case import Case, Judgement
from homarus.kernel.facts import TaskFacts

_ACTS: Final = frozenset({Effect.EXEC, Effect.EXTERNAL_WRITE, Effect.GOVERNED_WRITE})


def gates(case: Case) -> Judgement:
    """Acts of agents on a task that is bound (gate 1), unconfirmed (gate 6), unaudited (gate 4)."""
    if case.effect not in _ACTS or not case.by_agent:
        return None
    task = case.task() if case.action.task is not None else case.held()
    if task is None:
        return None
    return _wild_script(case, task) or _unconfirmed(case, task) or _unaudited(case, task)


def _wild_script(case: Case, task: TaskFacts) -> Judgement:
    wanted = case.action.capability
    if case.effect is not Effect.EXEC or task.capability in (None, wanted):
        return None
    decision = rdp.last_decision(case.rx, task.id)
    if decision is None or wanted in decision.evidence.get("1", {}).get("checks", ()):
        return None
    return case.refuse(
        "gate-1.wild_script",
        "gate-1",
        f"the task is bound to `{task.capability}`, and `{wanted}` is something else",
        f"Use `{task.capability}`, or give the other work a task of its own.",
    )


def _unconfirmed(case: Case, task: TaskFacts) -> Judgement:
    if task.level != 2 or rdp.confirmed(case.rx, task.id):
        return None
    return case.refuse(
        "gate-6.brief",
        "gate-6",
        "the task's route is L2, and its reverse brief is not confirmed",
        "Write the brief (POST …/tasks/{id}/brief) and wait until the requester confirms it.",
    )


def _unaudited(case: Case, task: TaskFacts) -> Judgement:
    if task.level != 3:
        return None
    if rdp.audited(rdp.parts(case.rx, task.id)) is not None:
        return None
    return case.refuse(
        "gate-4.audit",
        "gate-4",
        "the task's route is L3, and nobody has audited it",
        "Somebody who neither implements nor accepts it audits first: POST …/tasks/{id}/audit.",
    )
