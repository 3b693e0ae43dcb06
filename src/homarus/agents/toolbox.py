"""Tools: what a model may ask for, and the one way in which the loop has it done.

    specs(agent, session)      what is offered
    run(call, arguments, hands) -> Result

A tool acts through its `Hands` alone, in one of three ways:

    return a Result                        it only looks, and nothing needs a receipt
    await hands.apply(capability, fn, …)   the store does it: intent, act and result are one unit
    await hands.begin(capability, …)       intent first; then the act; then the Result is returned

Every way in is judged by the kernel under the turn's preflight. A refusal is raised out of `run`;
the loop makes of it what it has to become: a result for the model, a parked turn, a real task.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from homarus.agents.cut import Cut
from homarus.agents.port import ToolSpec
from homarus.base.action import Effect
from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.company import projects
from homarus.company.agents import Agent
from homarus.conversations.sessions import Session
from homarus.flows import creating
from homarus.flows.turn_tools import Result, ToolCall, text_result
from homarus.flows.turning import Started
from homarus.store.port import Rx, Store, Ts, Tx

MAX_TITLE: Final = 500
MAX_DESCRIPTION: Final = 20_000


class Hands(Protocol):
    """What a tool acts with, for one call. `started`: the turn, its session, agent, standing task.

    `work`: the real task that the turn works on, once one was needed; its id.
    """

    store: Store
    started: Started
    call: ToolCall
    cut: Cut

    @property
    def work(self) -> str | None: ...

    async def apply(
        self, capability: str, fn: Callable[[Tx, *Ts], Result], *args: *Ts,
        target: str = "company:", callee: str | None = None, note: str | None = None,
    ) -> Result:  # fmt: skip
        """`fn(tx, *args) -> Result`, with its line in the transcript, in one unit."""
        ...

    async def begin(
        self, capability: str, *, target: str = "company:", effect: Effect = Effect.EXEC,
        what: str = "",
    ) -> None:  # fmt: skip
        """The intent of an act outside the store. Afterwards: act, and return the Result."""
        ...


class Tools(Protocol):
    """`harmless`: names of tools whose call may simply be repeated after a crash."""

    harmless: frozenset[str]

    async def specs(self, agent: Agent, session: Session) -> tuple[ToolSpec, ...]: ...

    async def run(self, call: ToolCall, arguments: dict[str, Any], hands: Hands) -> Result:
        """Raises HomarusError for what the model did wrong or what was refused."""
        ...


Do = Callable[[dict[str, Any], Hands], Awaitable[Result]]


class Tool(msgspec.Struct, frozen=True):
    """`harmless`: see `Tools`."""

    spec: ToolSpec
    do: Do
    harmless: bool = False


class Toolbox:
    """A fixed set of tools, offered to every agent."""

    def __init__(self, tools: tuple[Tool, ...]) -> None:
        self._tools: Mapping[str, Tool] = {tool.spec.name: tool for tool in tools}
        self._specs = tuple(tool.spec for tool in tools)
        self.harmless = frozenset(tool.spec.name for tool in tools if tool.harmless)

    async def specs(self, agent: Agent, session: Session) -> tuple[ToolSpec, ...]:
        _ = agent, session
        return self._specs

    async def run(self, call: ToolCall, arguments: dict[str, Any], hands: Hands) -> Result:
        tool = self._tools.get(call.tool)
        if tool is None:
            raise unknown(call.tool, self._tools)
        return await tool.do(arguments, hands)


def unknown(name: str, known: Mapping[str, Any]) -> Invalid:
    return Invalid("tool.unknown", f"there is no tool {name[:80]!r}",
                   f"Use one of: {', '.join(sorted(known)) or 'none is offered'}.")  # fmt: skip


def text_argument(arguments: dict[str, Any], name: str, most: int, default: str = "") -> str:
    """Raises `tool.arguments`."""
    value = arguments.get(name, default)
    if not isinstance(value, str) or len(value) > most:
        raise Invalid("tool.arguments", f"`{name}` must be a text", f"At most {most} characters.")
    return value


# -- two that need nothing else ------------------------------------------------------------


async def _now(arguments: dict[str, Any], hands: Hands) -> Result:
    _ = arguments, hands
    return text_result(iso_ms(time.time_ns() // 1_000_000))


async def _create(arguments: dict[str, Any], hands: Hands) -> Result:
    title = text_argument(arguments, "title", MAX_TITLE)
    if not title.strip():
        raise Invalid("tool.arguments", "`title` is missing", "Say what is to be done.")
    about = text_argument(arguments, "description", MAX_DESCRIPTION)
    project = text_argument(arguments, "project", MAX_TITLE)
    return await hands.apply("task.create", create_task, title, about, project, target="task:new")


def create_task(tx: Tx, title: str, about: str, project: str) -> Result:
    spec = {"title": title} | ({"description": about} if about.strip() else {})
    new = creating.NewTask(
        project=project_of(tx, tx.company, project), type="chat_task", spec=spec,
        allow_underspecified=True,
    )  # fmt: skip
    task = creating.create(tx, new).task
    return msgspec.structs.replace(
        text_result(f"{task.number} is {task.state.value}: {title}"),
        details={"task": task.id, "number": task.number},
    )


def project_of(rx: Rx, company: str, ref: str) -> str:
    """The project named, else the newest active one. Raises `project.unknown`."""
    if ref.strip():
        return projects.need(rx, company, ref.strip()).id
    rows = projects.listed(rx, company, limit=1, status="active")
    if not rows:
        raise Invalid("project.unknown", "there is no active project", "Create one first.")
    return rows[0].id


BASIC: Final = (
    Tool(
        ToolSpec("time_now", "The present time, in UTC.", {"type": "object", "properties": {}}),
        _now,
        harmless=True,
    ),
    Tool(
        ToolSpec(
            "task_create",
            "Make a task for work that is more than an answer. It is done by whoever it fits.",
            {
                "type": "object",
                "properties": {
                    "title": {"type": "string", "description": "What is to be done, in one line."},
                    "description": {"type": "string"},
                    "project": {"type": "string", "description": "Its number or id; default: the "
                                "newest active project."},
                },
                "required": ["title"],
            },
        ),
        _create,
    ),
)  # fmt: skip
