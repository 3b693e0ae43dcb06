"""A turn from a person to the answer, through the daemon, on each engine (design, 6, 7)."""

from typing import Any

import pytest

from homarus.agents.scripted import Say
from homarus.testing.scripted_model import Hang
from tests.support.engines import ENGINES


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the daemon is told of its store."""
    if request.param == "sqlite":
        return {}
    return {"store": request.getfixturevalue("migrated_url")}


async def test_a_message_is_answered(settings: dict[str, Any], talk: Any) -> None:
    chat = await talk("Hello, I am ada.", **settings)
    turn = await chat.answer("Who are you?")
    assert (turn["state"], turn["outcome"]["text"]) == ("done", "Hello, I am ada.")
    assert await chat.thread() == [("human", "Who are you?"), ("agent", "Hello, I am ada.")]
    (request,) = chat.model.requests
    assert "You are ada" in request.system and "Redlines" in request.system
    assert request.messages[-1].content[0].text == "Who are you?"


async def test_tools_an_abort_and_a_branch(settings: dict[str, Any], talk: Any) -> None:
    chat = await talk(Say("", (("task_create", {"title": "Paint"}),)), "Made.", **settings)
    await chat.daemon.project()
    assert (await chat.answer("a task"))["outcome"]["text"] == "Made."
    made = (await chat.post("/sessions/agent:ada:main/fork", {"name": "b"}))["session"]
    assert made["entries"] == 4
    chat.model.then(Hang("so far"))
    turn = await chat.say("wait", sessionKey="fork:b")
    await chat.model.hanging.wait()
    await chat.post(f"/turns/{turn}/abort", {})
    assert (await chat.ended(turn))["state"] == "aborted"
    assert len((await chat.get("/turns"))["turns"]) == 2
