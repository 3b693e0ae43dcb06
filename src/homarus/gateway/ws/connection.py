"""One socket, from challenge to close (gateway contract, 1).

    accept -> Greeting -> requests, events -> close

Requests of one connection run beside each other, at most `policy.in_flight` of them and
`policy.waiting` of those that wait for a run, a node or a person, so that these never stand in the
way of `chat.abort`; their replies and all events leave by one bounded queue.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from homarus.base.errors import HomarusError
from homarus.control_plane.answers import Scope, unforeseen
from homarus.control_plane.auth import Door
from homarus.control_plane.limiter import Limiter
from homarus.control_plane.socket import Wire
from homarus.conversations import keys
from homarus.conversations.routing import Own, own_of
from homarus.gateway.ws import frames, method
from homarus.gateway.ws.frames import Fault, NotAFrame, Request
from homarus.gateway.ws.greeting import Ended, Greeting, Where
from homarus.gateway.ws.hub import Hub
from homarus.gateway.ws.link import Close, Link
from homarus.gateway.ws.method import Later, Method
from homarus.gateway.ws.peer import Peer

log = structlog.get_logger("gateway")

TAIL_S: Final = 2.0
"""In which what is queued still leaves when the daemon says goodbye."""


class Connection:
    def __init__(
        self, hub: Hub, door: Door, limiter: Limiter, methods: dict[str, Method], where: Where,
        wire: Wire, scope: Scope,
    ) -> None:  # fmt: skip
        self._hub = hub
        self._door = door
        self._methods = methods
        self._wire = wire
        self.link = Link(hub.bound_bytes)
        take = scope.get("extensions", {}).get("homarus.take", lambda size: None)
        self._greeting = Greeting(hub, door, limiter, methods, where, wire, self.link, take)

    async def run(self) -> None:
        """Until it is over. Raises nothing that is the client's doing."""
        try:
            peer, hello = await self._greeting.run()
        except Ended as over:
            if over.reply is not None:
                await self._last_words([over.reply])
            if over.code is not None:
                await self._wire.close(over.code, over.reason)
            return
        self.link.send(hello)
        feed = self._hub.means.feed
        self._hub.join(peer, {name: await feed.head(name) for name in peer.companies})
        try:
            await self._converse(peer)
        finally:
            self._hub.leave(peer)

    async def _converse(self, peer: Peer) -> None:
        async with asyncio.TaskGroup() as group:
            sides = [
                group.create_task(self._speak()),
                group.create_task(self._listen(peer)),
            ]
            close = await self.link.ended
            for side in sides:
                side.cancel()
        await self._goodbye(close)

    async def _goodbye(self, close: Close) -> None:
        if close.code is None:
            return
        if close.code == frames.RESTART:
            await self._last_words(self.link.left())
        await self._wire.close(close.code, close.reason)

    async def _last_words(self, texts: list[str]) -> None:
        try:
            async with asyncio.timeout(TAIL_S):
                for text in texts:
                    await self._wire.text(text)
        except (TimeoutError, OSError):
            return

    async def _speak(self) -> None:
        try:
            while True:
                await self._wire.text(await self.link.next())
        except TimeoutError:
            self.link.end(frames.POLICY, "slow consumer")
        except OSError:
            self.link.end(None)

    async def _listen(self, peer: Peer) -> None:
        """Requests until the client goes. Its replies are nobody's then, so what waits is ended."""
        busy: Counter[bool] = Counter()
        async with asyncio.TaskGroup() as group:
            answering: set[asyncio.Task[None]] = set()
            try:
                while True:
                    text = await self._wire.heard()
                    if text is None:
                        self.link.end(None)
                        return
                    try:
                        frame = await self._frame(text)
                    except NotAFrame as bad:
                        self.link.end(frames.POLICY, str(bad))
                        return
                    waits = self._waits(frame)
                    if busy[waits] >= self._most(waits):
                        self.link.send(frames.failed(frame.id, _busy(busy[waits], waits)))
                        continue
                    busy[waits] += 1
                    task = group.create_task(self._answer(peer, frame))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
                    task.add_done_callback(partial(_less, busy, waits))
            finally:
                for task in answering:
                    task.cancel()

    def _waits(self, frame: Request) -> bool:
        found = self._methods.get(frame.method)
        return found is not None and found.waits

    def _most(self, waits: bool) -> int:
        policy = self._hub.policy
        return policy.waiting if waits else policy.in_flight

    async def _frame(self, text: str) -> Request:
        if len(text) <= frames.LARGE_BYTES:
            return frames.request_of(text)
        return await asyncio.to_thread(frames.request_of, text)

    async def _answer(self, peer: Peer, frame: Request) -> None:
        """One request, supervised: whatever fails in it is its own error."""
        try:
            result = await self._called(peer, frame)
            if isinstance(result, Later):
                self.link.send(frames.ok(frame.id, result.first))
                result = await result.rest()
            self.link.send(frames.ok(frame.id, result))
        except Fault as fault:
            self.link.send(frames.failed(frame.id, fault))
        except HomarusError as error:
            self._door.heed(error, peer.token)
            self.link.send(frames.failed(frame.id, frames.fault_of(error)))
        except Exception as error:
            log.error("request_failed", method=frame.method, exc_info=error)
            self.link.send(frames.failed(frame.id, frames.fault_of(unforeseen())))

    async def _called(self, peer: Peer, frame: Request) -> Any:
        if frame.method == "connect":
            raise Fault(frames.INVALID_REQUEST, "connect is only valid as the first request")
        found = self._methods.get(frame.method)
        if found is None:
            raise unknown(frame.method)
        if found.role not in ("", peer.role):
            raise Fault(frames.INVALID_REQUEST, f"unauthorized role: {peer.role}")
        if not peer.may(found.scope):
            raise frames.missing_scope(found.scope)
        own = own_of(self._hub.settings())
        params = _unaliased(frames.params_of(frame, decoder(found)), own)
        return await method.call(self._hub, peer, found, params)


def _busy(count: int, waits: bool) -> Fault:
    doing = "wait" if waits else "are under way"
    why = f"{count} requests of this connection {doing}"
    return Fault(frames.UNAVAILABLE, why, retry_ms=frames.RETRY_MS)


def _less(busy: Counter[bool], waits: bool, _: object) -> None:
    busy[waits] -= 1


def _unaliased(params: Any, own: Own) -> Any:
    """Parameters in which an agent's own session has its one name."""
    for name in ("session_key", "key", "keys"):
        given = getattr(params, name, None)
        if isinstance(given, str):
            told: Any = keys.unaliased(given, own.alias, own.word)
        elif isinstance(given, list):
            told = [keys.unaliased(one, own.alias, own.word) for one in given]
        else:
            continue
        params = msgspec.structs.replace(params, **{name: told})
    return params


_decoders: dict[str, Callable[[bytes], Any]] = {}


def decoder(found: Method) -> Callable[[bytes], Any]:
    decode = _decoders.get(found.name)
    if decode is None:
        decode = _decoders[found.name] = msgspec.json.Decoder(found.params).decode
    return decode


def unknown(name: str) -> Fault:
    return Fault(frames.INVALID_REQUEST, f"unknown method: {name}")
