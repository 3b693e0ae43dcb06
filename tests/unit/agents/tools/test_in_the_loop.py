"""The turn loop with the tools that a daemon has by itself, on a scripted model, over REST."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.tools.space import of_agent
from homarus.backends.local import interpreter
from homarus.testing.daemon import Daemon, key, running

scripted_model = pytest.importorskip("homarus.testing.scripted_model")
WAIT_S = 60
PATH = "/api/v1"


class Talk:
    """A daemon, its agent `ada`, and what a person does."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    async def post(self, path: str, body: Any) -> Any:
        reply = await self.daemon.owner.post(f"{PATH}{path}", json=body, headers=key())
        assert reply.status_code < 400, reply.text
        return reply.json()

    async def get(self, path: str) -> Any:
        reply = await self.daemon.owner.get(f"{PATH}{path}")
        assert reply.status_code < 400, reply.text
        return reply.json()

    async def say(self, text: str) -> str:
        return str((await self.post("/turns", {"agentId": "ada", "text": text}))["turn"]["id"])

    async def until(self, turn: str, good: Callable[[Any], bool]) -> Any:
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

    async def answer(self, text: str) -> Any:
        return await self.until(await self.say(text), lambda row: row["endedAt"] is not None)

    async def results(self) -> list[str]:
        """What the tools said, in order."""
        lines = (await self.get("/sessions/agent:ada:main/history?limit=500"))["entries"]
        messages = [line["message"] for line in lines if line["kind"] == "message"]
        return [m["content"][0]["text"] for m in messages if m["role"] == "toolResult"]

    async def command(self, **more: Any) -> None:
        python = interpreter().python
        body = {"id": "a.run", "title": "Run it", "argv": [python, "-c", "print('it ran')"],
                "trusted": True}  # fmt: skip
        await self.post("/capabilities", body | more)
        await self.post("/projects", {"goal": "work"})


Open = Callable[..., Any]


def turns(*replies: Any) -> Any:
    from homarus.app import Turns

    model = scripted_model.ScriptedModel(*replies)
    return Turns(resolve=model.resolve(), retry=scripted_model.AT_ONCE)


def calls(*wanted: tuple[str, dict[str, Any]]) -> Any:
    from homarus.agents.scripted import Say

    return Say("", wanted)


@pytest.fixture
async def talk(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    """`indirect`: what the model wants done; then it says `Done.`"""
    async with running(tmp_path / "home", turns=turns(calls(*request.param), "Done.")) as daemon:
        made = Talk(daemon)
        agent = await daemon.agent("ada")
        body = {"executor": "llm"}
        reply = await daemon.owner.patch(f"{PATH}/agents/{agent}", json=body, headers=key())
        assert reply.status_code == 200, reply.text
        yield made


EXEC = (("exec", {"capability": "a.run", "wait_s": 30}),)


@pytest.mark.parametrize(
    "talk",
    [(("write", {"path": "a.md", "content": "hello"}), ("memory_append", {"content": "x"}),
      ("read", {"path": "a.md"}), ("read", {"path": "/etc/passwd"}))],
    indirect=True,
)  # fmt: skip
async def test_files_and_memory(talk: Talk) -> None:
    turn = await talk.answer("Go.")
    assert turn["state"] == "done"
    written, remembered, read, refused = await talk.results()
    assert written.startswith("workspace:a.md: written") and remembered == "Remembered."
    assert read.endswith("\nhello") and refused.startswith("workspace.path")
    home = talk.daemon.app.settings.home
    agent = (await talk.get("/agents"))["agents"][0]["id"]
    assert (of_agent(home, agent) / "a.md").read_text() == "hello"


@pytest.mark.parametrize("talk", [EXEC], indirect=True)
async def test_a_command_is_a_task_that_the_turn_ends(talk: Talk) -> None:
    await talk.command()
    assert (await talk.answer("Run it."))["state"] == "done"
    (said,) = await talk.results()
    assert "it ran" in said
    assert [task["state"] for task in (await talk.get("/tasks"))["tasks"]] == ["done"]


@pytest.mark.parametrize("talk", [EXEC], indirect=True)
@pytest.mark.parametrize(
    "answer, said", [("approved", "it ran"), ("rejected", "approval.rejected")]
)
async def test_a_question_and_its_answer(talk: Talk, answer: str, said: str) -> None:
    await talk.command(approval=True)
    turn = await talk.say("Run it.")
    await talk.until(turn, lambda row: row["state"] == "parked")
    (row,) = (await talk.get("/approvals"))["approvals"]
    reply = await talk.daemon.owner.patch(
        f"{PATH}/approvals/{row['id']}", json={"status": answer}, headers=key()
    )
    assert reply.status_code == 200, reply.text
    await talk.until(turn, lambda row: row["endedAt"] is not None)
    results = await talk.results()
    assert len(results) == 1 and said in results[0]
