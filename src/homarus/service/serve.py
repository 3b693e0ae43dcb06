"""Serve an App: an embedded uvicorn on one port, signals, a bounded graceful stop.

asyncio.run(run(settings, on_ready))      until SIGINT or SIGTERM
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import structlog
import uvicorn

from homarus.app import App, build
from homarus.base import private
from homarus.base.errors import Unavailable
from homarus.base.logs import configure
from homarus.config.settings import Settings
from homarus.flows import first_start
from homarus.service.protocols import BoundedHttpProtocol, EventSocketProtocol

log = structlog.get_logger("serve")

SWITCH_INTERVAL_S: Final = 0.000_1
"""Store threads hand the interpreter back at each statement; see docs/explanation/store.md."""
BACKLOG: Final = 2_048
KEEP_ALIVE_S: Final = 75
SOCKET_MESSAGE_BYTES: Final = 65_536
PING_S: Final = 20.0
START_S: Final = 10.0
ADDRESS: Final = "daemon.json"


class Ready(msgspec.Struct, frozen=True):
    """What `up` prints when the daemon answers. `token`: the default company's `ec_` token;
    `gateway_token`: the gateway's shared secret, an owner's."""

    url: str
    token: str
    gateway_token: str
    pid: int
    ready_ms: int


class _Quiet(uvicorn.Server):
    """uvicorn without its hands on the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Service:
    """An App on its port. `start` returns when requests are answered."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.url = ""
        self._server: _Quiet | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> Ready:
        """Raises `serve.address` when the port cannot be had, or what the App raises.

        The home is locked before the port is taken: a second daemon on one home then names the
        first one's process, whatever its port.
        """
        began = time.monotonic()
        settings = self.app.settings
        await self.app.start()
        try:
            await self._open(settings, _listen(settings))
        except BaseException:
            await self.stop()
            raise
        return Ready(
            url=self.url,
            token=self.app.home_facts.secrets[first_start.COMPANY.file],
            gateway_token=self.app.home_facts.secrets[first_start.GATEWAY.file],
            pid=os.getpid(),
            ready_ms=round((time.monotonic() - began) * 1000),
        )

    async def _open(self, settings: Settings, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.app.url = self.url
        server = _Quiet(
            uvicorn.Config(
                self.app.asgi,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                http=BoundedHttpProtocol,
                ws=EventSocketProtocol,
                ws_max_size=SOCKET_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, round(settings.drain_s)),
                limit_concurrency=settings.max_connections,
                backlog=BACKLOG,
            )
        )
        self._server = server
        self._serving = asyncio.create_task(server.serve(sockets=[listener]), name="server")
        async with asyncio.timeout(START_S):
            while not server.started:
                if self._serving.done():
                    await self._serving
                    raise Unavailable("serve.start", "the server ended at start", "See the log.")
                await asyncio.sleep(0.001)

    def hurry(self) -> None:
        """End the drain now."""
        if self._server is not None:
            self._server.force_exit = True

    async def stop(self) -> None:
        """Stop taking, drain `drain_s`, anchor, close. Idempotent."""
        self.app.leave_waiters()
        server, serving = self._server, self._serving
        self._serving = None
        if server is not None and serving is not None:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
        await self.app.stop()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only for sockets that say they are TCP; with it on, the
    # second packet of each reply waits 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Unavailable(
            "serve.address",
            f"{settings.host}:{settings.port} cannot be had: {error.strerror}",
            "Stop what uses it, or choose another with --port (0: a free one).",
        ) from error
    return listener


async def run(settings: Settings, on_ready: Callable[[Ready], None]) -> None:
    """A daemon until SIGINT or SIGTERM; a second signal cuts the drain short.

    While it is ready, `run/daemon.json` holds `{"url", "pid"}` for the command line.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    service = Service(build(settings))
    close_logs = configure(settings.home / "logs", settings.log_level)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    address = settings.home / "run" / ADDRESS
    try:
        ready = await service.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked.set)
        try:
            facts = msgspec.json.encode({"url": ready.url, "pid": ready.pid})
            private.write(address, facts.decode())
            log.info("ready", url=ready.url, ms=ready.ready_ms)
            on_ready(ready)
            await _either(asked, service.app.broken)
        finally:
            log.info("stopping")
            address.unlink(missing_ok=True)
            asked.clear()
            await _stop(service, asked)
        if service.app.broken.is_set():
            raise Unavailable(
                "daemon.workers", "a worker of the daemon failed", "See logs/homarus.log."
            )
    finally:
        close_logs()


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _stop(service: Service, asked_again: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(service.stop())
        hurry = group.create_task(asked_again.wait())
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            service.hurry()
            await stopping
        hurry.cancel()
