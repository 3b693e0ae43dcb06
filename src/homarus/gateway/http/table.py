"""The routes of the gateway's HTTP, as data: for the surface, and for the walk of all surfaces."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import msgspec

from homarus.gateway.http import chat, models, responses, tools

MAX_BODY_BYTES: Final = 20 * 1_048_576


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One route. `wire`: the module that knows a POST's bodies and answers; `read`:
    `(rx, company, id) -> document`, for a GET; `{id}` at the end takes what is left of the path."""

    method: str
    path: str
    capability: str
    kind: str
    summary: str
    wire: ModuleType | None = None
    read: Callable[..., Any] | None = None


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/v1/models", capability="read", kind="read", read=models.listed,
        summary="List the agents that may be asked",
    ),
    Endpoint(
        method="GET", path="/v1/models/{id}", capability="read", kind="read", read=models.one,
        summary="Read one of them",
    ),
    Endpoint(
        method="POST", path="/v1/responses", capability="turn.accept", kind="write",
        wire=responses, summary="Ask an agent (OpenResponses)",
    ),
    Endpoint(
        method="POST", path="/v1/chat/completions", capability="turn.accept", kind="write",
        wire=chat, summary="Ask an agent (OpenAI chat completions)",
    ),
    Endpoint(
        method="POST", path="/tools/invoke", capability="turn.accept", kind="write", wire=tools,
        summary="Call one tool of an agent, without a model",
    ),
)  # fmt: skip
