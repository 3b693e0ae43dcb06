"""What goes out on one connection: numbered events, replies, and a bound on what waits unread
(gateway contract, 5). Lives on the loop; knows no socket.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from homarus.gateway.ws import frames

DROPPED: Final = frozenset({
    "tick", "health", "presence", "heartbeat", "cron", "device.pair.requested",
    "device.pair.resolved", "device.pair.setup.completed",
    "node.pair.requested", "node.pair.resolved",
    "exec.approval.requested", "exec.approval.resolved", "voicewake.changed",
})  # fmt: skip
"""Events that a slow consumer misses; any other one that does not fit ends the connection."""


class Close(msgspec.Struct, frozen=True):
    """Why a connection ends. `code` None: the client is gone already."""

    code: int | None
    reason: str = ""


class Link:
    """`seq` of the last event: every event that was due counts, also one that was dropped. `bound`:
    unread bytes that may wait here now."""

    def __init__(self, bound: Callable[[], int]) -> None:
        self.seq = 0
        self.buffered_bytes = 0
        self.dropped = 0
        self.ended: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self._bound = bound
        self._waiting: deque[str] = deque()
        self._some = asyncio.Event()

    def end(self, code: int | None, reason: str = "") -> None:
        if not self.ended.done():
            self.ended.set_result(Close(code, reason))

    def event(
        self, name: str, payload: bytes, versions: bytes = b"", *, droppable: bool = False
    ) -> None:
        """A broadcast event."""
        self.seq += 1
        if self.buffered_bytes > self._bound() and (droppable or name in DROPPED):
            self.dropped += 1
            return
        self.send(frames.event(name, payload, self.seq, versions))

    def send(self, text: str) -> None:
        """A reply, or an event for this connection alone."""
        if self.ended.done():
            return
        if self.buffered_bytes > self._bound():
            self.end(frames.POLICY, "slow consumer")
            return
        self._waiting.append(text)
        self.buffered_bytes += len(text)
        self._some.set()

    async def next(self) -> str:
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        text = self._waiting.popleft()
        self.buffered_bytes -= len(text)
        return text

    def left(self) -> list[str]:
        """What has not been sent, taken out: for the goodbye."""
        texts, self._waiting = list(self._waiting), deque()
        self.buffered_bytes = 0
        return texts
