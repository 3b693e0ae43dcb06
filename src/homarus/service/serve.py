"""Serve an App: an embedded uvicorn on one port, signals, a bounded graceful stop.

    asyncio.run(run(loaded, on_ready))      until SIGINT or SIGTERM; True: restart in place

SIGHUP reads the configuration again. SIGUSR1 and SIGUSR2 drain, and ask for a restart.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
import uvicorn

from homarus.app import App, build
from homarus.base import private
from homarus.base.errors import HomarusError, Unavailable
from homarus.base.logs import configure, set_level
from homarus.config import active
from homarus.config.read import Loaded
from homarus.config.reload import Plan
from homarus.config.schema import Settings
from homarus.flows import first_start
from homarus.service import notify, restart
from homarus.service.listening import listen, probe
from homarus.service.protocols import BoundedHttpProtocol, EventSocketProtocol
from homarus.service.reloading import POLL_S, Reloader

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
    """An App on its port. `start` returns when requests are answered.

    `loaded`: where its settings came from; the files are watched then, and `restart_asked` is set
    where an edit wants a restart.
    """

    def __init__(self, app: App, loaded: Loaded | None = None, *, poll_s: float = POLL_S) -> None:
        self.app = app
        self.url = ""
        self.restart_asked = asyncio.Event()
        self.reloader: Reloader | None = None
        if loaded is not None:
            self.reloader = Reloader(
                loaded, self.apply, self.restart_asked.set, probe, poll_s=poll_s
            )
            self.reloader.on_taken = app.talk.settings_changed
        app.talk.attach(self)
        self._server: _Quiet | None = None
        self._listener: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def apply(self, settings: Settings) -> None:
        """What of an edit counts at once: new limits hold for what comes from now on."""
        if settings.log_level != self.app.settings.log_level:
            set_level(settings.log_level)
        self.app.apply(settings)
        if self._server is not None:
            self._server.config.limit_concurrency = settings.max_connections
            self._server.config.timeout_graceful_shutdown = _whole(settings.drain_s)

    async def start(self) -> Ready:
        """Raises `serve.address` when the port cannot be had, or what the App raises.

        The home is locked before the port is taken: a second daemon on one home then names the
        first one's process, whatever its port.
        """
        began = time.monotonic()
        settings = self.app.settings
        await self.app.start()
        try:
            await self._open(settings, restart.kept(settings) or listen(settings))
        except BaseException:
            await self.stop()
            raise
        if self.reloader is not None:
            self._watching = asyncio.create_task(self._watch(self.reloader), name="configuration")
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
        self._listener = listener
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
                timeout_graceful_shutdown=_whole(settings.drain_s),
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

    @property
    def reloads(self) -> bool:
        """Whether it looks for edits of the settings, and takes them."""
        return self.reloader is not None and self.app.settings.reload_mode != "off"

    async def reread(self) -> Plan | None:
        """As after an edit, but that the caller asks for the restart. In mode `off` nothing."""
        if self.reloader is None or not self.reloads:
            return None
        return await self.reloader.check(hold=True)

    def restart(self) -> None:
        """Drain, and come back in place."""
        self.restart_asked.set()

    def hurry(self) -> None:
        """End the drain now."""
        if self._server is not None:
            self._server.force_exit = True

    async def _watch(self, reloader: Reloader) -> None:
        """A watcher with a bug ends the daemon, as any worker with one does."""
        try:
            await reloader.run()
        except Exception as error:
            log.critical("workers_failed", exc_info=error)
            self.app.broken.set()

    async def stop(self, *, restarts: bool = False) -> None:
        """Stop taking, drain `drain_s`, anchor, close. Idempotent. `restarts`: sockets are told so,
        and the listener is kept for the next program."""
        self.app.leave_waiters(restarts=restarts)
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await asyncio.to_thread((self.app.settings.home / active.PLACE).unlink, True)
        server, serving = self._server, self._serving
        self._serving = None
        if server is not None and serving is not None:
            if restarts and self._listener is not None:
                restart.keep(self._listener)
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
        await self.app.stop()


def _whole(drain_s: float) -> int:
    """As uvicorn wants it."""
    return max(1, round(drain_s))


class _Signals:
    """What was asked of the process."""

    def __init__(self, restart_asked: asyncio.Event) -> None:
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self.restart = restart_asked
        self._terminal = os.isatty(0)

    def is_hangup(self) -> bool:
        """Whether SIGHUP came because the daemon's terminal was closed, not to reload."""
        return self._terminal and not os.isatty(0)

    def take(self, names: dict[str, asyncio.Event]) -> None:
        loop = asyncio.get_running_loop()
        for name, event in names.items():
            number = getattr(signal, name, None)  # Windows has not all of them
            if number is not None:
                loop.add_signal_handler(number, event.set)


