"""The daemon, constructed in reading order: `build(settings)`, then `start`, `stop`.

    home -> keys -> kernel -> store -> door -> feed -> edge -> dashboard, mcp -> front -> workers

No globals: each part gets what it needs by constructor. The process around it is `service/`.
"""

import asyncio
import time
from typing import Any, Final

import msgspec
import structlog

from homarus import __version__
from homarus.agents.choice import Resolve, configured
from homarus.agents.failing import Retry
from homarus.agents.heart import Heart
from homarus.agents.live import Live
from homarus.agents.loop import Loop
from homarus.agents.mcp.servers import Servers
from homarus.agents.providers import Providers
from homarus.agents.runner import Runner
from homarus.agents.tasks import Taker
from homarus.agents.toolbox import Tools
from homarus.agents.tools.all import kit
from homarus.agents.transcripts import Transcripts
from homarus.base.clock import Clock, SystemClock
from homarus.base.errors import HomarusError, Invalid
from homarus.config.settings import Settings, is_loopback
from homarus.control_plane import table
from homarus.control_plane.auth import Door
from homarus.control_plane.documents import Documents
from homarus.control_plane.edge import Edge
from homarus.control_plane.feed import Feed
from homarus.control_plane.front import SOCKET_PATHS, Front
from homarus.control_plane.front import App as Mounted
from homarus.control_plane.oauth import OAuth
from homarus.control_plane.sockets import Sockets
from homarus.control_plane.stream import Means
from homarus.dispatch.calls import Calls
from homarus.dispatch.dispatcher import Dispatcher
from homarus.dispatch.maintenance import Maintenance, Periods
from homarus.dispatch.notices import Notices
from homarus.egress.proxy import Egress
from homarus.egress.secrets import Secrets
from homarus.flows import consequences, first_start
from homarus.flows.facts import SqlFacts
from homarus.gateway.http.surface import Surface
from homarus.gateway.ws import schema
from homarus.gateway.ws.server import Gateway
from homarus.kernel.kernel import Kernel
from homarus.kernel.keys import MasterKey
from homarus.kernel.uses import Uses
from homarus.mainspace.guard import Guard
from homarus.mainspace.guard import Periods as GuardPeriods
from homarus.mcp.mount import Mount
from homarus.records.blobs import Blobs
from homarus.store.port import Store
from homarus.web import site

log = structlog.get_logger("app")

FOLDERS: Final = ("run", "local-ssot", "blobs", "company", "agents", "shadow", "backups", "logs")
CHECK_DELAY_S: Final = 1.0
MASTER_KEY: Final = "master.key"


class Turns(msgspec.Struct, frozen=True):
    """What turns of agents run with: which model answers, which tools there are; by default the
    configured models, and the daemon's own tools."""

    resolve: Resolve | None = None
    tools: Tools | None = None
    retry: Retry = Retry()


