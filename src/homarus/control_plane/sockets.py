"""All event sockets: handshake, replay, and the pump that feeds them.

The pump reads each company's events once, makes their frames once, and offers them to every socket
of the company. It waits FRAME_DELAY_S between hearing of a commit and reading it, so that no frame
overtakes the HTTP reply of the request that caused it (control-plane contract, 9).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.clock import Clock
from homarus.base.errors import HomarusError, Unavailable
from homarus.control_plane import feed, frames, origin, socket
from homarus.control_plane.answers import Receive, Scope, Send, unforeseen
from homarus.control_plane.auth import Caller, Door
from homarus.control_plane.feed import Feed
from homarus.control_plane.frames import FrameTable
from homarus.control_plane.judged import Admit, judged
from homarus.control_plane.socket import Socket, Wire
from homarus.kernel import tokens
from homarus.store.port import Event, Rx, Store

log = structlog.get_logger("sockets")

FRAME_DELAY_S: Final = 0.03
PAGE: Final = 100
EXPIRY_CHECK_S: Final = 1.0
INSTANCE: Final = ""
STOPS: Final = (socket.GOING_AWAY, "the daemon stops")
RESTARTS: Final = (socket.SERVICE_RESTART, "the daemon restarts; connect again")


class Page(msgspec.Struct, frozen=True):
    """Frames by event, where the page ends, and tokens revoked in it."""

    events: list[tuple[int, list[str]]]
    end: int
    revoked: list[str]


class Start(msgspec.Struct, frozen=True):
    """Where a socket begins: after `cursor`; `resync` when its wish cannot be met."""

    cursor: int
    resync: bool


class Room:
    """A company's sockets, and up to where the pump has fed them."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.sockets: set[Socket] = set()
        self.watchers: set[Socket] = set()


def begin(rx: Rx, company: str, since: int | None) -> Start:
    """Fix the cursor. Older than what is kept, or ahead of the head: resync."""
    no, head = feed.head(rx, company)
    if since is None or since == head:
        return Start(head, False)
    oldest = feed.oldest(rx, no)
    if since > head or oldest is None or since < oldest - 1:
        return Start(head, True)
    return Start(since, False)


def read_page(rx: Rx, table: FrameTable, company: str, after: int, upto: int) -> Page:
    """The frames of at most PAGE events. A frame that fails is logged and left out."""
    no, _ = feed.head(rx, company)
    rows = feed.page(rx, no, after, PAGE, upto)
    made = [(event.seq, _texts(rx, table, company, event)) for event in rows]
    revoked = [event.subject for event in rows if event.kind == "token_revoked"]
    end = rows[-1].seq if rows and len(rows) == PAGE else upto
    return Page([(seq, texts) for seq, texts in made if texts], end, revoked)


def _texts(rx: Rx, table: FrameTable, company: str, event: Event) -> list[str]:
    try:
        return frames.of(table, rx, company, event)
    except Exception as error:
        log.error("frame_failed", kind=event.kind, seq=event.seq, exc_info=error)
        return []


