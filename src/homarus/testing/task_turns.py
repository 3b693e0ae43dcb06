"""A daemon in a process of its own whose agent works on tasks of the queue until it is killed.

    python -m homarus.testing.task_turns HOME

It makes (or takes up) the home with an agent `ada` and TASKS tasks, and lets her do them with a
scripted model: for each an act outside (a line in `effects.log`), an artifact, for one an act that
needs an approval, which a person gives; then the answer. It ends when all are over.
`HOMARUS_FAILPOINT` says where it dies (base/failpoint.py).
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from homarus.agents.port import ModelRequest, ToolResult, ToolSpec
from homarus.agents.scripted import Say
from homarus.agents.toolbox import Tool
from homarus.app import App, build
from homarus.base.action import Action, Effect
from homarus.company import projects
from homarus.config.settings import load
from homarus.flows import creating
from homarus.flows.turn_tools import Result, text_result
from homarus.records import artifacts
from homarus.records.artifact_fields import NewArtifact
from homarus.store.port import Rx, Tx
from homarus.tasks.model import State
from homarus.testing.scripted_model import ScriptedModel
from homarus.testing.turns import CAPABILITY, NOTHING, Person, effect, settle_in

TASKS: Final = 4
DEPLOYS: Final = 1
"""The task whose work needs an approval."""
OVER: Final = (State.DONE, State.FAILED, State.REVIEW, State.DEAD_LETTER)


def title_of(n: int) -> str:
    return f"job {n}"


def answer_to(title: str) -> str:
    return f"result of {title}"


def script(request: ModelRequest) -> Say:
    """An effect, an artifact, for one task a deployment; then the answer."""
    title = next(title_of(n) for n in range(TASKS) if f": {title_of(n)}\n" in request.system)
    done = sum(isinstance(message, ToolResult) for message in request.messages)
    steps: list[tuple[str, dict[str, Any]]] = [("mark", {"text": title}), ("keep", {})]
    if title == title_of(DEPLOYS):
        steps.append(("deploy", {"text": title}))
    return Say(f"step {done}", (steps[done],)) if done < len(steps) else Say(answer_to(title))


def tools(home: Path) -> tuple[Tool, ...]:
    async def mark(arguments: dict[str, Any], hands: Any) -> Result:
        await hands.begin("memory.write", target="agent:self", effect=Effect.LOCAL_WRITE)
        effect(home, f"mark {arguments['text']}")
        return text_result("marked")

    async def deploy(arguments: dict[str, Any], hands: Any) -> Result:
        await hands.begin(CAPABILITY, target=f"task:{hands.work}", what="deploy")
        effect(home, f"deploy {arguments['text']}")
        return text_result("deployed")

    async def keep(arguments: dict[str, Any], hands: Any) -> Result:
        _ = arguments
        target = "artifact:new"
        kept: Result = await hands.apply("artifact.create", _keep, hands.work, target=target)
        return kept

    return (
        Tool(ToolSpec("mark", "Mark", NOTHING), mark),
        Tool(ToolSpec("deploy", "Deploy", NOTHING), deploy),
        Tool(ToolSpec("keep", "Keep", NOTHING), keep),
    )


def _keep(tx: Tx, task: str) -> Result:
    new = NewArtifact(kind="report", content_type="text/plain", task=task)
    return text_result(artifacts.create(tx, new).id)


def _give_work(tx: Tx) -> None:
    """The tasks; idempotent."""
    if tx.one("select 1 from task_spec where type='job' limit 1") is not None:
        return
    (project,) = projects.listed(tx, tx.company, limit=1)
    for n in range(TASKS):
        new = creating.NewTask(
            project=project.id, type="job", spec={"title": title_of(n)}, allow_underspecified=True,
            capability=CAPABILITY if n == DEPLOYS else None,
        )  # fmt: skip
        creating.create(tx, new)


def states(rx: Rx) -> list[State]:
    rows = rx.all("select t.state from task t join task_spec s on s.task=t.id where s.type='job'")
    return [State(row[0]) for row in rows]


async def _until_over(app: App) -> None:
    changed = asyncio.Event()
    undo = app.store.listen(lambda _: changed.set())
    try:
        while True:
            changed.clear()
            if all(state in OVER for state in await app.store.read(states)):
                return
            await changed.wait()
    finally:
        undo()


async def main(home: Path) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    model = ScriptedModel(script)
    app = build(load(home, {}, port=0), turns=model.turns(tools=tools(home)))
    await app.start()
    own = Action(app.home_facts.company, "token.create", "token:", system="tests")
    person = Person(app, await app.store.write(own, settle_in))
    approving = asyncio.create_task(person.approve())
    try:
        give = Action(app.home_facts.company, "turn.run", "task:new", system="tests")
        await app.store.write(give, _give_work)
        await _until_over(app)
    finally:
        approving.cancel()
        await app.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
