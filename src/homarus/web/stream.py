"""What waits for each open page: frames that name a change, in order, once, and bounded.

A company's feed is read once for all its tabs; a tab that does not read loses its frames and is
told to `resync` (dashboard contract, 5).
"""

import asyncio
from collections import deque
from typing import Final

import msgspec

from homarus.control_plane import feed
from homarus.store.port import Rx, Store

MAX_FRAMES: Final = 256
GAP_S: Final = 0.05
"""A company's feed is read at most this often."""

_NOUNS: Final = {"lease_expired_retry": "task", "dead_lettered": "task", "new": "task"}
_ENDS_SESSIONS: Final = frozenset({"token_revoked", "dashboard_closed"})
encode = msgspec.json.Encoder().encode


class Frame(msgspec.Struct, frozen=True):
    """`subject` is `task:<id>`: the noun that the kind begins with, and the event's subject."""

    seq: int
    kind: str
    subject: str = ""


def subject_of(kind: str, subject: str) -> str:
    return f"{_NOUNS.get(kind) or kind.partition('_')[0]}:{subject}"


class Tab:
    """What waits for one page. `check`: whether its session must be looked at again."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.check = False
        self.wake = asyncio.Event()
        self._frames: deque[Frame] = deque()
        self._lost = False

    def put(self, frames: list[Frame]) -> None:
        if len(self._frames) + len(frames) > MAX_FRAMES:
            self.lose()
        elif not self._lost:
            self._frames.extend(frames)
        self.wake.set()

    def put_first(self, frames: list[Frame]) -> None:
        """What was missed before the tab joined."""
        waiting = [*frames, *self._frames]
        self._frames.clear()
        self.put(waiting)

    def lose(self) -> None:
        self._frames.clear()
        self._lost = True
        self.wake.set()

    def take(self, head: int) -> bytes | None:
        """The next message; None when there is nothing new."""
        if self._lost:
            self._lost = False
            frames = [Frame(head, "resync")]
            self.seq = head
        else:
            frames = [f for f in self._frames if self._is_new(f)]
        self._frames.clear()
        return encode(frames) if frames else None

    def _is_new(self, frame: Frame) -> bool:
        """In order, each once; a word without a subject is no event and always goes out."""
        new = frame.seq > self.seq or not frame.subject
        self.seq = max(self.seq, frame.seq)
        return new


class Company:
    """One company's feed, read once for all its tabs. Whichever tab wakes first reads."""

    def __init__(self, store: Store, id: str, no: int, seq: int) -> None:
        self.tabs: set[Tab] = set()
        self.head = seq
        self.seq = seq
        self._store = store
        self._id = id
        self._no = no
        self._refused = False
        self._reading = asyncio.Lock()
        self._read_at = 0.0

    def committed(self, seq: int) -> None:
        """The feed stands at `seq`. The same as before: a refusal left a receipt and no event."""
        self._refused = self._refused or seq == self.head
        self.head = max(self.head, seq)
        for tab in self.tabs:
            tab.wake.set()

    async def advance(self) -> None:
        """Give every tab what the feed has by now."""
        async with self._reading:
            if self.seq < self.head or self._refused:
                await self._pause()
            if self.seq < self.head:
                await self._read()
            if self._refused:
                self._refused = False
                self._give([Frame(self.seq, "receipt")])

    async def join(self, tab: Tab) -> None:
        """Bring a tab that is among `tabs` up to date with what its page missed."""
        _, head = await self._store.read(feed.head, self._id)
        self.head = max(self.head, head)
        await self.advance()
        upto = self.seq
        if 0 < upto - tab.seq <= MAX_FRAMES:
            tab.put_first(await self._store.read(_frames, self._no, tab.seq, upto))
        elif upto != tab.seq:
            tab.lose()

    async def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._read_at + GAP_S - loop.time()))
        self._read_at = loop.time()

    async def _read(self) -> None:
        head = self.head
        if head - self.seq > MAX_FRAMES:
            for tab in self.tabs:
                tab.lose()
        else:
            self._give(await self._store.read(_frames, self._no, self.seq, head))
        self.seq = head

    def _give(self, frames: list[Frame]) -> None:
        ends = any(frame.kind in _ENDS_SESSIONS for frame in frames)
        for tab in self.tabs:
            tab.check = tab.check or ends
            tab.put(frames)


def _frames(rx: Rx, company_no: int, after: int, upto: int) -> list[Frame]:
    return [
        Frame(event.seq, event.kind, subject_of(event.kind, event.subject))
        for event in feed.page(rx, company_no, after, upto=upto)
    ]