class App:
    """One daemon's parts. `asgi` is what the server serves; `home_facts` is set by `start`.

    Parts that heed an edit of the configuration were given functions that look at `settings`.
    """

    def __init__(
        self, settings: Settings, clock: Clock, kernel: Kernel, store: Store, master: MasterKey,
        turns: "Turns | None",
    ) -> None:  # fmt: skip
        self.settings = settings
        self.clock = clock
        self.kernel = kernel
        self.store = store
        run_folder = settings.home / "run"
        uses = Uses()
        self.door = Door(store, clock, uses=uses)
        self.feed = Feed(store)
        self.live = Live(store)
        self.blobs = Blobs(settings.home / "blobs")
        self.models = Providers(store, master)
        routes = table.routes()
        means = Means(
            store, kernel.admit, self.feed, self.blobs, master, settings.home,
            models=self.models, live=self.live,
        )  # fmt: skip
        self.edge = Edge(means, self.door, routes)
        self.sockets = Sockets(
            store,
            kernel.admit,
            self.door,
            self.feed,
            clock,
            table.frames(),
            max_sockets=lambda: self.settings.max_sockets,
            loopback_only=is_loopback(settings.host),
            public_url=settings.public_url,
        )
        self.site = site.build(
            store, kernel.admit, master.link_key, settings.host, settings.public_url
        )
        self.oauth = OAuth(store, settings.public_url)
        self.mcp = Mount(
            self.edge,
            self.door,
            routes,
            loopback_only=is_loopback(settings.host),
            public_url=settings.public_url,
        )
        self.gateway = Surface(
            means,
            self.door,
            lambda: self.settings.http_tools_allow,
            lambda: self.settings.http_tools_deny,
        )
        self.talk = Gateway(
            means,
            self.door,
            clock,
            max_sockets=lambda: self.settings.max_sockets,
            loopback_only=is_loopback(settings.host),
            public_url=settings.public_url,
        )
        mounts: dict[str, Mounted] = {
            "app": self.site, "mcp": self.mcp, "v1": self.gateway, "tools": self.gateway,
        }  # fmt: skip
        self.asgi = Front(
            self.edge,
            {**dict.fromkeys(SOCKET_PATHS, self.sockets), "/": self.talk},
            self.health,
            Documents(routes),
            mounts,
            {**dict.fromkeys(self.oauth.paths(), self.oauth), schema.PATH: self.talk.schema},
        )
        self.maintenance = Maintenance(
            store,
            kernel,
            clock,
            run_folder,
            Periods(settings.anchor_s, settings.lease_watch_s, settings.session_watch_s),
            self.blobs,
            uses,
        )
        self.egress = Egress(store, Secrets(store, master), run_folder)
        self.dispatcher = Dispatcher(store, self.blobs, settings.home, self.egress)
        self.calls = Calls(store, settings.home, self.egress)
        self.mcp_servers = Servers(store, settings.home, self.egress)
        self.tools = kit(store, settings.home, self.egress, self.mcp_servers, self.blobs)
        turns = turns or Turns()
        resolve = turns.resolve or configured(self.models)
        self.runner = Runner(
            store,
            Loop(store, resolve, turns.tools or self.tools, self.live, retry=turns.retry),
            clock.now_ms,
            lambda: self.settings.max_turns,
        )
        self.heart = Heart(store, clock, settings.home)
        self.taker = Taker(store, resolve, lambda: self.settings.max_task_turns)
        self.transcripts = Transcripts(store, settings.home)
        self.guard = Guard(
            store,
            clock,
            settings.home,
            GuardPeriods(settings.document_watch_s, settings.document_hash_s),
        )
        self.url = ""  # known once it is served
        self.notices = Notices(store, master.link_key, master.hook_key, lambda: self.url)
        self.home_facts = first_start.Home("", {})
        self.broken = asyncio.Event()
        self._workers: asyncio.Task[None] | None = None
        self._began = time.monotonic()
        self._ready = False

    async def start(self) -> None:
        """Open the store, make what a first start makes, take up the workers.

        Raises `store.*` with the files untouched, or whatever part could not start; what had
        started by then is stopped again.
        """
        self._began = time.monotonic()
        await self.store.start()
        try:
            await asyncio.to_thread(self.blobs.start)
            self.home_facts = await first_start.run(self.store, self.settings.home / "run")
            self.door.default_company = self.home_facts.company
            await self._let_out()
            self.feed.start()
            self.live.start()
            self.sockets.start()
            self.talk.start()
            self.site.start()
            self._workers = asyncio.create_task(self._work(), name="workers")
        except BaseException:
            await self.store.stop()
            raise
        self._ready = True

    def apply(self, settings: Settings) -> None:
        """From now on these are the settings; only keys that count at once may differ."""
        self.settings = settings
        self.runner.look()

    def leave_waiters(self, *, restarts: bool = False) -> None:
        """No longer ready: end long polls and sockets, so that the server can drain. `restarts`:
        sockets are told that the daemon comes back."""
        self._ready = False
        self.taker.leave()
        self.runner.leave()
        self.feed.stop()
        self.live.stop()
        self.sockets.stop(restarts=restarts)
        self.talk.stop(restarts=restarts)
        self.site.stop()

    async def stop(self) -> None:
        """Stop taking, let waiters go, end the workers, anchor, close. Idempotent."""
        self.leave_waiters()
        workers, self._workers = self._workers, None
        if workers is None:
            return
        await self.runner.drain()
        await self.transcripts.finish()
        workers.cancel()
        await asyncio.gather(workers, return_exceptions=True)
        await self.models.close()
        await self.egress.stop()
        try:
            await self.maintenance.note_uses()
            await self.maintenance.anchor()
        finally:
            await self.store.stop()

    async def _let_out(self) -> None:
        """Where the egress proxy cannot listen, nothing of an agent's reaches the network."""
        try:
            await self.egress.start()
        except HomarusError as error:
            log.error("egress_off", code=error.code, message=error.message)

    async def _work(self) -> None:
        """The one owner of every worker. A failing one sets `broken`: the process then ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.maintenance.run())
                group.create_task(self.sockets.run())
                group.create_task(self.talk.run())
                group.create_task(self.dispatcher.run())
                group.create_task(self.notices.run())
                group.create_task(self.calls.run())
                group.create_task(self.runner.run())
                group.create_task(self.heart.run())
                group.create_task(self.taker.run())
                group.create_task(self.transcripts.run())
                group.create_task(self.mcp_servers.run())
                group.create_task(self.guard.run())
                group.create_task(self._check_store())
        except* Exception as failed:
            log.critical("workers_failed", exc_info=failed)
            self.broken.set()

    async def _check_store(self) -> None:
        """`quick_check`, once the daemon is ready (design, 4)."""
        await asyncio.sleep(CHECK_DELAY_S)
        check = getattr(self.store, "check", None)
        if check is None:
            return
        try:
            await check()
        except HomarusError as error:
            log.error("store_unchecked", code=error.code, message=error.message)

    def health(self) -> dict[str, Any]:
        """What the health endpoints tell anybody: no names, no counts."""
        store = self.store.health()
        failing = [] if store["state"] == "ok" else ["store"]
        if self._workers is None or self._workers.done():
            failing.append("workers")
        return {
            "ready": self._ready and not failing,
            "failing": failing,
            "uptimeMs": int((time.monotonic() - self._began) * 1000),
            "version": __version__,
            "database": "ok" if store["state"] == "ok" else str(store.get("error", "red")),
        }


def build(settings: Settings, clock: Clock | None = None, turns: Turns | None = None) -> App:
    """All parts of a daemon on `settings.home`. `turns`: what its agents' turns run with, where not
    with the configured models. Raises `settings.*`, `keys.master`, `home.*`."""
    make_home(settings)
    clock = clock or SystemClock()
    master = MasterKey.from_file(settings.home / "run" / MASTER_KEY)
    kernel = Kernel(SqlFacts(), master, consequences.apply)
    store = open_store(settings, kernel, clock)
    return App(settings, clock, kernel, store, master, turns)


def make_home(settings: Settings) -> None:
    """The state directory and its folders, for their owner alone. Raises `home.unwritable`."""
    try:
        for folder in (settings.home, *(settings.home / name for name in FOLDERS)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Invalid(
            "home.unwritable",
            f"{error.filename or settings.home} cannot be made: {error.strerror}",
            "Make the place writable for this user, or name another with --home.",
        ) from error


def open_store(settings: Settings, kernel: Kernel, clock: Clock) -> Store:
    """The engine that `settings.store` names. Raises `settings.value`."""
    if settings.store == "sqlite":
        from homarus.store.sqlite.engine import SqliteStore

        return SqliteStore(settings.home, kernel, clock)
    if settings.store.startswith(("postgresql://", "postgres://")):
        from homarus.store.postgres.engine import PostgresStore

        return PostgresStore(settings.store, kernel, clock)
    raise Invalid("settings.value", "store is neither `sqlite` nor a PostgreSQL URL", "Correct it.")
