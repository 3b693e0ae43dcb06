"""Reserve, settle, release, expire and the turn of periods under random operations, beside a plain
model that keeps no counter: it adds up its list of acts each time it is asked.

After each step: every budget stands as the model says, the sum of what is set aside is the sum of
the reservations held, and spent + reserved passes a limit only by an overrun or a lowered limit.
"""

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from homarus.base.action import Estimate
from homarus.base.errors import HomarusError
from homarus.flows import spending
from homarus.kernel import budgets, prices
from homarus.kernel.budgets import PERIODS, SCOPES, UNITS, keys
from homarus.store.port import Rx, Tx
from homarus.testing.ground import Ground, ManualClock
from homarus.testing.purse import Purse
from homarus.testing.recount import recount
from homarus.testing.shop import OWNER, open_shop
from tests.support.engines import Engine
from tests.support.profile import Profile

PLAN = {"ci": (10, 25), "full": (125, 50)}
"""Profile -> examples and steps of each."""
HELD_MS = 900_000
DAY_MS = 86_400_000
PASSING_MS = (1, HELD_MS - 1, HELD_MS, DAY_MS, 31 * DAY_MS)
PAYERS = ("ada", "bob", OWNER)
MODEL = "m"
small = st.integers(0, 60)
picks = st.integers(0, 1_000)


class Act(msgspec.Struct):
    """One reservation or report in the model. Amounts by unit; `spent` once it is known."""

    id: str
    payer: str
    at_ms: int
    reserved: dict[str, int]
    state: str = "held"
    spent: dict[str, int] = {}


