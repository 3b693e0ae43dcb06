"""A daemon whose agents answer over `/v1`, on a scripted model, and what a client of it does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from homarus.agents.toolbox import BASIC, Tool
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.scripted_model import ScriptedModel

MODEL = "openclaw/ada"
WEATHER = {
    "type": "function", "name": "get_weather", "description": "The weather of a place.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}  # fmt: skip
CHAT_WEATHER = {"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}
Event = dict[str, Any]


class Asking:
    """`client`: with the owner's token, on the daemon's address."""

    def __init__(self, daemon: Daemon, model: ScriptedModel) -> None:
        self.daemon = daemon
        self.model = model
        self.client: httpx2.AsyncClient = daemon.owner

    async def agent(self, name: str = "ada", **body: Any) -> str:
        id_ = await self.daemon.agent(name)
        reply = await self.client.patch(
            f"/api/v1/agents/{id_}", json={"executor": "llm"} | body, headers=key()
        )
        assert reply.status_code == 200, reply.text
        return id_

    async def post(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        return await self.client.post(
            path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    async def respond(self, given: Any, **more: Any) -> Any:
        reply = await self.post("/v1/responses", {"model": MODEL, "input": given} | more)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def complete(self, messages: Any, **more: Any) -> Any:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        reply = await self.post(
            "/v1/chat/completions", {"model": MODEL, "messages": messages} | more
        )
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def events(self, path: str, body: Any, **headers: str) -> list[tuple[str, Any]]:
        """`(event, data)` of a stream, comments left out; the last is `[DONE]`."""
        found: list[tuple[str, Any]] = []
        async with self.client.stream("POST", path, json=body, headers=headers) as reply:
            assert reply.status_code == 200, await reply.aread()
            assert reply.headers["content-type"].startswith("text/event-stream")
            name = ""
            async for line in reply.aiter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data = line[6:]
                    found.append((name, data if data == "[DONE]" else json.loads(data)))
                    name = ""
        return found

    async def get(self, path: str, **query: Any) -> Any:
        reply = await self.client.get(f"/api/v1{path}", params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def turns(self, **query: Any) -> list[Any]:
        """Newest first."""
        return (await self.get("/turns", **query))["turns"]

    async def session_keys(self) -> list[str]:
        return [row["key"] for row in (await self.get("/sessions"))["sessions"]]

    async def lines(self, session: str) -> list[tuple[str, Any]]:
        """`(role, content)` of a transcript."""
        entries = (await self.get(f"/sessions/{session}/history", limit=500))["entries"]
        return [(e["message"]["role"], e["message"]["content"]) for e in entries]


@asynccontextmanager
async def asking(
    home: Path, *replies: Any, agents: tuple[str, ...] = ("ada",), tools: tuple[Tool, ...] = BASIC,
    model: ScriptedModel | None = None, **settings: Any,
) -> AsyncIterator[Asking]:  # fmt: skip
    model = model or ScriptedModel(*replies)
    async with running(home, turns=model.turns(tools=tools), **settings) as daemon:
        made = Asking(daemon, model)
        known = {row["name"] for row in (await made.get("/agents"))["agents"]}
        for name in agents:
            if name not in known:
                await made.agent(name)
        yield made
