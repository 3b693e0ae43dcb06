"""A daemon, an agent, a provider that speaks its real wire (design, 7).

The provider is the scripted server in its own thread; nothing between it and the row of the reply
is replaced.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from homarus.agents.endpoint import Dialect
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.model_server import Call, Fail, ModelServer, Say

WAIT_S = 60.0
DIALECTS = pytest.mark.parametrize("dialect", list(Dialect), ids=lambda d: d.value)
ENDED = ("done", "failed", "aborted")


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "home", max_task_turns=0) as made:
        yield made


async def ada(daemon: Daemon, provider: ModelServer, dialect: Dialect) -> None:
    """An agent that runs here, and the company's model."""
    body = {"dialect": dialect.value, "baseUrl": provider.base_url(dialect.value), "model": "m-1",
            "key": "sk-scripted"}  # fmt: skip
    added = await daemon.owner.post("/api/v1/models", json=body, headers=key())
    assert added.status_code in (200, 201), added.text
    made = await daemon.owner.post(
        "/api/v1/agents", json={"name": "ada", "executor": "llm"}, headers=key()
    )
    assert made.status_code == 201, made.text


async def said(daemon: Daemon, text: str) -> dict[str, Any]:
    reply = await daemon.owner.post(
        "/api/v1/turns", json={"agentId": "ada", "text": text}, headers=key()
    )
    assert reply.status_code == 202, reply.text
    return await ended(daemon.owner, reply.json()["turn"]["id"])


async def ended(client: httpx2.AsyncClient, turn: str) -> dict[str, Any]:
    """The turn when it has ended: its own stream says so."""
    path = f"/api/v1/turns/{turn}"
    async with asyncio.timeout(WAIT_S), client.stream("GET", f"{path}/events") as told:
        async for line in told.aiter_lines():
            if line.startswith("event: end"):
                break
    return (await client.get(path)).json()["turn"]


@DIALECTS
async def test_a_message_is_answered_by_a_real_wire(daemon: Daemon, dialect: Dialect) -> None:
    with ModelServer(Say("forty-two"), key="sk-scripted") as provider:
        await ada(daemon, provider, dialect)
        turn = await said(daemon, "What is 6 x 7?")
    assert (turn["state"], turn["outcome"]["text"]) == ("done", "forty-two")
    thread = (await daemon.owner.get("/api/v1/threads?type=direct")).json()["threads"][0]
    messages = (await daemon.owner.get(f"/api/v1/threads/{thread['id']}/messages")).json()
    assert [m["text"] for m in messages["messages"]] == ["What is 6 x 7?", "forty-two"]


@DIALECTS
async def test_a_provider_that_stumbles_is_asked_again(daemon: Daemon, dialect: Dialect) -> None:
    script = (Fail(500), Say("here"))
    with ModelServer(*script, key="sk-scripted") as provider:
        await ada(daemon, provider, dialect)
        turn = await said(daemon, "Are you there?")
    assert (turn["state"], turn["outcome"]["text"]) == ("done", "here")


@DIALECTS
async def test_a_tool_is_called_and_its_result_goes_back(daemon: Daemon, dialect: Dialect) -> None:
    create = Call("task.create", {"title": "Paint the boat", "description": "blue"})
    with ModelServer(create, Say("It is noted."), key="sk-scripted") as provider:
        await ada(daemon, provider, dialect)
        await daemon.project("Boats")
        turn = await said(daemon, "Please have the boat painted.")
        assert len(provider.requests) == 2
    assert (turn["state"], turn["outcome"]["text"]) == ("done", "It is noted.")
    tasks = (await daemon.owner.get("/api/v1/tasks")).json()["tasks"]
    assert [task["title"] for task in tasks] == ["Paint the boat"], "no standing task is listed"


async def test_the_key_is_in_no_file_of_the_home(daemon: Daemon, tmp_path: Path) -> None:
    with ModelServer(Say("hush"), key="sk-scripted") as provider:
        await ada(daemon, provider, Dialect.CHAT)
        await said(daemon, "hello")
    for file in (tmp_path / "home").rglob("*"):
        if file.is_file():
            assert b"sk-scripted" not in file.read_bytes(), file
