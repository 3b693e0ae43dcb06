"""Budgets: how much money, how many tokens and calls a scope may use in a period (design, 1, 9).

A budget is a limit. What is spent and reserved under it is counted in `spend`, for every scope and
every period, by the period's key (UTC): a new day or month has a new key, and so no job turns it.
A budget's state is what its figures say; nothing stores it, so nothing can contradict it.

    left = limit - spent - reserved        what one more act may reserve, exact to the last micro
    spent >= 80 % of the limit             warning
    spent >= limit                         stopped
    spent >  limit                         debt: everything is refused until an owner raises the
                                           limit or the period turns
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from homarus.base.action import Actor, ActorKind
from homarus.base.errors import Conflict, Invalid, NotFound, Refused
from homarus.kernel.prices import MAX_AMOUNT, MICROS
from homarus.store.port import Row, Rx, Tx

SCOPES: Final = ("company", "project", "agent", "task")
UNITS: Final = ("money", "tokens", "calls")
PERIODS: Final = ("day", "month", "total")
ACTIVE, WARNING, STOPPED = "active", "warning", "stopped"
OVERRUN: Final = "overrun"
WARNING_PERCENT: Final = 80
MAX_BUDGETS: Final = 10_000

Scope = tuple[str, str]
"""`(scope, id of its subject)`."""


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """Of each unit. Money in micros."""

    money: int = 0
    tokens: int = 0
    calls: int = 0

    def of(self, unit: str) -> int:
        amount: int = getattr(self, unit)
        return amount

    def minus(self) -> "Amounts":
        return Amounts(-self.money, -self.tokens, -self.calls)


NOTHING: Final = Amounts()


class Budget(msgspec.Struct, frozen=True, gc=False):
    """A limit and how it stands in the period of `key`. Amounts in the unit; money in micros."""

    id: str
    scope: str
    subject: str
    unit: str
    period: str
    limit: int
    set_by: str
    created_ms: int
    updated_ms: int
    key: str
    spent: int
    reserved: int

    @property
    def left(self) -> int:
        return self.limit - self.spent - self.reserved

    @property
    def state(self) -> str:
        return state(self.limit, self.spent)


class Short(msgspec.Struct, frozen=True):
    """Why an act may not be paid: `exhausted`, `debt` or `unknown_price` under this budget."""

    why: str
    budget: Budget
    asked: int | None


class Crossing(msgspec.Struct, frozen=True):
    """A budget that has just reached `warning`, `stopped` or `overrun`."""

    what: str
    budget: Budget


def keys(at_ms: int) -> dict[str, str]:
    """The key of each period at a time: `2026-05-01`, `2026-05`, `total`; UTC."""
    t = time.gmtime(at_ms // 1000)
    month = f"{t.tm_year:04d}-{t.tm_mon:02d}"
    return {"day": f"{month}-{t.tm_mday:02d}", "month": month, "total": "total"}


def state(limit: int, spent: int) -> str:
    if spent >= limit:
        return STOPPED
    return WARNING if spent * 100 >= limit * WARNING_PERCENT else ACTIVE


def shortage(under: Sequence[Budget], money: int | None, tokens: int, calls: int) -> Short | None:
    """The first reason not to pay. A debt refuses all; money of unknown price fails closed."""
    for budget in under:
        if budget.spent > budget.limit:
            return Short("debt", budget, None)
    asked = {"money": money, "tokens": tokens, "calls": calls}
    for budget in under:
        amount = asked[budget.unit]
        if amount is None:
            return Short("unknown_price", budget, None)
        if amount and amount > budget.left:
            return Short("exhausted", budget, amount)
    return None


def crossings(budget: Budget, more: int) -> list[Crossing]:
    """What spending `more` brings about: each mark is passed once in a period."""
    if more <= 0:
        return []
    after = msgspec.structs.replace(budget, spent=budget.spent + more)
    found = []
    for what, mark in (
        (WARNING, -(-budget.limit * WARNING_PERCENT // 100)),
        (STOPPED, budget.limit),
        (OVERRUN, budget.limit + 1),
    ):
        if budget.spent < mark <= after.spent:
            found.append(Crossing(what, after))
    return found


def words(unit: str, amount: int) -> str:
    """For people: `12.5 of money`, `300 tokens`."""
    if unit != "money":
        return f"{amount} {unit}"
    whole, micros = divmod(abs(amount), MICROS)
    cents = f"{micros:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{whole}.{cents}"


# -- rows ----------------------------------------------------------------------------------

_SELECT: Final = (
    "select b.id, b.scope, b.subject, b.unit, b.period, b.amount, b.set_by, b.created_ms, "
    "b.updated_ms, s.money, s.tokens, s.calls, s.money_held, s.tokens_held, s.calls_held "
    "from budget b left join spend s on s.company=b.company and s.subject=b.subject and "
    "((b.period='day' and s.period_key=?) or (b.period='month' and s.period_key=?) "
    "or (b.period='total' and s.period_key='total')) where b.company=? "
)
_ADD: Final = (
    "insert into spend(company, subject, period_key, scope, money, tokens, calls, money_held, "
    "tokens_held, calls_held) values "
)
_ADDED: Final = (
    " on conflict(company, subject, period_key) do update set money=spend.money+excluded.money, "
    "tokens=spend.tokens+excluded.tokens, calls=spend.calls+excluded.calls, "
    "money_held=spend.money_held+excluded.money_held, "
    "tokens_held=spend.tokens_held+excluded.tokens_held, "
    "calls_held=spend.calls_held+excluded.calls_held"
)


def _budget(row: Row, period_keys: dict[str, str]) -> Budget:
    at = UNITS.index(row[3])
    figures = (period_keys[row[4]], row[9 + at] or 0, row[12 + at] or 0)
    return Budget(*(*row[:9], *figures))


def _selected(rx: Rx, company: str, at_ms: int, where: str, *params: Any) -> list[Budget]:
    period_keys = keys(at_ms)
    rows = rx.all(_SELECT + where, (period_keys["day"], period_keys["month"], company, *params))
    return [_budget(row, period_keys) for row in rows]


def any_set(rx: Rx, company: str) -> bool:
    """Whether the company has a budget at all."""
    return rx.one("select 1 from budget where company=? limit 1", (company,)) is not None


def under(rx: Rx, company: str, scopes: Sequence[Scope], at_ms: int) -> list[Budget]:
    """The budgets of these scopes in the periods of that time, in the order of SCOPES."""
    subjects = [subject for _, subject in scopes]
    marks = ",".join("?" * len(subjects))
    found = _selected(rx, company, at_ms, f"and b.subject in ({marks})", *subjects)
    return sorted(found, key=lambda b: (SCOPES.index(b.scope), b.unit, b.period))


def used_up(rx: Rx, company: str, agent: str) -> Budget | None:
    """The first budget of the agent or its company of which all is spent."""
    charged = [("company", company), ("agent", agent)]
    stopped = (b for b in under(rx, company, charged, rx.now_ms) if b.state == STOPPED)
    return next(stopped, None)


def listed(rx: Rx, company: str, *, limit: int, after: str = "", subject: str = "") -> list[Budget]:
    """By id, as they stand now; `subject`: only those of this one."""
    only, params = (" and b.subject=?", (subject,)) if subject else ("", ())
    return _selected(
        rx, company, rx.now_ms, f"and b.id>?{only} order by b.id limit ?", after, *params, limit
    )


def need(rx: Rx, company: str, budget: str) -> Budget:
    """Raises `budget.unknown`."""
    found = _selected(rx, company, rx.now_ms, "and b.id=?", budget)
    if not found:
        raise NotFound("budget.unknown", f"no budget {budget[:80]!r}", "See `homarus budget list`.")
    return found[0]


def _one(rx: Rx, company: str, subject: str, unit: str, period: str) -> Budget | None:
    found = _selected(
        rx, company, rx.now_ms, "and b.subject=? and b.unit=? and b.period=?", subject, unit, period
    )
    return found[0] if found else None


class NewBudget(msgspec.Struct, frozen=True):
    """`subject` is an id that exists; `limit` None: no budget any more."""

    scope: str
    subject: str
    unit: str
    period: str
    limit: int | None


def put(tx: Tx, new: NewBudget) -> Budget | None:
    """Set, lower, raise or remove a budget; the one that is there now.

    Raises `budget.scope|unit|period|limit|many`, `budget.lower_only`. Emits `budget_set`.
    """
    _check(new)
    before = _one(tx, tx.company, new.subject, new.unit, new.period)
    _may(tx.actor, new, before)
    if new.limit is None:
        if before is not None:
            tx.run("delete from budget where id=?", (before.id,))
            tx.emit("budget_set", before.id, {"limit": None, "subject": new.subject})
        return None
    if before is not None and before.limit == new.limit:
        return before
    row = tx.one("select count(*) from budget where company=?", (tx.company,))
    if before is None and row is not None and row[0] >= MAX_BUDGETS:
        raise Conflict("budget.many", f"{MAX_BUDGETS} budgets are set", "Remove some.")
    budget = tx.new_id() if before is None else before.id
    tx.run(
        "insert into budget(id, company, scope, subject, unit, period, amount, set_by, created_ms, "
        "updated_ms) values(?,?,?,?,?,?,?,?,?,?) on conflict(id) do update set "
        "amount=excluded.amount, set_by=excluded.set_by, updated_ms=excluded.updated_ms",
        (
            budget, tx.company, new.scope, new.subject, new.unit, new.period, new.limit,
            tx.actor.key, tx.now_ms, tx.now_ms,
        ),
    )  # fmt: skip
    tx.emit(
        "budget_set",
        budget,
        {"scope": new.scope, "subject": new.subject, "unit": new.unit, "limit": new.limit},
    )
    return need(tx, tx.company, budget)


def _check(new: NewBudget) -> None:
    for what, value, choices in (
        ("scope", new.scope, SCOPES),
        ("unit", new.unit, UNITS),
        ("period", new.period, PERIODS),
    ):
        if value not in choices:
            raise Invalid(f"budget.{what}", f"no {what} {value[:80]!r}", f"One of {list(choices)}.")
    if new.limit is not None and not 0 <= new.limit <= MAX_AMOUNT:
        raise Invalid("budget.limit", "the limit is out of range", f"0 to {MAX_AMOUNT}.")


def _may(actor: Actor, new: NewBudget, before: Budget | None) -> None:
    """An owner sets budgets; others may only lower them, an agent only its own (design, 9).

    Where there is none, they may set the one that the wire has of old: an agent's money of a month.
    Raises `budget.lower_only`.
    """
    if actor.kind is ActorKind.OPERATOR and actor.role == "owner":
        return
    if before is None:
        lowers = (new.scope, new.unit, new.period) == ("agent", "money", "month")
    else:
        lowers = new.limit is not None and new.limit <= before.limit
    same = new.limit is None and before is None
    own = actor.kind is not ActorKind.AGENT or (new.scope, new.subject) == ("agent", actor.id)
    if same or (lowers and own):
        return
    raise Refused(
        "budget.lower_only",
        f"{actor.kind} {actor.name or actor.id} may only lower "
        + ("budgets" if actor.kind is not ActorKind.AGENT else "its own budgets"),
        "Ask an owner: `homarus budget set`.",
        rule="budget",
    )


# -- counters ------------------------------------------------------------------------------


def add(
    tx: Tx,
    scopes: Sequence[Scope],
    at_ms: int,
    spent: Amounts,
    held: Amounts = NOTHING,
    periods: Sequence[str] = PERIODS,
) -> list[Crossing]:
    """Count in all scopes and in the periods of `at_ms`; what was reached by it.

    One statement for all counters. Amounts may be negative (a reservation that ends).
    """
    reached = [
        crossing
        for budget in (under(tx, tx.company, scopes, at_ms) if spent != NOTHING else ())
        if budget.period in periods
        for crossing in crossings(budget, spent.of(budget.unit))
    ]
    at = keys(at_ms)
    period_keys = [at[period] for period in periods]
    rows = [(subject, key, scope) for scope, subject in scopes for key in period_keys]
    figures = (spent.money, spent.tokens, spent.calls, held.money, held.tokens, held.calls)
    # An upsert checks what it would insert: where counters only fall, the rows are there to update.
    if min(figures[3:]) < 0:
        marks = " or ".join(["(subject=? and period_key=?)"] * len(rows))
        tx.run(
            "update spend set money=money+?, tokens=tokens+?, calls=calls+?, "  # noqa: S608
            "money_held=money_held+?, tokens_held=tokens_held+?, calls_held=calls_held+? "
            f"where company=? and ({marks})",
            (*figures, tx.company, *(v for subject, key, _ in rows for v in (subject, key))),
        )
        return reached
    marks = ",".join(["(?,?,?,?,?,?,?,?,?,?)"] * len(rows))
    tx.run(
        _ADD + marks + _ADDED,
        [value for row in rows for value in (tx.company, *row, *figures)],
    )
    return reached


class Spend(msgspec.Struct, frozen=True, gc=False):
    """What one scope used in one period."""

    scope: str
    subject: str
    key: str
    spent: Amounts
    reserved: Amounts


_SPEND: Final = (
    "select scope, subject, period_key, money, tokens, calls, money_held, tokens_held, calls_held "
    "from spend where company=? and "
)


def _spend(row: Row) -> Spend:
    return Spend(row[0], row[1], row[2], Amounts(*row[3:6]), Amounts(*row[6:9]))


def spent(rx: Rx, company: str, key: str, *, limit: int) -> list[Spend]:
    """What each scope used in the period of that key: companies first, then by subject."""
    rows = rx.all(
        _SPEND + "period_key=? and scope in ('company','project','agent','task') "
        "order by case scope when 'company' then 0 when 'project' then 1 when 'agent' then 2 "
        "else 3 end, subject limit ?",
        (company, key, limit),
    )
    return [_spend(row) for row in rows]


def by_day(rx: Rx, company: str, subject: str, first: str, last: str) -> list[Spend]:
    """What one subject used on each day from `first` to `last` (2026-05-01), oldest first; days
    without any are left out."""
    rows = rx.all(
        _SPEND + "subject=? and period_key>=? and period_key<=? and length(period_key)=10 "
        "order by period_key",
        (company, subject, first, last),
    )
    return [_spend(row) for row in rows]


def spent_by(rx: Rx, company: str, subjects: Sequence[str], key: str) -> dict[str, Spend]:
    """The same of named subjects, by subject; those without any are left out."""
    if not subjects:
        return {}
    marks = ",".join("?" * len(subjects))
    rows = rx.all(_SPEND + f"period_key=? and subject in ({marks})", (company, key, *subjects))
    return {row[1]: _spend(row) for row in rows}
