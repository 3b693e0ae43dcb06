"""A company of template studio on a running daemon: agents with their own tokens, an owner.

Everything goes over REST, as clients do it; only waiting listens to the store's commits.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from homarus.backends.local import interpreter
from homarus.base.action import Action
from homarus.base.errors import Refused
from homarus.base.ids import new_id
from homarus.kernel import preflights, settings
from homarus.kernel.preflights import Preflight
from homarus.store.port import Tx
from homarus.testing.daemon import Daemon, key

PYTHON = interpreter().python
WAIT_S = 30


def _touch(tx: Tx) -> None:
    tx.emit("touched", "")


class Studio:
    """`owner` acts in it; `clients` are those of its agents `ada` (coder) and `bob` (writer)."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.owner = daemon.client(daemon.owner_token, **{"X-Homarus-Company": "acme"})
        self.agents: dict[str, str] = {}
        self.clients: dict[str, httpx2.AsyncClient] = {}
        self.project = ""
        self.company = ""

    async def post(self, client: httpx2.AsyncClient, path: str, body: Any) -> httpx2.Response:
        return await client.post(f"/api/v1{path}", json=body, headers=key())

    async def made(self, path: str, body: Any) -> Any:
        reply = await self.post(self.owner, path, body)
        assert reply.status_code in (200, 201), reply.text
        return reply.json()

    async def hire(self, name: str, **fields: Any) -> None:
        agent = (await self.made("/agents", {"name": name} | fields))["agent"]["id"]
        body = {"kind": "agent", "name": name, "agentId": agent}
        self.agents[name] = agent
        self.clients[name] = self.daemon.client((await self.made("/tokens", body))["secret"])

    async def command(self, id_: str, *argv: str, **fields: Any) -> Any:
        body = {"id": id_, "title": id_, "argv": [PYTHON, *argv], "trusted": True} | fields
        return await self.made("/capabilities", body)

    async def task(self, **fields: Any) -> dict[str, Any]:
        body = {"projectId": self.project, "taskType": "unit_test", "title": "t",
                "allowUnderspecified": True}  # fmt: skip
        made: dict[str, Any] = (await self.made("/tasks", body | fields))["task"]
        return made

    async def claimed(self, agent: str, capability: str | None = None) -> str:
        task = str((await self.task(capability=capability))["id"])
        reply = await self.post(self.clients[agent], f"/tasks/{task}/claim", {"agentId": agent})
        assert reply.status_code == 200, reply.text
        return task

    async def registered(self, id_: str, kind: str = "tool", **fields: Any) -> Any:
        return await self.made("/capabilities", {"id": id_, "title": id_, "kind": kind} | fields)

    async def receipts(self, capability: str) -> list[dict[str, Any]]:
        """Oldest first."""
        reply = await self.owner.get("/api/v1/receipts?limit=500")
        rows = [row for row in reply.json()["receipts"] if row["capability"] == capability]
        return rows[::-1]

    async def call(self, agent: str, **body: Any) -> httpx2.Response:
        return await self.post(self.clients[agent], "/calls", body)

    async def judged(
        self, capability: str, target: str, worker: str, mirrors: list[str], **more: Any
    ) -> str | None:
        """What the kernel says to a worker of the daemon: the code of its refusal, if any."""
        await self.govern(settings.put, "mirrors", mirrors)
        action = Action(self.company, capability, target, system=worker, **more)
        try:
            await self.daemon.app.store.write(action, _touch)
        except Refused as refusal:
            return refusal.code
        return None

    async def thought(self, agent: str, *scope: tuple[str, str]) -> str:
        """A live preflight of the agent with this scope, of no task: its id."""
        row = Preflight(
            id=new_id(), company=self.company, agent=self.agents[agent], task=None,
            kind=preflights.QUERY, intent="test", verdict="hit", evidence={}, scope=scope,
            perm=preflights.READ_WRITE, route_level=0, capability=None, token=None,
            created_ms=0, expires_ms=2**50,
        )  # fmt: skip
        await self.govern(preflights.put, row)
        return row.id

    async def observe(self) -> None:
        await self.govern(settings.put, settings.LEVEL, settings.OBSERVE)

    async def govern(self, fn: Any, *args: Any) -> None:
        """What a change record's switch does."""
        action = Action(self.company, "capability.grant", "company:", system="tests")
        await self.daemon.app.store.write(action, fn, *args)

    async def ended(self, agent: str, call: str) -> Any:
        """The call once it has ended; woken by commits."""
        changed = asyncio.Event()
        undo = self.daemon.app.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    changed.clear()
                    reply = await self.clients[agent].get(f"/api/v1/calls/{call}")
                    row = reply.json()["call"]
                    if row["state"] not in ("ready", "running"):
                        return row
                    await changed.wait()
        finally:
            undo()


@pytest.fixture
async def acme(daemon: Daemon) -> AsyncIterator[Studio]:
    company = Studio(daemon)
    founded = await daemon.owner.post(
        "/api/v1/companies", json={"slug": "acme", "name": "Acme", "template": "studio"},
        headers=key(),
    )  # fmt: skip
    company.company = founded.json()["company"]["id"]
    await company.hire("ada", role="coder", concurrencyLimit=5)
    await company.hire("bob", role="writer")
    company.project = (await company.made("/projects", {"goal": "g"}))["project"]["id"]
    yield company
