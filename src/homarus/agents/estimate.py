"""How many tokens something is: an estimate by characters. Providers count exactly, afterwards."""

import json
from typing import Final

from homarus.agents.port import Image, Message, ModelRequest, Text, Thinking, ToolCall

CHARS_PER_TOKEN: Final = 4
IMAGE_TOKENS: Final = 1_500


def tokens_of_text(text: str) -> int:
    return len(text) // CHARS_PER_TOKEN + 1


def tokens_of(request: ModelRequest) -> int:
    tools = sum(len(t.name) + len(t.description) + len(json.dumps(t.parameters))
                for t in request.tools)  # fmt: skip
    chars = len(request.system) + tools
    return chars // CHARS_PER_TOKEN + 1 + sum(_tokens_of_message(m) for m in request.messages)


def _tokens_of_message(message: Message) -> int:
    total = 4
    for part in message.content:
        match part:
            case Text(text=text):
                total += tokens_of_text(text)
            case Thinking(thinking=text):
                total += tokens_of_text(text)
            case ToolCall(name=name, arguments=arguments):
                total += tokens_of_text(name + arguments)
            case Image():
                total += IMAGE_TOKENS
    return total
