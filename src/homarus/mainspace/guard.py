"""The guard of the main spaces: files follow the approved rows, and nothing foreign stays or goes.

    commit of a switch -> event -> file written beside, renamed -> commit in git
    foreign edit -> kept as change C-n (a row) -> approved version restored

Every path is looked at when the guard starts, whenever its file's signature changes, after each
read through the API, and every `hash_s` by digest. Whatever lies on disk, the API serves the row.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Final

import msgspec
import structlog

from homarus.base.clock import Clock
from homarus.base.errors import HomarusError
from homarus.flows import guarding
from homarus.mainspace import git
from homarus.mainspace.watch import Watch
from homarus.store.port import Store

log = structlog.get_logger("mainspace")

SHARE: Final = 0.02
"""Of the time that looking may take: many companies are looked at less often."""
MAX_POLL_S: Final = 10.0
LEAST_S: Final = 0.2
"""Between two rounds, however many events come."""


class Periods(msgspec.Struct, frozen=True):
    """`poll_s`: how often signatures are compared; `hash_s`: how often digests are."""

    poll_s: float = 1.0
    hash_s: float = 60.0


class Guard:
    """One per daemon. `run` until cancelled; `check` looks at everything once."""

    def __init__(self, store: Store, clock: Clock, home: Path, periods: Periods) -> None:
        self._store = store
        self._clock = clock
        self._home = home
        self._periods = periods
        self._git = git.program()
        self._watches: dict[str, Watch] = {}
        self._heard = asyncio.Event()
        self._dirty: set[str] = set()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """What fails is logged and tried again: guarding never ends the daemon."""
        undo = self._store.listen(self._listen)
        checked = polled = float("-inf")
        poll_s = self._periods.poll_s
        try:
            while True:
                now = time.monotonic()
                full = now - checked >= self._periods.hash_s
                poll = full or now - polled >= poll_s
                checked, polled = now if full else checked, now if poll else polled
                try:
                    await self._round(full=full, poll=poll)
                except Exception as error:
                    log.error("guard_failed", exc_info=error)
                if poll:
                    took_s = time.monotonic() - now
                    poll_s = max(self._periods.poll_s, min(took_s / SHARE, MAX_POLL_S))
                ended, self._ended = self._ended, asyncio.Event()
                ended.set()
                await self._pause(polled + poll_s - time.monotonic())
        finally:
            undo()

    async def next_round(self) -> None:
        """Until a round has ended: what was committed before the call may still need the one after.
        The signal of whoever waits for the files."""
        await self._ended.wait()

    async def check(self) -> None:
        """Everything, now."""
        await self._round(full=True, poll=True)

    def _listen(self, heads: dict[str, int]) -> None:
        self._dirty |= heads.keys()
        self._heard.set()

    async def _pause(self, poll_in_s: float) -> None:
        """Until the next poll, or until something is committed; a little while either way."""
        least = min(LEAST_S, self._periods.poll_s)
        await asyncio.sleep(least)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, poll_in_s - least)):
                await self._heard.wait()
        self._heard.clear()

    async def _round(self, *, full: bool, poll: bool) -> None:
        dirty, self._dirty = self._dirty, set()
        if full or dirty - self._watches.keys():
            await self._companies()
        for company, watch in list(self._watches.items()):
            if not poll and company not in dirty and not watch.new:
                continue
            try:
                await watch.round(full=full, heard=company in dirty, poll=poll)
            except HomarusError as error:
                watch.again()
                log.error("main_space_failed", slug=watch.slug, code=error.code, why=error.message)
            except OSError as error:
                watch.again()
                log.error("main_space_unwritable", slug=watch.slug, why=str(error))

    async def _companies(self) -> None:
        """Take up companies that are new, with their first documents where they have none."""
        for company, slug, no in await self._store.read(guarding.companies):
            if company in self._watches:
                continue
            watch = Watch(self._store, self._clock, self._home, (company, slug, no), self._git)
            watch.quiet_s = min(watch.quiet_s, self._periods.poll_s)
            if await self._store.read(guarding.unfurnished, company):
                await watch.write(guarding.furnish)
            self._watches[company] = watch
