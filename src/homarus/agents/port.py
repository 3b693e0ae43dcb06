"""What the turn loop asks of a model, whoever makes it: one request, one stream of events.

    async for event in model.stream(request):
        match event:
            case Delta(): ...            text or thinking, as it comes
            case Answered(): ...         always the last one: the whole message, what it used

A model that fails raises `ModelFailure`, never an error of a library, and nothing after it. A
stream that is left early (`aclose`) is cancelled at the provider. Adapters know the wire, the loop
knows only this module; the dialects are in `agents/wires.py`.
"""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec

from homarus.base.errors import HomarusError

MAX_REPLY_CHARS: Final = 400_000
"""Text of one answer; more is cut off and counts as `length`."""
MAX_TOOL_CALLS: Final = 64
"""Tool calls of one answer; more of them fail the answer as `malformed`."""
FIRST_EVENT_S: Final = 120.0
NEXT_EVENT_S: Final = 60.0
"""How long a stream may be silent, before its first event and between two."""


class Text(msgspec.Struct, frozen=True, tag="text"):
    text: str


class Thinking(msgspec.Struct, frozen=True, tag="thinking"):
    """`signature`: opaque text that some providers want back with the thinking."""

    thinking: str
    signature: str | None = None


class Image(msgspec.Struct, frozen=True, tag="image"):
    """`media_type`: image/png, image/jpeg, image/gif or image/webp; `data`: base64."""

    media_type: str
    data: str


class ToolCall(msgspec.Struct, frozen=True, tag="toolCall"):
    """`id` as the model named it; `arguments` the JSON text as it came, parsed by the loop."""

    id: str
    name: str
    arguments: str


class UserMessage(msgspec.Struct, frozen=True, tag="user", tag_field="role"):
    content: tuple[Text | Image, ...]


class AssistantMessage(msgspec.Struct, frozen=True, tag="assistant", tag_field="role"):
    content: tuple[Text | Thinking | ToolCall, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.content if isinstance(part, Text))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.content if isinstance(part, ToolCall))


class ToolResult(msgspec.Struct, frozen=True, tag="toolResult", tag_field="role"):
    """What a tool said, as data that nobody vouches for."""

    call: str
    name: str
    content: tuple[Text | Image, ...]
    is_error: bool = False


Message = UserMessage | AssistantMessage | ToolResult


class ToolSpec(msgspec.Struct, frozen=True):
    """`parameters`: JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


class ModelRequest(msgspec.Struct, frozen=True):
    """`system`: identity and rules; `messages` oldest first, the last one from user or tool;
    `thinking`: off | low | medium | high; `end_user` stands for a person at the provider."""

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int = 4_096
    thinking: str = "off"
    temperature: float | None = None
    tool_choice: str = "auto"


class Usage(msgspec.Struct, frozen=True):
    """Tokens, as the provider counted them. `cached`: read from its cache, part of `input`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    thinking: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


class Stop(StrEnum):
    """Why an answer ended."""

    END = "stop"
    TOOLS = "toolUse"
    LENGTH = "length"
    REFUSAL = "refusal"


class Delta(msgspec.Struct, frozen=True):
    """More text; `thinking`: not part of the answer."""

    text: str
    thinking: bool = False


class Answered(msgspec.Struct, frozen=True):
    """`model` and `id` as the provider reports them."""

    message: AssistantMessage
    usage: Usage
    stop: Stop
    model: str
    id: str | None = None


Event = Delta | Answered


class Fault(StrEnum):
    """Kinds of failure, as the loop treats them."""

    BUSY = "busy"  # 429, 529: wait as asked, then again
    SERVER = "server"  # 5xx, cut connection: again, then the fall-back model
    STALLED = "stalled"  # nothing came for too long: the same
    OVERFLOW = "overflow"  # the context does not fit: compact, then once more
    KEY = "key"  # 401, 403: no use trying again; the fall-back model may do
    REQUEST = "request"  # another 4xx: ours or the configuration's fault
    MALFORMED = "malformed"  # the answer is none: again
    UNREACHABLE = "unreachable"  # no connection: again, then the fall-back model


AGAIN: Final = frozenset(
    {Fault.BUSY, Fault.SERVER, Fault.STALLED, Fault.MALFORMED, Fault.UNREACHABLE}
)


class ModelFailure(HomarusError):
    """No answer. `usage`: what was used all the same, where the provider said so."""

    status = 502

    def __init__(
        self, fault: Fault, message: str, remedy: str, *, retry_after_s: float | None = None,
        usage: Usage | None = None,
    ) -> None:  # fmt: skip
        super().__init__(f"model.{fault.value}", message, remedy)
        self.fault = fault
        self.retry_after_s = retry_after_s
        self.usage = usage


class ModelPort(Protocol):
    """One provider's endpoint with its key; used by many turns at once."""

    def stream(self, request: ModelRequest) -> AsyncIterator[Event]: ...

    async def close(self) -> None: ...
