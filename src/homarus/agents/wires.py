"""A provider's endpoint as a `ModelPort`: three dialects, any base URL.

    wire = Wire(Endpoint(Dialect.CHAT, "http://127.0.0.1:11434/v1"))
    async for event in wire.stream(request): ...

Held here, whatever the provider does: the port's bounds, its silences, one kind of error, and that
nobody reads the key. The wires themselves are the library's, in `agents/library.py`, imported in a
thread when it is first needed. Nothing is tried twice here: that is the loop's.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import aclosing
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

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
    from homarus.agents.library import Exchange, Line

ANSWER_S: Final = 1_800.0
"""How long one answer may take, however steadily it drips."""
CLOSE_S: Final = 5.0
MAX_SAID: Final = 300
"""Characters of a provider's own words that an error carries."""
EXTRA: Final = "agent"
_LIBRARY: Final = "homarus.agents.library"

T = TypeVar("T")


def load() -> Any:
    """The module that knows the library: half a second the first time, so call it in a thread.

    Raises `model.library`.
    """
    try:
        return import_module(_LIBRARY)
    except ImportError as error:
        raise Unavailable(
            "model.library",
            f"the model library is not installed ({error.name} is missing)",
            f"Install it: `pip install homarus[{EXTRA}]` "
            f"(`pipx inject homarus 'pydantic-ai-slim[openai,anthropic]'`).",
        ) from error


class Wire:
    """A `ModelPort`. `first_event_s`, `next_event_s`: the silences that it bears."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        first_event_s: float = FIRST_EVENT_S,
        next_event_s: float = NEXT_EVENT_S,
    ) -> None:
        self._endpoint = endpoint
        self._first_event_s = first_event_s
        self._next_event_s = next_event_s
        self._library: Any = None
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
        library, line = await self._open_line(request.model)
        self._under_way += 1
        exchange: Exchange = library.Exchange(line, request)
        try:
            async with aclosing(self._events(library, exchange, request)) as events:
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

    async def _events(
        self, library: Any, exchange: "Exchange", request: ModelRequest
    ) -> AsyncGenerator[Event]:
        now = asyncio.get_running_loop().time
        last = now() + ANSWER_S
        until = now() + self._first_event_s
        chars = 0
        await self._step(library, exchange, request, exchange.open(), until)
        while chars <= MAX_REPLY_CHARS:
            piece = await self._step(library, exchange, request, exchange.next(), until)
            if piece is None:
                for event in self._whole(exchange, request):
                    yield event
                return
            room = MAX_REPLY_CHARS - chars
            chars += piece.chars
            if piece.delta is not None and room > 0:
                yield Delta(piece.delta.text[:room], piece.delta.thinking)
            # From here on: what the consumer took for its part is no silence of the provider.
            until = min(now() + self._next_event_s, last)
        yield _cut_off(exchange.answered(Stop.LENGTH))

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
        library: Any,
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
            verdict = library.failure(error)
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

    async def _open_line(self, model: str) -> tuple[Any, "Line"]:
        """The library and the connections, loaded in threads where it is the first time."""
        if self._closing:
            raise Unavailable("model.closed", "the model's connection is closed", "Ask again.")
        async with self._making:
            if self._library is None:
                self._library = await asyncio.to_thread(load)
            line = self._line
            if line is None:
                made: Line = await asyncio.to_thread(self._library.Line, self._endpoint)
                line = self._line = made
            if not line.knows(model):
                await asyncio.to_thread(line.model, model)
            return self._library, line

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


def _cut_off(answered: Answered) -> Answered:
    """At most MAX_REPLY_CHARS of text; calls that came are not whole, and left out."""
    left = MAX_REPLY_CHARS
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
