"""What a request to a model may cost at most, before it is sent (design, 1: money is reserved
before it is spent).

Providers count tokens each in their own way, and none without a request. So the input is estimated
on the high side: a token is at least four bytes of UTF-8, which is four characters of English, two
of Cyrillic or Greek, one and a third of Chinese; every message and tool has a frame around it; an
image counts as the largest that providers make of one. The output is what the request allows. It is
an estimate, no proof: what it really came to is settled afterwards, beyond the reservation too.
"""

from typing import Final

import msgspec

from homarus.agents.port import (
    Answered,
    AssistantMessage,
    Image,
    ModelRequest,
    Text,
    Thinking,
    ToolResult,
    Usage,
    UserMessage,
)
from homarus.base.action import Estimate

BYTES_PER_TOKEN: Final = 4
FRAME_TOKENS: Final = 8
"""Around a message, a call, a result or a tool: roles, ids, separators."""
IMAGE_TOKENS: Final = 5_000
"""Of one image: 4,784 are the most that the messages dialect makes of one today."""


def estimate(request: ModelRequest) -> Estimate:
    """Input and output tokens, one call; the price is that of `request.model`."""
    output = request.max_output_tokens
    return Estimate(
        tokens=input_tokens(request) + output, output_tokens=output, model=request.model
    )


def input_tokens(request: ModelRequest) -> int:
    """Also what a context takes up: when to compact is told by it."""
    total = tokens(request.system) + FRAME_TOKENS
    for tool in request.tools:
        schema = msgspec.json.encode(tool.parameters)
        total += tokens(tool.name) + tokens(tool.description) + -(-len(schema) // BYTES_PER_TOKEN)
        total += FRAME_TOKENS
    return total + sum(message_tokens(message) for message in request.messages)


def message_tokens(message: UserMessage | AssistantMessage | ToolResult) -> int:
    total = FRAME_TOKENS
    for part in message.content:
        match part:
            case Text():
                total += tokens(part.text)
            case Thinking():
                total += tokens(part.thinking) + tokens(part.signature or "")
            case Image():
                total += IMAGE_TOKENS
            case _:
                total += tokens(part.name) + tokens(part.arguments) + FRAME_TOKENS
    return total


def tokens(text: str) -> int:
    """Rounded up."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def used(request: ModelRequest, answered: Answered) -> Usage:
    """What to settle: as the provider counted, and as estimated where it counted nothing (some
    servers never do, and an answer that was cut off ends before the count comes)."""
    told = answered.usage
    return Usage(
        input=told.input or input_tokens(request),
        output=told.output or message_tokens(answered.message),
        cached=told.cached,
        thinking=told.thinking,
    )
