"""The main port's front: which application answers a path, and what needs no token.

/api/mcp/*  /api/v1/*     the edge          /api/mcp/ws     event sockets       /     the gateway's
/health /healthz /ready /readyz /api/health /api/version    anybody may ask
/api/openapi.json /api/docs                                 the surface, described
/.well-known/oauth-*  /authorize  /api/oauth/*              programs that ask for a token
/downloads/* /install.sh /install.ps1 /docs                 for machines to be connected
others                                      mounts by first segment (dashboard, MCP)
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from homarus.control_plane.answers import (
    Receive,
    Scope,
    Send,
    send_error,
    send_moved,
    send_reply,
    send_text,
)
from homarus.control_plane.documents import Documents
from homarus.control_plane.edge import Edge, no_route
from homarus.control_plane.lockout import Lockout
from homarus.control_plane.route import MOUNTS
from homarus.store.port import Reply

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Facts = Callable[[], dict[str, Any]]
SOCKET_PATHS: Final = frozenset(f"{mount}/ws{slash}" for mount in MOUNTS for slash in ("", "/"))
_API: Final = "/api/"
_EDGE: Final = tuple(f"{mount}/" for mount in MOUNTS)
_READS: Final = frozenset({"GET", "HEAD"})
_MOVED: Final = {"/docs": "/api/docs", "/docs/": "/api/docs"}
_encode = msgspec.json.Encoder().encode


class Front:
    """`health()` gives `{"ready", "failing", "uptimeMs", "version", "database"}`."""

    def __init__(
        self,
        edge: Edge,
        sockets: Mapping[str, App],
        health: Facts,
        documents: Documents,
        mounts: Mapping[str, App],
        exact: Mapping[str, App] | None = None,
        lockout: Lockout | None = None,
    ) -> None:
        self._lockout = lockout
        self._edge = edge
        self._sockets = dict(sockets)
        self._health = health
        self._documents = documents
        self._mounts = dict(mounts)
        self._exact = dict(exact or {})
        self._open: Final[dict[str, Callable[[], Reply]]] = {
            "/health": _live,
            "/healthz": _live,
            "/ready": self._ready,
            "/readyz": self._ready,
            "/api/health": self._checks,
            "/api/version": self._version,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            answer: Send | None = send
            if self._lockout is not None:
                answer = await self._lockout.guarded(scope, send)
            if answer is not None:
                await self._http(scope, receive, answer)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith(_EDGE):
            await self._edge(scope, receive, send)
            return
        exact = self._exact.get(path)
        if exact is not None:
            await exact(scope, receive, send)
            return
        document = self._documents.get(path)
        if document is not None and scope["method"] in _READS:
            await send_text(send, document[1], document[0])
            return
        if path in _MOVED and scope["method"] in _READS:
            await send_moved(send, _MOVED[path])
            return
        if path.startswith(_API) and path not in self._open:
            await self._edge(scope, receive, send)
            return
        answer = self._open.get(path)
        if answer is not None and scope["method"] in _READS:
            await send_reply(send, answer())
            return
        mount = self._mounts.get(path.split("/", 2)[1])
        if mount is None:
            await send_error(send, no_route(path))
            return
        await mount(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        sockets = self._sockets.get(path)
        if sockets is not None:
            await sockets(scope, receive, send)
            return
        mount = self._mounts.get(path.split("/", 2)[1])
        if mount is None:
            await receive()
            await send({"type": "websocket.close", "code": 4404})
            return
        await mount(scope, receive, send)

    def _ready(self) -> Reply:
        facts = self._health()
        body = {k: facts[k] for k in ("ready", "failing", "uptimeMs")}
        return Reply(status=200 if facts["ready"] else 503, body=_encode(body))

    def _checks(self) -> Reply:
        """Control-plane contract, 4.1."""
        facts = self._health()
        well = facts["database"] == "ok"
        body = {
            "status": "ok" if well else "degraded",
            "version": facts["version"],
            "checks": {"database": facts["database"]},
        }
        return Reply(status=200 if well else 503, body=_encode(body))

    def _version(self) -> Reply:
        return Reply(status=200, body=_encode({"version": self._health()["version"]}))


def _live() -> Reply:
    return Reply(status=200, body=_encode({"ok": True, "status": "live"}))
