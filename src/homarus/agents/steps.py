"""What comes next in a turn: a pure function of its transcript and its open tool calls.

    a person's line, or all results in     -> ask the model
    an answer with open tool calls         -> do the first of them
    an answer without                      -> that is the reply

So a turn that was cut anywhere goes on where it stood, and nothing is done twice.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from homarus.conversations.transcript import MESSAGE, Entry
from homarus.flows.turn_tools import ToolCall


class Ask(msgspec.Struct, frozen=True):
    """Send the context to a model."""


class Act(msgspec.Struct, frozen=True):
    """Do these, in order; each has its row."""

    calls: tuple[ToolCall, ...]


class Reply(msgspec.Struct, frozen=True):
    """The answer stands. `message`: the transcript's last line."""

    message: dict[str, Any]


Step = Ask | Act | Reply


def next_step(entries: Sequence[Entry], open_calls: Sequence[ToolCall]) -> Step:
    """`entries`: of the session, oldest first; `open_calls`: of the turn, without a result."""
    if open_calls:
        return Act(tuple(open_calls))
    last = next((entry.message for entry in reversed(entries) if entry.kind == MESSAGE), None)
    if last is None or last["role"] != "assistant":
        return Ask()
    return Reply(last)
