"""What an operator does with tasks that an agent of this daemon works on."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from homarus.agents.toolbox import BASIC, Tool, ToolSpec
from homarus.conversations import turns
from homarus.conversations.turns import Turn, listed
from homarus.flows.turn_tools import Result, text_result
from homarus.records import artifacts
from homarus.records.artifact_fields import NewArtifact
from homarus.store.port import Tx
from homarus.tasks import sql
from homarus.tasks.model import State, Task
from homarus.testing.recount import recount
from tests.unit.agents.conftest import WAIT_S, Talk

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


class Work:
    def __init__(self, chat: Talk, project: str) -> None:
        self.chat = chat
        self.project = project
        self.store = chat.daemon.app.store
        self.company = chat.daemon.company_id

    async def task(self, title: str = "Count the ships", **fields: Any) -> str:
        body = {
            "projectId": self.project, "taskType": "test", "title": title,
            "allowUnderspecified": True,
        }  # fmt: skip
        return str((await self.chat.post("/tasks", body | fields))["task"]["id"])

    async def read(self, task: str) -> Task:
        return await self.store.read(_task, self.company, task)

    async def until(self, task: str, good: Callable[[Task], bool]) -> Task:
        """The task, once `good` holds of it."""
        changed = asyncio.Event()
        undo = self.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    changed.clear()
                    row = await self.read(task)
                    if good(row):
                        return row
                    await changed.wait()
        finally:
            undo()

    async def in_state(self, task: str, *states: State) -> Task:
        return await self.until(task, lambda row: row.state in states)

    async def until_turn(self, state: turns.State) -> None:
        """Until the newest turn of a task is in this state."""
        changed = asyncio.Event()
        undo = self.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(WAIT_S):
                while (await self.turns())[-1].state is not state:
                    await changed.wait()
                    changed.clear()
        finally:
            undo()

    def takes(self, most: int) -> None:
        """How many tasks may be under way from now on."""
        app = self.chat.daemon.app
        app.apply(dataclasses.replace(app.settings, max_task_turns=most))

    async def result(self, task: str) -> Any:
        return await self.store.read(sql.result_of, task)

    async def turns(self) -> list[Turn]:
        """Those of tasks, oldest first."""
        rows = await self.store.read(_turns, self.company)
        return [row for row in reversed(rows) if row.origin == "task"]

    async def notes(self, task: str) -> list[str]:
        return [note.text for note in (await self.store.read(sql.notes_of, task)).values()]

    async def recount(self) -> list[str]:
        return await self.store.read(recount, self.company)


def _task(rx: Any, company: str, task: str) -> Task:
    return sql.need(rx, company, task, archived=True)


def _turns(rx: Any, company: str) -> list[Turn]:
    return listed(rx, company, limit=100)


async def working(talk: Any, *replies: Any, **more: Any) -> Work:
    """A daemon whose agent `ada` takes tasks, and a project."""
    chat = await talk(*replies, **({"max_task_turns": 4} | more))
    return Work(chat, await chat.daemon.project())


def keeping(kind: str = "report") -> Tool:
    """A tool that leaves an artifact of the task, in the store."""

    def keep(tx: Tx, task: str, agent: str) -> Result:
        new = NewArtifact(kind=kind, content_type="text/plain", task=task, agent=agent)
        return text_result(artifacts.create(tx, new).id)

    async def do(arguments: dict[str, Any], hands: Any) -> Result:
        return await hands.apply(
            "artifact.create", keep, hands.work, hands.started.agent.id, target="artifact:new"
        )

    return Tool(ToolSpec("keep", "Keep it", NOTHING), do)


TOOLS = (*BASIC, keeping())
