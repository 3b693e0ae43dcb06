"""uvicorn's protocols with what they leave open: a bound on heads, a way to drop a socket."""

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as HttpProtocol
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HttpProtocol
    except ImportError:  # no httptools on this platform; h11 bounds heads itself
        from uvicorn.protocols.http.h11_impl import H11Protocol as HttpProtocol

MAX_HEAD_BYTES: Final = 65_536
"""Request line and headers. A longer head is answered 400 and the connection closed."""


class BoundedHttpProtocol(HttpProtocol):
    """Ends a connection whose head does not end; httptools itself reads for ever."""

    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        scope: Any = self.scope  # None before the first request, partial within a head
        if scope is None or "path" in scope:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")


MAX_FRAGMENTS: Final = 16_384
"""Frames of one message: each costs memory, however little it holds."""
MAX_UNREAD_PONGS: Final = 1_000
"""Answers to pings of a client that does not read; one more, and it is dropped."""


class EventSocketProtocol(WebSocketsSansIOProtocol):
    """Tells the application how to drop a connection whose client never reads, and how to take
    larger messages from one that it has come to know.

    `transport.close` waits until everything written was read; only `abort` does not.
    """

    _unread_pongs = 0

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self.frames = []
            self.conn.fail(1009, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        super().handle_ping()
        self._unread_pongs = 0 if self.writable.is_set() else self._unread_pongs + 1
        if self._unread_pongs > MAX_UNREAD_PONGS:
            self.transport.abort()

    async def send(self, message: Any) -> None:
        """A handshake that is answered by a refusal is over; uvicorn takes it for a fault."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    def shutdown(self) -> None:
        if self.initial_response is not None:  # refused: nobody is to be told goodbye
            self.transport.close()
            return
        super().shutdown()

    def _take(self, size: int) -> None:
        self.conn.max_message_size = size

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["homarus.abort"] = self.transport.abort
            extensions["homarus.take"] = self._take
