"""A channel without a platform: what people say is put in, what is sent is read back.

    channel = FakeChannel("telegram")
    async with running(home, channels=[channel]) as daemon:      configured under its id besides
        channel.say("hello", sender="7")
        posted = await channel.posted(1)

It keeps the promises of the port and may be told to break those of a platform: be down, refuse,
lose its answer, hang. It may be used from any thread. With a `folder` its platform is on disk, so
that it outlives a process that is killed.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError, Unavailable
from homarus.channels.port import (
    Account,
    Capabilities,
    Inbox,
    Incoming,
    Later,
    Outcome,
    Outgoing,
    Refused,
    Rule,
    Sent,
    Unknown,
)
from homarus.conversations.routing import DIRECT, Peer

DEFAULT: Final = "default"
ANY: Final = Rule()
SOON_S: Final = 30.0
AGAIN_S: Final = 0.05
"""After a message that was not kept."""


class FakeChannel:
    """`modes`: what becomes of the next sends, one a send: `down`, `refused`, `lost` (posted, and
    the answer does not come), `hang`; then all is posted. `starts`: whether accounts come up.
    `acknowledged`: what the daemon said it has kept, by platform id."""

    def __init__(
        self, id: str = "telegram", *, label: str = "", folder: Path | None = None,
        lookup: bool = True, dedupes: bool = True, rule: Rule = ANY, threads: bool = True,
        prefix_name: bool = False,
    ) -> None:  # fmt: skip
        self.id = id
        self.label = label or id.capitalize()
        self.capabilities = Capabilities(
            rule=rule, threads=threads, lookup=lookup, prefix_name=prefix_name
        )
        self.modes: list[str] = []
        self.starts = True
        self.dedupes = dedupes
        self._folder = folder
        self._lock = threading.Condition(threading.RLock())
        self._waiting: list[Incoming] = []
        self._acknowledged: list[str] = []
        self._posted: list[Outgoing] = []
        self._n = 0
        self._wakes: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    # -- the people ----------------------------------------------------------------------------

    def say(
        self, text: str, *, sender: str = "7", name: str | None = None, room: str | None = None,
        account: str = DEFAULT, id: str | None = None, **more: Any,
    ) -> str:  # fmt: skip
        """Somebody writes; the platform's id of it. `room`: not to the agent alone."""
        with self._lock:
            self._n += 1
            ref = id or f"m{self._n}"
            peer = Peer("group", room) if room else Peer(DIRECT, sender)
            came = Incoming(
                channel=self.id, account=account, id=ref, peer=peer, sender=sender, text=text,
                sender_name=name, **more,
            )  # fmt: skip
            self._waiting.append(came)
            self._append("in.jsonl", msgspec.json.encode(came))
        self._wake()
        return ref

    def unheard(self) -> list[str]:
        """Platform ids of what the daemon has not acknowledged."""
        with self._lock:
            accounts = {came.account for came in self._said()}
            return [came.id for each in accounts for came in self._unacknowledged(each)]

    @property
    def acknowledged(self) -> list[str]:
        with self._lock:
            return [*self._read("acknowledged"), *self._acknowledged]

    # -- what was posted -----------------------------------------------------------------------

    def sent(self) -> list[Outgoing]:
        """All that people there have seen, in order."""
        with self._lock:
            lines = self._read("out.jsonl")
            return [msgspec.json.decode(line, type=Outgoing) for line in lines] + self._posted

    def texts(self) -> list[str]:
        return [out.text for out in self.sent()]

    def seen(self, count: int, within_s: float = SOON_S) -> list[Outgoing]:
        """Block until so many parts are posted. Raises TimeoutError."""
        end = time.monotonic() + within_s
        with self._lock:
            while len(self.sent()) < count:
                left_s = end - time.monotonic()
                if left_s <= 0 or not self._lock.wait(left_s):
                    raise TimeoutError(
                        f"{len(self._posted)} of {count} were posted: {self._posted}"
                    )
        return self.sent()

    async def posted(self, count: int, within_s: float = SOON_S) -> list[Outgoing]:
        """As `seen`, for a loop."""
        return await asyncio.to_thread(self.seen, count, within_s)

    async def heard(self, ref: str, within_s: float = SOON_S) -> None:
        """Until the daemon has acknowledged a message. Raises TimeoutError."""

        def wait() -> None:
            with self._lock:
                if not self._lock.wait_for(lambda: ref in self.acknowledged, within_s):
                    raise TimeoutError(f"{ref} was not acknowledged")

        await asyncio.to_thread(wait)

    # -- the port ------------------------------------------------------------------------------

    async def run(self, account: Account, inbox: Inbox, ready: Callable[[], None]) -> None:
        if not self.starts:
            raise Unavailable("fake.down", "the platform does not answer", "Wait.")
        news = asyncio.Event()
        self._wakes[account.id] = (asyncio.get_running_loop(), news)
        ready()
        try:
            while True:
                news.clear()
                for came in self._unacknowledged(account.id):
                    try:
                        await inbox(came)
                    except HomarusError:
                        asyncio.get_running_loop().call_later(AGAIN_S, news.set)
                        break
                    self._acknowledge(came)
                await news.wait()
        finally:
            self._wakes.pop(account.id, None)

    async def send(self, out: Outgoing) -> Outcome:
        mode = self.modes.pop(0) if self.modes else ""
        if mode == "down":
            return Later("the platform does not answer")
        if mode == "refused":
            return Refused("there is no such chat")
        if mode == "hang":
            await asyncio.Event().wait()
        message = self._post(out)
        return Unknown("the connection was cut") if mode == "lost" else Sent(message)

    async def lookup(self, account: str, token: str) -> Sent | None:
        for n, out in enumerate(self.sent()):
            if (out.account, out.token) == (account, token):
                return Sent(f"p{n + 1}")
        return None

    async def probe(self, account: Account) -> dict[str, Any]:
        return {"ok": self.starts, "bot": {"username": f"{account.id}_bot"}}

    # -- the platform --------------------------------------------------------------------------

    def _post(self, out: Outgoing) -> str:
        """One line, in one write: what people there have seen from then on."""
        with self._lock:
            known = self.sent()
            if self.dedupes:
                for n, each in enumerate(known):
                    if each.token == out.token:
                        return f"p{n + 1}"
            if self._folder is None:
                self._posted.append(out)
            else:
                self._append("out.jsonl", msgspec.json.encode(out))
            self._lock.notify_all()
            return f"p{len(known) + 1}"

    def _unacknowledged(self, account: str) -> list[Incoming]:
        with self._lock:
            known = set(self.acknowledged)
            return [c for c in self._said() if c.account == account and c.id not in known]

    def _said(self) -> list[Incoming]:
        if self._folder is None:
            return self._waiting
        return [msgspec.json.decode(line, type=Incoming) for line in self._read("in.jsonl")]

    def _acknowledge(self, came: Incoming) -> None:
        with self._lock:
            if self._folder is None:
                self._acknowledged.append(came.id)
            else:
                self._append("acknowledged", came.id.encode())
            self._lock.notify_all()

    def _append(self, name: str, line: bytes) -> None:
        if self._folder is None:
            return
        fd = os.open(self._folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line + b"\n")
        os.close(fd)

    def _read(self, name: str) -> list[str]:
        if self._folder is None or not (self._folder / name).exists():
            return []
        return (self._folder / name).read_text("utf-8").splitlines()

    def _wake(self) -> None:
        for loop, news in list(self._wakes.values()):
            loop.call_soon_threadsafe(news.set)
