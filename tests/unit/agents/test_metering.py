"""What a request may cost at most is known before it is sent."""

from typing import Any

import pytest

from homarus.agents import metering
from homarus.agents.port import (
    Answered,
    AssistantMessage,
    Image,
    ModelRequest,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    UserMessage,
)
from homarus.base.action import Estimate

FRAME = metering.FRAME_TOKENS
IMAGE = Image("image/png", "AAAA" * 1_000)


@pytest.mark.parametrize(
    "text, tokens",
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("a" * 400, 100), ("да", 1), ("龜" * 4, 3),
     ("🐢", 1), ("\ud800", 1)],
)  # fmt: skip
def test_four_bytes_are_a_token(text: str, tokens: int) -> None:
    assert metering.tokens(text) == tokens


@pytest.mark.parametrize(
    "message, tokens",
    [
        (UserMessage((Text("abcd"),)), 1),
        (UserMessage((Text("abcd"), IMAGE)), 1 + metering.IMAGE_TOKENS),
        (AssistantMessage((Thinking("abcd", "sign"), Text("abcd"))), 3),
        (AssistantMessage((ToolCall("c1", "read", '{"a"'),)), 2 + FRAME),
        (ToolResult("c1", "read", (Text("abcdefgh"),)), 2),
        (UserMessage(()), 0),
    ],
)
def test_a_message_has_a_frame(message: Any, tokens: int) -> None:
    assert metering.message_tokens(message) == tokens + FRAME


def test_a_request() -> None:
    request = ModelRequest(
        model="careful-1",
        system="abcd",
        messages=(UserMessage((Text("abcd"),)),),
        tools=(ToolSpec("read", "abcd", {"type": "object"}),),
        max_output_tokens=100,
    )
    schema = 5  # {"type":"object"} is 17 bytes
    expected = 1 + FRAME + (1 + 1 + schema + FRAME) + (1 + FRAME)
    assert metering.input_tokens(request) == expected
    assert metering.estimate(request) == Estimate(
        money=None, tokens=expected + 100, calls=1, output_tokens=100, model="careful-1"
    )


@pytest.mark.parametrize(
    "told, settled",
    [
        (Usage(40, 10, 5, 2), Usage(40, 10, 5, 2)),
        (Usage(), Usage(FRAME + FRAME + 1, FRAME + 2)),
        (Usage(input=40), Usage(40, FRAME + 2)),
    ],
)
def test_what_the_provider_did_not_count_is_estimated(told: Usage, settled: Usage) -> None:
    request = ModelRequest(model="m", system="", messages=(UserMessage((Text("abcd"),)),))
    message = AssistantMessage((Text("abcdefgh"),))
    assert metering.used(request, Answered(message, told, Stop.END, "m")) == settled
