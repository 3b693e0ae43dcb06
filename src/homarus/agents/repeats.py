"""A model that goes round in circles: the same call, the same arguments, the same result. Pure."""

import json
from collections.abc import Sequence
from typing import Any, Final

from homarus.base.errors import Conflict
from homarus.conversations.transcript import MESSAGE, Entry
from homarus.flows.turn_tools import ToolCall

WARN: Final = 3
"""The call that is the third of its kind is answered with an error instead of being done."""
END: Final = 5
"""And the fifth ends the turn."""
ENDS: Final = "turn.loop"


def count(entries: Sequence[Entry], call: ToolCall) -> int:
    """How many calls of this turn were the same and were answered the same, this one included."""
    wanted = _normal(call.arguments)
    asked: set[str] = set()
    answers: list[str] = []
    for entry in entries:
        if entry.kind != MESSAGE or entry.turn != call.turn:
            continue
        message = entry.message
        if message["role"] == "assistant":
            asked |= {
                part["id"] for part in message["content"]
                if part["type"] == "toolCall" and part["name"] == call.tool
                and _normal(part["arguments"]) == wanted
            }  # fmt: skip
        elif message["role"] == "toolResult" and message["toolCallId"] in asked:
            answers.append(json.dumps(message["content"]))
    refused = [answer for answer in answers if _MARK in answer]
    done = [answer for answer in answers if _MARK not in answer]
    if len(set(done)) > 1:  # what it looks at changes: it waits for something
        return 1
    return len(done) + len(refused) + 1


_MARK: Final = "was not done again"


def check(entries: Sequence[Entry], call: ToolCall) -> None:
    """Raises `tool.repeated` (told to the model), then `turn.loop` (ends the turn)."""
    times = count(entries, call)
    if times >= END:
        raise Conflict(
            ENDS, f"the model called {call.tool} {times} times with the same arguments",
            "Ask again, more precisely; or choose another model.",
        )  # fmt: skip
    if times >= WARN:
        raise Conflict(
            "tool.repeated", f"{call.tool} with these arguments gave the same result before; it "
            f"{_MARK}", "Do something else, or answer with what you know.",
        )  # fmt: skip


def _normal(arguments: Any) -> str:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return str(arguments)
    return json.dumps(arguments, sort_keys=True)
