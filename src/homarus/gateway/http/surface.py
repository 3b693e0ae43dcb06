"""The gateway's HTTP as an ASGI application, mounted at `/v1` and `/tools`.

    match -> authenticate -> parse -> accept the turn -> follow it -> answer        (top down)

Accepting is the one write: a judged unit. What follows is the runner's; this only tells of it. A
stateless request whose client goes away is aborted, unless it has an Idempotency-Key: its client
may come back for the answer.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.errors import Busy, HomarusError, Invalid, NotFound, NotOffered, Unavailable
from homarus.base.redact import redact_token_bytes
from homarus.control_plane import idempotency, parse
from homarus.control_plane.answers import (
    RETRY_AFTER_S,
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
from homarus.conversations.turns import State
from homarus.flows import answering
from homarus.flows.answering import Answer, Request
from homarus.gateway.http import asking, faults, tools
from homarus.gateway.http.asking import is_unmet
from homarus.gateway.http.faults import Fault
from homarus.gateway.http.progress import Progress
from homarus.gateway.http.table import ENDPOINTS, MAX_BODY_BYTES, Endpoint
from homarus.store.port import Reply, Tx

log = structlog.get_logger("gateway")
T = TypeVar("T")
Names = Callable[[], Collection[str]]

MAX_WAIT_S: Final = 3_600.0
"""Longest that a request waits for its answer; a turn's preflight holds no longer either."""
LARGE_BYTES: Final = 262_144
"""From here on a body is parsed in a thread, and MAX_LARGE of them at one time."""
MAX_LARGE: Final = 8
LARGE_WAIT_S: Final = 10.0
BODY_S: Final = 60.0
"""In which a body has to come."""
MAX_PATH: Final = 1_024
_encode = msgspec.json.Encoder().encode
_ID: Final = "/{id}"


class Accepted(msgspec.Struct, rename="camel"):
    """What accepting answers. `created_ms` of the turn."""

    turn: str = ""
    created_ms: int = 0


