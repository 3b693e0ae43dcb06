"""A request under way, from its opening to the whole answer."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from pydantic_ai import messages as m
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, StreamedResponse

from homarus.agents import port
from homarus.agents.endpoint import Endpoint
from homarus.agents.library import answers, requests
from homarus.agents.library.answers import Piece
from homarus.agents.library.failures import Verdict, failure
from homarus.agents.library.names import Names
from homarus.agents.port import Stop, Usage


class Exchange:
    """A request under way: `open`, `next` until None, `answered`, `close`. Raises what the library
    and the SDKs raise: see `verdict`."""

    def __init__(self, endpoint: Endpoint, model: Model, request: port.ModelRequest) -> None:
        self._endpoint = endpoint
        self._model = model
        self._names = Names(request.tools)
        self._request = request
        self._opening: AbstractAsyncContextManager[StreamedResponse] | None = None
        self._stream: StreamedResponse | None = None
        self._events: AsyncIterator[m.ModelResponseStreamEvent] | None = None

    async def open(self) -> None:
        of = (self._request, self._endpoint, self._model, self._names)
        opening = model_request_stream(
            self._model,
            requests.history(*of),
            model_settings=requests.settings(*of),
            model_request_parameters=requests.parameters(self._request, self._names),
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
        return None if event is None else answers.piece(event)

    async def close(self) -> None:
        """Ends the connection where the answer is not whole."""
        opening, self._opening = self._opening, None
        if opening is not None:
            await opening.__aexit__(None, None, None)

    @staticmethod
    def verdict(error: Exception) -> Verdict:
        """What an error of a step means."""
        return failure(error)

    @property
    def usage(self) -> Usage:
        """As far as the provider has told it."""
        return Usage() if self._stream is None else answers.usage(self._stream)

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
        parts = list(answers.parts(response.parts, self._endpoint, self._names))
        if self.refused is not None:
            parts.append(port.Text(self.refused))
        stop = stop or answers.stop(self.why_ended, parts)
        if stop is Stop.REFUSAL:
            parts = [part for part in parts if not isinstance(part, port.ToolCall)]
        return port.Answered(
            message=port.AssistantMessage(tuple(parts)),
            usage=self.usage,
            stop=stop,
            model=response.model_name or self._request.model,
            id=response.provider_response_id,
        )
