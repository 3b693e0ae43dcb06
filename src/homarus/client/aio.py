"""The typed client that is awaited: the calls of `groups.py` over httpx2, and the event socket.

    async with AsyncClient("http://127.0.0.1:18789", token) as client:
        claim = await client.tasks.claim("tally")
        async with client.events(since_seq=cursor) as events:
            async for event in events: ...

Its errors, repeats and bounds are those of `http.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    WebSocketException,
)

from homarus.base import tls
from homarus.base.errors import Internal, TooLarge, Unauthenticated
from homarus.client.errors import from_reply, timed_out, unreachable
from homarus.client.groups import Calls
from homarus.client.http import COMPANY_HEADER, MAX_REPLY_BYTES, TIMEOUT_S
from homarus.client.paths import base_url, socket_url
from homarus.client.request import Request, decoded
from homarus.client.retry import BUSY_STATUSES, SAFE_METHODS, Attempts, Retry, retry_after_s
from homarus.client.shapes import Event

T = TypeVar("T")

OPEN_S: Final = 10.0
"""From the first byte to the `connected` frame; a proxy may swallow an upgrade without a word."""
PING_S: Final = 15.0
"""A socket whose other end is silent twice as long is dead."""
CLOSE_S: Final = 1.0
MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
MAX_CONNECTIONS: Final = 20
REVOKED: Final = 4401
ORDERLY: Final = (1000, 1001, 1013)
"""Closed as agreed: normally, going away, try again later."""


class AsyncClient:
    """Connections to one daemon, as one identity. `company` is a slug, for an owner's token."""

    def __init__(
        self,
        url: str,
        token: str,
        company: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retry: Retry = Retry(),  # noqa: B008
    ) -> None:
        """Raises `client.url`. Does not connect yet."""
        self.url = base_url(url)
        self._timeout_s = timeout_s
        self._retry = retry
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if company:
            self._headers[COMPANY_HEADER] = company
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            headers=self._headers,
            timeout=timeout_s,
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS),
            trust_env=False,
            verify=tls.of(self.url),
        )
        calls: Calls[AsyncClient] = Calls(self)
        self.runtime = calls.runtime
        self.agents = calls.agents
        self.sessions = calls.sessions
        self.tasks = calls.tasks
        self.talk = calls.talk
        self.resources = calls.resources

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def send(self, request: Request[T]) -> T:
        """Send a described call; its value. Raises what the reply tells, `client.unreachable`,
        `client.timeout`, `client.too_large`."""
        headers = {} if request.key is None else {"Idempotency-Key": request.key}
        content = request.content()
        if content is not None:
            headers["Content-Type"] = "application/json"
        timeout_s = request.timeout_s or self._timeout_s
        safe = request.method in SAFE_METHODS or request.key is not None
        attempts = Attempts(self._retry)
        while True:
            asked_s = None
            try:
                reply, raw = await self._exchange(request, content, headers, timeout_s)
            except httpx2.TransportError as error:
                failed: Any = self._told(error, timeout_s)
                again = safe or isinstance(error, httpx2.ConnectError)
            else:
                if reply.status_code not in BUSY_STATUSES:
                    return request.value(reply.status_code, raw)
                asked_s = retry_after_s(reply.headers.get("Retry-After"))
                failed, again = from_reply(reply.status_code, decoded(raw)), safe
            wait_s = attempts.next_wait_s(asked_s) if again else None
            if wait_s is None:
                raise failed
            await asyncio.sleep(wait_s)

    async def _exchange(
        self,
        request: Request[Any],
        content: bytes | None,
        headers: dict[str, str],
        timeout_s: float,
    ) -> tuple[httpx2.Response, bytes]:
        async with self._http.stream(
            request.method, request.target, content=content, headers=headers, timeout=timeout_s
        ) as reply:
            raw = bytearray()
            async for chunk in reply.aiter_bytes():
                raw += chunk
                if len(raw) > MAX_REPLY_BYTES:
                    raise TooLarge(
                        "client.too_large",
                        f"the answer passes {MAX_REPLY_BYTES} bytes",
                        "Ask for less, with a limit.",
                    )
            return reply, bytes(raw)

    def _told(self, error: httpx2.TransportError, timeout_s: float) -> Exception:
        if isinstance(error, httpx2.TimeoutException) and not isinstance(
            error, httpx2.ConnectTimeout
        ):
            return timed_out(self.url, timeout_s)
        return unreachable(self.url, error)

    @asynccontextmanager
    async def events(
        self, since_seq: int | None = None, *, open_s: float = OPEN_S
    ) -> AsyncIterator["Events"]:
        """The event socket, open: its first frame has come. With `since_seq` (the `seq` of the last
        event seen) it replays what was missed.

        Raises `client.unreachable`, `client.timeout`, and what the daemon refuses the handshake
        with.
        """
        connection, hello = await self._open_socket(since_seq, open_s)
        try:
            yield Events(self.url, connection, hello)
        finally:
            await connection.close()

    async def _open_socket(
        self, since_seq: int | None, open_s: float
    ) -> tuple[ClientConnection, Event]:
        connection: ClientConnection | None = None
        try:
            async with asyncio.timeout(open_s):
                connection = await connect(
                    socket_url(self.url, since_seq),
                    additional_headers=self._headers,
                    proxy=None,
                    open_timeout=None,
                    ping_interval=PING_S,
                    ping_timeout=PING_S,
                    close_timeout=CLOSE_S,
                    max_size=MAX_FRAME_BYTES,
                )
                return connection, _event(await connection.recv())
        except BaseException as error:
            if connection is not None:
                await connection.close()
            match error:
                case InvalidStatus(response=reply):
                    refusal = from_reply(reply.status_code, decoded(bytes(reply.body or b"")))
                    raise refusal from error
                case TimeoutError():
                    raise timed_out(self.url, open_s) from error
                case OSError() | EOFError() | WebSocketException():
                    raise unreachable(self.url, error) from error
            raise


class Events:
    """What happens in the company, in order, until the socket closes.

    `start`: the `connected` frame. Events of type `resync` say that not everything since the cursor
    can be replayed: read lists anew and go on from its `seq`.
    """

    def __init__(self, url: str, connection: ClientConnection, hello: Event) -> None:
        self.start = hello
        self._url = url
        self._connection = connection

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> Event:
        """Raises StopAsyncIteration when the daemon closed the socket in an orderly way,
        `identity.*` when it no longer knows the token, `client.unreachable` when it broke."""
        try:
            return _event(await self._connection.recv())
        except ConnectionClosed as closed:
            received = closed.rcvd
            if received is not None and received.code == REVOKED:
                raise Unauthenticated(
                    "identity.revoked",
                    received.reason or "the token is revoked or expired",
                    "Ask an owner for a new one: `homarus token create`.",
                ) from closed
            if received is not None and received.code in ORDERLY:
                raise StopAsyncIteration from None
            raise unreachable(self._url, closed) from closed


def _event(raw: str | bytes) -> Event:
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("type"), str):
        raise Internal(
            "client.bad_frame", f"a frame that is none: {raw[:100]!r}", "Check the address."
        )
    seq = data.get("seq")
    data.pop("payload", None)
    return Event(data["type"], seq if isinstance(seq, int) else None, data)
