"""All connections to MCP servers: one for each server and agent, opened when first needed.

A server that fails is left alone for a while, twice as long each time; one that is not used is
ended. Its tools are looked at when it is registered, and again whenever it says, or a new
connection shows, that they are others: then they wait for a new grant, and the call is refused.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog

from homarus.agents.mcp import link as links
from homarus.agents.mcp.link import Answer, Link
from homarus.backends import layers
from homarus.base.action import Action
from homarus.base.errors import Busy, Conflict, HomarusError, NotOffered, Unavailable
from homarus.base.ids import new_id
from homarus.base.recent import Recent
from homarus.base.waking import REST_S, Wake
from homarus.egress.hosts import of_targets
from homarus.egress.lease import Bounds
from homarus.egress.proxy import Egress
from homarus.flows.reaching import Run
from homarus.kernel import mcp_servers
from homarus.kernel.mcp_servers import STDIO, Looked, Server
from homarus.kernel.registry import Capability
from homarus.store.port import Store

log = structlog.get_logger("mcp")

WORKER: Final = "mcp"
MAX_LINKS: Final = 32
MAX_FAILURES: Final = 1_000
IDLE_S: Final = 300.0
LOOK_S: Final = 30.0
FIRST_BACKOFF_S: Final = 1.0
LAST_BACKOFF_S: Final = 300.0
LOOKS: Final = 10
PRIVATE: Final = ("run", "local-ssot", "blobs", "backups", "logs", "agents", "company")
"""What of the state directory no server may see."""

BOUNDS: Final = Bounds(idle_s=600.0, whole_s=3_600.0)

Key = tuple[str, str, str]
"""Company, server, agent ("" for a look)."""


class Servers:
    """One a daemon. `run` is its only task besides the links' own."""

    def __init__(self, store: Store, home: Path, egress: Egress) -> None:
        self._store = store
        self._home = home
        self._egress = egress
        self._layers: layers.SandboxLayers | None = None
        self._links: dict[Key, Link] = {}
        self._opening: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._failures: Recent[Key, tuple[int, float]] = Recent(MAX_FAILURES)
        self._wake = Wake(REST_S)

    async def run(self) -> None:
        """Until cancelled: look at what was registered, let go of what is idle."""
        undo = self._store.listen(self._wake.set)
        try:
            while True:
                try:
                    for server in await self._store.read(mcp_servers.unlooked, LOOKS):
                        await self._look(server)
                except HomarusError as error:
                    log.warning("mcp_look_failed", code=error.code)
                await self._let_go()
                await self._wake.wait(LOOK_S)
        finally:
            undo()
            await self.close()

    async def close(self) -> None:
        gone, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in gone), return_exceptions=True)

    async def _let_go(self) -> None:
        now = asyncio.get_running_loop().time()
        for key, link in list(self._links.items()):
            if link.dead or (not link.busy and now - link.used_s > IDLE_S):
                del self._links[key]
                await link.close()

    # -- looks -------------------------------------------------------------------------------

    async def _look(self, server: Server) -> None:
        action = Action(server.company, "mcp.sync", f"mcp:{server.name}", system=WORKER)
        link = Link(server, self._opener(server, ""))
        try:
            await link.start()
            await self._sync(server, link)
        except HomarusError as error:
            await self._store.write(action, mcp_servers.failed, server.name, str(error))
        finally:
            await link.close()

    async def _sync(self, server: Server, link: Link) -> Looked:
        action = Action(server.company, "mcp.sync", f"mcp:{server.name}", system=WORKER)
        tools = tuple(link.tools.values())
        return await self._store.write(action, mcp_servers.sync, server.name, tools)

    # -- calls -------------------------------------------------------------------------------

    async def ready(
        self, company: str, agent: str, capability: Capability, place: tuple[str, str]
    ) -> Link:
        """A connection on which this tool is what was granted. Raises `mcp.changed`, `mcp.down`,
        and why it does not start."""
        server = await self._store.read(mcp_servers.need, company, place[0])
        key = (company, server.name, agent)
        async with self._opening.setdefault(key, asyncio.Lock()):
            link = self._links.get(key)
            if link is not None and (link.dead or link.server != server):
                del self._links[key]
                await link.close()
                link = None
            if link is None:
                link = await self._opened(key, server)
            elif link.stale:
                await self._guarded(key, link, link.list())
        now = link.tools.get(place[1])
        if now is None or now.sha256 != capability.sha256:
            await self._sync(server, link)
            raise Conflict(
                "mcp.changed",
                f"{place[1]} of {place[0]} is no longer what was granted",
                f"Look at it, and grant it anew: `homarus capability grant {capability.id} …`.",
            )
        return link

    async def _opened(self, key: Key, server: Server) -> Link:
        failures, until = self._failures.get(key, (0, 0.0))
        left = until - time.monotonic()
        if left > 0:
            raise Unavailable(
                "mcp.down", f"{server.name} failed {failures} times and is left alone for "
                f"{left:.0f} s", "Try again then, or do without.",
            )  # fmt: skip
        if len(self._links) >= MAX_LINKS:
            await self._make_room()
        link = Link(server, self._opener(server, key[2]))
        await self._guarded(key, link, link.start())
        self._links[key] = link
        return link

    async def _make_room(self) -> None:
        """Let the connection go that was idle for longest. Raises `mcp.many`."""
        idle = [(link.used_s, key) for key, link in self._links.items() if not link.busy]
        if not idle:
            raise Busy("mcp.many", f"{MAX_LINKS} servers are at work", "Try again later.")
        await self._links.pop(min(idle)[1]).close()

    async def call(
        self, link: Link, agent: str, tool: str, arguments: dict[str, Any], wait_s: float
    ) -> Answer:
        """Raises `mcp.slow`, `mcp.failed`; the server is then ended."""
        key = (link.server.company, link.server.name, agent)
        answer: Answer = await self._guarded(key, link, link.call(tool, arguments, wait_s))
        self._failures.pop(key, None)
        return answer

    async def _guarded(self, key: Key, link: Link, work: Any) -> Any:
        """A failure ends the link and makes the next start wait, twice as long each time."""
        try:
            return await work
        except HomarusError:
            failures = self._failures.get(key, (0, 0.0))[0] + 1
            wait_s = min(FIRST_BACKOFF_S * 2 ** (failures - 1), LAST_BACKOFF_S)
            self._failures[key] = (failures, time.monotonic() + wait_s)
            if self._links.get(key) is link:
                del self._links[key]
            await link.close()
            raise
        except BaseException:
            if self._links.get(key) is link:
                del self._links[key]
            await link.close()
            raise

    # -- opening -----------------------------------------------------------------------------

    def _opener(self, server: Server, agent: str) -> Any:
        def open_(ended: asyncio.Event) -> AbstractAsyncContextManager[Any]:
            return self._transport(server, agent, ended)

        return open_

    @asynccontextmanager
    async def _transport(
        self, server: Server, agent: str, ended: asyncio.Event
    ) -> AsyncIterator[Any]:
        links.library()
        run = Run(f"mcp:{server.name}:{new_id()}", server.company, agent, f"mcp.{server.name}")
        if server.transport != STDIO:
            hosts = of_targets((f"{server.url}/",))
            async with (
                self._egress.open(run, hosts, BOUNDS) as lease,
                links.over_http(server, lease) as streams,
            ):
                yield streams
            return
        if self._layers is None:
            self._layers = await asyncio.to_thread(layers.probe)
        if self._layers.sandbox != "bwrap":
            raise NotOffered("mcp.sandbox", "MCP servers on stdio run in the sandbox alone",
                             "See `homarus doctor`; or use one on HTTP.")  # fmt: skip
        workspace = self._home / "mcp" / server.company / server.name / (agent or "look")
        hidden = tuple(self._home / name for name in PRIVATE)
        if not server.hosts:
            place = links.Place(workspace, hidden, self._layers)
            async with links.over_stdio(server, place, ended) as streams:
                yield streams
            return
        async with self._egress.open(run, server.hosts, BOUNDS) as lease:
            place = links.Place(workspace, hidden, self._layers, lease)
            async with links.over_stdio(server, place, ended) as streams:
                yield streams
