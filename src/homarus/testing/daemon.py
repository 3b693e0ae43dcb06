"""A whole daemon in a test's own loop, on a free port of loopback.

    async with running(tmp_path) as daemon:
        reply = await daemon.owner.get("/api/v1/companies")
        reply = await daemon.company.post("/api/mcp/tasks/claim", json={...}, headers=key())

Everything is real but the process: store, kernel, server, sockets. Enter again on the same home for
a restart.
"""

import asyncio
import atexit
import itertools
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2

from homarus.app import App, Turns, build
from homarus.base import tls
from homarus.base.clock import Clock
from homarus.config.channels import ChannelConfig
from homarus.config.read import read
from homarus.config.settings import FILE, source
from homarus.flows import first_start
from homarus.service.reloading import POLL_S
from homarus.service.serve import Service
from homarus.testing import blank
from homarus.testing.ground import ManualClock

if TYPE_CHECKING:
    from homarus.channels.port import Channel

CLIENT_TIMEOUT_S: Final = 40.0
"""Longer than the longest poll (control-plane contract, 8.1)."""

START_S: Final = 30.0

_keys = itertools.count(1)
_furnished: dict[int | None, Path] = {}
"""Homes after their first start, by the time of it; None: the real time."""


def key() -> dict[str, str]:
    """The header of a fresh idempotency key."""
    return {"Idempotency-Key": f"test-{next(_keys)}"}


class Daemon:
    """`owner` and `company` are clients that act with these tokens; `anybody` has none."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app: App = service.app
        self.url = service.url
        secrets = service.app.home_facts.secrets
        self.owner_token = secrets[first_start.OWNER.file]
        self.company_token = secrets[first_start.COMPANY.file]
        self.company_id = service.app.home_facts.company
        self._clients: list[httpx2.AsyncClient] = []
        self.anybody = self.client(None)
        self.owner = self.client(self.owner_token)
        self.company = self.client(self.company_token)

    def client(self, token: str | None, **headers: str) -> httpx2.AsyncClient:
        """A client with this token; closed with the daemon."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        made = httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=CLIENT_TIMEOUT_S, verify=tls.of(self.url)
        )
        self._clients.append(made)
        return made

    @property
    def socket_url(self) -> str:
        return f"ws{self.url.removeprefix('http')}/api/mcp/ws"

    async def token(self, **body: Any) -> tuple[str, str]:
        """Mint a token of the default company as the owner: `(id, secret)`."""
        reply = await self.owner.post("/api/v1/tokens", json={"name": "test"} | body)
        reply.raise_for_status()
        return reply.json()["token"]["id"], reply.json()["secret"]

    async def agent(self, name: str, **body: Any) -> str:
        """Create an agent as the default company's token, which may then act for it: its id."""
        reply = await self.company.post(
            "/api/mcp/agents", json={"name": name} | body, headers=key()
        )
        reply.raise_for_status()
        return str(reply.json()["agent"]["id"])

    async def project(self, goal: str = "test", **body: Any) -> str:
        reply = await self.owner.post(
            "/api/mcp/projects", json={"goal": goal} | body, headers=key()
        )
        reply.raise_for_status()
        return str(reply.json()["project"]["id"])

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


class Address(NamedTuple):
    """How a client in another thread or process reaches a daemon."""

    url: str
    owner_token: str
    company_token: str


@contextmanager
def beside(
    home: Path, *, turns: Turns | None = None, channels: "Iterable[Channel]" = (), **settings: Any
) -> Iterator[Address]:
    """A daemon in a thread with its own loop, for clients that block. `channels` as for
    `running`."""
    ready: Future[Address] = Future()
    stop = threading.Event()

    async def live() -> None:
        async with running(home, turns=turns, channels=channels, **settings) as daemon:
            ready.set_result(Address(daemon.url, daemon.owner_token, daemon.company_token))
            await asyncio.to_thread(stop.wait)

    def body() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=body, name="daemon")
    thread.start()
    try:
        yield ready.result(START_S)
    finally:
        stop.set()
        thread.join(START_S)


@asynccontextmanager
async def running(
    home: Path, *, clock: Clock | None = None, turns: Turns | None = None,
    environ: Mapping[str, str] | None = None, poll_s: float = POLL_S,
    channels: "Iterable[Channel]" = (), first: bool = False, **settings: Any,
) -> AsyncIterator[Daemon]:  # fmt: skip
    """Started when entered, stopped (drained, anchored) when left. Settings by name, as flags;
    `turns`: what turns of its agents run with; `poll_s`: how often homarus.json is looked at;
    `channels`: adapters, each configured with everybody let in where the settings do not say;
    `first`: it finds no store and makes its own, as a first start does."""
    given = {"port": 0, "drain_s": 1.0} | settings
    if channels and "channels" not in given and not (home / FILE).exists():
        given["channels"] = {c.id: ChannelConfig(dm_policy="open") for c in channels}
    if not first and given.get("store", "sqlite") == "sqlite":
        blank.lay(home)
    loaded = read(source(home, environ or {}, **given))
    service = Service(build(loaded.settings, clock, turns, channels), loaded, poll_s=poll_s)
    await service.start()
    daemon = Daemon(service)
    try:
        yield daemon
    finally:
        await daemon.close()
        await service.stop()


@asynccontextmanager
async def furnished(
    home: Path, *, clock: Clock | None = None, **more: Any
) -> AsyncIterator[Daemon]:
    """As `running`, on a copy of a home whose first start was before: what most tests begin with.
    All of a process have the same company and tokens."""
    at_ms = None if clock is None else clock.now_ms()
    if at_ms not in _furnished:
        made = Path(tempfile.mkdtemp(prefix="homarus-home-"))
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        async with running(made / "home", clock=None if at_ms is None else ManualClock(at_ms)):
            pass
        _furnished[at_ms] = made / "home"
    shutil.copytree(_furnished[at_ms], home)
    async with running(home, clock=clock, **more) as daemon:
        yield daemon
