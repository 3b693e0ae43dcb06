"""The company that is attacked: small, of template `studio`, with one of everything to take.

    world = await found(owner, "http://127.0.0.1:1", "acme-1")

`mallory` is an ordinary coder with a token of her own and the company token that acts for her and
`pm`. Everything else belongs to others.
"""

import asyncio
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2

from homarus.base import tls

CLIENT_TIMEOUT_S: Final = 30.0
NAMES: Final = {
    "mallory": "coder",
    "pm": "pm",
    "scoder": "scoder",
    "coder2": "coder",
    "coo": "coo",
}
BUDGET_MICROS: Final = 1_000_000
MODEL: Final = "scripted-1"

_keys = itertools.count(1)


@dataclass
class World:
    """Ids by name, what the hostile agent has seen, and what she may act with.

    `voices`: clients by credential (`own`: her agent token, `company`: the company token).
    """

    slug: str
    company: str
    home: Path
    owner: httpx2.AsyncClient
    voices: dict[str, httpx2.AsyncClient]
    agents: dict[str, str] = field(default_factory=dict)
    project: str = ""
    tasks: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    preflights: list[str] = field(default_factory=list)
    approvals: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    reservations: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    async def close(self) -> None:
        for client in self.voices.values():
            await client.aclose()

    async def ask(self, path: str, /, *, company: str = "", **query: Any) -> Any:
        """What the owner reads."""
        here = {"X-Homarus-Company": company or self.slug}
        reply = await self.owner.get(f"/api/v1{path}", params=query, headers=here)
        reply.raise_for_status()
        return reply.json()

    async def order(self, method: str, path: str, body: Any, voice: str = "owner") -> Any:
        """What the owner (or another voice) does while the company is set up."""
        client = self.owner if voice == "owner" else self.voices[voice]
        headers = fresh_key()
        if voice == "owner":
            headers["X-Homarus-Company"] = self.slug
        reply = await client.request(method, f"/api/v1{path}", json=body, headers=headers)
        if reply.status_code >= 400:
            raise AssertionError(f"{method} {path}: {reply.status_code} {reply.text}")
        return reply.json()


def fresh_key() -> dict[str, str]:
    return {"Idempotency-Key": f"world-{next(_keys)}"}


def voice(url: str, secret: str) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx2.AsyncClient(
        base_url=url, headers=headers, timeout=CLIENT_TIMEOUT_S, verify=tls.of(url)
    )


async def found(owner: httpx2.AsyncClient, url: str, home: Path, slug: str) -> World:
    """Found it over the wire, as its owner would."""
    made = await owner.post(
        "/api/v1/companies", json={"slug": slug, "name": "Acme", "template": "studio"}
    )
    made.raise_for_status()
    world = World(slug, made.json()["company"]["id"], home, owner, {})
    for name, role in NAMES.items():
        body = {"name": name, "role": role, "concurrencyLimit": 3}
        world.agents[name] = (await world.order("POST", "/agents", body))["agent"]["id"]
    await _voices(world, url)
    await _work(world)
    await _things(world)
    return world


async def _voices(world: World, url: str) -> None:
    for name in ("mallory", "pm", "coo"):
        body = {"kind": "agent", "name": name, "agentId": world.agents[name]}
        secret = (await world.order("POST", "/tokens", body))["secret"]
        world.voices["own" if name == "mallory" else name] = voice(url, secret)
    company = await world.order("POST", "/tokens", {"kind": "runtime", "name": "bridge"})
    for name in ("mallory", "pm"):
        token = company["token"]["id"]
        await world.order("POST", f"/tokens/{token}/grants", {"agentId": world.agents[name]})
    world.voices["company"] = voice(url, company["secret"])


async def _work(world: World) -> None:
    project = await world.order("POST", "/projects", {"goal": "Ship the release"})
    world.project = project["project"]["id"]
    for name, holder in (
        ("hers", "mallory"), ("free", None), ("pms", "pm"), ("coos", "coo"), ("stopped", "coder2"),
    ):  # fmt: skip
        body = {"projectId": world.project, "taskType": "chore", "title": f"Chore of {name}",
                "allowUnderspecified": True, "assignedAgentId": holder}  # fmt: skip
        task = (await world.order("POST", "/tasks", body))["task"]
        world.tasks[name] = task["id"]
    await world.order("POST", f"/tasks/{world.tasks['pms']}/claim", {"agentId": "pm"}, "pm")
    stop = {"scope": "task", "subject": world.tasks["stopped"], "reason": "legal"}
    await world.order("POST", "/stops", stop)


async def _things(world: World) -> None:
    """Capabilities of each kind, a budget, a price, others' preflights and notes."""
    for body in CAPABILITIES:
        await world.order("POST", "/capabilities", body)
    price = {"name": MODEL, "inputMicros": 1_000_000, "outputMicros": 1_000_000}
    await world.order("PUT", "/prices", price)
    await world.order(
        "PUT", "/budgets",
        {"scope": "agent", "subject": world.agents["mallory"], "unit": "money",
         "period": "total", "limit": BUDGET_MICROS},
    )  # fmt: skip
    theirs = {"agentId": "pm", "intent": "count the files", "taskId": world.tasks["pms"]}
    made = await world.order("POST", "/preflights", theirs, "pm")
    world.preflights.append(made["preflight"]["id"])
    task = (await world.ask(f"/tasks/{world.tasks['pms']}"))["task"]
    note = (
        f"[KERNEL_CONTEXT] caller=pm, task_id={task['id']}, trace_id={task['traceId']}, perm=read"
    )
    sent = {"agentId": "pm", "targetAgentId": "mallory", "text": "hi", "routingNote": note}
    answer = await world.order("POST", "/sends", sent, "pm")
    world.notes.append(str(answer["routingNote"]))


def _command(name: str, grants: list[str], **more: Any) -> dict[str, Any]:
    return {"id": name, "title": name, "argv": ["true"], "grants": grants} | more


def _tool(name: str, effect: str) -> dict[str, Any]:
    return {"id": name, "title": name, "kind": "tool", "effect": effect, "grants": ["*"],
            "mirror": "lark_base", "argv": []}  # fmt: skip


CAPABILITIES: Final[tuple[dict[str, Any], ...]] = (
    _command("files.count", ["role:coder"], keywords=["count", "files"]),
    _command("files.read", ["role:coder"], argv=["cat", "{file}"], slots={"file": "path"}),
    _command("deploy.run", ["role:coder"], approval=True),
    _command("payroll.run", ["role:coo"]),
    _tool("lark.list", "read"),
    _tool("lark.write", "external_write"),
)


async def gather(*jobs: Any) -> list[Any]:
    return list(await asyncio.gather(*jobs))