class Asked(msgspec.Struct, frozen=True):
    """An accepted request. `body` without what is large in it; `keyed`: its client can come back
    for the answer; `chosen`: the tool call that `tool_choice` demands."""

    endpoint: Endpoint
    caller: Caller
    body: Any
    accepted: Accepted
    replayed: bool
    keyed: bool
    stateless: bool
    chosen: str | None


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
        self._large = asyncio.Semaphore(MAX_LARGE)
        self._routes: dict[str, dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            self._routes.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        self._parsers = {
            e.path: parse.BodyParser(e.wire.Body) for e in endpoints if e.wire is not None
        }

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
                await self._read(endpoint, scope, id_, send)
            else:
                await self._ask(endpoint, scope, receive, send)
        except HomarusError as error:
            await self._fault(send, faults.of_error(error), path)
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

    async def _read(self, endpoint: Endpoint, scope: Scope, id_: str, send: Send) -> None:
        headers = dict(scope["headers"])
        caller = await self._door.authenticate(headers)
        if "\0" in id_:
            raise Invalid("request.nul", "the path holds the character U+0000", "Leave it out.")
        action = self._action(endpoint.capability, caller, headers)
        try:
            document = await self._store.read(
                judged, self._means.admit, action, endpoint.read, caller.company, id_
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
            await self._tell(asked, receive, send)
        else:
            await self._answer(asked, receive, send)

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
            refused = tools.unavailable(body.called, self._allow(), self._deny())
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

    # -- answering ---------------------------------------------------------------------------

    def _progress(self, asked: Asked) -> Progress:
        live = self._means.live
        if live is None:
            raise NotOffered("turn.events", "this daemon runs no turns", "Ask the one that does.")
        return Progress(live, self._store.read, asked.caller.company, asked.accepted.turn)

    async def _answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        """The answer as one document, when there is one."""
        progress = self._progress(asked)
        try:
            answer = await _until_gone(receive, _last(progress))
        except HomarusError as error:
            await self._let_go(asked, gone=False)
            await self._failed(asked, send, faults.of_error(error))
            return
        if answer is None:
            await self._let_go(asked, gone=True)
            return
        fault = _fault_of(asked, answer)
        if fault is not None:
            await self._failed(asked, send, fault)
            return
        wire: Any = asked.endpoint.wire
        body = _encode(wire.reply(asked.body, answer))
        reply = Reply(status=200, body=body, replayed=asked.replayed)
        await send_reply(send, reply, _about(asked))

    async def _failed(self, asked: Asked, send: Send, fault: Fault) -> None:
        wire: Any = asked.endpoint.wire
        one = asked.accepted
        document = wire.failure(asked.body, one.turn, one.created_ms, fault)
        reply = Reply(status=fault.status, body=_encode(document))
        await send_reply(send, reply, _about(asked) + _retry(fault))

    async def _tell(self, asked: Asked, receive: Receive, send: Send) -> None:
        """The answer as it comes. The status line goes out first: what fails later is an event."""
        progress = self._progress(asked)
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *_about(asked),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        told = await _until_gone(receive, self._events(asked, progress, send))
        if told is None:
            await self._let_go(asked, gone=True)
            return
        await send({"type": "http.response.body", "body": b""})

    async def _events(self, asked: Asked, progress: Progress, send: Send) -> bool:
        wire: Any = asked.endpoint.wire
        stream = wire.Stream(asked.body, asked.accepted.turn, asked.accepted.created_ms)
        await _send_all(send, stream.begin())
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                async for step in progress.steps():
                    fault = _fault_of(asked, step) if isinstance(step, Answer) else None
                    await _send_all(
                        send, stream.step(step) if fault is None else stream.fail(fault)
                    )
        except TimeoutError:
            await self._let_go(asked, gone=False)
            await _send_all(send, stream.fail(faults.of_error(_too_long())))
        except HomarusError as error:
            await self._let_go(asked, gone=False)
            await _send_all(send, stream.fail(faults.of_error(error)))
        return True

    async def _let_go(self, asked: Asked, *, gone: bool) -> None:
        """End a turn for whose answer nobody can come back. `gone`: the client went by itself; its
        session then goes on and has the answer."""
        if asked.keyed or (gone and not asked.stateless):
            return
        turn = asked.accepted.turn
        action = Action(
            asked.caller.company, "turn.abort", f"turn:{turn}", credential=asked.caller.token.id
        )
        try:
            await self._store.write(action, answering.let_go, turn)
        except HomarusError as error:
            log.info("turn_not_aborted", turn=turn, code=error.code)

    async def _fault(self, send: Send, fault: Fault, path: str) -> None:
        is_tool = path.startswith("/tools/") and fault.status != 401
        document = tools.error(fault) if is_tool else fault.body()
        headers = _retry(fault)
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


def _fault_of(asked: Asked, answer: Answer) -> Fault | None:
    """Why this is no answer; None: it is one."""
    turn = answer.turn
    if turn.state is not State.DONE:
        return faults.of_outcome(turn.outcome or {})
    if isinstance(asked.body, tools.Body):
        return tools.fault_of(answer)
    if is_unmet(asked.chosen, [call["name"] for call in answer.calls]):
        return Fault(502, "api_error", "tool_choice.unmet",
                     "the model did not call the tool that `tool_choice` demands")  # fmt: skip
    return None


def _about(asked: Asked) -> list[tuple[bytes, bytes]]:
    return [(b"x-request-id", asked.accepted.turn.encode())]


def _retry(fault: Fault) -> list[tuple[bytes, bytes]]:
    if fault.again:
        return [(b"retry-after", str(RETRY_AFTER_S).encode())]
    return [(b"x-should-retry", b"false")]


def _too_long() -> Unavailable:
    return Unavailable("turn.too_long", f"no answer came within {MAX_WAIT_S:g} s",
                       "Give the agent less to do at one time.")  # fmt: skip


def _no_route(path: str) -> NotFound:
    return NotFound("route.unknown", f"there is nothing at {path[:200]}",
                    "See docs/how-to/openai-clients.md for what there is.")  # fmt: skip


# -- waiting -------------------------------------------------------------------------------


async def _body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """Raises `request.slow`, and what `parse.read_body` raises."""
    try:
        async with asyncio.timeout(BODY_S):
            return await parse.read_body(receive, headers, MAX_BODY_BYTES)
    except TimeoutError:
        raise Invalid(
            "request.slow", f"the body was not there within {BODY_S:g} s", "Send it faster."
        ) from None


async def _last(progress: Progress) -> Answer:
    """Raises what `Progress.steps` raises, and `turn.too_long`."""
    try:
        async with asyncio.timeout(MAX_WAIT_S):
            async for step in progress.steps():
                if isinstance(step, Answer):
                    return step
    except TimeoutError:
        raise _too_long() from None
    raise AssertionError("a turn's progress ends with its answer")


async def _until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives; None when the client goes away first, and the work is then cancelled."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _send_all(send: Send, events: list[bytes]) -> None:
    if events:
        body = b"".join(events)
        await send({"type": "http.response.body", "body": body, "more_body": True})
