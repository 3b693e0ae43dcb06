"""A request of ours as the library wants it: the history, the tools, the settings."""

import base64
from collections.abc import Sequence
from typing import Any, cast

from pydantic_ai import messages as m
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from homarus.agents import port
from homarus.agents.endpoint import Dialect, Endpoint
from homarus.agents.library import thinking
from homarus.agents.library.names import Names, reference


def history(
    request: port.ModelRequest, endpoint: Endpoint, model: Model, names: Names
) -> list[m.ModelMessage]:
    history: list[m.ModelMessage] = []
    waiting: list[port.UserMessage | port.ToolResult] = []
    open_calls: dict[str, str] = {}
    for message in request.messages:
        if not isinstance(message, port.AssistantMessage):
            waiting.append(message)
            continue
        history += _asked(waiting, open_calls, names)
        waiting = []
        history.append(_replied(message, endpoint, model, names))
        open_calls = {call.id: call.name for call in message.calls}
    return history + _asked(waiting, open_calls, names)


def _asked(
    waiting: Sequence[port.UserMessage | port.ToolResult],
    open_calls: dict[str, str],
    names: Names,
) -> list[m.ModelMessage]:
    """What comes between two answers, results first, as the messages dialect wants it.

    Each call gets exactly one result: providers refuse a history where one is missing (a turn that
    was aborted) or where one stands alone (its call was compacted away), and with it all turns to
    come.
    """
    parts: list[m.ModelRequestPart] = []
    left = dict(open_calls)
    for message in waiting:
        if isinstance(message, port.ToolResult) and left.pop(message.call, None) is not None:
            parts.append(
                m.ToolReturnPart(
                    tool_name=names.wire(message.name),
                    content=_content(message.content),
                    tool_call_id=reference(message.call),
                    outcome="failed" if message.is_error else "success",
                )
            )
    for ref, name in left.items():
        parts.append(
            m.ToolReturnPart(
                tool_name=names.wire(name),
                content="No result: the call was not made.",
                tool_call_id=reference(ref),
                outcome="failed",
            )
        )
    parts += [
        m.UserPromptPart(content=_content(message.content))
        for message in waiting
        if isinstance(message, port.UserMessage)
    ]
    return [m.ModelRequest(parts=parts)] if parts else []


def _content(parts: Sequence[port.Text | port.Image]) -> Any:
    """Text alone as text: some servers know nothing else."""
    if all(isinstance(part, port.Text) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, port.Text))
    return [
        part.text
        if isinstance(part, port.Text)
        else m.BinaryContent(
            data=base64.b64decode(part.data, validate=True), media_type=part.media_type
        )
        for part in parts
    ]


def _replied(
    message: port.AssistantMessage, endpoint: Endpoint, model: Model, names: Names
) -> m.ModelResponse:
    parts: list[m.ModelResponsePart] = []
    for part in message.content:
        match part:
            case port.Text():
                parts.append(m.TextPart(part.text))
            case port.ToolCall():
                call = m.ToolCallPart(names.wire(part.name), part.arguments, reference(part.id))
                # Also what was no JSON has to go back as some: servers read it again.
                call.args = call.args_as_json_str()
                parts.append(call)
            case port.Thinking():
                thought = thinking.unsealed(part, endpoint, model)
                if thought is not None:
                    parts.append(thought)
    return m.ModelResponse(parts=parts, provider_name=model.system)


def parameters(request: port.ModelRequest, names: Names) -> ModelRequestParameters:
    return ModelRequestParameters(
        function_tools=[
            ToolDefinition(
                name=names.wire(tool.name),
                description=tool.description,
                parameters_json_schema=tool.parameters,
                strict=False,
            )
            for tool in request.tools
        ],
        instruction_parts=[m.InstructionPart(content=request.system)] if request.system else [],
    )


def settings(
    request: port.ModelRequest, endpoint: Endpoint, model: Model, names: Names
) -> ModelSettings:
    found: dict[str, Any] = {"max_tokens": request.max_output_tokens, "max_retries": 0}
    if request.temperature is not None:
        found["temperature"] = request.temperature
    if request.tools:
        known = request.tool_choice in ("auto", "none", "required")
        found["tool_choice"] = request.tool_choice if known else [names.wire(request.tool_choice)]
    found |= thinking.effort(request, endpoint, model)
    if endpoint.dialect is Dialect.RESPONSES:
        found["openai_store"] = False  # the transcript is here, not at the provider
    if endpoint.dialect is Dialect.ANTHROPIC:
        found["cache"] = True
    return cast(ModelSettings, found)
