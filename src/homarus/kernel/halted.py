"""What stands above every rule: STOP, and agents that may not act at present."""

from homarus.base.action import ActorKind, Effect, Refuse
from homarus.kernel.case import Case, Judgement
from homarus.kernel.facts import TaskFacts
from homarus.kernel.stop import Stop


def stop(case: Case) -> Judgement:
    """STOP binds all but operators and the daemon's own bookkeeping; reads go on."""
    actor = case.actor
    effect = case.effect
    if effect is Effect.READ or actor is None or actor.kind is ActorKind.OPERATOR:
        return None
    if actor.kind is ActorKind.SYSTEM and effect is Effect.LOCAL_WRITE:
        return None
    for row in case.stops():
        if _covers(case, row):
            return _refused(case, row)
    return None


def stop_on(case: Case, task: TaskFacts) -> Judgement:
    """STOP on a task that the action does not name itself: the one that a routing note is about."""
    for row in case.stops():
        if row.subject in (task.id, task.trace, task.project):
            return _refused(case, row)
    return None


def _refused(case: Case, row: Stop) -> Refuse:
    return case.refuse(
        f"stop.{row.scope}",
        "stop",
        f"STOP is in force on this {row.scope}: {row.reason or 'no reason given'}",
        f"Wait until an owner lifts it: `homarus stop lift {row.id}`.",
    )


def _covers(case: Case, row: Stop) -> bool:
    action = case.action
    match row.scope:
        case "company":
            return True
        case "agent":
            return case.actor is not None and case.actor.id == row.subject
        case "task":
            task = case.task()
            named = (action.task, action.target.partition(":")[2])
            return row.subject in named or (task is not None and task.id == row.subject)
        case "trace":
            task = case.task()
            return row.subject in (action.trace, task.trace if task else None)
        case _:
            task = case.task()
            return action.target == f"project:{row.subject}" or (
                task is not None and task.project == row.subject
            )


def suspended(case: Case) -> Judgement:
    """A suspended agent reads and talks about itself, nothing else (governance contract, 12)."""
    if case.agent is None or not case.agent.suspended or case.effect is Effect.READ:
        return None
    return case.refuse(
        "suspended.agent",
        "suspended",
        f"{case.agent.name} is suspended",
        f"An operator reviews and restores it: `homarus trust review {case.agent.name}`.",
    )
