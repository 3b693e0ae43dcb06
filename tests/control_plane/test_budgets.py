"""Budgets, prices, reservations and quota over HTTP, through a whole daemon."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from homarus.base.action import Action
from homarus.kernel import quota, settings
from homarus.kernel.prices import MICROS
from homarus.store.port import Tx
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.ground import ManualClock

MODEL = "careful-1"
IN, OUT = 3 * MICROS, 15 * MICROS
"""Micros for a million tokens: 3.00 in, 15.00 out."""


@dataclass
class Office:
    """An agent with its own token at work on a task, in a company whose clock stands still."""

    daemon: Daemon
    clock: ManualClock
    ids: dict[str, str] = field(default_factory=dict)
    agent: Any = None

    async def open(self) -> None:
        daemon = self.daemon
        await daemon.owner.put(
            "/api/v1/prices", json={"name": MODEL, "inputMicros": IN, "outputMicros": OUT}
        )
        self.ids["company"] = daemon.company_id
        self.ids["agent"] = await daemon.agent("ada")
        self.ids["project"] = await daemon.project()
        _, secret = await daemon.token(kind="agent", agentId=self.ids["agent"])
        self.agent = daemon.client(secret)
        self.ids["task"] = await self.claim()

    async def claim(self) -> str:
        """A task in its hands; what it held before is given back when its lease is over."""
        await self.daemon.app.maintenance.expire_leases()
        body = {
            "projectId": self.ids["project"], "taskType": "t", "inputJson": {"title": "t"},
            "allowUnderspecified": True, "assignedAgentId": self.ids["agent"],
        }  # fmt: skip
        made = await self.daemon.owner.post("/api/mcp/tasks", json=body, headers=key())
        assert made.status_code == 201, made.text
        reply = await self.agent.post(
            "/api/mcp/tasks/claim", json={"agentId": self.ids["agent"]}, headers=key()
        )
        return str(reply.json()["task"]["id"])

    async def limit(self, scope: str, unit: str, period: str, limit: int | None, by: Any = None):
        body = {
            "scope": scope, "subject": self.ids[scope], "unit": unit, "period": period,
            "limit": limit,
        }  # fmt: skip
        return await (by or self.daemon.owner).put("/api/v1/budgets", json=body)

    async def reserve(self, by: Any = None, headers: dict[str, str] | None = None, **body: Any):
        body = {"agentId": self.ids["agent"], "taskId": self.ids["task"]} | body
        body = {name: value for name, value in body.items() if value is not None}
        return await (by or self.agent).post("/api/v1/reservations", json=body, headers=headers)

    async def settle(self, reservation: str, by: Any = None, **body: Any):
        body = {"agentId": self.ids["agent"]} | body
        return await (by or self.agent).post(
            f"/api/v1/reservations/{reservation}/settle", json=body
        )

    async def write(self, fn: Any, *args: Any) -> None:
        """As a worker of the daemon: what no route does."""
        action = Action(self.ids["company"], "incident.open", "company:", system="tests")
        await self.daemon.app.store.write(action, fn, *args)

    async def budgets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.daemon.owner.get("/api/v1/budgets")).json()[
            "budgets"
        ]
        return found


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    clock = ManualClock()
    async with running(tmp_path / "home", clock=clock, lease_watch_s=3600.0) as daemon:
        made = Office(daemon, clock)
        await made.open()
        yield made


def code(reply: Any) -> str:
    return "" if reply.is_success else str(reply.json()["code"])


def spent(unit: str, n: int) -> dict[str, int]:
    """A settlement of that much in the unit, and nothing in the others."""
    nothing = {"moneyMicros": 0, "calls": 0}
    return nothing | {
        "money": {"moneyMicros": n}, "tokens": {"inputTokens": n}, "calls": {"calls": n},
    }[unit]  # fmt: skip


# -- each scope, each unit, each period: the last micro fits, one more does not ----------------

BY_UNIT = {
    "money": lambda n: {"moneyMicros": n},
    "tokens": lambda n: {"moneyMicros": 0, "inputTokens": n},
    "calls": lambda n: {"moneyMicros": 0, "calls": n},
}


@pytest.mark.parametrize("scope", ["company", "project", "agent", "task"])
@pytest.mark.parametrize("unit", ["money", "tokens", "calls"])
async def test_the_boundary_is_exact(office: Office, scope: str, unit: str) -> None:
    asked = BY_UNIT[unit]
    for used, period in ((0, "day"), (3, "month"), (6, "total")):
        assert (await office.limit(scope, unit, period, used + 10)).status_code == 200
        assert code(await office.reserve(**asked(11))) == "budget.exhausted"
        whole = await office.reserve(**asked(10))
        assert whole.status_code == 201, whole.text
        more = await office.reserve(**asked(1))
        assert (more.status_code, code(more)) == (403, "budget.exhausted")
        told = more.json()
        assert (told["rule"], told["details"]["scope"], told["details"]["unit"]) == (
            "budget", scope, unit,
        )  # fmt: skip
        assert (told["details"]["left"], told["details"]["asked"]) == (0, 1)
        assert told["details"]["subject"] == office.ids[scope]
        assert "raise it" in told["remedy"]
        released = await office.settle(whole.json()["reservation"]["id"], release=True)
        assert released.json()["reservation"]["state"] == "released"
        part = await office.reserve(**asked(4))
        settled = await office.settle(part.json()["reservation"]["id"], **spent(unit, 3))
        assert settled.json()["reservation"]["state"] == "settled", settled.text
        [row] = await office.budgets()
        assert (row["spent"], row["reserved"], row["left"], row["state"]) == (
            used + 3, 0, 7, "active",
        )  # fmt: skip
        assert code(await office.reserve(**asked(8))) == "budget.exhausted"
        rest = await office.reserve(**asked(7))
        await office.settle(rest.json()["reservation"]["id"], release=True)
        await office.limit(scope, unit, period, None)
        assert await office.budgets() == []


# -- prices ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tokens, money",
    [
        ({"inputTokens": 1_000_000, "outputTokens": 0}, IN),
        ({"inputTokens": 0, "outputTokens": 1_000_000}, OUT),
        ({"inputTokens": 1, "outputTokens": 0}, 3),
        ({"inputTokens": 1_000, "outputTokens": 200}, 6_000),
        ({}, 0),
    ],
)
async def test_tokens_are_reserved_at_their_price(
    office: Office, tokens: dict[str, int], money: int
) -> None:
    reply = await office.reserve(model=MODEL, **tokens)
    assert reply.json()["reservation"]["reserved"]["moneyMicros"] == money


async def test_an_unknown_price_fails_closed_where_money_is_limited(office: Office) -> None:
    assert code(await office.reserve(model="nobody-knows", inputTokens=5)) == ""
    await office.limit("company", "tokens", "month", 100)
    assert code(await office.reserve(model="nobody-knows", inputTokens=5)) == ""
    await office.limit("agent", "money", "month", 100 * MICROS)
    refused = await office.reserve(model="nobody-knows", inputTokens=5)
    assert code(refused) == "budget.unknown_price"
    assert "nobody-knows" in refused.text
    assert code(await office.reserve(model=MODEL, inputTokens=5)) == ""
    assert code(await office.reserve(model="nobody-knows", moneyMicros=5)) == ""
    await office.daemon.owner.put("/api/v1/prices", json={"name": MODEL, "active": False})
    assert code(await office.reserve(model=MODEL, inputTokens=5)) == "budget.unknown_price"


async def test_prices_are_an_owners_and_known_in_cents_too(office: Office) -> None:
    for body in ({}, {"model": "a", "capability": "b"}):
        assert code(await office.daemon.owner.put("/api/v1/prices", json=body)) == "price.name"
    for body in ({"model": MODEL}, {"capability": "x.y", "callMicros": 7}):
        refused = await office.daemon.company.put("/api/v1/prices", json=body)
        assert code(refused) == "permission.capability"
    cents = {"provider": "p", "model": "two", "inputPricePer1k": 300, "outputPricePer1k": 1500}
    await office.daemon.owner.post("/api/mcp/pricing", json=cents)
    reply = (await office.daemon.owner.get("/api/mcp/pricing")).json()
    assert [(row["model"], row["inputPricePer1k"]) for row in reply["pricing"]] == [
        (MODEL, 300), ("two", 300),
    ]  # fmt: skip
    priced = await office.reserve(model="two", outputTokens=1_000_000)
    assert priced.json()["reservation"]["reserved"]["moneyMicros"] == OUT


# -- settling ----------------------------------------------------------------------------------


async def held(office: Office, **body: Any) -> str:
    reply = await office.reserve(**body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["reservation"]["id"])


async def test_what_is_not_spent_is_given_back_once(office: Office) -> None:
    await office.limit("company", "money", "day", 100)
    reservation = await held(office, moneyMicros=100)
    done = (await office.settle(reservation, moneyMicros=30)).json()
    assert (done["reservation"]["state"], done["late"], done["reached"]) == ("settled", False, [])
    assert [row["left"] for row in await office.budgets()] == [70]
    assert code(await office.settle(reservation, moneyMicros=30)) == "reservation.ended"
    assert code(await office.settle(reservation, release=True)) == "reservation.ended"
    assert [row["left"] for row in await office.budgets()] == [70]


async def test_tokens_settle_at_the_price_of_the_reserved_model(office: Office) -> None:
    await office.limit("task", "money", "total", MICROS)
    reservation = await held(office, model=MODEL, inputTokens=1_000, outputTokens=1_000)
    done = (await office.settle(reservation, inputTokens=1_000, outputTokens=10)).json()
    assert done["reservation"]["spent"] == {"moneyMicros": 3_150, "tokens": 1_010, "calls": 1}


async def test_a_repeated_request_is_answered_by_its_reply(office: Office) -> None:
    """Also when nothing is left: its money was reserved the first time."""
    await office.limit("company", "money", "day", 10)
    same = key()
    first = await office.reserve(moneyMicros=10, headers=same)
    again = await office.reserve(moneyMicros=10, headers=same)
    assert first.json() == again.json()
    assert [row["reserved"] for row in await office.budgets()] == [10]
    assert code(await office.reserve(moneyMicros=10, headers=key())) == "budget.exhausted"


async def test_an_overrun_is_debt_until_an_owner_raises_the_limit(office: Office) -> None:
    daemon = office.daemon
    await office.limit("agent", "money", "total", 100)
    done = (await office.settle(await held(office, moneyMicros=60), moneyMicros=101)).json()
    assert [mark["what"] for mark in done["reached"]] == ["warning", "stopped", "overrun"]
    [row] = await office.budgets()
    assert (row["spent"], row["left"], row["state"]) == (101, -1, "stopped")
    for body in ({"moneyMicros": 1}, {"moneyMicros": 0}, {"moneyMicros": 0, "taskId": None}):
        refused = await office.reserve(**body)
        assert code(refused) == "budget.debt", refused.text
    [incident] = (await daemon.owner.get("/api/v1/incidents")).json()["incidents"]
    assert (incident["reasonCode"], incident["taskId"]) == ("budget_overrun", office.ids["task"])
    assert "0.000101 spent of 0.0001" in incident["summary"]
    await office.limit("agent", "money", "total", 101)
    assert code(await office.reserve(moneyMicros=0)) == ""
    assert code(await office.reserve(moneyMicros=1)) == "budget.exhausted"
    await office.limit("agent", "money", "total", 102)
    assert code(await office.reserve(moneyMicros=1)) == ""


@pytest.mark.parametrize("came_to, reached", [(79, []), (80, ["warning"]), (99, ["warning"]),
                                              (100, ["warning", "stopped"])])  # fmt: skip
async def test_marks_are_reached_at_80_and_100_percent(
    office: Office, came_to: int, reached: list[str]
) -> None:
    await office.limit("company", "money", "month", 100)
    done = (await office.settle(await held(office, moneyMicros=100), moneyMicros=came_to)).json()
    assert [mark["what"] for mark in done["reached"]] == reached
    again = await office.reserve(moneyMicros=0)
    more = (await office.settle(again.json()["reservation"]["id"], moneyMicros=0)).json()
    assert more["reached"] == []


async def test_a_period_turns_by_its_key(office: Office) -> None:
    """2026-01-02 03:00 UTC: the last millisecond of the day is spent, the next one has it all."""
    await office.limit("company", "money", "day", 10)
    await office.limit("project", "money", "month", 15)
    day_ms = 86_400_000
    office.clock.advance(day_ms - office.clock.at_ms % day_ms - 1)
    assert code(await office.reserve(moneyMicros=10, taskId=None, by=office.daemon.owner)) == ""
    assert code(await office.reserve(moneyMicros=1, taskId=None)) == "budget.exhausted"
    office.clock.advance(1)
    office.ids["task"] = await office.claim()
    assert code(await office.reserve(moneyMicros=10)) == ""
    office.clock.advance(day_ms)
    office.ids["task"] = await office.claim()
    refused = await office.reserve(moneyMicros=6)
    assert (code(refused), refused.json()["details"]["scope"]) == ("budget.exhausted", "project")
    office.clock.advance(29 * day_ms)
    office.ids["task"] = await office.claim()
    assert code(await office.reserve(moneyMicros=6)) == ""


async def test_an_orphan_expires_and_what_happened_still_counts(office: Office) -> None:
    await office.limit("company", "money", "total", 100)
    reservation = await held(office, moneyMicros=100, taskId=None)
    office.clock.advance(900_000 - 1)
    await office.daemon.app.maintenance.expire_reservations()
    assert code(await office.reserve(moneyMicros=1, taskId=None)) == "budget.exhausted"
    office.clock.advance(1)
    await office.daemon.app.maintenance.expire_reservations()
    shown = await office.daemon.owner.get(f"/api/v1/reservations/{reservation}")
    assert shown.json()["reservation"]["state"] == "expired"
    other = await held(office, moneyMicros=100, taskId=None)
    late = (await office.settle(reservation, moneyMicros=40)).json()
    assert (late["reservation"]["state"], late["late"]) == ("settled", True)
    await office.settle(other, moneyMicros=100)
    [row] = await office.budgets()
    assert (row["spent"], row["reserved"]) == (140, 0)
    assert code(await office.reserve(moneyMicros=0, taskId=None)) == "budget.debt"


# -- who pays, who may -------------------------------------------------------------------------


async def test_nobody_charges_what_is_not_his(office: Office) -> None:
    daemon = office.daemon
    other = await daemon.agent("bob")
    _, secret = await daemon.token(kind="agent", agentId=other)
    bob = daemon.client(secret)
    theirs = await office.reserve(by=bob, agentId=other, moneyMicros=1)
    assert code(theirs) == "budget.task"
    assert code(await office.reserve(by=bob, moneyMicros=1)) == "identity.not_you"
    assert code(await office.reserve(moneyMicros=1, taskId="T-999")) == "budget.task"
    mine = await held(office, moneyMicros=1)
    assert code(await office.settle(mine, by=bob, agentId=other)) == "budget.not_yours"
    negative = await office.reserve(moneyMicros=-1)
    assert negative.status_code == 400
    unnamed = await held(office, moneyMicros=1, taskId=None)
    shown = (await office.agent.get(f"/api/v1/reservations/{unnamed}")).json()["reservation"]
    assert (shown["taskId"], shown["projectId"]) == (office.ids["task"], office.ids["project"])


LOWERING = [
    # who, scope, limit before, limit wanted, what comes of it
    ("owner", "agent", 100, 101, ""),
    ("owner", "agent", 100, None, ""),
    ("owner", "company", None, 5, ""),
    ("operator", "agent", 100, 99, ""),
    ("operator", "agent", 100, 100, ""),
    ("operator", "agent", 100, 101, "budget.lower_only"),
    ("operator", "agent", 100, None, "budget.lower_only"),
    ("approver", "company", 100, 101, "budget.lower_only"),
    ("approver", "company", 100, 0, ""),
    ("operator", "task", None, 5, "budget.lower_only"),
    ("company", "company", None, 5, "budget.lower_only"),
    ("company", "project", 100, 99, ""),
    ("company", "project", 100, 101, "budget.lower_only"),
    ("company", "project", 100, None, "budget.lower_only"),
    ("agent", "agent", 100, 99, ""),
    ("agent", "agent", 100, 101, "budget.lower_only"),
    ("agent", "agent", None, 5, "budget.lower_only"),
    ("company", "agent", None, 5, "budget.lower_only"),
    ("agent", "company", 100, 99, "budget.lower_only"),
    ("agent", "project", 100, 99, "budget.lower_only"),
    ("agent", "task", None, 0, "budget.lower_only"),
    ("viewer", "agent", 100, 99, "permission.capability"),
]


async def test_an_owner_sets_budgets_and_others_only_lower_them(office: Office) -> None:
    daemon = office.daemon
    who: dict[str, Any] = {
        "owner": daemon.owner, "company": daemon.company, "agent": office.agent,
    }  # fmt: skip
    for role in ("viewer", "operator", "approver"):
        who[role] = daemon.client((await daemon.token(kind="operator", role=role))[1])
    for name, scope, before, wanted, expected in LOWERING:
        await office.limit(scope, "tokens", "month", before)
        reply = await office.limit(scope, "tokens", "month", wanted, by=who[name])
        assert code(reply) == expected, (name, scope, before, wanted, reply.text)
        limits = [row["limit"] for row in await office.budgets()]
        left = before if expected else wanted
        assert limits == ([] if left is None else [left]), (name, scope, before, wanted)
        await office.limit(scope, "tokens", "month", None)


BAD = [
    ({"scope": "team", "unit": "money", "period": "day", "limit": 1}, "budget.scope"),
    ({"scope": "company", "unit": "euro", "period": "day", "limit": 1}, "budget.unit"),
    ({"scope": "company", "unit": "money", "period": "year", "limit": 1}, "budget.period"),
    ({"scope": "agent", "unit": "money", "period": "day", "limit": 1}, "budget.subject"),
    (
        {"scope": "agent", "subject": "zed", "unit": "money", "period": "day", "limit": 1},
        "agent.unknown",
    ),
    ({"scope": "company", "unit": "money", "period": "day", "limit": -1}, "request.schema"),
    ({"scope": "company", "unit": "money", "period": "day", "limit": 0.5}, "request.schema"),
    ({"scope": "company", "unit": "money", "period": "day"}, "request.schema"),
]


async def test_what_is_no_budget_is_refused(office: Office) -> None:
    for body, expected in BAD:
        reply = await office.daemon.owner.put("/api/v1/budgets", json=body)
        assert code(reply) == expected, reply.text
    assert await office.budgets() == []


# -- calls without an estimate, and the quota --------------------------------------------------


async def test_the_101st_call_of_an_hour_is_refused(office: Office) -> None:
    await enforce(office)
    for _ in range(100):
        assert code(await office.reserve(moneyMicros=0)) == ""
    refused = await office.reserve(moneyMicros=0)
    assert (code(refused), refused.json()["rule"]) == ("quota.exhausted", "quota")
    assert refused.json()["details"]["nextAt"] == "2026-01-02T04:00:00.000Z"
    assert refused.json()["details"]["limit"] == 100
    office.clock.advance(3_600_000 - office.clock.at_ms % 3_600_000 - 1)
    office.ids["task"] = await office.claim()
    assert code(await office.reserve(moneyMicros=0)) == "quota.exhausted"
    office.clock.advance(1)
    assert code(await office.reserve(moneyMicros=0)) == ""


async def test_refused_calls_use_up_no_quota(office: Office) -> None:
    await enforce(office)
    await office.limit("company", "money", "day", 0)
    for _ in range(101):
        assert code(await office.reserve(moneyMicros=1)) == "budget.exhausted"
    assert code(await office.reserve(moneyMicros=0)) == ""


@pytest.mark.parametrize("trust, calls", [(79, 100), (80, 150), (100, 150)])
async def test_trust_gives_half_as_many_more(office: Office, trust: int, calls: int) -> None:
    await enforce(office)
    hour = office.clock.now_ms() // 3_600_000
    await office.write(_trusted, office.ids["agent"], trust, hour, calls - 1)
    assert code(await office.reserve(moneyMicros=0)) == ""
    assert code(await office.reserve(moneyMicros=0)) == "quota.exhausted"


async def test_a_company_that_observes_counts_and_lets_pass(office: Office) -> None:
    hour = office.clock.now_ms() // 3_600_000
    await office.write(_trusted, office.ids["agent"], 60, hour, 100)
    assert code(await office.reserve(moneyMicros=0)) == ""


def _trusted(tx: Tx, agent: str, trust: int, hour: int, calls: int) -> None:
    tx.run("update agent set trust=? where id=?", (trust, agent))
    for _ in range(calls):
        quota.count(tx, agent, hour)


def _level(tx: Tx) -> None:
    settings.put(tx, settings.LEVEL, settings.ENFORCE)


async def enforce(office: Office) -> None:
    await office.write(_level)


# -- the wire's face of an agent's budget ------------------------------------------------------


async def test_the_agents_cents_are_a_face_of_its_budget(office: Office) -> None:
    daemon, agent = office.daemon, office.ids["agent"]

    async def patch(by: Any, **body: Any) -> Any:
        return await by.patch(f"/api/mcp/agents/{agent}", json=body, headers=key())

    async def face() -> tuple[Any, ...]:
        row = (await daemon.company.get(f"/api/mcp/agents/{agent}")).json()["agent"]
        names = ("monthlyBudgetCents", "monthlyCostCents", "monthlyTokenUsage", "budgetStatus")
        return tuple(row[name] for name in names)

    assert await face() == (0, 0, 0, "active")
    assert code(await patch(daemon.company, monthlyBudgetCents=100)) == ""
    [row] = await office.budgets()
    assert (row["scope"], row["subject"], row["limit"]) == ("agent", agent, MICROS)
    assert code(await patch(daemon.company, monthlyBudgetCents=101)) == "budget.lower_only"
    assert code(await patch(daemon.company, monthlyBudgetCents=0)) == "budget.lower_only"
    assert code(await patch(daemon.company, monthlyBudgetCents=100, role="coder")) == ""
    usage = {"agentId": agent, "model": MODEL, "inputTokens": 100_000, "outputTokens": 33_333}
    reported = (await daemon.company.post("/api/mcp/agents/report-usage", json=usage)).json()
    assert reported == {
        "ok": True, "agentId": agent, "model": MODEL, "costCents": 80,
        "monthlyTokenUsage": 133_333, "monthlyCostCents": 79, "budgetStatus": "active",
    }  # fmt: skip
    legacy = {"agentId": agent, "model": MODEL, "tokensUsed": 100}
    reported = (await daemon.company.post("/api/mcp/agents/report-usage", json=legacy)).json()
    assert (reported["costCents"], reported["budgetStatus"]) == (0, "warning")
    spend = (await daemon.owner.get("/api/v1/spend")).json()["spend"]["today"]["scopes"]
    assert {row["scope"]: row["spent"]["moneyMicros"] for row in spend} == dict.fromkeys(
        ("company", "project", "agent", "task"), 799_995 + 540
    )
    assert code(await patch(daemon.owner, monthlyBudgetCents=1_000)) == ""
    assert await face() == (1_000, 80, 133_433, "warning")
    assert code(await patch(daemon.company, monthlyCostCents=79)) == "budget.lower_only"
    assert code(await patch(daemon.company, monthlyCostCents=1_000)) == ""
    assert (await face())[1::2] == (1_000, "paused")
    assert code(await patch(daemon.company, budgetStatus="active")) == "permission.operator"
    assert code(await office.reserve(moneyMicros=1)) == "budget.exhausted"
    office.clock.advance(31 * 86_400_000)
    assert await face() == (1_000, 0, 0, "active")
