"""A provider's endpoint as a `ModelPort`: three dialects, any base URL.

    wire = Wire(Endpoint(Dialect.CHAT, "http://127.0.0.1:11434/v1"))
    async for event in wire.stream(request): ...

Held here, whatever the provider does: the port's bounds, its silences, one kind of error, and that
nobody reads the key. The wires themselves are the library's, in `agents/library/`, imported in a
thread when it is first needed. Nothing is tried twice here: that is the loop's.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from homarus.agents.endpoint import Endpoint
from homarus.agents.port import (
    FIRST_EVENT_S,
    MAX_REPLY_CHARS,
    MAX_TOOL_CALLS,
    NEXT_EVENT_S,
    Answered,
    AssistantMessage,
    Delta,
    Event,
    Fault,
    ModelFailure,
    ModelRequest,
    Stop,
    Text,
    Usage,
)
from homarus.base.errors import Unavailable
from homarus.base.redact import redact_text

if TYPE_CHECKING:
    from homarus.agents.library.exchange import Exchange
    from homarus.agents.library.line import Line

ANSWER_S: Final = 1_800.0
"""How long one answer may take, however steadily it drips."""
MAX_WIRE_BYTES: Final = 64 * 1024 * 1024
CLOSE_S: Final = 5.0
MAX_SAID: Final = 300
"""Characters of a provider's own words that an error carries."""
EXTRA: Final = "agent"

T = TypeVar("T")


class Bounds(msgspec.Struct, frozen=True):
    """What is borne of one answer: silences before its first event and between two, its whole
    time, its characters, and its bytes as they come over the wire."""

    first_event_s: float = FIRST_EVENT_S
    next_event_s: float = NEXT_EVENT_S
    answer_s: float = ANSWER_S
    reply_chars: int = MAX_REPLY_CHARS
    wire_bytes: int = MAX_WIRE_BYTES


def connect(endpoint: Endpoint, wire_bytes: int = MAX_WIRE_BYTES) -> "Line":
    """Connections by the library: half a second the first time, so call it in a thread.

    Raises `model.library`.
    """
    try:
        from homarus.agents.library.line import Line
    except ImportError as error:
        raise Unavailable(
            "model.library",
            f"the model library is not installed ({error.name} is missing)",
            f"Install it: `pip install homarus[{EXTRA}]` "
            f"(`pipx inject homarus 'pydantic-ai-slim[openai,anthropic]'`).",
        ) from error
    return Line(endpoint, wire_bytes)


