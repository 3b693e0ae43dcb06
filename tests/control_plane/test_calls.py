"""Calls of registered capabilities through a running daemon: the capability is what is judged."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from homarus.backends.local import interpreter
from homarus.testing.daemon import Daemon, key

PYTHON = interpreter().python
WAIT_S = 30
INPUT = {
    "type": "object",
    "required": ["word"],
    "properties": {"word": {"type": "string", "maxLength": 5}},
    "additionalProperties": False,
}


class Company:
    """A company of template studio with the agent ada, her own client and the task she holds."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.owner = daemon.client(daemon.owner_token, **{"X-Homarus-Company": "acme"})
        self.agents: dict[str, str] = {}
        self.clients: dict[str, httpx2.AsyncClient] = {}
        self.project = ""

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

    async def claimed(self, agent: str, capability: str | None = None) -> str:
        body = {"projectId": self.project, "taskType": "unit_test", "title": "t",
                "allowUnderspecified": True, "capability": capability}  # fmt: skip
        task = str((await self.made("/tasks", body))["task"]["id"])
        reply = await self.post(self.clients[agent], f"/tasks/{task}/claim", {"agentId": agent})
        assert reply.status_code == 200, reply.text
        return task

    async def call(self, agent: str, **body: Any) -> httpx2.Response:
        return await self.post(self.clients[agent], "/calls", body)

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
async def acme(daemon: Daemon) -> AsyncIterator[Company]:
    company = Company(daemon)
    await daemon.owner.post(
        "/api/v1/companies", json={"slug": "acme", "name": "Acme", "template": "studio"},
        headers=key(),
    )  # fmt: skip
    await company.hire("ada", role="coder", concurrencyLimit=5)
    await company.hire("bob", role="writer")
    company.project = (await company.made("/projects", {"goal": "g"}))["project"]["id"]
    yield company


async def test_a_call_is_accepted_run_and_recorded(acme: Company) -> None:
    await acme.command("words.say", "-c", "print('hello')", grants=["role:coder"])
    task = await acme.claimed("ada", "words.say")
    reply = await acme.call("ada", capability="words.say", taskId=task)
    assert reply.status_code == 202, reply.text
    row = reply.json()["call"]
    assert (row["state"], row["effect"], row["target"]) == ("ready", "exec", f"task:{task}")
    ended = await acme.ended("ada", row["id"])
    assert (ended["state"], ended["output"]["stdout"]) == ("done", "hello\n"), ended
