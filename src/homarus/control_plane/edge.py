"""The edge: HTTP under `/api/mcp` and `/api/v1`, from bytes to a unit and back.

    match -> authenticate -> parse -> action -> run -> answer        (`Edge._answer`, top down)

A writing route runs in `store.write`, a reading one in `store.read`, each judged by the kernel in
the same transaction. Routes are data (`route.py`); this module knows none of them.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.errors import HomarusError, NotFound
from homarus.base.ids import is_uuid
from homarus.base.redact import redact_text, redact_token_bytes
from homarus.control_plane import idempotency, parse
from homarus.control_plane.answers import (
    Receive,
    Scope,
    Send,
    send_error,
    send_reply,
    unforeseen,
)
from homarus.control_plane.auth import Caller, Door
from homarus.control_plane.judged import judged
from homarus.control_plane.match import AnyRoute, Bound, Found, Matcher
from homarus.control_plane.route import Call, EventReply, FileReply, Route, StreamRoute
from homarus.control_plane.stream import (
    EdgeStream,
    Means,
    StreamSlots,
    send_events,
    send_file,
)
from homarus.store.port import Reply

log = structlog.get_logger("edge")

MAX_HOST: Final = 300
MAX_PREFLIGHT: Final = 60
MAX_NOTE: Final = 2_000
MAX_WHAT: Final = 2_000
_NO_STORE: Final = [(b"cache-control", b"no-store")]
_BODYLESS: Final = frozenset({"GET", "HEAD"})


class Asked(msgspec.Struct, frozen=True):
    """A request as it came: route, path values, headers; `receive` gives the body."""

    bound: Bound
    found: Found
    headers: Mapping[bytes, bytes]
    scope: Scope
    receive: Receive


class Edge:
    """The ASGI application of the JSON routes."""

    def __init__(self, means: Means, door: Door, routes: tuple[Route | StreamRoute, ...]) -> None:
        self._means = means
        self._store = means.store
        self._door = door
        self._matcher = Matcher(routes)
        self._slots = StreamSlots()
        self.failures = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._matcher.find(scope["path"])
        if found is None:
            await send_error(send, no_route(scope["path"]))
            return
        bound = found.methods.get(scope["method"])
        if bound is None and scope["method"] == "HEAD":
            bound = found.methods.get("GET")  # the server leaves the body out (RFC 9110, 9.3.2)
        if bound is None:
            await self._wrong_method(found, scope["method"], send)
            return
        try:
            reply = await self._settled(Asked(bound, found, dict(scope["headers"]), scope, receive))
        except HomarusError as error:
            await send_error(send, error)
            return
        if isinstance(reply, FileReply):
            await send_file(send, reply, self._slots, head=scope["method"] == "HEAD")
        elif isinstance(reply, EventReply):
            await send_events(receive, send, reply)
        else:
            secret = getattr(bound.route, "finish", None) is not None
            await send_reply(send, reply, _NO_STORE if secret else None)

    async def invoke(
        self,
        bound: Bound,
        values: tuple[str, ...],
        headers: Mapping[bytes, bytes],
        *,
        query: bytes = b"",
        body: bytes = b"",
    ) -> Reply | FileReply | EventReply:
        """What a request gets that another surface took in: the same road as over HTTP, from
        authentication on. Raises HomarusError where HTTP answers one.

        `values` of the path's `{names}`, in order; `query` as in a URL, without `?`.
        """
        left = iter(values)
        words = bound.route.path.split("/")
        path = "/".join(next(left) if word.startswith("{") else word for word in words)
        found = Found({bound.route.method: bound}, path, values)
        scope = {"query_string": query, "scheme": "http", "server": None}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return await self._settled(Asked(bound, found, headers, scope, receive))

    async def _settled(self, asked: Asked) -> Reply | FileReply | EventReply:
        """`_answer`, where a fault of ours becomes an error that says nothing of itself."""
        try:
            return await self._answer(asked)
        except HomarusError:
            raise
        except Exception as error:
            self.failures += 1
            log.error("request_failed", route=asked.bound.route.path, exc_info=error)
            raise unforeseen() from error

    async def _answer(self, asked: Asked) -> Reply | FileReply | EventReply:
        route = asked.bound.route
        caller = await self._authenticate(asked)
        key = idempotency.key_text(asked.headers, route.keyed)
        if isinstance(route, StreamRoute):
            return await self._stream(asked, route, caller, key)
        call = await self._parse(asked, route, caller, key)
        if route.pick is not None:
            route = await self._store.read(route.pick, call)
        action = self._action(asked, route, caller, call)
        try:
            return await self._run(asked, route, caller, call, action, key)
        except HomarusError as error:
            self._door.heed(error, caller.token)
            raise

    async def _authenticate(self, asked: Asked) -> Caller:
        scope = getattr(asked.bound.route, "scope", "caller")
        if scope == "instance":
            return Caller(await self._door.token(asked.headers), "")
        if scope == "path":
            token = await self._door.token(asked.headers)
            ref = asked.found.values[0]
            company = await self._door.company(ref)
            if company is None:
                raise _no_company(ref)
            return Caller(token, company)
        return await self._door.authenticate(asked.headers, scope)

    async def _parse(
        self, asked: Asked, route: Route, caller: Caller, key: bytes | None
    ) -> Call[Any]:
        raw = b""
        if route.method not in _BODYLESS:
            raw = await parse.read_body(asked.receive, asked.headers)
            if route.prepare is None:
                raw = redact_token_bytes(raw)
        parser = asked.bound.parser
        body = None if parser is None else parser.parse(raw)
        return self._call(asked, caller, body, raw, key)

    def _call(
        self, asked: Asked, caller: Caller, body: Any, raw: bytes, key: bytes | None
    ) -> Call[Any]:
        values = asked.found.values
        return Call(
            company=caller.company,
            token=caller.token,
            path=parse.path_values(asked.bound.names, values) if values else {},
            query=parse.query(asked.scope["query_string"]),
            body=body,
            raw=raw,
            base_url=base_url(asked.scope, asked.headers),
            key="" if key is None else key.decode("latin-1"),
            queue_mode=self._means.queue_mode(),
        )

    def _action(self, asked: Asked, route: Route, caller: Caller, call: Call[Any]) -> Action:
        return Action(
            company=caller.company,
            capability=route.capability if route.names is None else route.names(call),
            target=route.aims(call) if route.aims is not None else target_of(route, call),
            credential=caller.token.id,
            acting=None if route.acting is None else route.acting(call),
            task=None if route.task is None else route.task(call),
            trace=trace_of(asked.headers),
            preflight=_preflight_of(route, call, asked.headers),
            routing_note=_note_of(route, call, asked.headers),
            arguments=_digest(route, call.raw) if route.digest is None else route.digest(call),
            estimate=None if route.estimate is None else route.estimate(call),
            callee=None if route.callee is None else route.callee(call),
            what="" if route.names is None else _what(call.raw),
        )

    async def _run(
        self,
        asked: Asked,
        route: Route,
        caller: Caller,
        call: Call[Any],
        action: Action,
        key: bytes | None,
    ) -> Reply:
        raw = call.raw
        if route.prepare is not None:
            call = route.prepare(call, self._means.sealer)
            raw = self._means.sealer.derive(b"idempotency:" + raw)
        if route.looks is not None:
            seen = await asyncio.to_thread(route.looks, call, self._means.home)
            call = msgspec.structs.replace(call, seen=seen)
        if route.kind == "read":
            reply: Reply = await self._store.read(
                judged, self._means.admit, action, route.handler, call
            )
            return reply
        if route.channels and self._means.channels is not None:
            call = msgspec.structs.replace(call, seen=self._means.channels.configured(call.company))
        if route.before is not None:
            seen = await self._store.read(route.before, call)
            call = msgspec.structs.replace(call, seen=seen)
        if key is None:
            given = await self._store.write(action, route.handler, call)
            if route.finish is not None and not isinstance(given, Reply):
                given = route.finish(given, self._means.sealer)
            made: Reply = given
            return made
        return await self._store.write_once(
            action,
            route.handler,
            call,
            key=idempotency.key_of(
                key,
                caller,
                route.method,
                asked.found.canonical,
                raw,
                strict=route.strict,
                replay=route.replay,
            ),
        )

    async def _stream(
        self, asked: Asked, route: StreamRoute, caller: Caller, key: bytes | None
    ) -> Reply | FileReply | EventReply:
        call: Call[None] = self._call(asked, caller, None, b"", key)
        action = Action(
            company=caller.company,
            capability=route.capability,
            target=target_of(asked.bound.route, call),
            credential=caller.token.id,
            trace=trace_of(asked.headers),
        )

        def with_key(digest: bytes) -> Any:
            return idempotency.key_of(
                key or b"", caller, route.method, asked.found.canonical, digest, strict=route.strict
            )

        stream = EdgeStream(
            self._means,
            self._slots,
            asked.headers,
            asked.receive,
            action,
            None if key is None else with_key,
        )
        try:
            return await route.handler(stream, call)
        except HomarusError as error:
            self._door.heed(error, caller.token)
            raise
        finally:
            stream.close()

    async def _wrong_method(self, found: Found, method: str, send: Send) -> None:
        allowed = ", ".join(sorted(found.methods))
        error = WrongMethod(
            "route.method", f"{method[:20]} is not offered here", f"Offered: {allowed}."
        )
        await send_error(send, error, [(b"allow", allowed.encode())])


class WrongMethod(HomarusError):
    """The path exists, the method does not."""

    status = 405


def target_of(route: AnyRoute, call: Call[Any]) -> str:
    target = route.target
    return target.format_map(call.path) if "{" in target else target


def _digest(route: Route, raw: bytes) -> bytes | None:
    """What the receipt keeps of the request. A body with a secret to seal leaves no digest: a weak
    secret could be guessed from it."""
    return hashlib.sha256(raw).digest() if raw and route.prepare is None else None


def trace_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The trace that a caller hands on (`X-Homarus-Trace`); anything but a UUID counts as none."""
    raw = headers.get(b"x-homarus-trace")
    if raw is None:
        return None
    text = raw.decode("latin-1").lower()
    return text if is_uuid(text) else None


