"""Streams: what the async handlers of uploads, downloads and long polls get (`route.Stream`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from homarus.agents.live import Live
from homarus.agents.providers import Providers
from homarus.base.action import Action, Estimate
from homarus.base.errors import Busy, HomarusError, Unavailable
from homarus.channels.switch import Switch
from homarus.control_plane.answers import Receive, Send, send_error
from homarus.control_plane.feed import Feed
from homarus.control_plane.judged import Admit, judged
from homarus.control_plane.parse import disconnected
from homarus.control_plane.route import EventReply, FileReply, Sealer
from homarus.flows.turn_inbound import DEFAULT_MODE
from homarus.outbox.worker import Outbox
from homarus.records.blobs import Blobs
from homarus.store.port import Key, Reply, Rx, Store, Ts, Tx

T = TypeVar("T")

MAX_STREAMS: Final = 32
SLOT_WAIT_S: Final = 10.0
CHUNK_BYTES: Final = 256 * 1024


class StreamSlots:
    """At most MAX_STREAMS bodies are under way at once; waiting longer than SLOT_WAIT_S is 429."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_STREAMS)

    async def take(self) -> None:
        try:
            async with asyncio.timeout(SLOT_WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise Busy(
                "stream.busy", f"{MAX_STREAMS} files are being transferred", "Repeat it later."
            ) from None

    def give(self) -> None:
        self._free.release()


class Means(msgspec.Struct, frozen=True):
    """What requests are answered with: the daemon's parts that the edge hands on."""

    store: Store
    admit: Admit
    feed: Feed
    blobs: Blobs
    sealer: Sealer
    home: Path
    models: Providers | None = None
    live: Live | None = None
    channels: Switch | None = None
    outbox: Outbox | None = None
    queue_mode: Callable[[], str] = lambda: DEFAULT_MODE
    """Of a message that comes by no channel, as the settings are now."""


class EdgeStream:
    """One request of a StreamRoute. A slot is taken with the first chunk, given back by `close`."""

    def __init__(
        self,
        means: Means,
        slots: StreamSlots,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        action: Action,
        key: Callable[[bytes], Key] | None,
    ) -> None:
        self.home = means.home
        self.blobs = means.blobs
        self.store = means.store
        self.sealer = means.sealer
        self.models = means.models
        self.live = means.live
        self.outbox = means.outbox
        self.headers: Mapping[str, str] = {
            k.decode("latin-1"): v.decode("latin-1") for k, v in headers.items()
        }
        self._means = means
        self._slots = slots
        self._receive = receive
        self._action = action
        self._key = key
        self._holds_slot = False

    async def chunks(self) -> AsyncIterator[bytes]:
        if not self._holds_slot:
            await self._slots.take()
            self._holds_slot = True
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise disconnected()
            body = message.get("body", b"")
            if body:
                yield body
            if not message.get("more_body"):
                return

    async def read(self, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> T:
        return await self.store.read(judged, self._means.admit, self._action, fn, *args)

    async def write(
        self,
        fn: Callable[[Tx, *Ts], Reply],
        *args: *Ts,
        digest: bytes,
        acting: str | None = None,
        task: str | None = None,
        estimate: Estimate | None = None,
    ) -> Reply:
        before = self._action
        action = Action(
            company=before.company,
            capability=before.capability,
            target=before.target,
            credential=before.credential,
            acting=acting,
            task=task,
            trace=before.trace,
            arguments=digest,
            estimate=estimate,
        )
        if self._key is None:
            return await self.store.write(action, fn, *args)
        return await self.store.write_once(action, fn, *args, key=self._key(digest))

    async def wait(self, after_seq: int, timeout_s: float) -> int:
        return await self._means.feed.wait(self._action.company, after_seq, timeout_s)

    def close(self) -> None:
        if self._holds_slot:
            self._holds_slot = False
            self._slots.give()


async def send_file(send: Send, reply: FileReply, slots: StreamSlots, *, head: bool) -> None:
    """Exactly `size` bytes of the file; a missing or short one is 503 before the status line.
    `head`: the headers only, as of a HEAD request."""
    try:
        await slots.take()
    except HomarusError as error:
        await send_error(send, error)
        return
    try:
        await _send_file(send, reply, head)
    finally:
        slots.give()


async def _send_file(send: Send, reply: FileReply, head: bool) -> None:
    try:
        file = await asyncio.to_thread(_open, reply.path, reply.start, reply.size)
    except OSError:
        await send_error(
            send,
            Unavailable(
                "artifact.blob_missing",
                "the stored bytes are missing or short",
                "Restore `blobs/` from a backup.",
            ),
        )
        return
    headers = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in reply.headers]
    headers.append((b"content-length", str(reply.size).encode()))
    with file:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        left = 0 if head else reply.size
        while left:
            chunk = await asyncio.to_thread(file.read, min(left, CHUNK_BYTES))
            if not chunk:
                raise OSError("the file became shorter while it was sent")
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def send_events(receive: Receive, send: Send, reply: EventReply) -> None:
    """Events as they come, until there are no more or the client has gone."""
    headers = [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    telling = asyncio.create_task(_tell(send, reply))
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (telling, leaving):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
    await send({"type": "http.response.body", "body": b""})


async def _tell(send: Send, reply: EventReply) -> None:
    async with contextlib.aclosing(reply.events) as events:  # type: ignore[type-var]
        async for event in events:
            await send({"type": "http.response.body", "body": event, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _open(path: Path, start: int, size: int) -> Any:
    if path.stat().st_size < start + size:
        raise OSError("short")
    file = path.open("rb")
    file.seek(start)
    return file
