"""One exchange with a provider, by the model library (`pydantic-ai-slim`, extra `agent`).

This is the only module that imports the library; `agents/wires.py` imports it in a thread before
the first request. The library translates messages and events of each dialect. Ours are the
connection (nothing of the environment goes out with a request, and the key only in its header) and
what each failure means.
"""

import base64
import binascii
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx2
import msgspec
from pydantic_ai import exceptions as wrong
from pydantic_ai import messages as m
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from homarus import __version__
from homarus.agents import port
from homarus.agents.endpoint import Dialect, Endpoint
from homarus.agents.port import Fault, Stop, Usage

CONNECT_S: Final = 10.0
WRITE_S: Final = 60.0
MAX_CONNECTIONS: Final = 512
MAX_IDLE: Final = 64
"""Of one endpoint; who finds none free within CONNECT_S fails as unreachable."""
MAX_WIRE_BYTES: Final = 64 * 1024 * 1024
"""Of one reply, as it comes over the wire."""
MAX_MODELS: Final = 64
"""Model ids that one connection keeps ready."""
MAX_COUNT: Final = 1_000_000_000
"""Tokens that one answer can have used."""
MIN_THINKING_TOKENS: Final = 1_024
"""What messages-dialect models take at least, where thinking has a budget."""

_HEADERS: Final = frozenset(
    {
        "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "connection",
        "content-length", "content-type", "host", "transfer-encoding",
    }
)  # fmt: skip
"""Those of the SDKs that go out. They add their own of the machine, and of the environment."""
_BUDGET_PARTS: Final = {"low": 4, "medium": 2, "high": 1.25}
"""Thinking's part of the output tokens, as a divisor."""


class Piece(msgspec.Struct, frozen=True):
    """Something came. `delta`: what a watcher is shown; `chars`: how much it was."""

    delta: port.Delta | None
    chars: int


# -- the connection ------------------------------------------------------------------------


class Line:
    """One endpoint's connections. Made in a thread: certificates and SDKs load."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=CONNECT_S, pool=CONNECT_S, write=WRITE_S),
            limits=httpx2.Limits(
                max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE
            ),
            follow_redirects=False,  # the key would go along
            trust_env=not endpoint.is_loopback,
            event_hooks={"request": [self._address], "response": [_bound]},
        )
        self._models: dict[str, Model] = {}
        self.tag = f"{endpoint.dialect.value}@{urlsplit(endpoint.base_url).netloc}"

    def knows(self, name: str) -> bool:
        return name in self._models

    def model(self, name: str) -> Model:
        """Loads the dialect's SDK when it is the first one: in a thread, then."""
        found = self._models.get(name)
        if found is None:
            if len(self._models) >= MAX_MODELS:
                self._models.pop(next(iter(self._models)))
            make = _messages if self.endpoint.dialect is Dialect.ANTHROPIC else _openai
            found = self._models[name] = make(self.endpoint, name, self._http)
        return found

    async def close(self) -> None:
        await self._http.aclose()

    async def _address(self, request: httpx2.Request) -> None:
        """Puts the key into its header, and takes out whatever else would tell about us."""
        for name in list(request.headers):
            if name.lower() not in _HEADERS:
                del request.headers[name]
        request.headers["User-Agent"] = f"homarus/{__version__}"
        key = self.endpoint.key
        if key is not None and self.endpoint.dialect is Dialect.ANTHROPIC:
            request.headers["X-Api-Key"] = key
        elif key is not None:
            request.headers["Authorization"] = f"Bearer {key}"


