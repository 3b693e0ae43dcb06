"""Spending: what the kernel set aside, what it came to, and who hears of it.

    admit -> on_reserve ... the act ... -> settle | release | (nobody says) expire_due

Marks that a budget reaches are events (`budget_warning`, `budget_stopped`, `budget_overrun`); an
overrun opens an incident, because the money is gone and a person has to decide.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind, Consequence, Estimate
from homarus.base.errors import Invalid, Refused
from homarus.company import agents, projects
from homarus.flows.facts import SqlFacts
from homarus.kernel import budgets, prices, quota, reservations
from homarus.kernel.budgets import STOPPED, WARNING, Amounts, Budget, Crossing
from homarus.kernel.reservations import EXPIRED, Reservation
from homarus.records import incidents
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks

OVERRUN_REASON: Final = "budget_overrun"


class Actual(msgspec.Struct, frozen=True):
    """What an act came to. `money` None: what the reservation's model makes of the tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    money: int | None = None
    calls: int | None = None


class Settled(msgspec.Struct, frozen=True):
    """`late`: after its time, so that it was no longer set aside; `reached`: marks of budgets."""

    reservation: Reservation
    late: bool
    reached: tuple[Crossing, ...] = ()


# -- what verdicts bring about ---------------------------------------------------------------


def on_reserve(tx: Tx, consequence: Consequence) -> None:
    """`budget.reserve`: set aside what the judged act may cost."""
    reservations.hold(tx, consequence.data["reservation"])


def on_count(tx: Tx, consequence: Consequence) -> None:
    """`budget.count`: an act that nobody estimates has cost this."""
    charged = consequence.data["scopes"]
    reached = budgets.add(tx, charged, tx.now_ms, consequence.data["amounts"])
    _announce(tx, reached, dict(charged))


def on_call(tx: Tx, consequence: Consequence) -> None:
    """`quota.count`: an agent reaches outside once more in this hour."""
    quota.count(tx, consequence.subject, consequence.data["hour"])


# -- the end of a reservation ----------------------------------------------------------------


def settle(tx: Tx, reservation: str, actual: Actual) -> Settled:
    """What it came to is spent, what was set aside beyond that is given back.

    More than was set aside is spent too: a scope above its limit is in debt. Also after its time:
    what happened is counted. Raises `reservation.unknown|ended`, `budget.not_yours|amount`.
    """
    row = _own(tx, reservation)
    came_to = _amounts(tx, row, actual)
    late = row.state == EXPIRED
    reached = reservations.end(tx, row, "settle", came_to)
    tx.emit(
        "budget_settled",
        row.id,
        {"money": came_to.money, "tokens": came_to.tokens, "late": late},
    )
    _announce(tx, reached, dict(row.scopes))
    return Settled(reservations.need(tx, tx.company, row.id), late, tuple(reached))


def release(tx: Tx, reservation: str) -> Reservation:
    """It never happened: all of it is given back. Raises as `settle`."""
    row = _own(tx, reservation)
    reservations.end(tx, row, "release", None)
    tx.emit("budget_released", row.id, {"money": row.money})
    return reservations.need(tx, tx.company, row.id)


def _own(tx: Tx, reservation: str) -> Reservation:
    """An agent ends its own reservations only."""
    row = reservations.need(tx, tx.company, reservation)
    if tx.actor.kind is ActorKind.AGENT and row.agent != tx.actor.id:
        raise Refused(
            "budget.not_yours",
            "the reservation belongs to another agent",
            "Settle your own.",
            rule="budget",
        )
    tx.about(task=row.task, trace=row.trace)
    return row


def _amounts(tx: Tx, row: Reservation, actual: Actual) -> Amounts:
    calls = row.calls if actual.calls is None else actual.calls
    figures = (actual.input_tokens, actual.output_tokens, actual.money or 0, calls)
    if min(figures) < 0 or max(figures) > prices.MAX_AMOUNT:
        raise Invalid("budget.amount", "an amount is out of range", f"0 to {prices.MAX_AMOUNT}.")
    tokens = actual.input_tokens + actual.output_tokens
    money = actual.money
    if money is None:
        estimate = Estimate(None, tokens, calls, actual.output_tokens, row.model)
        money = prices.money_of(tx, tx.company, row.capability, estimate)
    # Without a price there is nothing better than what was set aside.
    return Amounts(row.money if money is None else money, tokens, calls)


def expire_due(tx: Tx, limit: int) -> int:
    """Give back what nobody settled in time; how many."""
    return reservations.expire_due(tx, limit)


# -- usage that was reported after the act ---------------------------------------------------


class Usage(msgspec.Struct, frozen=True):
    """Tokens of an agent's model, and what they cost in micros."""

    tokens: int
    money: int


def report(tx: Tx, agent: str, model: str | None, inputs: int, outputs: int) -> Usage:
    """Tokens that an agent has used, without asking first: spend in all its scopes.

    A model without a price costs nothing here: the act is past, and refusing it would only hide it.
    """
    estimate = Estimate(None, inputs + outputs, 0, outputs, model)
    money = prices.money_of(tx, tx.company, "model.call", estimate) or 0
    held = SqlFacts().held(tx, tx.company, agent, None)
    project, task = (None, None) if held is None else (held.project, held.id)
    charged = reservations.scopes(tx.company, project, agent, task)
    reached = budgets.add(tx, charged, tx.now_ms, Amounts(money, inputs + outputs))
    tx.emit("agent_updated", agent, {"fields": ["monthly_token_usage"]})
    _announce(tx, reached, dict(charged))
    return Usage(inputs + outputs, money)


