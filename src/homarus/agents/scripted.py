"""The scripted model: answers by a function of the request, without network, key or cost.

It is what `homarus chat` offers where no model is configured, and what tests script. `obliging` is
the script that ships: it says what it is, and makes a task of `task: TITLE`.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec

from homarus.agents.port import (
    Answered,
    AssistantMessage,
    Delta,
    Event,
    ModelRequest,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
)

NAME: Final = "scripted"
CHARS_PER_TOKEN: Final = 4
_TASK: Final = "task:"


class Say(msgspec.Struct, frozen=True):
    """One answer. `calls`: `(tool, arguments)`; arguments that are text go out as they are, also
    when they are no JSON."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any] | str], ...] = ()
    thinking: str = ""
    stop: Stop | None = None


Script = Callable[[ModelRequest], Say]


class ScriptedModel:
    """A `ModelPort`. Words stream one by one; tokens are counted by characters."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def stream(self, request: ModelRequest) -> AsyncIterator[Event]:
        for event in spoken(self._script(request), request):
            yield event

    async def close(self) -> None:
        return None


def spoken(say: Say, request: ModelRequest) -> list[Event]:
    """An answer as the events of a stream."""
    events: list[Event] = []
    if say.thinking:
        events.append(Delta(say.thinking, thinking=True))
    events += [Delta(word) for word in _words(say.text)]
    parts: list[Text | Thinking | ToolCall] = []
    if say.thinking:
        parts.append(Thinking(say.thinking))
    if say.text:
        parts.append(Text(say.text))
    turn = len(request.messages)
    for n, (name, arguments) in enumerate(say.calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        parts.append(ToolCall(f"call_{turn}_{n}", name, text))
    stop = say.stop or (Stop.TOOLS if say.calls else Stop.END)
    usage = Usage(tokens_of(request), max(1, len(say.text) // CHARS_PER_TOKEN))
    events.append(Answered(AssistantMessage(tuple(parts)), usage, stop, request.model))
    return events


def tokens_of(request: ModelRequest) -> int:
    chars = len(request.system) + sum(len(str(message)) for message in request.messages)
    return chars // CHARS_PER_TOKEN


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word if n == len(words) - 1 else f"{word} " for n, word in enumerate(words) if word]


def last_text(request: ModelRequest) -> str:
    """The text of the last message, whoever it is from."""
    last = request.messages[-1] if request.messages else UserMessage(())
    return "".join(part.text for part in last.content if isinstance(part, Text))


def obliging(request: ModelRequest) -> Say:
    """The script that ships."""
    last = request.messages[-1] if request.messages else None
    if isinstance(last, ToolResult):
        return Say(f"Done: {last_text(request)}"[:2_000])
    said = last_text(request).strip()
    offered = {tool.name for tool in request.tools}
    if said.lower().startswith(_TASK) and "task_create" in offered:
        return Say("", (("task_create", {"title": said[len(_TASK) :].strip() or "A task"}),))
    return Say(
        f"You said: {said[:1_000]}\n\nI am the scripted model: no key, no cost, no knowledge. "
        "Write `task: TITLE` and I make a task. Add a real model: `homarus model add`."
    )
