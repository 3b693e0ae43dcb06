"""A process of its own that holds many event sockets: raw, so that it takes little of the machine
that it shares with the daemon.

`python -m bench.listening` reads a `Plan` as JSON from stdin, says `ready` on stdout when all
sockets are connected, and answers a `Heard` when each has had its frames. Frames are counted and
their `seq` searched, not parsed.
"""

import asyncio
import base64
import os
import re
import socket
import sys
import time
from urllib.parse import urlsplit

import msgspec

SEQ = re.compile(rb'"seq":(\d+),"payload"')
AT_ONCE = 50
CONNECT_S = 60.0
HEAR_S = 120.0
DEAF_BYTES = 4096


class Plan(msgspec.Struct, frozen=True):
    """`listeners` sockets that hear `frames` frames of `kind` each, after `since` (None: now), and
    `deaf` ones that never read."""

    url: str
    secret: str
    listeners: int
    frames: int
    kind: str
    deaf: int = 0
    since: int | None = None


class Heard(msgspec.Struct, frozen=True):
    """`frames` in `wall_s` from the first to the last; `wrong`: sockets whose `seq` did not rise
    from frame to frame, or whose frames are not all of them; `closed`: the daemon ended them."""

    frames: int
    wall_s: float
    cpu_s: float
    wrong: int
    closed: int


class Ear(asyncio.Protocol):
    """One socket: the handshake, then frames by their length alone."""

    def __init__(self, plan: Plan, tally: "Tally") -> None:
        self._plan = plan
        self._tally = tally
        self._kind = f'"type":"{plan.kind}"'.encode()
        self._buffer = b""
        self._open = False
        self._seq = -1
        self.heard = 0
        self.wrong = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        address = urlsplit(self._plan.url)
        since = "" if self._plan.since is None else f"?since_seq={self._plan.since}"
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /api/mcp/ws{since} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {self._plan.secret}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(head.decode("latin-1"))
            self._open, self._buffer = True, rest
        at = 0
        while (payload := self._frame(at)) is not None:
            at, body = payload
            self._take(body)
        self._buffer = self._buffer[at:]

    def _frame(self, at: int) -> tuple[int, bytes] | None:
        """Where the frame at `at` ends, and what it holds; None: it is not whole yet."""
        buffer = self._buffer
        if len(buffer) < at + 2:
            return None
        size, head = buffer[at + 1] & 0x7F, 2
        if size == 126:
            size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
        end = at + head + size
        if len(buffer) < end or len(buffer) < at + head:
            return None
        return end, buffer[at + head : end]

    def _take(self, body: bytes) -> None:
        if body.startswith(b'{"type":"connected"'):
            self._tally.connected()
        if self._kind not in body[:64]:
            return
        found = SEQ.search(body)
        seq = int(found[1]) if found else -1
        self.wrong = self.wrong or seq <= self._seq
        self._seq = seq
        self.heard += 1
        self._tally.frame(self.heard == self._plan.frames)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.lost(self.heard < self._plan.frames)


class Tally:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._left = plan.listeners
        self._connecting = plan.listeners
        self.ready = asyncio.Event()
        self.done = asyncio.Event()
        self.frames = self.closed = 0
        self.first_s = self.last_s = 0.0

    def connected(self) -> None:
        self._connecting -= 1
        if not self._connecting:
            self.ready.set()

    def frame(self, last: bool) -> None:
        self.last_s = time.perf_counter()
        if not self.frames:
            self.first_s = self.last_s
        self.frames += 1
        if last:
            self._left -= 1
            if not self._left:
                self.done.set()

    def lost(self, early: bool) -> None:
        if early:
            self.closed += 1
            self._left -= 1
            if not self._left:
                self.done.set()


async def listen(plan: Plan) -> Heard:
    loop, tally = asyncio.get_running_loop(), Tally(plan)
    address = urlsplit(plan.url)
    deaf = [_deaf(plan) for _ in range(plan.deaf)]
    ears: list[Ear] = []
    while len(ears) < plan.listeners:
        some = min(AT_ONCE, plan.listeners - len(ears))
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda: Ear(plan, tally), address.hostname, address.port)
                for _ in range(some)
            )
        )
        ears += [ear for _, ear in made]
    async with asyncio.timeout(CONNECT_S):
        await tally.ready.wait()
    print("ready", flush=True)
    cpu_s = time.process_time()
    async with asyncio.timeout(HEAR_S):
        await tally.done.wait()
    heard = Heard(
        frames=tally.frames,
        wall_s=tally.last_s - tally.first_s,
        cpu_s=time.process_time() - cpu_s,
        wrong=sum(ear.wrong or ear.heard != plan.frames for ear in ears),
        closed=tally.closed,
    )
    for ear in ears:
        if ear.transport is not None:
            ear.transport.abort()
    for one in deaf:
        one.close()
    return heard


def _deaf(plan: Plan) -> socket.socket:
    """A socket that is opened and never read, with little room before it is full."""
    address = urlsplit(plan.url)
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BYTES)
    one.connect((address.hostname, address.port))
    key = base64.b64encode(os.urandom(16)).decode()
    one.sendall(
        f"GET /api/mcp/ws HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer "
        f"{plan.secret}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}"
        "\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return one


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    heard = asyncio.run(listen(plan))
    print(msgspec.json.encode(heard).decode(), flush=True)


if __name__ == "__main__":
    main()