def _what(raw: bytes) -> str:
    """What a person who has to approve the call is shown: the request as it came, no secrets."""
    return redact_text(raw[: 2 * MAX_WHAT].decode("utf-8", "replace"))[:MAX_WHAT]


def _preflight_of(route: Route, call: Call[Any], headers: Mapping[bytes, bytes]) -> str | None:
    """The preflight that a caller names (`X-Homarus-Preflight`). What is no id counts as given and
    wrong: a caller that names one means it."""
    named = None if route.preflight is None else route.preflight(call)
    if named is not None:
        return named.strip().lower()[:MAX_PREFLIGHT]
    raw = headers.get(b"x-homarus-preflight")
    return None if raw is None else raw.decode("latin-1").strip().lower()[:MAX_PREFLIGHT]


def _note_of(route: Route, call: Call[Any], headers: Mapping[bytes, bytes]) -> str | None:
    note = None if route.note is None else route.note(call)
    if note is not None:
        return note
    raw = headers.get(b"x-homarus-routing-note")
    return None if raw is None else raw.decode("latin-1")[:MAX_NOTE]


def base_url(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    """This daemon's address as the caller reached it."""
    host = headers.get(b"host", b"")
    if not host or len(host) > MAX_HOST:
        server = scope.get("server") or ("127.0.0.1", 0)
        return f"{scope['scheme']}://{server[0]}:{server[1]}"
    return f"{scope['scheme']}://{host.decode('latin-1')}"


def no_route(path: str) -> NotFound:
    return NotFound(
        "route.unknown", f"there is nothing at {path[:200]}", "See /api/docs for what there is."
    )


def _no_company(ref: str) -> NotFound:
    return NotFound(
        "company.unknown", f"no company {ref[:200]!r}", "List them: `homarus company list`."
    )
