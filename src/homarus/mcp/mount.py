"""`/mcp`: what stands before the SDK. Method, origin, token, body; then `server.py`.

The SDK is imported and the tools are made ready, in a thread, when the first authenticated request
comes: a daemon that no MCP client talks to carries neither. Without the extra every such request is
answered 501.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError, Unauthenticated
from homarus.control_plane import origin, parse
from homarus.control_plane.answers import (
    Receive,
    Scope,
    Send,
    error_body,
    error_headers,
    send_reply,
    status_of,
)
from homarus.control_plane.auth import Door
from homarus.control_plane.edge import Edge, WrongMethod, base_url, no_route
from homarus.control_plane.match import AnyRoute
from homarus.control_plane.oauth import challenge
from homarus.mcp import extra
from homarus.mcp.table import TOOLS
from homarus.mcp.tool import bind_tools
from homarus.mcp.toolbox import Toolbox, line
from homarus.store.port import Reply

PATHS: Final = ("/mcp", "/mcp/")
OFFERED: Final = "POST"

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
REFUSED: Final = -32000
"""Codes of JSON-RPC 2.0, and the first that it leaves to servers."""

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class Mount:
    """The ASGI application at `/mcp`."""

    def __init__(
        self,
        edge: Edge,
        door: Door,
        routes: tuple[AnyRoute, ...],
        *,
        loopback_only: bool,
        public_url: str = "",
    ) -> None:
        """`public_url`: as in `control_plane.oauth.OAuth`."""
        self._edge = edge
        self._door = door
        self._routes = routes
        self._loopback_only = loopback_only
        self._public_url = public_url.rstrip("/")
        self._message = parse.BodyParser(Any)
        self._serve: Asgi | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4404})
            return
        headers = dict(scope["headers"])
        try:
            body = await self._admitted(scope, headers, receive)
            serve = self._serve or await self._loaded()
        except HomarusError as error:
            await send_error(send, error, self._public_url or base_url(scope, headers))
            return
        await serve(scope, _replayed(body, receive), send)

    async def _admitted(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> bytes:
        """The body of a request that may reach the SDK."""
        if scope["path"] not in PATHS:
            raise no_route(scope["path"])
        if scope["method"] != OFFERED:
            raise WrongMethod(
                "route.method",
                f"{scope['method'][:20]} is not offered here: this endpoint keeps no sessions",
                f"Offered: {OFFERED}.",
            )
        origin.check(headers, loopback_only=self._loopback_only, public_url=self._public_url)
        await self._door.authenticate(headers)
        body = await parse.read_body(receive, headers)
        self._message.parse(body)
        return body

    async def _loaded(self) -> Asgi:
        async with self._loading:
            if self._serve is None:
                self._serve = await asyncio.to_thread(self._load)
        return self._serve

    def _load(self) -> Asgi:
        try:
            from homarus.mcp.server import application
        except ModuleNotFoundError as error:
            raise extra.missing() from error
        return application(Toolbox(self._edge, self._door, bind_tools(TOOLS, self._routes)))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What was read, then whatever the connection says next."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return left.pop() if left else await receive()

    return again


async def send_error(send: Send, error: HomarusError, base: str) -> None:
    """An error that no message answers: JSON-RPC without an id, ours in `data` (MCP specification,
    streamable HTTP)."""
    number = REFUSED
    if error.status in (400, 405, 413):
        number = PARSE_ERROR if error.code == "request.json" else INVALID_REQUEST
    told = error_body(error)
    body = {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": number, "message": line(told), "data": told},
    }
    reply = Reply(status=status_of(error), body=msgspec.json.encode(body))
    await send_reply(send, reply, _headers(error, base))


def _headers(error: HomarusError, base: str) -> list[tuple[bytes, bytes]]:
    if isinstance(error, Unauthenticated):
        return [challenge(base)]
    if isinstance(error, WrongMethod):
        return [(b"allow", OFFERED.encode())]
    return error_headers(error)
