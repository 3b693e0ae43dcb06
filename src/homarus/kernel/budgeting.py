"""Money, tokens and calls are reserved before they are spent (design, 1).

An act with an estimate reserves it in every scope that it is charged to: the company, the project
and task of its work, its agent. An act that reaches outside or runs a program without an estimate
counts as one call, at the price of its capability if it has one; a company without budgets pays one
query for that, and other acts none.
"""

from typing import Any, Final

from homarus.base.action import ActorKind, Effect, Estimate, Proof, Refuse
from homarus.base.ids import new_id
from homarus.kernel import budgets, prices
from homarus.kernel.budgets import Amounts, Short
from homarus.kernel.case import Case, Judgement
from homarus.kernel.facts import TaskFacts
from homarus.kernel.reservations import NewReservation, scopes

COUNTED: Final = frozenset({Effect.MODEL, Effect.EXEC, Effect.EXTERNAL_WRITE})
RULE: Final = "budget"


def budget(case: Case) -> Judgement:
    """Money, tokens and calls are reserved before they are spent."""
    estimate = case.action.estimate
    if estimate is not None:
        return _reserve(case, estimate)
    if case.effect not in COUNTED or _own_business(case):
        return None
    if not budgets.any_set(case.rx, case.action.company):
        return None
    return _count(case)


def _own_business(case: Case) -> bool:
    """The daemon's own posts (a notice that an approval waits) are nobody's to pay."""
    return case.actor is not None and case.actor.kind is ActorKind.SYSTEM


def _reserve(case: Case, estimate: Estimate) -> Judgement:
    action = case.action
    figures = (estimate.money or 0, estimate.tokens, estimate.calls, estimate.output_tokens)
    if (
        min(figures) < 0
        or max(figures) > prices.MAX_AMOUNT
        or estimate.output_tokens > estimate.tokens
    ):
        return case.refuse(
            "budget.amount", RULE, "the estimate is out of range", f"0 to {prices.MAX_AMOUNT}."
        )
    task = _work(case)
    if task is None and action.task is not None:
        return case.refuse(
            "budget.task",
            RULE,
            f"{action.task[:80]} is no task that you hold; it cannot pay",
            "Claim the task first, or name none.",
        )
    money = prices.money_of(case.rx, action.company, action.capability, estimate)
    agent = None if case.agent is None else case.agent.id
    named = (None, None) if task is None else (task.project or None, task.id)
    charged = scopes(action.company, named[0], agent, named[1])
    under = budgets.under(case.rx, action.company, charged, case.rx.now_ms)
    short = budgets.shortage(under, money, estimate.tokens, estimate.calls)
    if short is not None:
        return _refused(case, short, estimate.model)
    reservation = new_id(case.rx.now_ms)
    amounts = Amounts(money or 0, estimate.tokens, estimate.calls)
    new = NewReservation(reservation, agent, named[1], named[0], amounts, estimate.model)
    case.then("budget.reserve", reservation, reservation=new)
    return None


def _count(case: Case) -> Judgement:
    """One call of something that nobody estimates."""
    action = case.action
    task = _work(case)
    agent = None if case.agent is None else case.agent.id
    named = (None, None) if task is None else (task.project or None, task.id)
    charged = scopes(action.company, named[0], agent, named[1])
    price = prices.in_force(case.rx, action.company, action.capability)
    money: int | None = 0 if price is None else price.of(0, 0, 1)
    if price is None and case.effect is Effect.MODEL:
        money = None
    under = budgets.under(case.rx, action.company, charged, case.rx.now_ms)
    short = budgets.shortage(under, money, 0, 1)
    if short is not None:
        return _refused(case, short, None)
    case.then("budget.count", "", scopes=charged, amounts=Amounts(money or 0, 0, 1))
    return None


def _work(case: Case) -> TaskFacts | None:
    """The task that pays: the one named, if the acting agent holds it; else the one it holds.

    Nobody charges the project of another's task: an agent's word for its task is checked.
    """
    if case.action.task is None:
        return case.held()
    named = case.task()
    if case.agent is None or (case.actor is not None and case.actor.proof is Proof.SYSTEM):
        return named
    held = case.held()
    return held if held is not None and named is not None and held.id == named.id else None


def _refused(case: Case, short: Short, model: str | None) -> Refuse:
    row = short.budget
    period = "" if row.period == "total" else f"{row.period} "
    what = f"the {period}budget of {row.unit} of this {row.scope}"
    spent, limit = budgets.words(row.unit, row.spent), budgets.words(row.unit, row.limit)
    left = budgets.words(row.unit, max(row.left, 0))
    more: dict[str, Any] = {
        "once": True,
        "details": {
            "budget": row.id,
            "scope": row.scope,
            "subject": row.subject,
            "unit": row.unit,
            "period": row.key,
            "left": row.left,
            "asked": short.asked,
        },
    }
    match short.why:
        case "debt":
            return case.refuse(
                "budget.debt",
                RULE,
                f"{what} is overdrawn: {spent} spent of {limit}",
                "Nothing is paid there until an owner raises it (`homarus budget set`), "
                "or its period turns.",
                **more,
            )
        case "unknown_price":
            return case.refuse(
                "budget.unknown_price",
                RULE,
                f"{what} is limited, and {model or case.action.capability} has no price",
                "An owner sets one: `homarus budget price NAME`.",
                **more,
            )
        case _:
            asked = budgets.words(row.unit, short.asked or 0)
            return case.refuse(
                "budget.exhausted",
                RULE,
                f"{what} has {left} left, and this needs {asked}",
                "Ask for less, ask an owner to raise it (`homarus budget set`), or wait until its "
                "period turns.",
                **more,
            )