class _Bounded(httpx2.AsyncByteStream):
    """A reply's bytes, and an end of the connection where they pass MAX_WIRE_BYTES."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_WIRE_BYTES
        async for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise httpx2.ReadError(f"the reply passes {MAX_WIRE_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _bound(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)


_PLACEHOLDER: Final = "in-the-header"  # the SDKs want one; `Line` sends the real key


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


# -- one exchange --------------------------------------------------------------------------


class Exchange:
    """A request under way: `open`, `next` until None, `answered`, `close`. Raises what the library
    and the SDKs raise: see `failure`."""

    def __init__(self, line: Line, request: port.ModelRequest) -> None:
        self._line = line
        self._names = Names(request.tools)
        self._request = request
        self._opening: AbstractAsyncContextManager[StreamedResponse] | None = None
        self._stream: StreamedResponse | None = None
        self._events: AsyncIterator[m.ModelResponseStreamEvent] | None = None

    async def open(self) -> None:
        model = self._line.model(self._request.model)
        opening = model_request_stream(
            model,
            _history(self._request, self._line, model, self._names),
            model_settings=_settings(self._request, self._line.endpoint, model, self._names),
            model_request_parameters=_parameters(self._request, self._names),
            instrument=False,
        )
        self._stream = await opening.__aenter__()
        self._opening = opening
        self._events = aiter(self._stream)

    async def next(self) -> Piece | None:
        """None: that was all."""
        if self._events is None:
            raise AssertionError("the exchange is not open")
        event = await anext(self._events, None)
        return None if event is None else _piece(event)

    async def close(self) -> None:
        """Ends the connection where the answer is not whole."""
        opening, self._opening = self._opening, None
        if opening is not None:
            await opening.__aexit__(None, None, None)

    @property
    def usage(self) -> Usage:
        """As far as the provider has told it."""
        return Usage() if self._stream is None else _usage(self._stream)

    @property
    def refused(self) -> str | None:
        """The words of a refusal that came apart from the text."""
        details = (self._stream and self._stream.provider_details) or {}
        text = details.get("refusal")
        return text if isinstance(text, str) and text else None

    @property
    def why_ended(self) -> str | None:
        """The library's word; None: nobody said, so the stream was cut. A reason that the library
        does not know is an end all the same."""
        if self._stream is None:
            return None
        told = (self._stream.provider_details or {}).get("finish_reason")
        known = {None: None, "incomplete": "length"}
        return self._stream.finish_reason or known.get(told, "stop")

    def answered(self, stop: Stop | None = None) -> port.Answered:
        """The answer as it stands. `stop`: why it ends here, where that is our doing."""
        if self._stream is None:
            raise AssertionError("the exchange is not open")
        response = self._stream.get()
        parts = list(_parts(response.parts, self._line.tag, self._names))
        if self.refused is not None:
            parts.append(port.Text(self.refused))
        stop = stop or _stop(self.why_ended, parts)
        if stop is Stop.REFUSAL:
            parts = [part for part in parts if not isinstance(part, port.ToolCall)]
        return port.Answered(
            message=port.AssistantMessage(tuple(parts)),
            usage=self.usage,
            stop=stop,
            model=response.model_name or self._request.model,
            id=response.provider_response_id,
        )


def _piece(event: m.ModelResponseStreamEvent) -> Piece:
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


def _usage(stream: StreamedResponse) -> Usage:
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


def _stop(why: str | None, parts: Sequence[object]) -> Stop:
    if why == "content_filter":
        return Stop.REFUSAL
    if why == "length":
        return Stop.LENGTH
    return Stop.TOOLS if any(isinstance(part, port.ToolCall) for part in parts) else Stop.END


def _parts(
    parts: Sequence[m.ModelResponsePart], tag: str, names: "Names"
) -> Iterator[port.Text | port.Thinking | port.ToolCall]:
    """Ours of the library's. Ids of calls are made different where a server gives one twice."""
    seen: set[str] = set()
    for part in parts:
        match part:
            case m.TextPart(content=text) if text:
                yield port.Text(text)
            case m.ThinkingPart(content=text, id=ref, signature=signature):
                if text or signature:
                    yield port.Thinking(text, _sealed(tag, ref, signature))
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


