"""An agent's budget as the wire knows it: cents a month, tokens, a status (control-plane contract,
4.2, 7). A face of the same rows as every other budget.

`monthlyBudgetCents` is the agent's money budget of a month (0: none); `monthlyCostCents` and
`monthlyTokenUsage` are what is counted as spent this month. The status is the worst that was said
in this month: it rises with the spending and is not lowered inside a month by a new limit.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.errors import Invalid, Refused
from homarus.company import agents
from homarus.company.agents import Agent
from homarus.flows import spending
from homarus.kernel import budgets
from homarus.kernel.budgets import Amounts
from homarus.kernel.prices import CENT, MAX_AMOUNT
from homarus.store.port import Rx, Tx

UNSET: Final = msgspec.UNSET


class Wallet(msgspec.Struct, frozen=True, gc=False):
    """`month`: the month (2026-05) that the figures are of; None where nothing was ever spent."""

    budget_cents: int = 0
    cost_micros: int = 0
    tokens: int = 0
    status: str = "active"
    month: str | None = None

    @property
    def cost_cents(self) -> int:
        """Rounded down."""
        return self.cost_micros // CENT


class WalletChange(msgspec.Struct, frozen=True):
    """Fields of the wire; UNSET leaves them."""

    budget_cents: int | msgspec.UnsetType = UNSET
    cost_cents: int | msgspec.UnsetType = UNSET
    tokens: int | msgspec.UnsetType = UNSET
    status: str | msgspec.UnsetType = UNSET


def of_all(rx: Rx, company: str, rows: Sequence[Agent]) -> list[Wallet]:
    """Those of these agents, in their order: two queries for all."""
    ids = [row.id for row in rows]
    month = budgets.keys(rx.now_ms)["month"]
    used = budgets.spent_by(rx, company, ids, month)
    limits = {
        row.subject: row.limit
        for row in budgets.under(rx, company, [("agent", i) for i in ids] or [("", "")], rx.now_ms)
        if (row.unit, row.period) == ("money", "month")
    }
    return [_wallet(row, month, limits.get(row.id), used.get(row.id)) for row in rows]


def of(rx: Rx, row: Agent) -> Wallet:
    return of_all(rx, row.company, [row])[0]


def _wallet(row: Agent, month: str, limit: int | None, used: budgets.Spend | None) -> Wallet:
    spent = Amounts() if used is None else used.spent
    said = row.budget_status if row.budget_month == month else "active"
    now = "active"
    if limit is not None:
        now = spending.STATUS_OF_STATE[budgets.state(limit, spent.money)]
    return Wallet(
        budget_cents=0 if limit is None else -(-limit // CENT),
        cost_micros=spent.money,
        tokens=spent.tokens,
        status=spending.worse(said, now),
        month=month if used is not None else None,
    )


def change(tx: Tx, row: Agent, wanted: WalletChange) -> None:
    """What a caller says of an agent's money.

    A limit is set as any budget is. Cost and tokens correct the agent's own counters: anybody may
    report more, only an owner less. Tokens do not resume a paused agent. Raises `agent.budget`,
    `agent.status`, `budget.lower_only`, `permission.operator`.
    """
    before = of(tx, row)
    figures = (wanted.budget_cents, wanted.cost_cents, wanted.tokens)
    if any(n is not UNSET and not 0 <= n <= MAX_AMOUNT // CENT for n in figures[:2]) or (
        wanted.tokens is not UNSET and not 0 <= wanted.tokens <= MAX_AMOUNT
    ):
        raise Invalid("agent.budget", "budget figures are out of range", "Cents, tokens.")
    if wanted.budget_cents is not UNSET and wanted.budget_cents != before.budget_cents:
        limit = wanted.budget_cents * CENT or None
        spending.set_budget(tx, "agent", row.id, "money", "month", limit)
    _correct(tx, row, before, wanted)
    if wanted.status is not UNSET and wanted.status != before.status:
        _say(tx, row, before, wanted.status)


def _correct(tx: Tx, row: Agent, before: Wallet, wanted: WalletChange) -> None:
    cost = 0
    if wanted.cost_cents is not UNSET and wanted.cost_cents != before.cost_cents:
        cost = wanted.cost_cents * CENT - before.cost_micros
    tokens = 0 if wanted.tokens is UNSET else wanted.tokens - before.tokens
    if not cost and not tokens:
        return
    _own(tx, row)
    if min(cost, tokens) < 0 and not _owner(tx):
        raise Refused(
            "budget.lower_only",
            "only an owner corrects what was spent downwards",
            "Ask an owner, or leave the field out.",
            rule="budget",
        )
    spending.correct(tx, row.id, Amounts(cost, tokens))


def _say(tx: Tx, row: Agent, before: Wallet, status: str) -> None:
    if status not in agents.BUDGET_STATUSES:
        raise Invalid("agent.status", "unknown budgetStatus", "active, warning or paused.")
    if before.status == "paused" and tx.actor.kind is not ActorKind.OPERATOR:
        raise Refused(
            "permission.operator",
            "only an operator may resume an agent whose budget is used up",
            "Ask an operator.",
            rule="permission",
        )
    _own(tx, row)
    agents.keep_budget_status(tx, row.id, status, budgets.keys(tx.now_ms)["month"])


def _own(tx: Tx, row: Agent) -> None:
    if tx.actor.kind is ActorKind.AGENT and tx.actor.id != row.id:
        raise Refused(
            "budget.not_yours",
            "an agent's figures are its own to report",
            "Leave the budget fields of other agents out.",
            rule="budget",
        )


def _owner(tx: Tx) -> bool:
    return tx.actor.kind is ActorKind.OPERATOR and tx.actor.role == "owner"
