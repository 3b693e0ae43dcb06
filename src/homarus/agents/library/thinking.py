"""Thinking: how much of it is asked for, and how it goes back to the endpoint it came from."""

from typing import Any, Final

from pydantic_ai import messages as m
from pydantic_ai.models import Model

from homarus.agents import port
from homarus.agents.endpoint import Dialect, Endpoint

MIN_THINKING_TOKENS: Final = 1_024
"""What messages-dialect models take at least, where thinking has a budget."""
_BUDGET_PARTS: Final = {"low": 4, "medium": 2, "high": 1.25}
"""Thinking's part of the output tokens, as a divisor."""


def effort(request: port.ModelRequest, endpoint: Endpoint, model: Model) -> dict[str, Any]:
    """Effort, where the model has levels; else its part of the output tokens as a budget, because
    the messages dialect refuses one that is not below their limit."""
    level = request.thinking
    if level not in _BUDGET_PARTS:
        return {"thinking": False}
    budgeted = endpoint.dialect is Dialect.ANTHROPIC and not model.profile.get(
        "anthropic_supports_adaptive_thinking", False
    )
    if not budgeted:
        return {"thinking": level}
    budget = int(request.max_output_tokens / _BUDGET_PARTS[level])
    if budget < MIN_THINKING_TOKENS or budget >= request.max_output_tokens:
        return {"thinking": False}
    return {"anthropic_thinking": {"type": "enabled", "budget_tokens": budget}}


def sealed(part: m.ThinkingPart, endpoint: Endpoint) -> str | None:
    """What this endpoint wants back with the thinking, with the mark of where it came from."""
    ref, signature = part.id, part.signature
    return f"{_mark(endpoint)} {ref or '-'} {signature or '-'}" if ref or signature else None


def unsealed(part: port.Thinking, endpoint: Endpoint, model: Model) -> m.ThinkingPart | None:
    """Thinking goes back to where it came from, and to nobody else; as what it was, or not at all:
    what the library would write into the text instead is no answer."""
    origin, _, rest = (part.signature or "").partition(" ")
    keeps_none = endpoint.dialect is Dialect.RESPONSES and not model.profile.get(
        "openai_supports_encrypted_reasoning_content", False
    )
    if origin != _mark(endpoint) or keeps_none:
        return None
    ref, _, signature = rest.partition(" ")
    return m.ThinkingPart(
        part.thinking,
        id=None if ref == "-" else ref,
        signature=None if signature == "-" else signature,
        provider_name=model.system,
    )


def _mark(endpoint: Endpoint) -> str:
    return f"{endpoint.dialect.value}@{endpoint.host}"