async def run(loaded: Loaded, on_ready: Callable[[Ready], None], *, held: bool = False) -> bool:
    """A daemon until SIGINT or SIGTERM; a second signal cuts the drain short. True: it was asked to
    restart, is drained, and `restart.again` is what follows.

    `held`: all companies are stopped first. While it is ready, `run/daemon.json` holds
    `{"url", "pid"}` for the command line; `"restarting": true` beside it while it restarts in
    place. Why a start failed is in the log too.
    """
    with notify.watchdog(asyncio.get_running_loop()):
        return await _run(loaded, on_ready, held)


async def _run(loaded: Loaded, on_ready: Callable[[Ready], None], held: bool) -> bool:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    settings = loaded.settings
    service = Service(build(settings, held=held), loaded)
    close_logs = configure(settings.home / "logs", settings.log_level)
    signals = _Signals(service.restart_asked)
    signals.take({"SIGHUP": signals.reload, "SIGUSR1": signals.restart, "SIGUSR2": signals.restart})
    address = settings.home / "run" / ADDRESS
    goes_on = False
    try:
        ready = await _started(service)
        signals.take({"SIGINT": signals.stop, "SIGTERM": signals.stop})
        facts = {"url": ready.url, "pid": ready.pid}
        restarts = False
        try:
            _tell(address, facts)
            log.info("ready", url=ready.url, ms=ready.ready_ms)
            on_ready(ready)
            notify.ready(ready.url)
            restarts = await _live(service, signals)
        finally:
            log.info("restarting" if restarts else "stopping")
            if restarts:
                with contextlib.suppress(OSError):  # a full disk: whoever asks meanwhile waits less
                    _tell(address, facts | {"restarting": True})
                notify.reloading("restarting")
            else:
                address.unlink(missing_ok=True)
                notify.stopping(service.app.settings.drain_s)
            signals.stop.clear()
            await _stop(service, signals.stop, restarts=restarts)
        if service.app.broken.is_set():
            raise Unavailable(
                "daemon.workers", "a worker of the daemon failed", "See logs/homarus.log."
            )
        goes_on = restarts and not signals.stop.is_set()
        if goes_on:
            restart.deaf(asyncio.get_running_loop())
        return goes_on
    finally:
        if not goes_on:
            _forget(address)
        close_logs()


async def _started(service: Service) -> Ready:
    try:
        return await service.start()
    except Exception as error:
        failed(service.app.settings.home, error)
        raise


def failed(home: Path, error: Exception) -> None:
    """Why a start failed, into the log: who started the daemon may be no person at a terminal. The
    terminal is told by the command, so not here."""
    with contextlib.suppress(OSError):
        close = configure(home / "logs", stderr=False)
        if isinstance(error, HomarusError):
            log.error("start_failed", code=error.code, why=error.message, remedy=error.remedy)
        else:
            log.error("start_failed", exc_info=error)
        close()


def _tell(address: Path, facts: dict[str, Any]) -> None:
    private.write(address, msgspec.json.encode(facts).decode())


def _forget(address: Path) -> None:
    """Where it names this process; what another daemon wrote stays."""
    with contextlib.suppress(msgspec.DecodeError):
        told = msgspec.json.decode(private.read(address) or "{}", type=dict[str, Any])
        if told.get("pid") == os.getpid():
            address.unlink(missing_ok=True)


async def _live(service: Service, signals: _Signals) -> bool:
    """Until something ends it; whether that is a restart."""
    while True:
        await _either(signals.stop, signals.reload, signals.restart, service.app.broken)
        if signals.stop.is_set() or service.app.broken.is_set():
            return False
        if signals.restart.is_set():
            signals.restart.clear()
            if await _may_restart(service):
                return True
        if signals.reload.is_set():
            signals.reload.clear()
            if signals.is_hangup():
                return False
            if service.reloader is not None:
                notify.reloading("reading the configuration")
                await service.reloader.check()
                notify.ready(service.url)


async def _may_restart(service: Service) -> bool:
    """A daemon whose next start would fail goes on. What it would start with is handed on: the
    files may be changed while it drains."""
    if service.reloader is None:
        return True
    try:
        restart.keep_settings(await asyncio.to_thread(service.reloader.acceptable))
    except (HomarusError, OSError) as error:
        code, why = (
            (error.code, error.message) if isinstance(error, HomarusError) else ("os", str(error))
        )
        log.error("restart_refused", code=code, why=why)
        return False
    return True


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _stop(service: Service, asked_again: asyncio.Event, *, restarts: bool) -> None:
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(service.stop(restarts=restarts))
        hurry = group.create_task(asked_again.wait())
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            service.hurry()
            await stopping
        hurry.cancel()
