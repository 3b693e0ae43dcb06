"""One event socket: `GET /api/mcp/ws` (control-plane contract, 9).

    handshake (401, 403 as HTTP status) -> catch up from the cursor -> live from the pump -> close

The cursor is fixed at the handshake, so a client that opens slowly misses nothing. `connected`
comes CONNECTED_DELAY_S after it, because clients attach their listener late. What the client sends
is ignored but `ping`. A client that does not read is cut with 1013; others never wait for it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from homarus.base.errors import HomarusError, Invalid
from homarus.control_plane.answers import Receive, Scope, Send, error_headers, error_reply
from homarus.kernel.tokens import Token

CONNECTED_DELAY_S: Final = 0.08
"""The contract asks for 50 to 100 ms after the handshake, and says why."""
MAX_QUEUED: Final = 256
SEND_S: Final = 20.0
GOODBYE_S: Final = 2.0
GOING_AWAY: Final = 1001
SERVICE_RESTART: Final = 1012
TRY_LATER: Final = 1013
UNAUTHENTICATED: Final = 4401

_encode = msgspec.json.Encoder().encode


class Close(msgspec.Struct, frozen=True):
    """Why a socket ends. `code` None: the client is gone already."""

    code: int | None
    reason: str = ""


class Socket:
    """One connection's side of the daemon: a bounded queue, a cursor, a reason to end."""

    def __init__(self, company: str, token: Token, cursor: int) -> None:
        self.company = company
        self.token = token
        self.cursor = cursor
        self.queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED)
        self.ended: asyncio.Future[Close] = asyncio.get_running_loop().create_future()

    def end(self, code: int | None, reason: str = "") -> None:
        if not self.ended.done():
            self.ended.set_result(Close(code, reason))

    def offer(self, text: str) -> None:
        """Queue one frame; a full queue means that nobody reads at the other end."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.end(TRY_LATER, f"{MAX_QUEUED} frames unread")

    def offer_event(self, seq: int, texts: list[str]) -> None:
        """The frames of one event, unless this socket has had them."""
        if seq <= self.cursor:
            return
        self.cursor = seq
        for text in texts:
            self.offer(text)


class Wire:
    """The ASGI side of one connection. Sending raises OSError once the client is gone."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._abort: Callable[[], None] | None = scope.get("extensions", {}).get("homarus.abort")

    async def accept(self) -> None:
        await self._send({"type": "websocket.accept"})

    async def refuse(self, error: HomarusError) -> None:
        """Answer the handshake with the error's HTTP status."""
        reply = error_reply(error)
        headers = [(b"content-type", b"application/json"), *error_headers(error)]
        await self._send(
            {
                "type": "websocket.http.response.start",
                "status": reply.status,
                "headers": headers,
            }
        )
        await self._send({"type": "websocket.http.response.body", "body": reply.body})

    async def text(self, text: str) -> None:
        """Raises TimeoutError when the client takes nothing for SEND_S."""
        async with asyncio.timeout(SEND_S):
            await self._send({"type": "websocket.send", "text": text})

    async def heard(self) -> str | None:
        """The next text, "" for anything else; None: the client is gone."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        return message.get("text") or ""

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye within GOODBYE_S, else drop the connection."""
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (TimeoutError, OSError, RuntimeError):
            if self._abort is not None:
                self._abort()


async def converse(socket: Socket, wire: Wire) -> None:
    """Live: queue to wire, wire to ear, until one side ends it; then say goodbye."""
    async with asyncio.TaskGroup() as group:
        sides = [
            group.create_task(_speak(socket, wire)),
            group.create_task(_listen(socket, wire)),
        ]
        close = await socket.ended
        for side in sides:
            side.cancel()
    if close.code is not None:
        await wire.close(close.code, close.reason)


async def _speak(socket: Socket, wire: Wire) -> None:
    try:
        while True:
            await wire.text(await socket.queue.get())
    except TimeoutError:
        socket.end(TRY_LATER, f"nothing was read for {SEND_S:.0f} s")
    except OSError:
        socket.end(None)


async def _listen(socket: Socket, wire: Wire) -> None:
    while True:
        text = await wire.heard()
        if text is None:
            socket.end(None)
            return
        if text == "ping":
            socket.offer("pong")


def hello(seq: int) -> str:
    frame = {"type": "connected", "message": "Connected to Homarus"}
    return _encode({**frame, "seq": seq, "payload": frame}).decode()


def resync(seq: int) -> str:
    """Not everything since the client's cursor can be replayed: read lists anew, go on here."""
    return _encode({"type": "resync", "seq": seq}).decode()


def since_seq(query: bytes) -> int | None:
    """`?since_seq=N`: where the client stopped. Raises `request.cursor`."""
    text = dict(parse_qsl(query.decode("latin-1"))).get("since_seq")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise Invalid("request.cursor", "`since_seq` is no number", "Repeat the last `seq` seen.")
    return int(text)


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    found: dict[bytes, Any] = dict(scope["headers"])
    return found
