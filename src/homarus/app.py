"""The daemon, constructed in reading order: `build(settings)`, then `start`, `stop`.

    home -> keys -> kernel -> store -> what all share -> surfaces -> front -> workers

No globals: each part gets what it needs by constructor. The process around it is `service/`.
"""

import asyncio
import hmac
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

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
from homarus.channels.switch import Switch
from homarus.config.channels import WEBCHAT
from homarus.config.home import make_home
from homarus.config.settings import Settings, is_loopback
from homarus.control_plane import table
from homarus.control_plane.answers import Scope
from homarus.control_plane.auth import Door
from homarus.control_plane.documents import Documents
from homarus.control_plane.edge import Edge
from homarus.control_plane.feed import Feed
from homarus.control_plane.front import SOCKET_PATHS, Front
from homarus.control_plane.front import App as Mounted
from homarus.control_plane.limiter import Limiter
from homarus.control_plane.lockout import Lockout
from homarus.control_plane.oauth import OAuth
from homarus.control_plane.proxies import Came, came
from homarus.control_plane.sockets import Sockets
from homarus.control_plane.stream import Means
from homarus.dispatch.calls import Calls
from homarus.dispatch.dispatcher import Dispatcher
from homarus.dispatch.maintenance import Maintenance, Periods
from homarus.dispatch.notices import Notices
from homarus.egress.proxy import Egress
from homarus.egress.secrets import Secrets
from homarus.flows import consequences, first_start, holding
from homarus.flows.facts import SqlFacts
from homarus.flows.mirroring import Mirroring
from homarus.gateway.http.page import HOME as CONTROL
from homarus.gateway.http.page import Page
from homarus.gateway.http.surface import Surface
from homarus.gateway.ws import schema
from homarus.gateway.ws.server import Gateway
from homarus.kernel.kernel import Kernel
from homarus.kernel.keys import MasterKey
from homarus.kernel.uses import Uses
from homarus.mainspace.guard import Guard
from homarus.mainspace.guard import Periods as GuardPeriods
from homarus.mcp.mount import Mount
from homarus.outbox.credentials import Credentials
from homarus.outbox.worker import Outbox
from homarus.records.blobs import Blobs
from homarus.scheduler.duties import Duties
from homarus.scheduler.log import CronLog
from homarus.scheduler.ticker import Ticker
from homarus.scheduler.works import Works
from homarus.store.port import Store
from homarus.web import site
from homarus.web.site import Site

if TYPE_CHECKING:
    from homarus.channels.port import Channel

log = structlog.get_logger("app")

CHECK_DELAY_S: Final = 1.0
WORKERS_END_S: Final = 15.0
"""For the workers to let go once they are cancelled. The stop goes on without one that does not."""
WORKER: Final = "worker "
"""What the names of their tasks begin with."""
MASTER_KEY: Final = "master.key"


class Turns(msgspec.Struct, frozen=True):
    """What turns of agents run with: which model answers, which tools there are; by default the
    configured models, and the daemon's own tools."""

    resolve: Resolve | None = None
    tools: Tools | None = None
    retry: Retry = Retry()


