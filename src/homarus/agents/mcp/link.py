"""One connection to an MCP server, for one agent. It harms nobody but itself: what it sends is
bounded, what it does not send is waited for no longer than a named time, and its end takes its
process with it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2
import msgspec

from homarus.backends.layers import SandboxLayers
from homarus.backends.local import SandboxedCommand, WayOut
from homarus.backends.talking import Talk, talking
from homarus.base.errors import HomarusError, NotOffered, Unavailable
from homarus.egress.client import Passage
from homarus.egress.lease import Lease
from homarus.kernel.limits import Limits
from homarus.kernel.mcp_servers import MAX_TOOLS, Listed, Server

if TYPE_CHECKING:
    from mcp.client.session import ClientSession

START_S: Final = 20.0
LIST_S: Final = 20.0
MAX_CALL_S: Final = 120.0
MAX_PAGES: Final = 10
MAX_PARTS: Final = 50
MAX_TEXT: Final = 60_000
MAX_IMAGE_CHARS: Final = 1_400_000
LIMITS: Final = Limits(cpu_s=3_600, processes=128, open_files=512)


class Answer(msgspec.Struct, frozen=True):
    """What a tool said, as parts of a transcript's line."""

    content: tuple[dict[str, Any], ...]
    is_error: bool


Open = Callable[[asyncio.Event], AbstractAsyncContextManager[Any]]
"""Opens the pair of streams that a session is made of; sets the event when they have ended."""


def library() -> Any:
    """The `mcp` package's session. Raises `mcp.extra_missing`."""
    try:
        from mcp.client.session import ClientSession
    except ImportError:
        raise NotOffered("mcp.extra_missing", "MCP servers need the extra `mcp`",
                         "Install it: `pip install 'homarus[mcp]'`.") from None  # fmt: skip
    return ClientSession


class Link:
    """`tools` as the server listed them, by name. `stale`: it said that they have changed."""

    def __init__(self, server: Server, open_: Open) -> None:
        self.server = server
        self.tools: dict[str, Listed] = {}
        self.stale = False
        self.used_s = asyncio.get_running_loop().time()
        self.busy = 0
        self._open = open_
        self._closing = asyncio.Event()
        self._ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._fault: HomarusError | None = None

    @property
    def dead(self) -> bool:
        return self._task is None or self._task.done()

    async def start(self) -> None:
        """Connect and list. Raises `mcp.*`, `process.*`, `sandbox.*`, `egress.*`."""
        self._task = asyncio.create_task(self._hold(), name=f"mcp {self.server.name}")
        try:
            async with asyncio.timeout(START_S):
                await asyncio.shield(self._ready)
            await self.list()
        except TimeoutError:
            await self.close()
            raise self._fault or slow(self.server.name, "start") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Its session, its process, its way out. Idempotent."""
        self._closing.set()
        task = self._task
        if task is not None and not task.done():
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(START_S):
                        await asyncio.wait((task,))
            finally:  # also when whoever closes it is being cancelled
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._ready.done():
            self._ready.exception()  # seen
        else:
            self._ready.cancel()

    async def _hold(self) -> None:
        """Owns the connection from its beginning to its end, in one task."""
        try:
            async with (
                self._open(self._closing) as (read, write),
                library()(
                    read, write, message_handler=self._heard, read_timeout_seconds=MAX_CALL_S
                ) as session,
            ):
                await session.initialize()
                self._ready.set_result(session)
                await self._closing.wait()
        except asyncio.CancelledError:
            raise
        except BaseException as raised:  # noqa: BLE001 - a server's fault is a fault of its own
            self._fault = _told(raised, self.server.name)
            if not self._ready.done():
                self._ready.set_exception(self._fault)

    async def _heard(self, message: Any) -> None:
        """What the server says unasked. Only that its tools changed means anything."""
        name = getattr(message, "method", getattr(getattr(message, "root", None), "method", ""))
        if name == "notifications/tools/list_changed":
            self.stale = True

    async def list(self) -> None:
        """Its tools anew, all pages of them. Raises `mcp.slow`, `mcp.failed`."""
        session: ClientSession = await asyncio.shield(self._ready)
        found: dict[str, Listed] = {}
        cursor: str | None = None
        try:
            async with asyncio.timeout(LIST_S):
                for _ in range(MAX_PAGES):
                    page = await _page(session, cursor)
                    for tool in page.tools[: MAX_TOOLS + 1]:
                        found[tool.name] = Listed(
                            tool.name, tool.description or "", dict(tool.input_schema)
                        )  # fmt: skip
                    cursor = page.next_cursor
                    if cursor is None or len(found) > MAX_TOOLS:
                        break
        except TimeoutError:
            raise slow(self.server.name, "list its tools") from None
        except HomarusError:
            raise
        except Exception as raised:
            raise self._fault or _told(raised, self.server.name) from raised
        self.tools, self.stale = found, False

    async def call(self, tool: str, arguments: dict[str, Any], wait_s: float) -> Answer:
        """Raises `mcp.slow`, `mcp.failed`: then the link is not to be used again."""
        session: ClientSession = await asyncio.shield(self._ready)
        self.busy += 1
        try:
            async with asyncio.timeout(min(wait_s, MAX_CALL_S)):
                result = await session.call_tool(tool, arguments)
        except TimeoutError:
            raise slow(self.server.name, f"answer to {tool}") from None
        except Exception as raised:
            raise self._fault or _told(raised, self.server.name) from raised
        finally:
            self.busy -= 1
            self.used_s = asyncio.get_running_loop().time()
        return Answer(parts_of(result.content, result.structured_content), bool(result.is_error))


async def _page(session: "ClientSession", cursor: str | None) -> Any:
    import mcp_types

    params = None if cursor is None else mcp_types.PaginatedRequestParams(cursor=cursor)
    return await session.list_tools(params=params)


def parts_of(content: Any, structured: Any) -> tuple[dict[str, Any], ...]:
    """Text and images of an answer, within bounds; anything else is named only."""
    parts: list[dict[str, Any]] = []
    left = MAX_TEXT
    for item in list(content)[:MAX_PARTS]:
        kind = getattr(item, "type", "")
        if kind == "text":
            text = str(item.text)[:left]
            left -= len(text)
            parts.append({"type": "text", "text": text})
        elif kind == "image" and len(item.data) <= MAX_IMAGE_CHARS:
            parts.append({"type": "image", "mimeType": item.mime_type, "data": item.data})
        else:
            parts.append({"type": "text", "text": f"[{kind or 'a part'} left out]"})
    if structured is not None and not any(part["type"] == "text" for part in parts):
        text = msgspec.json.encode(structured).decode()[:left]
        parts.append({"type": "text", "text": text})
    return tuple(parts) or ({"type": "text", "text": "[nothing]"},)


def slow(server: str, what: str) -> HomarusError:
    return Unavailable("mcp.slow", f"the MCP server {server} does not {what} in time",
                       "It was ended, and is started anew later.")  # fmt: skip


def _told(raised: BaseException, server: str) -> HomarusError:
    """The first cause, in our words."""
    while isinstance(raised, BaseExceptionGroup) and raised.exceptions:
        raised = raised.exceptions[0]
    if isinstance(raised, HomarusError):
        return raised
    said = " ".join(str(raised).split())[:200] or type(raised).__name__
    return Unavailable("mcp.failed", f"the MCP server {server} failed: {said}",
                       "It is started anew later; see what it says of itself.")  # fmt: skip


# -- transports ------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a server's process lives; `lease`: its way out, None: it has none."""

    workspace: Path
    hidden: tuple[Path, ...]
    layers: SandboxLayers
    lease: Lease | None = None


