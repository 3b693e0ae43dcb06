"""A daemon in a process of its own whose agent has a heartbeat, until it is killed.

    python -m homarus.testing.heartbeats HOME

It makes (or takes up) the home with an agent `ada` and orders, wakes her once, and ends when
what she does is settled. Each request to the model is a line in `requests.log`, written before it
is answered. `HOMARUS_FAILPOINT` says where the process dies (base/failpoint.py).
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from homarus.agents.heart import FILE
from homarus.agents.port import ModelRequest
from homarus.agents.tools.space import of_agent
from homarus.app import App, build
from homarus.base.action import Action
from homarus.company import agents
from homarus.company import heartbeats as rows
from homarus.config.settings import load
from homarus.flows import heartbeats
from homarus.store.port import Rx, Tx
from homarus.testing.scripted_model import ScriptedModel

AGENT: Final = "ada"
REQUESTS: Final = "requests.log"
ANSWER: Final = "The plants are watered."


def _settle_in(tx: Tx) -> str:
    """The agent's id; woken when she is new."""
    found = agents.find(tx, tx.company, AGENT)
    if found is not None:
        return found.id
    made = agents.create(tx, agents.AgentChange(name=AGENT, executor="llm"))
    heartbeats.change(tx, made.id, rows.Change(enabled=True))
    heartbeats.wake(tx, "look", agent=made.id)
    return made.id


def _settled(rx: Rx, agent: str) -> bool:
    row = rows.of(rx, agent)
    return row is not None and row.record is not None and row.turn is None


def script(home: Path) -> Any:
    def answer(request: ModelRequest) -> str:
        with (home / REQUESTS).open("a", encoding="utf-8") as file:
            file.write(f"{len(request.messages)}\n")
        return ANSWER

    return answer


async def until_settled(app: App, agent: str) -> None:
    changed = asyncio.Event()
    undo = app.store.listen(lambda _: changed.set())
    try:
        while not await app.store.read(_settled, agent):
            await changed.wait()
            changed.clear()
    finally:
        undo()


async def main(home: Path) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    app = build(load(home, {}, port=0), turns=ScriptedModel(script(home)).turns())
    await app.start()
    try:
        own = Action(app.home_facts.company, "company.create", "company:", system="tests")
        agent = await app.store.write(own, _settle_in)
        folder = of_agent(home, agent)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text("- water the plants", "utf-8")
        await until_settled(app, agent)
    finally:
        await app.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