class Wire:
    """A `ModelPort`."""

    def __init__(self, endpoint: Endpoint, bounds: Bounds | None = None) -> None:
        self._endpoint = endpoint
        self._bounds = bounds or Bounds()
        self._line: Line | None = None
        self._making = asyncio.Lock()
        self._under_way = 0
        self._closing = False

    def __repr__(self) -> str:
        return f"Wire({self._endpoint!r})"

    async def prepare(self, model: str) -> None:
        """Load what the first request would wait for. Raises `model.library`."""
        await self._open_line(model)
        await self._close_if_idle()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Event]:
        """Raises ModelFailure, `model.library`."""
        line = await self._open_line(request.model)
        self._under_way += 1
        exchange = line.ask(request)
        try:
            async with aclosing(self._events(exchange, request)) as events:
                async for event in events:
                    yield event
        finally:
            self._under_way -= 1
            await self._end(exchange)

    async def close(self) -> None:
        """Takes nothing more; the connections end with the last stream that is under way."""
        self._closing = True
        await self._close_if_idle()

    # -- one answer ------------------------------------------------------------------------

    async def _events(self, exchange: "Exchange", request: ModelRequest) -> AsyncGenerator[Event]:
        now = asyncio.get_running_loop().time
        bounds = self._bounds
        last = now() + bounds.answer_s
        until = now() + bounds.first_event_s
        chars = 0
        await self._step(exchange, request, exchange.open(), until)
        while chars <= bounds.reply_chars:
            piece = await self._step(exchange, request, exchange.next(), until)
            if piece is None:
                for event in self._whole(exchange, request):
                    yield event
                return
            room = bounds.reply_chars - chars
            chars += piece.chars
            if piece.delta is not None and room > 0:
                yield Delta(piece.delta.text[:room], piece.delta.thinking)
            # From here on: what the consumer took for its part is no silence of the provider.
            until = min(now() + bounds.next_event_s, last)
        yield _cut_off(exchange.answered(Stop.LENGTH), bounds.reply_chars)

    def _whole(self, exchange: "Exchange", request: ModelRequest) -> Iterator[Event]:
        if exchange.why_ended is None:
            raise self._failure(Fault.SERVER, request, "the stream was cut", usage=exchange.usage)
        if exchange.why_ended == "error":
            raise self._failure(Fault.SERVER, request, "the model failed", usage=exchange.usage)
        answered = exchange.answered()
        if len(answered.message.calls) > MAX_TOOL_CALLS:
            said = f"{len(answered.message.calls)} tool calls in one answer"
            raise self._failure(Fault.MALFORMED, request, said, usage=exchange.usage)
        if exchange.refused is not None:
            yield Delta(exchange.refused)
        yield answered

    async def _step(
        self,
        exchange: "Exchange",
        request: ModelRequest,
        step: Awaitable[T],
        until: float,
    ) -> T:
        """One wait for the provider. What goes wrong is told apart from its error: that one holds
        the request, and with it the key."""
        try:
            async with asyncio.timeout_at(until):
                return await step
        except TimeoutError:
            failed = self._failure(
                Fault.STALLED, request, "nothing came for too long", usage=exchange.usage
            )
        except Exception as error:  # noqa: BLE001 - the SDKs check nothing: garbage raises anything
            verdict = exchange.verdict(error)
            failed = self._failure(
                verdict.fault, request, verdict.said, verdict.status, verdict.retry_after_s,
                usage=exchange.usage,
            )  # fmt: skip
        raise failed

    def _failure(
        self,
        fault: Fault,
        request: ModelRequest,
        said: str,
        status: int | None = None,
        retry_after_s: float | None = None,
        *,
        usage: Usage,
    ) -> ModelFailure:
        told = self._redacted(said)
        words = f"{status}: {told}" if status is not None else told
        return ModelFailure(
            fault,
            f"{self._endpoint.host}, model {request.model[:100]}: {words}",
            REMEDIES[fault],
            retry_after_s=retry_after_s,
            usage=usage if usage.total else None,
        )

    def _redacted(self, said: str) -> str:
        """A provider's words: short, on one line, without the key that it may repeat."""
        key = self._endpoint.key
        if key:
            said = said.replace(key, "[key]")
        return " ".join(redact_text(said[: MAX_SAID * 4]).split())[:MAX_SAID]

    # -- connections -----------------------------------------------------------------------

    async def _open_line(self, model: str) -> "Line":
        """The library and the connections, loaded in threads where it is the first time."""
        if self._closing:
            raise Unavailable("model.closed", "the model's connection is closed", "Ask again.")
        async with self._making:
            line = self._line
            if line is None:
                line = self._line = await asyncio.to_thread(
                    connect, self._endpoint, self._bounds.wire_bytes
                )
            if not line.knows(model):
                await asyncio.to_thread(line.model, model)
            return line

    async def _end(self, exchange: "Exchange") -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await exchange.close()
        except Exception:  # noqa: BLE001, S110 - it is over either way; a broken one fails to close
            pass
        finally:
            await self._close_if_idle()

    async def _close_if_idle(self) -> None:
        if self._closing and not self._under_way and self._line is not None:
            line, self._line = self._line, None
            await line.close()


def _cut_off(answered: Answered, left: int) -> Answered:
    """At most `left` characters of text; calls that came are not whole, and left out."""
    kept = []
    for part in answered.message.content:
        if isinstance(part, Text) and left > 0:
            kept.append(Text(part.text[:left]))
            left -= len(part.text)
    # The count of the output comes at the end, and this answer was not heard to its end.
    usage = Usage(answered.usage.input, 0, answered.usage.cached)
    return Answered(AssistantMessage(tuple(kept)), usage, Stop.LENGTH, answered.model, answered.id)


REMEDIES: Final = {
    Fault.BUSY: "Try again later, or give the model a fall-back: `homarus model add --fallback`.",
    Fault.SERVER: "Try again, or give the model a fall-back: `homarus model add --fallback`.",
    Fault.STALLED: "Try again, or give the model a fall-back: `homarus model add --fallback`.",
    Fault.OVERFLOW: "Shorten the conversation, or say what fits: `homarus model add --context`.",
    Fault.KEY: "Give a key that works, and see the account: `homarus model add --key-stdin`.",
    Fault.REQUEST: "Check the model's id, dialect and base URL (OpenAI's kind ends in `/v1`): "
    "`homarus model list`.",
    Fault.MALFORMED: "Try again; if it stays so, the dialect may be another: `homarus model list`.",
    Fault.UNREACHABLE: "Is it running, and is the base URL right? `homarus model list`.",
}
