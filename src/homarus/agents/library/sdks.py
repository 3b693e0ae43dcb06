"""The SDKs of the dialects behind models of the library; loaded with the first model of each."""

from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.models import Model

from homarus.agents.endpoint import Dialect, Endpoint

_PLACEHOLDER: Final = "in-the-header"  # the SDKs want one; `Line` sends the real key


def model(endpoint: Endpoint, name: str, http: httpx2.AsyncClient) -> Model:
    make = _messages if endpoint.dialect is Dialect.ANTHROPIC else _openai
    return make(endpoint, name, http)


def _openai(endpoint: Endpoint, name: str, http: httpx2.AsyncClient) -> Model:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    client = AsyncOpenAI(
        api_key=_PLACEHOLDER, base_url=endpoint.base_url, http_client=http, max_retries=0,
        timeout=http.timeout,
    )  # fmt: skip
    host = urlsplit(endpoint.base_url).hostname or ""
    official = host == "api.openai.com" or host.endswith(".openai.azure.com")
    # A stream that ends without saying why was cut; and only the original has the newer name of
    # the limit on output.
    profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
    if not official:
        profile["openai_chat_supports_max_completion_tokens"] = False
    provider: Any = (
        OpenAIProvider(openai_client=client)
        if official
        else OpenAICompatibleProvider(host, openai_client=client)
    )
    if endpoint.dialect is Dialect.RESPONSES:
        return OpenAIResponsesModel(name, provider=provider, profile=profile)
    return OpenAIChatModel(name, provider=provider, profile=profile)


def _messages(endpoint: Endpoint, name: str, http: httpx2.AsyncClient) -> Model:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        api_key=_PLACEHOLDER, base_url=endpoint.base_url.removesuffix("/v1"), http_client=http,
        max_retries=0, timeout=http.timeout, open_telemetry=False,
    )  # fmt: skip
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))
