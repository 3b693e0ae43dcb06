"""The gateway's WebSocket as an ASGI application, and the worker that tells its clients the news.

Front -> Gateway.__call__ -> Connection         one a socket
Gateway.run                                     the pump: feed, presence, tick, health, runs
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from homarus.base.action import Action
from homarus.base.clock import Clock
from homarus.base.errors import Conflict, HomarusError, Unavailable
from homarus.config.schema import FILE, Settings, is_loopback
from homarus.control_plane import origin
from homarus.control_plane.answers import Receive, Scope, Send, unforeseen
from homarus.control_plane.auth import Door
from homarus.control_plane.limiter import Limiter
from homarus.control_plane.proxies import came
from homarus.control_plane.socket import Wire, headers_of
from homarus.control_plane.stream import Means
from homarus.conversations import turns
from homarus.conversations.turns import Turn
from homarus.flows import chatting, conversing
from homarus.gateway.ws import frames, pump
from homarus.gateway.ws.connection import Connection
from homarus.gateway.ws.greeting import Where
from homarus.gateway.ws.handshake import TRUSTED_PROXY
from homarus.gateway.ws.hub import Hub
from homarus.gateway.ws.method import Method
from homarus.gateway.ws.methods import health
from homarus.gateway.ws.methods.table import methods
from homarus.gateway.ws.process import Process
from homarus.gateway.ws.pump import Follow, Gone, News, ToNode
from homarus.gateway.ws.schema import Schema
from homarus.store.port import Tx

log = structlog.get_logger("gateway")

RESTARTING: Final = {"reason": "gateway restarting", "restartExpectedMs": 1_500}
EXPIRY_CHECK_S: Final = 1.0
MAX_TELLS: Final = 20
TELL_S: Final = 30.0
"""How often, and how long each time, a restart waits until it can be told of."""
FRAME_DELAY_S: Final = 0.02
"""News are read so long after the commit, so that none overtakes the reply that caused it."""


class Gateway:
    """`hub.policy` may be set before the first client comes."""

    def __init__(
        self, means: Means, door: Door, clock: Clock, settings: Callable[[], Settings],
        limiter: Limiter | None = None, *, table: dict[str, Method] | None = None,
    ) -> None:  # fmt: skip
        if means.live is None:
            raise AssertionError("the gateway tells of turns: it needs `live`")
        self._means = means
        self._door = door
        self._settings = settings
        self._methods = methods() if table is None else table
        self.schema = Schema(self._methods)
        self._limiter = limiter or Limiter()
        self._connections: set[Connection] = set()
        self._dirty: dict[str, int] = {}
        self._undo: Callable[[], None] = lambda: None
        self._closed = False
        self.hub = Hub(means, means.live, clock.now_ms, lambda: door.default_company, settings)

    def __len__(self) -> int:
        return len(self._connections)

    def attach(self, process: Process) -> None:
        """The process that it lives in: it can look at the settings anew, and restart."""
        self.hub.process = process
        self.hub.restarts.restart = process.restart

    def settings_changed(self, digest: str) -> None:
        """Other settings are in force, whoever wrote them."""
        payload = {"path": str(self._means.home / FILE), "hash": digest, "ts": self.hub.now_ms()}
        self.hub.tell(self.hub.default_company(), "config.changed", payload)

    # -- one connection ------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        wire = Wire(scope, receive, send)
        try:
            where = self._where(scope)
        except HomarusError as error:
            await wire.refuse(error)
            return
        connection = Connection(
            self.hub, self._door, self._limiter, self._methods, where, wire, scope
        )
        self._connections.add(connection)
        try:
            await wire.accept()
            await connection.run()
        except OSError:
            return
        except Exception as error:
            log.error("connection_failed", exc_info=error)
            await wire.close(1011, unforeseen().message)
        finally:
            self._connections.discard(connection)

    def _where(self, scope: Scope) -> Where:
        """Raises `origin.*`, `proxy.unattributed`, `socket.many`: before the upgrade."""
        headers, settings = headers_of(scope), self._settings()
        peer = str((scope.get("client") or ("", 0))[0])
        at = came(peer, headers, settings.trusted_proxies, settings.public_url)
        if at.proxied and not at.trusted and not settings.public_url:
            raise Unattributed(
                "proxy_attribution_required", "a proxy stands before this daemon, and it was not "
                "told of one", "Set `gateway.trustedProxies` or `gateway.publicUrl`, or send no "
                "forwarding headers.",
            )  # fmt: skip
        loopback = is_loopback(settings.host)
        origin.check(
            headers, loopback_only=loopback, public_url=settings.public_url,
            allowed=settings.allowed_origins,
        )  # fmt: skip
        if self._closed or len(self._connections) >= settings.max_sockets:
            raise Unavailable(
                "socket.many", f"{len(self._connections)} sockets are open",
                "Close some, or try later.",
            )  # fmt: skip
        user = headers.get(settings.auth_user_header.lower().encode(), b"").decode("latin-1")
        known = at.trusted and settings.auth_mode == TRUSTED_PROXY
        named = user.strip() if known else ""
        called = headers.get(b"host", b"").decode("latin-1")
        return Where(at.address, at.direct, b"origin" in headers, called, named or None)

    # -- the pump ------------------------------------------------------------------------------

    def start(self) -> None:
        self._closed = False
        self._undo = self._means.store.listen(self._committed)

    def stop(self, *, restarts: bool = False) -> None:
        """Tell everybody that the gateway stops, end every socket with 1012, take no more.
        `restarts`: it comes back at once."""
        if self._closed:
            return
        self._closed = True
        self._undo()
        said = RESTARTING if restarts else {"reason": "gateway stopping"}
        self.hub.tell(None, "shutdown", said)
        for connection in tuple(self._connections):
            connection.link.end(frames.RESTART, "service restart")

    def _committed(self, heads: Mapping[str, int]) -> None:
        for company, seq in heads.items():
            self._dirty[company] = seq
        if self.hub.peers:
            self.hub.news.set()

    async def run(self) -> None:
        """The worker: until cancelled."""
        async with asyncio.TaskGroup() as group:
            self.hub.runs.start(group)
            group.create_task(self.hub.invokes.run())
            group.create_task(self.hub.restarts.run())
            group.create_task(self.hub.restarts.report(self._tell_restart))
            try:
                await self._pump()
            finally:
                self.hub.runs.start(None)

    async def _tell_restart(self, payload: dict[str, Any]) -> None:
        """Into the session of who asked, when nothing runs there. Raises HomarusError."""
        key = payload.get("sessionKey")
        if not isinstance(key, str):
            return
        company = self.hub.default_company()
        what, note = str(payload.get("kind")), payload.get("message")
        text = f"The gateway has restarted ({what})." + (f" {note}" if note else "")
        action = Action(company, "session.note", "session:", system="gateway")
        for _ in range(MAX_TELLS):
            seq = await self._means.feed.head(company)
            try:
                await self._means.store.write(action, noted, key, text)
            except Conflict as busy:
                log.info("restart_waits_to_be_told", code=busy.code)
                await self._means.feed.wait(company, seq, TELL_S)
            else:
                return

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        ticked_at = looked_at = loop.time()
        while True:
            policy, now_s = self.hub.policy, loop.time()
            if now_s >= ticked_at + policy.tick_s:
                self.hub.tell(None, "tick", {"ts": self.hub.now_ms()})
                ticked_at = now_s
            if now_s >= looked_at + policy.health_s:
                await self._take_health()
                looked_at = now_s
            next_at = min(ticked_at + policy.tick_s, looked_at + policy.health_s)
            try:
                async with asyncio.timeout_at(min(next_at, now_s + EXPIRY_CHECK_S)):
                    await self.hub.news.wait()
            except TimeoutError:
                self._check_expiry()
                continue
            self.hub.news.clear()
            self._check_expiry()
            await asyncio.sleep(FRAME_DELAY_S)
            self.hub.tell_presence()
            await self._tell_news()

    def _check_expiry(self) -> None:
        now_ms = self.hub.now_ms()
        for peer in tuple(self.hub.peers.values()):
            if not peer.token.live(now_ms):
                peer.link.end(frames.POLICY, "token expired")

    async def _take_health(self) -> None:
        for company in {peer.company for peer in self.hub.peers.values()}:
            try:
                await health.of_company(self.hub, company, fresh=True)
            except HomarusError as error:
                log.error("health_untaken", company=company, code=error.code)

    async def _tell_news(self) -> None:
        here = {name for peer in self.hub.peers.values() for name in peer.companies}
        for company in self.hub.cursors.keys() - here:
            del self.hub.cursors[company]
        targets, self._dirty = self._dirty, {}
        for company in here & targets.keys():
            try:
                await self._tell_company(company, targets[company])
            except Exception as error:
                log.error("pump_failed", company=company, exc_info=error)

    async def _tell_company(self, company: str, target: int) -> None:
        cursor = self.hub.cursors.get(company, target)
        while cursor < target:
            page: pump.Page = await self._means.store.read(pump.read_page, company, cursor, target)
            for one in page.told:
                self._tell(company, one)
            cursor = self.hub.cursors[company] = page.end

    def _tell(self, company: str, one: pump.Told) -> None:
        match one:
            case News(name, payload, None):
                self.hub.tell(company, name, payload)
            case News(name, payload, str(key)):
                self.hub.tell_session(company, key, name, payload)
            case ToNode(device, name, payload):
                node = self.hub.node(company, device)
                if node is not None:
                    self.hub.tell_node(node, name, payload)
            case Gone(token):
                self._door.forget(token)
                self.hub.end_token(token, "token revoked")
            case Follow(turn, key):
                self._follow(turn, key)

    def _follow(self, turn: Turn, key: str) -> None:
        if turn.state not in turns.OPEN and self.hub.runs.knows(turn.id):
            return
        try:
            self.hub.runs.follow(turn, key)
        except HomarusError as error:
            log.info("run_not_followed", turn=turn.id, code=error.code)


def noted(tx: Tx, key: str, text: str) -> None:
    at = chatting.place(tx, tx.company, None, key)
    conversing.note(tx, at.session, at.key, text, None)


class Unattributed(HomarusError):
    """A proxy that the daemon knows nothing of (gateway contract, 1)."""

    status = 403
