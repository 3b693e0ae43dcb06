"""The gateway's HTTP as an ASGI application, mounted at `/v1` and `/tools`.

    match -> authenticate -> parse -> accept the turn        (top down), then `telling.py`

Accepting is the one write: a judged unit.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.errors import Busy, HomarusError, Invalid, NotFound
from homarus.base.redact import redact_token_bytes
from homarus.control_plane import idempotency, parse
from homarus.control_plane.answers import (
    Receive,
    Scope,
    Send,
    send_reply,
    send_text,
    unforeseen,
)
from homarus.control_plane.auth import Caller, Door
from homarus.control_plane.edge import trace_of
from homarus.control_plane.judged import judged
from homarus.control_plane.stream import Means
from homarus.conversations import turns
from homarus.flows import answering
from homarus.flows.answering import Request
from homarus.gateway.http import asking, faults, tools
from homarus.gateway.http.faults import Fault
from homarus.gateway.http.table import ENDPOINTS, MAX_BODY_BYTES, Endpoint
from homarus.gateway.http.telling import Accepted, Asked, Teller
from homarus.store.port import Reply, Tx

log = structlog.get_logger("gateway")
Names = Callable[[], Collection[str]]

LARGE_BYTES: Final = 262_144
"""From here on a body is parsed in a thread, and MAX_LARGE of them at one time."""
MAX_LARGE: Final = 8
LARGE_WAIT_S: Final = 10.0
BODY_S: Final = 60.0
"""In which a body has to come."""
MAX_PATH: Final = 1_024
_encode = msgspec.json.Encoder().encode
_ID: Final = "/{id}"


class Surface:
    """`allow`, `deny`: what the settings say now, see `tools.unavailable`."""

    def __init__(
        self,
        means: Means,
        door: Door,
        allow: Names = tuple,
        deny: Names = tuple,
        endpoints: tuple[Endpoint, ...] = ENDPOINTS,
    ) -> None:
        self._means = means
        self._store = means.store
        self._door = door
        self._allow = allow
        self._deny = deny
        self._teller = Teller(means.store, means.live)
        self._large = asyncio.Semaphore(MAX_LARGE)
        self._routes: dict[str, dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            self._routes.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        self._parsers = {
            e.path: parse.BodyParser(e.wire.Body) for e in endpoints if e.wire is not None
        }

    def refuses(self, tool: str) -> HomarusError | None:
        """Why a tool is not called by hand; None: it is."""
        return tools.unavailable(tool, self._allow(), self._deny())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 4404})
            return
        path, id_ = self._find(scope["path"])
        methods = self._routes.get(path)
        if methods is None:
            await self._fault(send, faults.of_error(_no_route(scope["path"])), path)
            return
        endpoint = methods.get(scope["method"])
        if endpoint is None:
            await send_text(send, b"Method Not Allowed", b"text/plain; charset=utf-8", 405)
            return
        try:
            if endpoint.read is not None:
                await self._read(endpoint, endpoint.read, scope, id_, send)
            else:
                await self._ask(endpoint, scope, receive, send)
        except HomarusError as error:
            tool = endpoint.wire is tools
            await self._fault(send, faults.of_error(error, tool=tool), path)
        except Exception as error:
            log.error("request_failed", route=path, exc_info=error)
            await self._fault(send, faults.of_error(unforeseen()), path)

    def _find(self, path: str) -> tuple[str, str]:
        """The route's path, and what stands where it has `{id}`."""
        path = path[:MAX_PATH].rstrip("/") if len(path) > 1 else path
        if path in self._routes:
            return path, ""
        for known in self._routes:
            start = known.removesuffix(_ID)
            if known.endswith(_ID) and path.startswith(f"{start}/"):
                return known, path[len(start) + 1 :]
        return path, ""

    # -- reading -----------------------------------------------------------------------------

    async def _read(
        self, endpoint: Endpoint, fn: Callable[..., Any], scope: Scope, id_: str, send: Send
    ) -> None:
        headers = dict(scope["headers"])
        caller = await self._door.authenticate(headers)
        if "\0" in id_:
            raise Invalid("request.nul", "the path holds the character U+0000", "Leave it out.")
        action = self._action(endpoint.capability, caller, headers)
        try:
            document = await self._store.read(
                judged, self._means.admit, action, fn, caller.company, id_
            )
        except HomarusError as error:
            self._door.heed(error, caller.token)
            raise
        await send_reply(send, Reply(status=200, body=_encode(document)))

    def _action(
        self, capability: str, caller: Caller, headers: Mapping[bytes, bytes], **more: Any
    ) -> Action:
        return Action(
            caller.company, capability, more.pop("target", "company:"),
            credential=caller.token.id, trace=trace_of(headers), **more,
        )  # fmt: skip

    # -- asking ------------------------------------------------------------------------------

    async def _ask(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        caller = await self._door.authenticate(headers)
        key = idempotency.key_text(headers, "accepted")
        async with self._room(headers):
            raw = redact_token_bytes(await _body(receive, headers))
            asked = await self._asked(endpoint, caller, headers, key, raw)
        if getattr(asked.body, "stream", False):
            await self._teller.tell(asked, receive, send)
        else:
            await self._teller.answer(asked, receive, send)

    @asynccontextmanager
    async def _room(self, headers: Mapping[bytes, bytes]) -> AsyncIterator[None]:
        """Large bodies are in memory one by one. Raises `request.busy`."""
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) <= LARGE_BYTES:
            yield
            return
        try:
            async with asyncio.timeout(LARGE_WAIT_S):
                await self._large.acquire()
        except TimeoutError:
            raise Busy(
                "request.busy", f"{MAX_LARGE} large requests are being read", "Repeat it later."
            ) from None
        try:
            yield
        finally:
            self._large.release()

    async def _asked(
        self, endpoint: Endpoint, caller: Caller, headers: Mapping[bytes, bytes],
        key: bytes | None, raw: bytes,
    ) -> Asked:  # fmt: skip
        turn_key = (
            "" if key is None else idempotency.turn_key(caller.token.id, key.decode("latin-1"))
        )
        about = asking.envelope(headers, turn_key)
        if len(raw) > LARGE_BYTES:
            body, request = await asyncio.to_thread(self._understand, endpoint, raw, about)
        else:
            body, request = self._understand(endpoint, raw, about)
        accepted, replayed = await self._accept(endpoint, caller, headers, key, raw, request)
        for name in getattr(endpoint.wire, "HEAVY", ()):
            setattr(body, name, None)
        stateless = request.session is None and request.user is None and request.previous is None
        chosen = request.options.get("toolChoice")
        return Asked(endpoint, caller, body, accepted, replayed, key is not None, stateless, chosen)

    def _understand(
        self, endpoint: Endpoint, raw: bytes, about: asking.Envelope
    ) -> tuple[Any, Request]:
        """Raises `request.*`, `tool.unavailable`."""
        body = self._parsers[endpoint.path].parse(raw)
        wire: Any = endpoint.wire
        if isinstance(body, tools.Body):
            refused = self.refuses(body.called)
            if refused is not None:
                raise refused
        return body, wire.request(body, about)

    async def _accept(
        self, endpoint: Endpoint, caller: Caller, headers: Mapping[bytes, bytes],
        key: bytes | None, raw: bytes, request: Request,
    ) -> tuple[Accepted, bool]:  # fmt: skip
        """The turn, and whether the key had it already."""
        digest = hashlib.sha256(raw).digest()
        action = self._action(
            endpoint.capability, caller, headers, target="turn:new", arguments=digest
        )
        try:
            if key is None:
                reply = await self._store.write(action, accept, request)
            else:
                reply = await self._store.write_once(
                    action, accept, request,
                    key=idempotency.key_of(
                        key, caller, endpoint.method, endpoint.path, raw, strict=True,
                        replay=_replay,
                    ),
                )  # fmt: skip
        except HomarusError as error:
            self._door.heed(error, caller.token)
            raise
        return msgspec.json.decode(reply.body, type=Accepted), reply.replayed

    async def _fault(self, send: Send, fault: Fault, path: str) -> None:
        is_tool = path.startswith("/tools/") and fault.status != 401
        document = tools.error(fault) if is_tool else fault.body()
        headers = faults.retry(fault)
        if fault.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="homarus"'))
        if fault.status == 413:
            headers.append((b"connection", b"close"))
        await send_reply(send, Reply(status=fault.status, body=_encode(document)), headers)


def accept(tx: Tx, request: Request) -> Reply:
    return _reply(answering.accept(tx, request))


def _reply(turn: Any, *, replayed: bool = False) -> Reply:
    body = _encode(Accepted(turn.id, turn.created_ms))
    return Reply(status=200, body=body, keep=turn.id.encode(), replayed=replayed)


def _replay(tx: Tx, kept: bytes) -> Reply:
    """The same request again: its turn, wherever that is by now."""
    return _reply(turns.need(tx, tx.company, kept.decode()), replayed=True)


def _no_route(path: str) -> NotFound:
    return NotFound("route.unknown", f"there is nothing at {path[:200]}",
                    "See docs/how-to/openai-clients.md for what there is.")  # fmt: skip


async def _body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """Raises `request.slow`, and what `parse.read_body` raises."""
    try:
        async with asyncio.timeout(BODY_S):
            return await parse.read_body(receive, headers, MAX_BODY_BYTES)
    except TimeoutError:
        raise Invalid(
            "request.slow", f"the body was not there within {BODY_S:g} s", "Send it faster."
        ) from None
