"""A loopback TCP proxy before a daemon, which can refuse or swallow socket upgrades alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

Upgrades = Literal["pass", "refuse", "swallow"]

CHUNK: Final = 65_536
MAX_HEAD: Final = 65_536


class Proxy:
    """`upgrades`: what happens to socket handshakes from now on. `requests`: request lines seen."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.upgrades: Upgrades = "pass"
        self.requests: list[str] = []
        self.refused = 0
        self.url = ""
        self._sockets: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()

    def drop_sockets(self) -> None:
        """Cut every socket that is open, as a network does."""
        for writer in tuple(self._sockets):
            writer.transport.abort()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            self._talks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        is_socket = b"upgrade: websocket" in head.lower()
        if is_socket and self.upgrades == "refuse":
            self.refused += 1
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return
        if is_socket and self.upgrades == "swallow":
            self.refused += 1
            await self._over.wait()
            return
        there, onward = await asyncio.open_connection(self._host, self._port)
        if is_socket:
            self._sockets.add(writer)
        onward.write(head)
        self._note(head)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, onward, note=not is_socket))
                group.create_task(self._pump(there, writer, note=False))
        finally:
            self._sockets.discard(writer)
            onward.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, note: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if note:
                    self._note(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    def _note(self, data: bytes) -> None:
        line = data.split(b"\r\n", 1)[0].decode("latin-1")
        if line.endswith("HTTP/1.1"):
            self.requests.append(line)

    async def close(self) -> None:
        self._over.set()
        for talk in tuple(self._talks):
            talk.cancel()
        if self._talks:
            await asyncio.wait(self._talks)


@asynccontextmanager
async def proxy(url: str) -> AsyncIterator[Proxy]:
    """Before the daemon at `url`, for the length of the block."""
    host, _, port = url.removeprefix("http://").partition(":")
    made = Proxy(host, int(port))
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0, limit=MAX_HEAD)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        await made.close()
        server.close()
