"""The gateway's WebSocket as an ASGI application, and the worker that tells its clients the news.

Front -> Gateway.__call__ -> Connection         one a socket
Gateway.run                                     the pump: feed, presence, tick, health, runs
"""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import structlog

from homarus.base.clock import Clock
from homarus.base.errors import HomarusError, Unavailable
from homarus.control_plane import origin
from homarus.control_plane.answers import Receive, Scope, Send, unforeseen
from homarus.control_plane.auth import Door
from homarus.control_plane.socket import Wire, headers_of
from homarus.control_plane.stream import Means
from homarus.conversations import turns
from homarus.conversations.turns import Turn
from homarus.gateway.ws import frames, pump
from homarus.gateway.ws.connection import Connection
from homarus.gateway.ws.greeting import Where
from homarus.gateway.ws.hub import Hub
from homarus.gateway.ws.limiter import Limiter
from homarus.gateway.ws.method import Method
from homarus.gateway.ws.methods import health
from homarus.gateway.ws.methods.table import methods
from homarus.gateway.ws.pump import Follow, Gone, News, ToNode
from homarus.gateway.ws.schema import Schema

log = structlog.get_logger("gateway")

FORWARDED: Final = (
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip",
)  # fmt: skip
RESTARTING: Final = {"reason": "gateway restarting", "restartExpectedMs": 1_500}
EXPIRY_CHECK_S: Final = 1.0
FRAME_DELAY_S: Final = 0.02
"""News are read so long after the commit, so that none overtakes the reply that caused it."""


class Gateway:
    """`hub.policy` may be set before the first client comes."""

    def __init__(
        self, means: Means, door: Door, clock: Clock, *, max_sockets: Callable[[], int],
        loopback_only: bool, public_url: str = "", table: dict[str, Method] | None = None,
    ) -> None:  # fmt: skip
        if means.live is None:
            raise AssertionError("the gateway tells of turns: it needs `live`")
        self._means = means
        self._door = door
        self._max = max_sockets
        self._loopback_only = loopback_only
        self._public_url = public_url
        self._methods = methods() if table is None else table
        self.schema = Schema(self._methods)
        self._limiter = Limiter()
        self._connections: set[Connection] = set()
        self._dirty: dict[str, int] = {}
        self._undo: Callable[[], None] = lambda: None
        self._closed = False
        self.hub = Hub(means, means.live, clock.now_ms, lambda: door.default_company)

    def __len__(self) -> int:
        return len(self._connections)

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
        headers = headers_of(scope)
        proxied = any(name in headers for name in FORWARDED)
        if proxied and not self._public_url:
            raise Unattributed(
                "proxy_attribution_required", "a proxy stands before this daemon, and it was not "
                "told of one", "Set `public_url`, or do not send forwarding headers.",
            )  # fmt: skip
        origin.check(headers, loopback_only=self._loopback_only, public_url=self._public_url)
        if self._closed or len(self._connections) >= self._max():
            raise Unavailable(
                "socket.many", f"{len(self._connections)} sockets are open",
                "Close some, or try later.",
            )  # fmt: skip
        address = str((scope.get("client") or ("", 0))[0])
        if proxied and is_local(address):
            address = forwarded_for(headers) or address
        direct = not proxied and is_local(address) and is_local_name(headers)
        return Where(address, direct, b"origin" in headers)

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
            try:
                await self._pump()
            finally:
                self.hub.runs.start(None)

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


class Unattributed(HomarusError):
    """A proxy that the daemon knows nothing of (gateway contract, 1)."""

    status = 403


def is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def forwarded_for(headers: Mapping[bytes, bytes]) -> str | None:
    """The client's address as the proxy on this machine saw it: the last one, which it added."""
    text = headers.get(b"x-forwarded-for", headers.get(b"x-real-ip", b"")).decode("latin-1")
    try:
        return str(ipaddress.ip_address(text.rsplit(",", 1)[-1].strip()))
    except ValueError:
        return None


def is_local_name(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the client called this machine by a name that means itself."""
    host = headers.get(b"host", b"").decode("latin-1")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or is_local(name)
