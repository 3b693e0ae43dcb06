"""What the library heard, as ours: pieces of a stream, then parts, usage and end of an answer."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from pydantic_ai import messages as m
from pydantic_ai.models import StreamedResponse

from homarus.agents import port
from homarus.agents.endpoint import Endpoint
from homarus.agents.library import thinking
from homarus.agents.library.names import Names
from homarus.agents.port import Stop, Usage

MAX_COUNT: Final = 1_000_000_000
"""Tokens that one answer can have used."""


class Piece(msgspec.Struct, frozen=True):
    """Something came. `delta`: what a watcher is shown; `chars`: how much it was."""

    delta: port.Delta | None
    chars: int


def piece(event: m.ModelResponseStreamEvent) -> Piece:
    match event:
        case m.PartStartEvent(part=m.TextPart(content=text)):
            return _said(text, thinking=False)
        case m.PartStartEvent(part=m.ThinkingPart(content=text)):
            return _said(text, thinking=True)
        case m.PartStartEvent(part=m.ToolCallPart(args=args)):
            return Piece(None, len(args) if isinstance(args, str) else 0)
        case m.PartDeltaEvent(delta=m.TextPartDelta(content_delta=text)):
            return _said(text, thinking=False)
        case m.PartDeltaEvent(delta=m.ThinkingPartDelta(content_delta=text)):
            return _said(text or "", thinking=True)
        case m.PartDeltaEvent(delta=m.ToolCallPartDelta(args_delta=args)):
            return Piece(None, len(args) if isinstance(args, str) else 0)
        case _:
            return Piece(None, 0)


def _said(text: str, *, thinking: bool) -> Piece:
    return Piece(port.Delta(text, thinking) if text else None, len(text))


def usage(stream: StreamedResponse) -> Usage:
    used = stream.usage
    return Usage(
        input=_count(used.input_tokens),
        output=_count(used.output_tokens),
        cached=_count(used.cache_read_tokens),
        thinking=_count(used.details.get("reasoning_tokens", 0)),
    )


def _count(told: object) -> int:
    """A provider's number, as far as it can be one: budgets are settled with it."""
    return min(max(told, 0), MAX_COUNT) if isinstance(told, int) else 0


def stop(why: str | None, parts: Sequence[object]) -> Stop:
    if why == "content_filter":
        return Stop.REFUSAL
    if why == "length":
        return Stop.LENGTH
    return Stop.TOOLS if any(isinstance(part, port.ToolCall) for part in parts) else Stop.END


def parts(
    heard: Sequence[m.ModelResponsePart], endpoint: Endpoint, names: Names
) -> Iterator[port.Text | port.Thinking | port.ToolCall]:
    """Ours of the library's. Ids of calls are made different where a server gives one twice."""
    seen: set[str] = set()
    for part in heard:
        match part:
            case m.TextPart(content=text) if text:
                yield port.Text(text)
            case m.ThinkingPart(content=text) if text or part.signature:
                yield port.Thinking(text, thinking.sealed(part, endpoint))
            case m.ToolCallPart():
                ref = part.tool_call_id
                while ref in seen:
                    ref += "_"
                seen.add(ref)
                args = part.args
                text = args if isinstance(args, str) else msgspec.json.encode(args or {}).decode()
                yield port.ToolCall(ref, names.ours(part.tool_name), text or "{}")
            case _:
                continue