def _sealed(tag: str, ref: str | None, signature: str | None) -> str | None:
    """What this endpoint wants back with the thinking, with the mark of where it came from."""
    return f"{tag} {ref or '-'} {signature or '-'}" if ref or signature else None


# -- requests ------------------------------------------------------------------------------


class Names:
    """Names of tools on the wire: providers take letters, digits, `_` and `-`, 64 of them."""

    def __init__(self, tools: Sequence[port.ToolSpec]) -> None:
        self._wire: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        for tool in tools:
            self.wire(tool.name)

    def wire(self, name: str) -> str:
        found = self._wire.get(name)
        if found is None:
            plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:60] or "_"
            found = plain
            for n in range(2, len(self._ours) + 3):
                if found not in self._ours:
                    break
                found = f"{plain}_{n}"
            self._wire[name] = found
            self._ours[found] = name
        return found

    def ours(self, name: str) -> str:
        """What a model named; a name that nobody offered stays as it is."""
        return self._ours.get(name, name)


def _reference(ref: str) -> str:
    """An id of a call as every provider takes it, also when another one made it."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", ref) or "_"


def _history(
    request: port.ModelRequest, line: Line, model: Model, names: Names
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
        history.append(_replied(message, line, model, names))
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
                    tool_call_id=_reference(message.call),
                    outcome="failed" if message.is_error else "success",
                )
            )
    for ref, name in left.items():
        parts.append(
            m.ToolReturnPart(
                tool_name=names.wire(name),
                content="No result: the call was not made.",
                tool_call_id=_reference(ref),
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
    message: port.AssistantMessage, line: Line, model: Model, names: Names
) -> m.ModelResponse:
    parts: list[m.ModelResponsePart] = []
    for part in message.content:
        match part:
            case port.Text():
                parts.append(m.TextPart(part.text))
            case port.ToolCall():
                call = m.ToolCallPart(names.wire(part.name), part.arguments, _reference(part.id))
                # Also what was no JSON has to go back as some: servers read it again.
                call.args = call.args_as_json_str()
                parts.append(call)
            case port.Thinking():
                thought = _thought(part, line, model)
                if thought is not None:
                    parts.append(thought)
    return m.ModelResponse(parts=parts, provider_name=model.system)


def _thought(part: port.Thinking, line: Line, model: Model) -> m.ThinkingPart | None:
    """Thinking goes back to where it came from, and to nobody else; as what it was, or not at all:
    what the library would write into the text instead is no answer."""
    origin, _, rest = (part.signature or "").partition(" ")
    unsealed = line.endpoint.dialect is Dialect.RESPONSES and not model.profile.get(
        "openai_supports_encrypted_reasoning_content", False
    )
    if origin != line.tag or unsealed:
        return None
    ref, _, signature = rest.partition(" ")
    return m.ThinkingPart(
        part.thinking,
        id=None if ref == "-" else ref,
        signature=None if signature == "-" else signature,
        provider_name=model.system,
    )


def _parameters(request: port.ModelRequest, names: Names) -> ModelRequestParameters:
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


def _settings(
    request: port.ModelRequest, endpoint: Endpoint, model: Model, names: Names
) -> ModelSettings:
    settings: dict[str, Any] = {"max_tokens": request.max_output_tokens, "max_retries": 0}
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    if request.tools:
        known = request.tool_choice in ("auto", "none", "required")
        settings["tool_choice"] = (
            request.tool_choice if known else [names.wire(request.tool_choice)]
        )
    settings |= _thinking(request, endpoint, model)
    if endpoint.dialect is Dialect.RESPONSES:
        settings["openai_store"] = False  # the transcript is here, not at the provider
    if endpoint.dialect is Dialect.ANTHROPIC:
        settings["cache"] = True
    return cast(ModelSettings, settings)


def _thinking(request: port.ModelRequest, endpoint: Endpoint, model: Model) -> dict[str, Any]:
    """Effort, where the model has levels; else its part of the output tokens as a budget, because
    the messages dialect refuses one that is not below their limit."""
    effort = request.thinking
    if effort not in _BUDGET_PARTS:
        return {"thinking": False}
    budgeted = endpoint.dialect is Dialect.ANTHROPIC and not model.profile.get(
        "anthropic_supports_adaptive_thinking", False
    )
    if not budgeted:
        return {"thinking": effort}
    budget = int(request.max_output_tokens / _BUDGET_PARTS[effort])
    if budget < MIN_THINKING_TOKENS or budget >= request.max_output_tokens:
        return {"thinking": False}
    return {"anthropic_thinking": {"type": "enabled", "budget_tokens": budget}}


# -- failures ------------------------------------------------------------------------------

_OVERFLOWS: Final = re.compile(
    r"context (length|window|size)|exceeds? (the )?(available |maximum )?context|"
    r"(prompt|input|request) (is |was )?too (long|large)|too many (input )?tokens|"
    r"exceed(s|ed)? context limit",
    re.IGNORECASE,
)
"""How servers say it that have no code for it (llama.cpp, LM Studio, proxies)."""
_BEFORE_SENDING: Final = ("pool", "connect", None)


class Verdict(msgspec.Struct, frozen=True):
    """What a failure of the library is to the loop. `said`: the provider's own words."""

    fault: Fault
    said: str
    status: int | None = None
    retry_after_s: float | None = None


