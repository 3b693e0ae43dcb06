"""A daemon whose agent `ada` is run by it, on a scripted model."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.toolbox import BASIC, Tool
from homarus.testing.daemon import Daemon, furnished, key
from homarus.testing.scripted_model import ScriptedModel

WAIT_S = 30.0


class Talk:
    """One daemon and what a person does with its agent."""

    def __init__(self, daemon: Daemon, model: ScriptedModel) -> None:
        self.daemon = daemon
        self.model = model

    async def agent(self, name: str = "ada", **body: Any) -> str:
        id_ = await self.daemon.agent(name)
        reply = await self.daemon.owner.patch(
            f"/api/v1/agents/{id_}", json={"executor": "llm"} | body, headers=key()
        )
        assert reply.status_code == 200, reply.text
        return id_

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        reply = await self.daemon.owner.post(f"/api/v1{path}", json=body, headers=key() | headers)
        assert reply.status_code < 400, reply.text
        return reply.json()

    async def put(self, path: str, body: Any) -> Any:
        reply = await self.daemon.owner.put(f"/api/v1{path}", json=body, headers=key())
        assert reply.status_code < 400, reply.text
        return reply.json()

    async def get(self, path: str, **query: Any) -> Any:
        reply = await self.daemon.owner.get(f"/api/v1{path}", params=query)
        assert reply.status_code < 400, reply.text
        return reply.json()

    async def say(self, text: str, agent: str = "ada", **more: Any) -> str:
        """A turn; its id."""
        reply = await self.post("/turns", {"agentId": agent, "text": text} | more)
        return str(reply["turn"]["id"])

    async def until(self, turn: str, good: Callable[[Any], bool]) -> Any:
        """The turn, once `good` holds of it."""
        changed = asyncio.Event()
        undo = self.daemon.app.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    changed.clear()
                    row = (await self.get(f"/turns/{turn}"))["turn"]
                    if good(row):
                        return row
                    await changed.wait()
        finally:
            undo()

    async def ended(self, turn: str) -> Any:
        return await self.until(turn, lambda row: row["endedAt"] is not None)

    async def answer(self, text: str, **more: Any) -> Any:
        """What became of saying this: the ended turn."""
        return await self.ended(await self.say(text, **more))

    async def lines(self, session: str = "agent:ada:main") -> list[tuple[str, Any]]:
        """`(role, content)` of a session's transcript."""
        reply = await self.get(f"/sessions/{session}/history", limit=500)
        return [
            (line["message"]["role"], line["message"]["content"])
            for line in reply["entries"]
            if line["kind"] == "message"
        ]

    async def thread(self, session: str = "agent:ada:main") -> list[tuple[str, str]]:
        """`(sender, text)` of the messages in a session's thread."""
        thread = (await self.get(f"/sessions/{session}"))["session"]["threadId"]
        reply = await self.get(f"/threads/{thread}/messages", limit=500, sinceSeq=0)
        return [(m["senderType"], m["text"]) for m in reply["messages"]]


Opener = Callable[..., Awaitable[Talk]]


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Opener]:
    """`await talk(*replies, fallbacks=(), window=…, tools=…, home=…)`: a daemon with `ada`.
    She only answers: `max_task_turns=8` has her take tasks."""
    async with AsyncExitStack() as stack:

        async def opened(
            *replies: Any, fallbacks: tuple[ScriptedModel, ...] = (), window: int = 128_000,
            tools: tuple[Tool, ...] = BASIC, model: ScriptedModel | None = None,
            home: str = "home", agent: bool = True, **settings: Any,
        ) -> Talk:  # fmt: skip
            model = model or ScriptedModel(*replies)
            turns = model.turns(*fallbacks, window=window, tools=tools)
            daemon = await stack.enter_async_context(
                furnished(tmp_path / home, turns=turns, **({"max_task_turns": 0} | settings))
            )
            made = Talk(daemon, model)
            if agent:
                await made.agent()
            return made

        yield opened
