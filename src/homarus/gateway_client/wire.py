"""A client of the gateway's WebSocket: hello, calls, events (gateway contract, 1, 2)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from homarus.base.errors import HomarusError, Unavailable
from homarus.client.errors import Unreachable

OPEN_S: Final = 15.0
REPLY_S: Final = 30.0
MAX_FRAME_BYTES: Final = 26_214_400
NONE: Final[Mapping[str, str]] = MappingProxyType({})
MAX_REPLIES: Final = 4
"""To one request, that nobody has looked at: the gateway sends two at most."""
SILENT_TICKS: Final = 2
"""After so many intervals of ticks without a word the gateway counts as gone."""

_SILENT: Final = {
    "exec.approval.request": "The question is open, for a person: `homarus approval list`. "
    'To hear its id at once ask with "twoPhase": true; to wait for the answer give more time '
    "(`--timeout`, and `timeoutMs` for the question itself).",
}
"""What to do where no answer came: by method, where that is not to try again."""

Doc = dict[str, Any]
Hello = Callable[[str, int], Doc]
"""`hello(nonce, ts)`: the parameters of `connect`."""


class Refusal(HomarusError):
    """An error of the gateway; `code` is the wire's word, `details` are its own."""

    status = 400

    def __init__(self, error: Doc) -> None:
        found = error.get("details")
        details = found if isinstance(found, dict) else {}
        remedy = details.get("remediationHint") or ""
        super().__init__(str(error.get("code")), str(error.get("message")), str(remedy))
        self.details = details


class Wire:
    """One connection after its hello; `hello`: the gateway's answer. Lives on the loop."""

    def __init__(self, socket: ClientConnection, heard: Callable[[str, Doc], None]) -> None:
        self._socket = socket
        self._heard = heard
        self._waiting: dict[str, asyncio.Queue[Doc | HomarusError]] = {}
        self._n = 0
        self._silence_s = OPEN_S * SILENT_TICKS
        self.hello: Doc = {}

    async def call(
        self, method: str, params: Doc, wait_s: float = REPLY_S, *, final: bool = False
    ) -> Any:
        """The payload; `final`: where the first reply says `accepted`, the one that follows.
        Raises Refusal, `gateway.gone`, `gateway.silent`."""
        self._n += 1
        id_ = f"n{self._n}"
        replies: asyncio.Queue[Doc | HomarusError] = asyncio.Queue(MAX_REPLIES)
        self._waiting[id_] = replies
        frame = {"type": "req", "id": id_, "method": method, "params": params}
        try:
            await self._socket.send(json.dumps(frame))
            async with asyncio.timeout(wait_s):
                while True:
                    payload = _payload(await replies.get())
                    if not (final and _is_accepted(payload)):
                        return payload
        except TimeoutError:
            raise Unavailable(
                "gateway.silent", f"no answer to {method} within {wait_s:g} s",
                _SILENT.get(method, "Try again."),
            ) from None  # fmt: skip
        except ConnectionClosed as closed:
            raise _gone(closed) from None
        finally:
            self._waiting.pop(id_, None)

    async def challenge(self) -> tuple[str, int]:
        """Nonce and time of the first frame."""
        given = (await self._frame()).get("payload") or {}
        return str(given.get("nonce")), int(given.get("ts") or 0)

    async def greet(self, connect: Doc) -> None:
        self.hello = await self.call("connect", connect) or {}
        tick_ms = (self.hello.get("policy") or {}).get("tickIntervalMs") or 30_000
        self._silence_s = SILENT_TICKS * tick_ms / 1000

    async def listen(self) -> None:
        """Until the connection ends, which it raises."""
        try:
            while True:
                self._take(await self._frame())
        except BaseException as error:
            ended = error if isinstance(error, HomarusError) else _gone(None)
            for replies in self._waiting.values():
                if replies.full():
                    replies.get_nowait()
                replies.put_nowait(ended)
            raise

    async def _frame(self) -> Doc:
        try:
            async with asyncio.timeout(self._silence_s):
                frame = json.loads(await self._socket.recv())
        except TimeoutError:
            raise Unavailable("gateway.silent", "the gateway says nothing", "") from None
        except ConnectionClosed as closed:
            raise _gone(closed) from None
        except (ValueError, RecursionError):
            raise Unavailable("gateway.frame", "the gateway does not speak JSON", "") from None
        return frame if isinstance(frame, dict) else {}

    def _take(self, frame: Doc) -> None:
        if frame.get("type") == "event":
            self._heard(str(frame.get("event")), frame.get("payload") or {})
            return
        replies = self._waiting.get(str(frame.get("id")))
        if replies is not None and not replies.full():
            replies.put_nowait(frame)


def _payload(reply: Doc | HomarusError) -> Any:
    if isinstance(reply, HomarusError):
        raise reply
    if not reply.get("ok"):
        raise Refusal(reply.get("error") or {})
    return reply.get("payload")


def _is_accepted(payload: Any) -> bool:
    return isinstance(payload, dict) and payload.get("status") == "accepted"


def _gone(closed: ConnectionClosed | None) -> Unavailable:
    received = None if closed is None else closed.rcvd
    why = "" if received is None else f": {received.code} {received.reason}".rstrip()
    return Unavailable("gateway.gone", f"the gateway ended the connection{why}", "")


@asynccontextmanager
async def connected(
    url: str, hello: Hello, heard: Callable[[str, Doc], None], headers: Mapping[str, str] = NONE
) -> AsyncIterator[tuple[Wire, "asyncio.Task[None]"]]:
    """Connected and greeted, with the task that listens. Raises Refusal, `gateway.*`."""
    address = "ws" + url.removeprefix("http") if url.startswith("http") else url
    try:
        socket = await connect(
            address, max_size=MAX_FRAME_BYTES, open_timeout=OPEN_S, compression=None,
            additional_headers=headers,
        )  # fmt: skip
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise Unreachable("gateway.unreachable", f"{url} cannot be reached: {error}",
                          "See whether the daemon runs there.") from None  # fmt: skip
    wire = Wire(socket, heard)
    listening: asyncio.Task[None] | None = None
    try:
        nonce, at_ms = await wire.challenge()
        listening = asyncio.create_task(wire.listen())
        await wire.greet(hello(nonce, at_ms))
        yield wire, listening
    finally:
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        await socket.close()
