"""What a model answered, in the transcript's form; and what it gave a tool."""

import json
from typing import Any

from homarus.agents.choice import Choice
from homarus.agents.port import (
    Answered,
    Stop,
    Text,
    Thinking,
)
from homarus.base.errors import Invalid
from homarus.flows.turn_models import Said
from homarus.flows.turn_tools import ToolCall


def said_of(answered: Answered, choice: Choice) -> Said:
    """An answer in the transcript's form (gateway contract, 6)."""
    message, usage = answered.message, answered.usage
    content: list[dict[str, Any]] = []
    for part in message.content:
        match part:
            case Text(text=text):
                content.append({"type": "text", "text": text})
            case Thinking(thinking=thinking, signature=signature):
                more = {} if signature is None else {"thinkingSignature": signature}
                content.append({"type": "thinking", "thinking": thinking, **more})
            case _:
                arguments = _shown(part.arguments)
                content.append({"type": "toolCall", "id": part.id, "name": part.name,
                                "arguments": arguments})  # fmt: skip
    refusal = answered.stop is Stop.REFUSAL
    body: dict[str, Any] = {
        "role": "assistant", "content": content, "provider": choice.provider,
        "model": answered.model or choice.model,
        "usage": {"input": usage.input, "output": usage.output, "cacheRead": usage.cached,
                  "cacheWrite": 0, "totalTokens": usage.total},
        "stopReason": "stop" if refusal else answered.stop.value,
    }  # fmt: skip
    if refusal:
        body["refusal"] = True
    if answered.id:
        body["responseId"] = answered.id
    calls = tuple((c.id, c.name, c.arguments) for c in message.calls)
    return Said(body, calls, answered.model, usage.input, usage.output)


def _shown(arguments: str) -> Any:
    """Parsed where they are an object, else the text as it came."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """Raises `tool.arguments`."""
    value = _shown(call.arguments or "{}")
    if not isinstance(value, dict):
        raise Invalid(
            "tool.arguments", f"the arguments of {call.tool} are no JSON object",
            "Send one object as the tool's schema says.",
        )  # fmt: skip
    return value