class App:
    """One daemon's parts. `asgi` is what the server serves; `home_facts` is set by `start`.

    Each part gets what it needs of those above it, so the order below is the order of need:
    what all share, then the surfaces, then the workers. Parts that heed an edit of the
    configuration were given functions that look at `settings`.
    """

    def __init__(
        self, settings: Settings, clock: Clock, kernel: Kernel, store: Store, master: MasterKey,
        turns: "Turns | None", channels: "Iterable[Channel]" = (), held: bool = False,
    ) -> None:  # fmt: skip
        home, turns = settings.home, turns or Turns()
        self.settings = settings
        self.held = held
        self.clock = clock
        self.kernel = kernel
        self.store = store
        self.home_facts = first_start.Home("", {})
        self.url = ""  # known once it is served
        self.broken = asyncio.Event()
        self.workers_end_s = WORKERS_END_S
        self._home = home
        self._master = master
        self._uses = Uses()
        self._limiter = Limiter()
        self._workers: asyncio.Task[None] | None = None
        self._began = time.monotonic()
        self._ready = False

        # What surfaces and workers share: who calls, what changed, and what reaches outside.
        self.door = self._door()
        self.feed = Feed(store)
        self.live = Live(store)
        self.blobs = Blobs(home / "blobs")
        self.models = Providers(store, master)
        self.outbox = Outbox(store, clock, home, Credentials(store, master))
        self.channels = self._switch(channels)
        self.egress = Egress(store, Secrets(store, master), home / "run")
        self.mcp_servers = Servers(store, home, self.egress)
        self.tools = kit(store, home, self.egress, self.mcp_servers, self.blobs)
        self._offered = turns.tools or self.tools
        self._resolve = turns.resolve or configured(self.models)
        self._means = self._surface_means()

        # Surfaces: each parses and answers; `asgi` chooses among them by path.
        self.edge = Edge(self._means, self.door, table.routes())
        self.sockets = self._sockets()
        self.site = self._site()
        self.oauth = OAuth(store, settings.public_url)
        self.mcp = self._mcp()
        self.gateway = self._gateway()
        self.talk = self._talk()
        self.asgi = self._front()

        # Workers: each acts on rows that are committed, so none calls another but the ticker,
        # whose duties are the others' checks.
        self.maintenance = self._maintenance()
        self.dispatcher = Dispatcher(store, self.blobs, home, self.egress)
        self.calls = Calls(store, home, self.egress)
        self.runner = self._runner(turns.retry)
        self.heart = Heart(store, clock, home)
        self.taker = Taker(store, self._resolve, lambda: self.settings.max_task_turns)
        self.transcripts = Transcripts(store, home)
        self.guard = self._guard()
        self.cron = self._ticker()
        self.notices = Notices(store, master.link_key, master.hook_key, lambda: self.url)

    # -- parts that take more than a line --------------------------------------------------------

    def _door(self) -> Door:
        door = Door(self.store, self.clock, uses=self._uses)
        door.stands_for = self._stands_for
        return door

    def _switch(self, channels: "Iterable[Channel]") -> Switch:
        return Switch(
            self.store,
            {each.id: each for each in channels},
            lambda: self.settings,
            lambda: self.home_facts.company,
            self.clock.now_ms,
        )

    def _surface_means(self) -> Means:
        return Means(
            self.store, self.kernel.admit, self.feed, self.blobs, self._master, self._home,
            models=self.models, live=self.live, channels=self.channels, outbox=self.outbox,
            queue_mode=lambda: self.settings.mode_for(),
        )  # fmt: skip

    def _sockets(self) -> Sockets:
        return Sockets(
            self.store, self.kernel.admit, self.door, self.feed, self.clock, table.frames(),
            max_sockets=lambda: self.settings.max_sockets,
            loopback_only=is_loopback(self.settings.host), public_url=self.settings.public_url,
        )  # fmt: skip

    def _site(self) -> Site:
        return site.build(
            self.store, self.kernel.admit, self._master.link_key, self.settings.host,
            self.settings.public_url, lambda: self.settings.mode_for(WEBCHAT),
        )  # fmt: skip

    def _mcp(self) -> Mount:
        return Mount(
            self.edge, self.door, table.routes(),
            loopback_only=is_loopback(self.settings.host), public_url=self.settings.public_url,
        )  # fmt: skip

    def _gateway(self) -> Surface:
        return Surface(
            self._means,
            self.door,
            lambda: self.settings.http_tools_allow,
            lambda: self.settings.http_tools_deny,
        )

    def _talk(self) -> Gateway:
        talk = Gateway(self._means, self.door, self.clock, lambda: self.settings, self._limiter)
        talk.hub.tools = self._offered
        talk.hub.refuses_tool = self.gateway.refuses
        return talk

    def _front(self) -> Front:
        page = Page(self.door, lambda: self.settings.control_root)
        sockets: dict[str, Mounted] = {
            **dict.fromkeys(SOCKET_PATHS, self.sockets),
            **dict.fromkeys(("/", CONTROL, f"{CONTROL}/"), self.talk),
        }
        mounts: dict[str, Mounted] = {
            "app": self.site, "mcp": self.mcp, "v1": self.gateway, "tools": self.gateway,
            "control": page,
        }  # fmt: skip
        exact: dict[str, Mounted] = {
            **dict.fromkeys(self.oauth.paths(), self.oauth),
            schema.PATH: self.talk.schema,
            "/": page.home,
        }
        documents = Documents(table.routes())
        lockout = Lockout(self._limiter, self._whence)
        return Front(self.edge, sockets, self.health, documents, mounts, exact, lockout)

    def _maintenance(self) -> Maintenance:
        settings = self.settings
        periods = Periods(settings.anchor_s, settings.lease_watch_s, settings.session_watch_s)
        return Maintenance(
            self.store, self.kernel, self.clock, self._home / "run", periods, self.blobs,
            self._uses,
        )  # fmt: skip

    def _runner(self, retry: Retry) -> Runner:
        loop = Loop(self.store, self._resolve, self._offered, self.live, retry=retry)
        return Runner(self.store, loop, self.clock.now_ms, lambda: self.settings.max_turns)

    def _guard(self) -> Guard:
        periods = GuardPeriods(self.settings.document_watch_s, self.settings.document_hash_s)
        return Guard(self.store, self.clock, self._home, periods)

    def _ticker(self) -> Ticker:
        duties = Duties(self.store, self.clock, self._home, self.maintenance, self.guard.check)
        works = Works(self.store, self._home, self.egress, duties.by_name())
        return Ticker(self.store, self.clock, works, CronLog(self._home / "logs", self.clock))

    # -- what the parts ask of it ----------------------------------------------------------------

    def _gateway_secret(self) -> str:
        return self.home_facts.secrets[first_start.GATEWAY.file]

    def _stands_for(self, secret: str) -> str:
        """The gateway's password is its token, by another word."""
        password = self.settings.auth_password
        if self.settings.auth_mode != "password" or not password:
            return secret
        same = hmac.compare_digest(secret.encode(), password.encode())
        return self._gateway_secret() if same else secret

    def _whence(self, scope: Scope) -> Came:
        peer = str((scope.get("client") or ("", 0))[0])
        settings = self.settings
        return came(peer, dict(scope["headers"]), settings.trusted_proxies, settings.public_url)

    # -- its life --------------------------------------------------------------------------------

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
            if self.held:
                log.info("held", companies=await holding.run(self.store))
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
        self.taker.look()
        self.channels.changed()

    def leave_waiters(self, *, restarts: bool = False) -> None:
        """No longer ready: end long polls and sockets, so that the server can drain. `restarts`:
        sockets are told that the daemon comes back."""
        self._ready = False
        self.taker.leave()
        self.cron.leave()
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
        await asyncio.gather(
            self.runner.drain(), self.channels.drain(), self.cron.drain(), self.outbox.drain()
        )
        await self.transcripts.finish()
        await self._end(workers)
        await self.models.close()
        await self.egress.stop()
        try:
            await self.maintenance.note_uses()
            await self.maintenance.flush(0)
            await self.maintenance.anchor()
        finally:
            await self.store.stop()

    async def _end(self, workers: asyncio.Task[None]) -> None:
        """One that does not end when it is cancelled is a mistake of ours, no reason to stay."""
        workers.cancel()
        _, late = await asyncio.wait({workers}, timeout=self.workers_end_s)
        if late:
            names = [task.get_name() for task in asyncio.all_tasks()]
            log.critical("workers_stay", who=[n for n in names if n.startswith(WORKER)])

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
                for run in (
                    self.maintenance.run, self.sockets.run, self.talk.run, self.dispatcher.run,
                    self.notices.run, self.calls.run, self.runner.run, self.heart.run,
                    self.cron.run, self.taker.run, self.transcripts.run, self.mcp_servers.run,
                    self.guard.run, self.channels.run, self.outbox.run, self._check_store,
                ):  # fmt: skip
                    group.create_task(run(), name=f"{WORKER}{run.__qualname__}")
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