def failure(error: Exception) -> Verdict:
    """Kinds first, then the status, then the words."""
    said = _words(error)
    if not isinstance(error, wrong.ModelAPIError):
        return Verdict(_odd(error), said)
    status = error.status_code if isinstance(error, wrong.ModelHTTPError) else None
    redirect = getattr(error.__cause__, "status_code", 0)
    if status is None and 300 <= redirect < 400:
        return Verdict(Fault.REQUEST, "it redirects, and the key goes nowhere else", redirect)
    return Verdict(_fault(error, status, said), said, status, error.retry_after)


def _odd(error: Exception) -> Fault:
    """Errors that are none of a provider's."""
    if isinstance(error, wrong.UserError | UnicodeEncodeError | binascii.Error):
        return Fault.REQUEST  # it never went out
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return Fault.UNREACHABLE
    if isinstance(error, httpx2.TransportError | httpx2.StreamError):
        return Fault.SERVER
    return Fault.MALFORMED


def _fault(error: wrong.ModelAPIError, status: int | None, said: str) -> Fault:
    match error:
        case wrong.ModelContextWindowExceededError():
            return Fault.OVERFLOW
        case wrong.ModelRateLimitError() | wrong.ModelOverloadedError():
            return Fault.BUSY
        case wrong.ModelAuthenticationError() | wrong.ModelQuotaExceededError():
            return Fault.KEY
        case wrong.ModelUnavailableError() | wrong.ModelServerError():
            return Fault.SERVER
        case wrong.ModelConnectionError(phase=phase):
            return Fault.UNREACHABLE if phase in _BEFORE_SENDING else Fault.SERVER
    if status == 413 or (status in (400, 422) and _OVERFLOWS.search(said)):
        return Fault.OVERFLOW
    if status in (408, 425):
        return Fault.SERVER
    if status is not None:
        return Fault.SERVER if status >= 500 else Fault.REQUEST
    if error.in_stream or isinstance(error.__cause__, httpx2.TransportError):
        return Fault.SERVER
    return Fault.MALFORMED if error.__cause__ is not None or _is_text(said) else Fault.SERVER


def _is_text(said: str) -> bool:
    """The SDKs hand a page on as text where JSON was due."""
    return said.startswith("Expected a JSON response")


def _words(error: Exception) -> str:
    """The provider's message, else the library's."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        text = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(text, str) and text:
            return text
    if isinstance(body, str) and body.strip():
        return body
    return str(error) or type(error).__name__
