"""A company whose agents dispatch to each other, by the wire of a running daemon.

    async with office_at(tmp_path) as office:
        task = await office.holding("pm")
        await office.spawn("pm", "scoder", short("pm", task))

Agents are hired when first named, with a token of their own. The clock stands until it is moved.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homarus.kernel import routing
from homarus.kernel.keys import CompanyKeys, MasterKey
from homarus.kernel.routing import Note, Perm
from homarus.testing.daemon import Daemon, furnished, key
from homarus.testing.ground import ManualClock

S = 1_000
_nonces = itertools.count(0x9F2C41D07BE35A68)


@dataclass
class Office:
    """`agents` by name: their ids; `clients` act with each agent's own token."""

    daemon: Daemon
    clock: ManualClock
    note_key: bytes
    project: str = ""
    agents: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    async def hire(self, name: str, **body: Any) -> None:
        reply = await self.daemon.owner.post(
            "/api/mcp/agents", json={"name": name, "concurrencyLimit": 5} | body, headers=key()
        )
        assert reply.status_code < 300, reply.text
        self.agents[name] = reply.json()["agent"]["id"]
        _, secret = await self.daemon.token(kind="agent", agentId=self.agents[name])
        self.clients[name] = self.daemon.client(secret)

    async def post(self, agent: str, path: str, body: Any, headers: Any = None) -> Any:
        """As an agent. It, and the agents that the body names, are hired if need be."""
        for name in (agent, body.get("targetAgentId"), body.get("agentId")):
            if name is not None and name not in self.agents:
                await self.hire(name)
        return await self.clients[agent].post(path, json=body, headers=headers or {})

    async def task(self, agent: str | None = None) -> dict[str, Any]:
        if agent is not None and agent not in self.agents:
            await self.hire(agent)
        body = {"projectId": self.project, "taskType": "unit_test", "title": "t",
                "allowUnderspecified": True, "assignedAgentId": agent}  # fmt: skip
        reply = await self.daemon.owner.post("/api/mcp/tasks", json=body, headers=key())
        assert reply.status_code == 201, reply.text
        return reply.json()["task"]

    async def claim(self, agent: str, task: str) -> dict[str, Any]:
        reply = await self.post(agent, f"/api/mcp/tasks/{task}/claim", {})
        assert reply.status_code == 200, reply.text
        return reply.json()["task"]

    async def holding(self, agent: str) -> dict[str, Any]:
        return await self.claim(agent, (await self.task(agent))["id"])

    async def spawn(self, agent: str, target: str, note: str | None, **body: Any) -> Any:
        headers = body.pop("headers", None)
        full = {"targetAgentId": target, "task": "Design API architecture", "routingNote": note}
        return await self.post(agent, "/api/v1/spawns", full | body, headers)

    async def chain(self, *names: str) -> dict[str, Any]:
        """Each agent spawns the next; the last one's claimed task."""
        task = await self.holding(names[0])
        for caller, callee in itertools.pairwise(names):
            reply = await self.spawn(caller, callee, short(caller, task))
            assert reply.status_code == 201, reply.text
            task = await self.claim(callee, reply.json()["task"]["id"])
        return task


def short(caller: str, task: dict[str, Any], perm: str = "read_write") -> str:
    return (
        f"[KERNEL_CONTEXT] caller={caller}, task_id={task['id']}, "
        f"trace_id={task['traceId']}, perm={perm}"
    )


def long_note(office: Office, task: dict[str, Any], **change: Any) -> str:
    """A note that the company signed; `key` signs with another key, `age_s` dates it back."""
    made = Note(
        change.get("caller", "pm"),
        change.get("task_id", task["id"]),
        change.get("trace_id", task["traceId"]),
        Perm(change.get("perm", "read_write")),
    )
    at_ms = office.clock.now_ms() - change.get("age_s", 0) * S
    nonce = next(_nonces).to_bytes(8)
    signing = change.get("key", office.note_key)
    return routing.render(routing.complete(made, signing, now_ms=at_ms, nonce=nonce))


def code(reply: Any) -> str:
    return "" if reply.status_code < 300 else reply.json()["code"]


@asynccontextmanager
async def office_at(tmp_path: Path) -> AsyncIterator[Office]:
    clock, home = ManualClock(), tmp_path / "home"
    async with furnished(home, clock=clock) as daemon:
        keys = CompanyKeys(MasterKey.from_file(home / "run/master.key"))
        made = Office(daemon, clock, keys.note_key(daemon.company_id))
        made.project = await daemon.project(maxActiveAgents=None)
        yield made
