"""`homarus mcp`: MCP on standard input and output for one client, answered by the daemon's `/mcp`.

A proxy to `/mcp` rather than to the REST routes: the daemon alone knows the tools, so this process
has no table, no argument mapping and no schema that could differ from it. Each message is one POST
in the handshake era's plain form; the SDK speaks to the client in whichever era that opens with.
Standard output carries protocol and nothing else. Ends with 0 at the end of input and on SIGTERM.

Needs the extra `mcp`; imported inside the function of `cli/mcp.py`.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final, cast

import httpx2
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from homarus import __version__
from homarus.base import tls
from homarus.base.errors import TooLarge
from homarus.mcp.instructions import INSTRUCTIONS

TIMEOUT_S: Final = 60.0
"""Longer than the longest wait of the daemon: 30 s for a key in flight."""
MAX_LINE_BYTES: Final = 16 * 1_048_576
"""Up to here the daemon hears of a message and says that it is too long; beyond, this process
ends: no client means that."""
MAX_LINES: Final = 64
CHUNK_BYTES: Final = 65_536
UNREACHABLE: Final = -32000

Context = ServerRequestContext[Any, Any]


async def serve(url: str, headers: Mapping[str, str]) -> None:
    """Until the input ends, or the process is told to end, which is the same: the SDK leaves in one
    way only. Raises `mcp.line_too_long`, OSError."""
    lines = Lines(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, lines.end)
    sent = httpx2.Headers(dict(headers), encoding="utf-8")
    async with httpx2.AsyncClient(
        base_url=url, headers=sent, timeout=TIMEOUT_S, verify=tls.of(url, trust_env=True)
    ) as http:
        server = _server(Daemon(http))
        async with stdio_server(stdin=cast(Any, lines)) as (reads, writes):
            await server.run(reads, writes, server.create_initialization_options())
    if lines.failure is not None:
        raise lines.failure


class Daemon:
    """The daemon's `/mcp`, one request at a time and without state."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """The result of one message. Raises MCPError with what the daemon answers instead."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            reply = await self._http.post("/mcp", json=message, headers=_ACCEPT)
            answer = reply.json()
        except httpx2.HTTPError as error:
            raise MCPError(
                UNREACHABLE,
                f"client.unreachable: no daemon answers at {self._http.base_url} "
                f"({error or type(error).__name__}). Start it: `homarus up`.",
            ) from error
        except ValueError as error:
            raise MCPError(
                UNREACHABLE, f"client.bad_reply: {reply.status_code}, and no JSON."
            ) from error
        fault = answer.get("error")
        if isinstance(fault, dict):
            raise MCPError(int(fault["code"]), str(fault["message"]), fault.get("data"))
        return answer["result"]


_ACCEPT: Final = {"accept": "application/json"}


def _server(daemon: Daemon) -> Server[Any]:
    async def listed(
        ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult.model_validate(await daemon.ask("tools/list", {}))

    async def called(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        asked = {"name": params.name, "arguments": params.arguments or {}}
        return types.CallToolResult.model_validate(await daemon.ask("tools/call", asked))

    return Server(
        "homarus",
        title="Homarus",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=listed,
        on_call_tool=called,
    )


class Lines:
    """Lines of a descriptor as text, read by a thread that nobody waits for: a read that blocks
    would keep a process that was told to end, and buffered input is locked at its exit.

    `failure`: why the lines ended, where that was not their end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.failure: Exception | None = None

    def end(self) -> None:
        """As if the input ended here; called on the loop."""
        self._lines.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        lines = self._lines
        room = threading.Semaphore(MAX_LINES)

        def read() -> None:
            for item in _items(self._descriptor):
                room.acquire()
                try:
                    loop.call_soon_threadsafe(lines.put_nowait, item)
                except RuntimeError:
                    return  # the loop has ended

        threading.Thread(target=read, name="stdin", daemon=True).start()
        while (line := await lines.get()) is not None:
            room.release()
            if isinstance(line, Exception):
                self.failure = line
                return
            yield line.decode("utf-8", "replace")


def _items(descriptor: int) -> Iterator[bytes | Exception | None]:
    """Each line; then None, or the exception that ended it."""
    rest = b""
    while True:
        try:
            chunk = os.read(descriptor, CHUNK_BYTES)
        except OSError as error:
            yield error
            return
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())
        if not chunk:
            if rest.strip():
                yield rest
            yield None
            return
        if len(rest) > MAX_LINE_BYTES:
            yield TooLarge(
                "mcp.line_too_long",
                f"the input has a line of more than {MAX_LINE_BYTES} bytes",
                "Send one JSON-RPC message a line.",
            )
            return