@asynccontextmanager
async def over_stdio(server: Server, place: Place, ended: asyncio.Event) -> AsyncIterator[Any]:
    """Its process in the sandbox: a folder of its own, a bare environment, no network but what the
    lease lets through."""
    import anyio
    import mcp_types
    from mcp.shared.message import SessionMessage

    place.workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
    way, lease = None, place.lease
    if lease is not None:
        way = WayOut(lease.socket, lease.port, f"{lease.user}:{lease.password}")
    command = SandboxedCommand(
        server.argv, place.workspace, hidden=place.hidden, limits=LIMITS, way_out=way
    )
    to_us, read = anyio.create_memory_object_stream[Any](0)
    write, from_us = anyio.create_memory_object_stream[Any](0)

    async def hear(talk: Talk) -> None:
        try:
            async with to_us:
                while line := await talk.receive():
                    try:
                        message = mcp_types.jsonrpc_message_adapter.validate_json(
                            line, by_name=False
                        )
                    except ValueError:
                        continue  # chatter on stdout is no message
                    await to_us.send(SessionMessage(message))
        finally:
            ended.set()

    async def say(talk: Talk) -> None:
        async with from_us:
            async for item in from_us:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await talk.send(text.encode())

    async with talking(command, place.layers) as talk:
        tasks = [asyncio.create_task(hear(talk)), asyncio.create_task(say(talk))]
        try:
            yield read, write
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for stream in (to_us, read, write, from_us):
                await stream.aclose()
        for outcome in outcomes:
            if isinstance(outcome, HomarusError):
                raise outcome


@asynccontextmanager
async def over_http(server: Server, lease: Lease) -> AsyncIterator[Any]:
    """Every request through the proxy, which fills in the handles of its headers."""
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(
            transport=Passage(lease), headers=server.headers, trust_env=False,
            timeout=httpx2.Timeout(MAX_CALL_S, connect=START_S),
        ) as client,
        streamable_http_client(server.url or "", http_client=client) as streams,
    ):  # fmt: skip
        yield streams