def build(
    settings: Settings, clock: Clock | None = None, turns: Turns | None = None,
    channels: "Iterable[Channel]" = (), held: bool = False,
) -> App:  # fmt: skip
    """All parts of a daemon on `settings.home`. `turns`: what its agents' turns run with, where not
    with the configured models; `channels`: adapters of messaging platforms; `held`: its companies
    are stopped before a worker starts. Raises `settings.*`, `keys.master`, `home.*`."""
    make_home(settings)
    clock = clock or SystemClock()
    master = MasterKey.from_file(settings.home / "run" / MASTER_KEY)
    kernel = Kernel(SqlFacts(), master, consequences.apply, Mirroring())
    store = open_store(settings, kernel, clock)
    return App(settings, clock, kernel, store, master, turns, channels, held)


def open_store(settings: Settings, kernel: Kernel, clock: Clock) -> Store:
    """The engine that `settings.store` names. Raises `settings.value`."""
    if settings.store == "sqlite":
        from homarus.store.sqlite.engine import SqliteStore

        return SqliteStore(settings.home, kernel, clock)
    if settings.store.startswith(("postgresql://", "postgres://")):
        from homarus.store.postgres.engine import PostgresStore

        return PostgresStore(settings.store, kernel, clock)
    raise Invalid("settings.value", "store is neither `sqlite` nor a PostgreSQL URL", "Correct it.")