class Sockets:
    """The ASGI application of the socket path, and the worker `run`."""

    def __init__(
        self,
        store: Store,
        admit: Admit,
        door: Door,
        news: Feed,
        clock: Clock,
        table: FrameTable,
        *,
        max_sockets: Callable[[], int],
        loopback_only: bool,
        public_url: str = "",
    ) -> None:
        self._store = store
        self._admit = admit
        self._door = door
        self._feed = news
        self._clock = clock
        self._table = table
        self._max = max_sockets
        self._loopback_only = loopback_only
        self._public_url = public_url
        self._rooms: dict[str, Room] = {}
        self._open: set[Socket] = set()
        self._dirty: dict[str, int] = {}
        self._news = asyncio.Event()
        self._undo: Any = None
        self._closed = False
        self._farewell = STOPS

    def __len__(self) -> int:
        return len(self._open)

    # -- one connection --------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        wire = Wire(scope, receive, send)
        try:
            made = await self._handshake(scope)
        except HomarusError as error:
            await wire.refuse(error)
            return
        except Exception as error:
            log.error("handshake_failed", exc_info=error)
            await wire.refuse(unforeseen())
            return
        await self._serve(*made, wire)

    async def _handshake(self, scope: Scope) -> tuple[Socket, bool]:
        headers = socket.headers_of(scope)
        origin.check(headers, loopback_only=self._loopback_only, public_url=self._public_url)
        caller = await self._door.authenticate(headers)
        since = socket.since_seq(scope["query_string"])
        if self._closed or len(self._open) >= self._max():
            raise Unavailable(
                "socket.many", f"{len(self._open)} sockets are open", "Close some, or try later."
            )
        try:
            start: Start = await self._store.read(
                judged, self._admit, _reading(caller), begin, caller.company, since
            )
        except HomarusError as error:
            self._door.heed(error, caller.token)
            raise
        return Socket(caller.company, caller.token, start.cursor), start.resync

    async def _serve(self, made: Socket, resync: bool, wire: Wire) -> None:
        self._open.add(made)
        try:
            await wire.accept()
            await asyncio.sleep(socket.CONNECTED_DELAY_S)
            await wire.text(socket.hello(made.cursor))
            if resync:
                await wire.text(socket.resync(made.cursor))
            await self._catch_up(made, wire)
            await self._still_welcome(made)
            await socket.converse(made, wire)
        except TimeoutError:
            await wire.close(socket.TRY_LATER, "nothing was read")
        except OSError:
            return
        except HomarusError as error:
            await wire.close(socket.TRY_LATER, error.code)
        finally:
            self._leave(made)

    async def _catch_up(self, made: Socket, wire: Wire) -> None:
        """Send what lies between the socket's cursor and the pump's, then join the pump."""
        await self._feed.head(made.company)
        if made.token.company == INSTANCE:
            await self._feed.head(INSTANCE)
        while True:
            room = self._rooms.get(made.company)
            target = self._feed.known(made.company) if room is None else room.cursor
            if made.cursor >= target:
                self._join(made, room)
                return
            await asyncio.sleep(FRAME_DELAY_S)
            while made.cursor < target:
                page = await self._page(made.company, made.cursor, target)
                for _, texts in page.events:
                    for text in texts:
                        await wire.text(text)
                made.cursor = page.end

    def _join(self, made: Socket, room: Room | None) -> None:
        if room is None:
            room = self._rooms[made.company] = Room(made.cursor)
        room.sockets.add(made)
        if made.token.company == INSTANCE:
            watched = self._rooms.get(INSTANCE)
            if watched is None:
                watched = self._rooms[INSTANCE] = Room(self._feed.known(INSTANCE))
            watched.watchers.add(made)
        if self._closed:
            made.end(*self._farewell)

    async def _still_welcome(self, made: Socket) -> None:
        """The token may have gone while the socket caught up; from here on the pump watches."""
        token = await self._store.read(tokens.by_id, made.token.id)
        if token is None or not token.live(self._clock.now_ms()):
            made.end(socket.UNAUTHENTICATED, "the token is revoked or expired")

    def _leave(self, made: Socket) -> None:
        self._open.discard(made)
        for company in (made.company, INSTANCE):
            room = self._rooms.get(company)
            if room is None:
                continue
            room.sockets.discard(made)
            room.watchers.discard(made)
            if not room.sockets and not room.watchers:
                del self._rooms[company]

    # -- the pump --------------------------------------------------------------------------

    def start(self) -> None:
        self._closed = False
        self._undo = self._store.listen(self._committed)

    def stop(self, *, restarts: bool = False) -> None:
        """End every socket with 1001, or 1012 where the daemon comes back; and take no more."""
        self._closed = True
        if restarts:
            self._farewell = RESTARTS
        if self._undo is not None:
            self._undo()
            self._undo = None
        for made in tuple(self._open):
            made.end(*self._farewell)

    def _committed(self, heads: dict[str, int]) -> None:
        if not self._rooms:
            return
        for company, seq in heads.items():
            if company in self._rooms:
                self._dirty[company] = seq
                self._news.set()

    async def run(self) -> None:
        """The worker: until cancelled."""
        loop = asyncio.get_running_loop()
        check_at = loop.time() + EXPIRY_CHECK_S
        while True:
            try:
                async with asyncio.timeout_at(check_at):
                    await self._news.wait()
            except TimeoutError:
                self._check_expiry()
                check_at = loop.time() + EXPIRY_CHECK_S
            if self._news.is_set():
                await self._feed_rooms()

    async def _feed_rooms(self) -> None:
        self._news.clear()
        targets, self._dirty = self._dirty, {}
        await asyncio.sleep(FRAME_DELAY_S)
        for company, target in targets.items():
            await self._feed_room(company, target)

    async def _feed_room(self, company: str, target: int) -> None:
        room = self._rooms.get(company)
        try:
            while room is not None and room.cursor < target:
                page = await self._page(company, room.cursor, target)
                for seq, texts in page.events:
                    for made in tuple(room.sockets):
                        made.offer_event(seq, texts)
                room.cursor = page.end
        except Exception as error:
            log.error("pump_failed", company=company, exc_info=error)
            for made in tuple(room.sockets if room is not None else ()):
                made.end(socket.TRY_LATER, "the feed could not be read")

    async def _page(self, company: str, after: int, upto: int) -> Page:
        page: Page = await self._store.read(read_page, self._table, company, after, upto)
        for token in page.revoked:
            self._revoke(token)
        return page

    def _revoke(self, token: str) -> None:
        self._door.forget(token)
        for made in tuple(self._open):
            if made.token.id == token:
                made.end(socket.UNAUTHENTICATED, "the token is revoked")

    def _check_expiry(self) -> None:
        now_ms = self._clock.now_ms()
        for made in tuple(self._open):
            if not made.token.live(now_ms):
                made.end(socket.UNAUTHENTICATED, "the token is expired")


def _reading(caller: Caller) -> Action:
    return Action(caller.company, "read", "socket:events", credential=caller.token.id)
