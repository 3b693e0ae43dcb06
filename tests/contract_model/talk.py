"""What the cases of this suite share: a request, and everything that came of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from homarus.agents.endpoint import Dialect, Endpoint
from homarus.agents.port import (
    Answered,
    Delta,
    Image,
    Message,
    ModelFailure,
    ModelRequest,
    Text,
    ToolSpec,
    UserMessage,
)
from homarus.agents.wires import Bounds, Wire

QUESTION = "What is 6 x 7?"
KEY = "sk-planted-5f1c0a9e77d1"
PATH: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}},
    "required": ["path"],
}
READ = ToolSpec("fs.read", "Read a file.", PATH)
WRITE = ToolSpec("fs.write", "Write a file.", PATH)
PIXEL = Image(
    "image/png",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Er"
    "kJggg==",
)


def user(text: str) -> UserMessage:
    return UserMessage((Text(text),))


def asking(*messages: Message, **more: Any) -> ModelRequest:
    fields: dict[str, Any] = {"model": "scripted", "system": "Be brief.", "tools": (READ, WRITE)}
    return ModelRequest(messages=messages or (user(QUESTION),), **fields | more)


@dataclass
class Came:
    """Everything that one stream gave."""

    text: str = ""
    thinking: str = ""
    answered: Answered | None = None
    failure: ModelFailure | None = None
    events: list[Any] = field(default_factory=list)

    @property
    def parts(self) -> tuple[Any, ...]:
        assert self.answered is not None, self.failure
        return self.answered.message.content


async def ask(wire: Wire, request: ModelRequest) -> Came:
    """Nothing comes after the answer, and none after a failure."""
    came = Came()
    try:
        async for event in wire.stream(request):
            came.events.append(event)
            assert came.answered is None, "something came after the answer"
            match event:
                case Delta(thinking=True):
                    came.thinking += event.text
                case Delta():
                    came.text += event.text
                case _:
                    came.answered = event
    except ModelFailure as failure:
        assert came.answered is None
        came.failure = failure
        return came
    assert came.answered is not None
    return came


async def warm(dialect: Dialect, base_url: str) -> None:
    """One answer to a wire of its own: what is loaded for it the first time is no silence of the
    provider."""
    async with wired(dialect, base_url) as wire:
        await ask(wire, asking())


@asynccontextmanager
async def wired(
    dialect: Dialect, base_url: str, key: str | None = KEY, **bounds: Any
) -> AsyncIterator[Wire]:
    wire = Wire(Endpoint(dialect, base_url, key), Bounds(**bounds))
    try:
        yield wire
    finally:
        await wire.close()
