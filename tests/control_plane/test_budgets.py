"""Budgets, prices, reservations and quota over HTTP, through a whole daemon."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from homarus.kernel.prices import MICROS
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