def came_to(
    tx: Tx, project: str, agent: str, task: str, model: str | None, inputs: int, outputs: int,
    money: int | None,
) -> None:  # fmt: skip
    """What a run of somebody else's program used: spend of company, project, agent and task."""
    if money is None:
        estimate = Estimate(None, inputs + outputs, 0, outputs, model)
        money = prices.money_of(tx, tx.company, "model.call", estimate) or 0
    amounts = Amounts(
        min(max(money, 0), prices.MAX_AMOUNT), min(max(inputs + outputs, 0), prices.MAX_AMOUNT)
    )
    charged = reservations.scopes(tx.company, project or None, agent, task)
    _announce(tx, budgets.add(tx, charged, tx.now_ms, amounts), dict(charged))


def correct(tx: Tx, agent: str, more: Amounts) -> None:
    """Add to what an agent itself spent this month, and to nothing else; may be negative."""
    charged = [("agent", agent)]
    reached = budgets.add(tx, charged, tx.now_ms, more, periods=("month",))
    tx.emit("agent_updated", agent, {"fields": ["monthly_cost_cents"]})
    _announce(tx, reached, dict(charged))


# -- budgets ---------------------------------------------------------------------------------


def set_budget(
    tx: Tx, scope: str, ref: str | None, unit: str, period: str, limit: int | None
) -> Budget | None:
    """Set, lower, raise or remove (None) a budget of a thing named as people do.

    Raises `budget.*`, `agent.unknown`, `project.unknown`, `task.unknown`.
    """
    subject = subject_of(tx, tx.company, scope, ref)
    row = budgets.put(tx, budgets.NewBudget(scope, subject, unit, period, limit))
    if row is not None:
        keep_status(tx, row)
    return row


def subject_of(rx: Rx, company: str, scope: str, ref: str | None) -> str:
    """The id of what a budget is for. Raises `budget.scope`, `budget.subject`, `*.unknown`."""
    if scope == "company":
        return company
    if scope not in budgets.SCOPES:
        raise Invalid("budget.scope", f"no scope {scope[:80]!r}", f"One of {list(budgets.SCOPES)}.")
    if not ref:
        raise Invalid("budget.subject", f"which {scope}?", "Name it.")
    match scope:
        case "agent":
            return agents.need(rx, company, ref).id
        case "project":
            return projects.need(rx, company, ref.lower()).id
        case _:
            return tasks.need(rx, company, ref).id


def keep_status(tx: Tx, row: Budget) -> None:
    """The wire's status of an agent rises with its monthly money and stays for that month."""
    if (row.scope, row.unit, row.period) != ("agent", "money", "month"):
        return
    agent = agents.by_id(tx, tx.company, row.subject)
    if agent is None or row.key != budgets.keys(tx.now_ms)["month"]:
        return
    said = agent.budget_status if agent.budget_month == row.key else agents.BUDGET_STATUSES[0]
    status = worse(said, STATUS_OF_STATE[row.state])
    if status != said:
        agents.keep_budget_status(tx, agent.id, status, row.key)


STATUS_OF_STATE: Final = {budgets.ACTIVE: "active", WARNING: "warning", STOPPED: "paused"}


def worse(one: str, other: str) -> str:
    return max(one, other, key=agents.BUDGET_STATUSES.index)


# -- who hears of it -------------------------------------------------------------------------


def _announce(tx: Tx, reached: list[Crossing], charged: dict[str, str]) -> None:
    for crossing in reached:
        row = crossing.budget
        said = (
            f"{budgets.words(row.unit, row.spent)} spent of "
            f"{budgets.words(row.unit, row.limit)} ({row.unit}, {row.scope}, {row.key})"
        )
        tx.emit(
            f"budget_{crossing.what}",
            row.id,
            {"scope": row.scope, "unit": row.unit, "spent": row.spent, "limit": row.limit},
        )
        keep_status(tx, row)
        agent = charged.get("agent")
        if agent is not None and crossing.what != budgets.OVERRUN:
            tasks.notify(tx, agent, f"budget_{crossing.what}", charged.get("task"), said)
        if crossing.what == budgets.OVERRUN:
            _incident(tx, row, charged, said)


def _incident(tx: Tx, row: Budget, charged: dict[str, str], said: str) -> None:
    """About the task and project that the act belonged to, or about neither."""
    whose = {
        "company": "The company",
        "project": "A project",
        "agent": "An agent",
        "task": "A task",
    }
    action: dict[str, Any] = {"budgetId": row.id, "scope": row.scope, "subject": row.subject}
    incidents.open_incident(
        tx,
        severity="high",
        reason_code=OVERRUN_REASON,
        summary=f"{whose[row.scope]} has overrun its budget: {said}. Nothing more is paid there "
        "until an owner raises the limit or the period turns.",
        task=charged.get("task"),
        project=charged.get("project"),
        recommended_action=action,
        company_wide=True,
    )
