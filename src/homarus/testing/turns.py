"""A daemon in a process of its own that answers messages until it is killed.

    python -m homarus.testing.turns HOME [hang]

It makes (or takes up) the home with an agent `ada`, says MESSAGES to her, each under its own key,
and lets her answer with a scripted model; a person approves whatever is asked. Each answer takes a
task made in the store, an act outside (a line in `effects.log`), and for one message an act that
needs an approval. It ends when all is answered. With `hang` the model hangs at the first message,
the process says so, and waits for SIGTERM. `HOMARUS_FAILPOINT` says where it dies
(base/failpoint.py).
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from homarus.agents.port import ModelRequest, Text, ToolResult, ToolSpec, UserMessage
from homarus.agents.scripted import Say
from homarus.agents.toolbox import BASIC, Tool
from homarus.app import App, build
from homarus.base.action import Action, Effect
from homarus.base.errors import HomarusError
from homarus.company import agents, projects
from homarus.config.settings import load
from homarus.conversations import turns
from homarus.flows import approving, turn_inbound
from homarus.flows.turn_inbound import Inbound
from homarus.flows.turn_tools import Result, text_result
from homarus.kernel import approval_queries, registry, tokens
from homarus.store.port import Rx, Tx
from homarus.testing.scripted_model import Hang, ScriptedModel

MESSAGES: Final = 11
DEPLOYS: Final = 3
"""The message whose answer needs an approval."""
EFFECTS: Final = "effects.log"
CAPABILITY: Final = "site.deploy"
AGENT: Final = "ada"
LOOK_S: Final = 0.02
NOTHING: Final[dict[str, Any]] = {"type": "object", "properties": {}}


def text_of(n: int) -> str:
    return f"message {n}"


def answer_to(text: str) -> str:
    return f"answer to {text}"


def script(request: ModelRequest) -> Say:
    """A task, an act outside, for one message a deployment; then the answer."""
    said = next(m for m in reversed(request.messages) if isinstance(m, UserMessage))
    text = "".join(part.text for part in said.content if isinstance(part, Text))
    done = 0
    for message in reversed(request.messages):
        if message is said:
            break
        done += isinstance(message, ToolResult)
    steps: list[tuple[str, dict[str, Any]]] = [("task_create", {"title": text}),
                                               ("mark", {"text": text})]  # fmt: skip
    if text == text_of(DEPLOYS):
        steps.append(("deploy", {"text": text}))
    if done < len(steps):
        return Say("", (steps[done],))
    return Say(answer_to(text))


def effect(home: Path, line: str) -> None:
    """One line, in one write: what happened outside."""
    fd = os.open(home / EFFECTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def tools(home: Path) -> tuple[Tool, ...]:
    async def mark(arguments: dict[str, Any], hands: Any) -> Result:
        await hands.begin("memory.write", target="agent:self", effect=Effect.LOCAL_WRITE)
        effect(home, f"mark {arguments['text']}")
        return text_result("marked")

    async def deploy(arguments: dict[str, Any], hands: Any) -> Result:
        target = "company:" if hands.work is None else f"task:{hands.work}"
        await hands.begin(CAPABILITY, target=target, what="deploy")
        effect(home, f"deploy {arguments['text']}")
        return text_result("deployed")

    return (
        *BASIC,
        Tool(ToolSpec("mark", "Mark", NOTHING), mark),
        Tool(ToolSpec("deploy", "Deploy", NOTHING), deploy),
    )


# -- who is there ----------------------------------------------------------------------------


def settle_in(tx: Tx) -> str:
    """The agent, a project, a capability that needs an approval, an operator's token; idempotent.
    Returns the token's id."""
    tx.run("update company set level='enforce' where id=?", (tx.company,))
    if agents.find(tx, tx.company, AGENT) is None:
        made = agents.create(tx, agents.AgentChange(name=AGENT, executor="llm"))
        projects.create(tx, {"goal": "test"})
        registry.register(
            tx,
            registry.NewCapability(
                id=CAPABILITY, title="Deploy", argv=("true",), trusted=True, grants=("*",),
                approval=True,
            ),
        )  # fmt: skip
        assert made.id
    row = tx.one("select id from token where name='operator of tests'")
    if row is not None:
        return str(row[0])
    return tokens.mint(
        tx, company=tx.company, kind="operator", name="operator of tests", role="owner",
        lifetime_ms=tokens.NEVER,
    )[0].id  # fmt: skip


class Person:
    """Speaks and approves, as an operator."""

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._token = token
        self._company = app.home_facts.company

    def _action(self, capability: str, target: str) -> Action:
        return Action(self._company, capability, target, credential=self._token)

    async def say(self, n: int) -> None:
        inbound = Inbound(agent=AGENT, text=text_of(n), key=f"key-{n}")
        await self._app.store.write(
            self._action("turn.accept", "turn:new"), turn_inbound.accept, inbound
        )

    async def approve(self) -> None:
        """Whatever waits, for ever."""
        while True:
            for row in await self._app.store.read(_pending, self._company):
                try:
                    await self._app.store.write(
                        self._action("approval.decide", f"approval:{row}"), _yes, row
                    )
                except HomarusError:
                    continue
            await asyncio.sleep(LOOK_S)

    async def until_answered(self) -> None:
        changed = asyncio.Event()
        undo = self._app.store.listen(lambda _: changed.set())
        try:
            while True:
                changed.clear()
                if not await self._app.store.read(_open, self._company):
                    return
                await changed.wait()
        finally:
            undo()


def _pending(rx: Rx, company: str) -> list[str]:
    rows = rx.all("select id from approval where company=? and status='pending'", (company,))
    return [row[0] for row in rows if approval_queries.find(rx, company, row[0]) is not None]


def _yes(tx: Tx, approval: str) -> None:
    approving.decide(tx, approval, approve=True)


def _open(rx: Rx, company: str) -> int:
    row = rx.one(
        "select count(*) from turn where company=? and state in ('queued', 'running', 'parked')",
        (company,),
    )
    return 0 if row is None else int(row[0])


def answered(rx: Rx, company: str) -> dict[str, turns.Turn]:
    """All turns by key."""
    rows = rx.all("select id from turn where company=?", (company,))
    found = [turns.need(rx, company, row[0]) for row in rows]
    return {row.key: row for row in found}


async def main(home: Path, hang: bool) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    model = ScriptedModel(Hang("I am thinking")) if hang else ScriptedModel(script)
    app = build(load(home, {}, port=0, max_task_turns=0), turns=model.turns(tools=tools(home)))
    await app.start()
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    own = Action(app.home_facts.company, "token.create", "token:", system="tests")
    person = Person(app, await app.store.write(own, settle_in))
    approving_ = asyncio.create_task(person.approve())
    try:
        for n in range(MESSAGES):
            await person.say(n)
            sys.stdout.write(f"said {n}\n")
            sys.stdout.flush()
        if hang:
            await model.hanging.wait()
            sys.stdout.write("hanging\n")
            sys.stdout.flush()
            await asked.wait()
        else:
            await person.until_answered()
    finally:
        approving_.cancel()
        await app.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:] == ["hang"]))