class MoneyMachine(RuleBasedStateMachine):
    """`engine` is set on a subclass for each run."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        home = Path(tempfile.mkdtemp(dir=self.engine.home))
        home = home if self.engine.name == "sqlite" else self.engine.home
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.ground = Ground(home, self.clock, self.engine.opener)
        self.run(self.ground.start(fresh=True))
        self.limits: dict[tuple[str, str, str], int] = {}
        self.acts: list[Act] = []
        self.reports: list[Act] = []
        self.excused: set[tuple[str, str]] = set()

    def run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self.runner.run(awaited())

    def teardown(self) -> None:
        self.run(self.ground.store.stop())
        self.runner.close()

    @initialize()
    def found(self) -> None:
        self.shop = self.run(open_shop(self.ground))
        self.purse = Purse(self.shop)
        for name in ("ada", "bob"):
            self.run(self.shop.agent(name))
        self.task = self.run(self.shop.task()).id
        self.run(self.shop.do("budget.price", OWNER, _price))
        self.subjects = {
            "company": self.ground.company, "project": self.shop.project_id, "task": self.task,
            "agent": self.shop.agents["ada"],
        }  # fmt: skip
        self.charged = {
            "ada": {"company", "agent"}, "bob": {"company"}, OWNER: {"company", "project", "task"},
        }  # fmt: skip

    # -- the model -------------------------------------------------------------------------

    def stands(self, scope: str, unit: str, period: str, at_ms: int) -> tuple[int, int]:
        """What was spent and is reserved, added up."""
        key = keys(at_ms)[period]
        acts = [
            act for act in self.acts + self.reports
            if scope in self.charged[act.payer] and keys(act.at_ms)[period] == key
        ]  # fmt: skip
        return (
            sum(act.spent.get(unit, 0) for act in acts),
            sum(act.reserved[unit] for act in acts if act.state == "held"),
        )

    def verdict(self, payer: str, asked: dict[str, int | None]) -> str:
        rows = [
            (limit, *self.stands(scope, unit, period, self.clock.at_ms), asked[unit])
            for (scope, unit, period), limit in sorted(
                self.limits.items(), key=lambda p: (SCOPES.index(p[0][0]), p[0][1], p[0][2])
            )
            if scope in self.charged[payer]
        ]
        if any(spent > limit for limit, spent, _, _ in rows):
            return "budget.debt"
        for limit, spent, reserved, amount in rows:
            if amount is None:
                return "budget.unknown_price"
            if amount and amount > limit - spent - reserved:
                return "budget.exhausted"
        return ""

    def excuse(self, act: Act, units: set[str]) -> None:
        self.excused |= {(scope, unit) for scope in self.charged[act.payer] for unit in units}

    # -- operations ------------------------------------------------------------------------

    @rule(
        scope=st.sampled_from(SCOPES), unit=st.sampled_from(UNITS), period=st.sampled_from(PERIODS),
        limit=st.one_of(st.none(), st.integers(0, 150)),
    )  # fmt: skip
    def limit(self, scope: str, unit: str, period: str, limit: int | None) -> None:
        self.run(self.purse.limit(scope, self.subjects[scope], unit, period, limit))
        if limit is None:
            self.limits.pop((scope, unit, period), None)
            return
        self.limits[scope, unit, period] = limit
        if sum(self.stands(scope, unit, period, self.clock.at_ms)) > limit:
            self.excused.add((scope, unit))

    @rule(payer=st.sampled_from(PAYERS), money=small, tokens=small, calls=st.integers(0, 3),
          how=st.sampled_from(("money", "money", "price", "unknown")))  # fmt: skip
    def reserve(self, payer: str, money: int, tokens: int, calls: int, how: str) -> None:
        price = {"money": money, "price": 2 * tokens, "unknown": None}[how]
        estimate = Estimate(
            money=money if how == "money" else None, tokens=tokens, calls=calls,
            model=MODEL if how == "price" else "nobody-knows",
        )  # fmt: skip
        expected = self.verdict(payer, {"money": price, "tokens": tokens, "calls": calls})
        try:
            row = self.run(
                self.purse.reserve(payer, estimate, self.task if payer == OWNER else None)
            )
        except HomarusError as error:
            assert error.code == expected, (error, expected)
            return
        assert expected == ""
        amounts = {"money": price or 0, "tokens": tokens, "calls": calls}
        self.acts.append(Act(row.id, payer, self.clock.at_ms, amounts))

    def some(self, pick: int) -> Act:
        return self.acts[pick % len(self.acts)]

    @precondition(lambda self: self.acts)
    @rule(pick=picks, money=small, tokens=small, calls=st.integers(0, 4))
    def settle(self, pick: int, money: int, tokens: int, calls: int) -> None:
        act = self.some(pick)
        actual = {"input_tokens": tokens, "money": money, "calls": calls}
        try:
            done = self.run(self.purse.settle(act.payer, act.id, **actual))
        except HomarusError as error:
            assert (error.code, act.state) in [
                ("reservation.ended", state) for state in ("settled", "released")
            ]
            return
        assert act.state in ("held", "expired")
        assert done.late == (act.state == "expired")
        spent = {"money": money, "tokens": tokens, "calls": calls}
        over = {
            unit for unit in UNITS if act.state == "expired" or spent[unit] > act.reserved[unit]
        }
        act.state, act.spent = "settled", spent
        self.excuse(act, over)

    @precondition(lambda self: self.acts)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        act = self.some(pick)
        try:
            self.run(self.purse.release(act.payer, act.id))
        except HomarusError as error:
            assert error.code == "reservation.ended"
            assert act.state != "held"
            return
        assert act.state == "held"
        act.state = "released"

    @rule(tokens=small, agent=st.sampled_from(("ada", "bob")))
    def report(self, tokens: int, agent: str) -> None:
        self.run(
            self.shop.do(
                "agent.usage", agent, spending.report, self.shop.agents[agent], MODEL, tokens, 0
            )
        )
        act = Act("", agent, self.clock.at_ms, dict.fromkeys(UNITS, 0), "reported")
        act.spent = {"money": 2 * tokens, "tokens": tokens}
        self.reports.append(act)
        self.excuse(act, {"money", "tokens"})

    @rule(ms=st.sampled_from(PASSING_MS))
    def time_passes(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule()
    def expire(self) -> None:
        due = [
            act for act in self.acts
            if act.state == "held" and act.at_ms + HELD_MS <= self.clock.at_ms
        ]  # fmt: skip
        assert self.run(self.purse.expire()) == len(due)
        for act in due:
            act.state = "expired"

    # -- what always holds -----------------------------------------------------------------

    @invariant()
    def stands_as_the_model_says(self) -> None:
        if not hasattr(self, "purse"):
            return
        rows = self.run(self.ground.read(_listed, self.ground.company))
        assert {(b.scope, b.unit, b.period): b.limit for b in rows} == self.limits
        for row in rows:
            expected = self.stands(row.scope, row.unit, row.period, self.clock.at_ms)
            assert (row.spent, row.reserved) == expected, row
            over = row.spent + row.reserved > row.limit
            assert not over or (row.scope, row.unit) in self.excused, row
        assert self.run(self.ground.read(recount, self.ground.company)) == []


def _listed(rx: Rx, company: str) -> list[budgets.Budget]:
    return budgets.listed(rx, company, limit=100)


def _price(tx: Tx) -> None:
    prices.put(tx, prices.Price(MODEL, 2 * prices.MICROS, 2 * prices.MICROS))


def test_money_machine(engine: Engine, profile: Profile) -> None:
    examples, steps = PLAN[profile.name]
    machine = type("Machine", (MoneyMachine,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
