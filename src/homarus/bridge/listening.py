"""How a bridge hears: by the event socket, and by long polling for as long as there is none.

Never both. The socket replays what came after `feedSeq`, the poll answers what came after
`messageSeq`; both are exact, and a message heard twice is told by its number. Between tries to
connect it waits min(cap, base·2^attempt) and up to a fifth more; the attempt is kept in the journal
and starts afresh when a socket opens (control-plane contract, 13).
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from homarus.base.errors import HomarusError
from homarus.bridge import rules
from homarus.bridge.station import Station, is_fatal
from homarus.bridge.talking import Ears
from homarus.bridge.working import Hands
from homarus.client.shapes import Event, Message

TASK_FRAMES: Final = frozenset({"new_task", "task_updated", "task_assigned"})
STOP_FRAMES: Final = frozenset({"stop_set", "stop_lifted"})
NO_HOLD_S: Final = 1.0
"""Catching up asks for what is there, not for what may come: it does not wait out a long poll."""
MAX_PAGES: Final = 1_000
POLL_PAUSE_S: Final = 1.0
StopPolling = Callable[[], Awaitable[None]]
FEED_SAVE: Final = 50
"""Socket events after which the cursor is written down even though nothing else was."""


class Listener:
    """`polling`: whether messages come by long polling now."""

    def __init__(self, station: Station, hands: Hands, ears: Ears, look: asyncio.Event) -> None:
        self._at = station
        self._hands = hands
        self._ears = ears
        self._look = look
        self._unsaved = 0
        self.polling = False

    async def run(self) -> None:
        """Until cancelled, or until the token is refused."""
        state = self._at.journal.state
        while not self._at.failed.done():
            async with self._polling() as stop_polling:
                try:
                    await self._listen(stop_polling)
                except HomarusError as error:
                    self._told(error)
                finally:
                    self._at.connected.clear()
            delay_s = rules.reconnect_delay_s(
                state.reconnect_attempt, random.random(),  # noqa: S311 - jitter
                self._at.settings.base_s, self._at.settings.cap_s,
            )  # fmt: skip
            state.reconnect_attempt += 1
            state.backoff_sec = round(delay_s, 3)
            self._at.journal.save()
            self._at.tell("reconnecting", seconds=state.backoff_sec)
            async with self._polling():
                await asyncio.sleep(delay_s)

    def _told(self, error: HomarusError) -> None:
        if is_fatal(error):
            self._at.trouble("socket", error)
        else:
            self._at.tell("socket_lost", code=error.code, error=error.message)

    # -- the socket ------------------------------------------------------------------------------

    async def _listen(self, stop_polling: StopPolling) -> None:
        """One socket, from its opening to its end."""
        at = self._at
        async with at.client.events(at.journal.own.feed_seq, open_s=at.settings.open_s) as events:
            await stop_polling()
            at.journal.state.reconnect_attempt = 0
            at.journal.state.backoff_sec = 0.0
            at.journal.save()
            at.tell("connected", seq=events.start.seq)
            at.connected.set()
            self._look.set()
            async for event in events:
                await self.heard(event)
                if at.failed.done():
                    return

    async def heard(self, event: Event) -> None:
        """One frame of the socket; afterwards it counts as seen."""
        at = self._at
        if event.type == "resync":
            await self.resync()
        elif event.type == "thread_message" and "thread" in event.data:
            await self._ears.room()
            message = msgspec.convert(event.data["message"], Message, strict=False)
            await self._ears.hear([message])
        elif event.type in TASK_FRAMES:
            await self._hands.frame(event)
        elif event.type in STOP_FRAMES:
            await self._hands.stop_changed()
            self._ears.heed_stops()
        if event.seq is not None:
            at.journal.own.feed_seq = event.seq
            self._unsaved += 1
            if self._unsaved >= FEED_SAVE:
                self._unsaved = 0
                at.journal.save()

    async def resync(self) -> None:
        """The daemon cannot replay everything: ask for messages by time, and look at tasks."""
        at = self._at
        at.tell("resync")
        at.journal.own.message_seq = None
        await self.catch_up()
        self._look.set()

    # -- polling ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def _polling(self) -> AsyncIterator[StopPolling]:
        """Poll in the background until the block ends, or `stop` is called in it."""
        polling = asyncio.create_task(self._poll(), name="long polling")

        async def stop() -> None:
            polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await polling

        try:
            yield stop
        finally:
            await stop()

    async def _poll(self) -> None:
        self.polling = True
        try:
            while True:
                await self._ears.room()
                try:
                    await self._page()
                except HomarusError as error:
                    self._at.trouble("sync", error)
                    await asyncio.sleep(POLL_PAUSE_S)
        finally:
            self.polling = False

    async def _page(self, back: int = 0) -> bool:
        """One poll; whether there is more at once. `back`: so many messages again, which makes the
        daemon answer at once."""
        at = self._at
        own, since = at.journal.own, at.journal.state.last_seen_at
        seq = own.message_seq
        page = await at.client.talk.sync(
            since_seq=None if seq is None else max(0, seq - back),
            since=since if seq is None else None,
        )
        if page.messages or page.next_seq != seq:
            await self._ears.hear(page.messages, page.next_seq)
        return page.has_more

    async def catch_up(self) -> None:
        """Take what is there already, without waiting for more."""
        for _ in range(MAX_PAGES):
            await self._ears.room()
            try:
                async with asyncio.timeout(NO_HOLD_S):
                    more = await self._page(back=1)
            except TimeoutError:
                return
            if not more:
                return
