"""R6: a tool call needs a live preflight whose scope covers it (governance contract, 1, 3, 5).

Judged are exec, external_write, governed_write and dispatch of agents, also when the daemon works
for one. Who names no preflight acts under that of the task it holds; talk is covered by an agent's
standing contract.
"""

from typing import Final

from homarus.base.action import ActorKind, Consequence, Divert, Effect
from homarus.kernel import preflights
from homarus.kernel.case import Case, Judgement
from homarus.kernel.facts import TaskFacts
from homarus.kernel.preflights import Preflight

JUDGED: Final = frozenset(
    {Effect.EXEC, Effect.EXTERNAL_WRITE, Effect.GOVERNED_WRITE, Effect.DISPATCH}
)
STANDING: Final = frozenset({"message.send", "task.assign"})
"""An agent may always talk and hand on; no client has to ask first."""

TASK: Final = "task:"
CREATE_TASK: Final = "create_task"
"""Where a conversation's wish for real work is diverted to (design, 6)."""
REMEDY: Final = "Ask first: `POST /preflights`, or `homarus query --intent`."


def r6_preflight(case: Case) -> Judgement:
    """A tool call needs a live preflight whose scope covers it."""
    if not case.by_agent or case.effect not in JUDGED:
        return None
    named = case.action.preflight
    return _of_claim(case) if named is None else _named(case, named)


def _of_claim(case: Case) -> Judgement:
    held = case.held()
    if held is not None and _concerns(case, held):
        row = preflights.by_id(
            case.rx, case.action.company, preflights.claim_id(held.id, held.token)
        )
        if row is not None and _covers(case, row):
            case.preflight = row.id
            return None
    if case.action.capability in STANDING:
        return None
    name = case.agent.name if case.agent is not None else "the agent"
    why = (
        f"{name} holds no task and names no preflight"
        if held is None
        else f"{name} names no preflight, and the claim of its task does not cover it"
    )
    return _no(case, "R6.none", f"{case.action.capability}: {why}", REMEDY)


def _concerns(case: Case, held: TaskFacts) -> bool:
    """A claim stands for acts on its own task. A dispatch names the task that it hands on."""
    if case.action.task is None or case.effect is Effect.DISPATCH:
        return True
    task = case.task()
    return task is not None and task.id == held.id


def _named(case: Case, named: str) -> Judgement:
    row = preflights.by_id(case.rx, case.action.company, named)
    if row is None:
        return _no(case, "R6.unknown", f"no preflight {named[:60]!r} in this company", REMEDY)
    if case.agent is None or row.agent != case.agent.id:
        return _no(case, "R6.not_yours", "the preflight is another agent's", REMEDY)
    task = case.task()
    if row.task is not None and case.action.task is not None:
        about = None if task is None else task.id
        if row.task != about:
            return _no(
                case,
                "R6.wrong_task",
                "the preflight is for another task",
                "Name the preflight of this task, or make one: `POST /preflights`.",
            )
    facts = None
    if row.kind == preflights.CLAIM and row.task is not None:
        facts = case.facts.task(case.rx, row.company, row.task)
    if not row.live(case.rx.now_ms, facts):
        what = "its claim has ended" if row.kind == preflights.CLAIM else "its time is over"
        return _no(case, "R6.expired", f"the preflight is no longer live: {what}", REMEDY)
    if not _covers(case, row):
        if row.kind == preflights.TURN:
            return Divert(
                CREATE_TASK,
                f"a conversation does not do {case.action.capability} by itself: it becomes a task",
                actor=case.actor,
            )
        return _no(
            case,
            "R6.outside",
            f"the preflight does not cover {case.action.capability} on {case.action.target}"[:400],
            "Make one for what you want to do: `POST /preflights`.",
        )
    case.preflight = row.id
    return None


def _covers(case: Case, row: Preflight) -> bool:
    action = case.action
    if row.perm == preflights.READ and case.effect is not Effect.DISPATCH:
        return False
    if preflights.covers(row.scope, action.capability, action.target):
        return True
    if not action.target.startswith(TASK):
        return False
    named = case.facts.task(case.rx, action.company, action.target.removeprefix(TASK))
    return named is not None and preflights.covers(
        row.scope, action.capability, f"{TASK}{named.id}"
    )


def _no(case: Case, code: str, reason: str, remedy: str) -> Judgement:
    """Instinct A: an effect without a preflight blocks the task and costs trust; the second within
    a day makes the agent read-only, as `trust.event` sees to (governance contract, 2). What an
    operator tries for an agent is not held against the agent."""
    agent = case.agent
    by_operator = case.token is not None and case.token.kind == ActorKind.OPERATOR
    if agent is None or by_operator or case.effect is Effect.DISPATCH:
        return case.refuse(code, "R6", reason, remedy)
    held = case.held()
    task = None if held is None else held.id
    then: tuple[Consequence, ...] = (
        Consequence(
            "trust.event", agent.id, {"kind": "untrusted_execution", "task": task, "note": reason}
        ),
    )
    if task is not None:
        then += (Consequence("task.block", task, {"reason": "preflight"}),)
    return case.refuse(code, "R6", reason, remedy, consequences=then)
