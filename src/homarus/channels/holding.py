"""One daemon at a time has the connection of an account, where several share a store.

The one that has it renews its lease; when it leaves or dies, the next one that waits takes over.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from homarus.base.action import Action
from homarus.base.errors import HomarusError, Unavailable
from homarus.base.waking import REST_S, Wake
from homarus.conversations import connections
from homarus.store.port import Store

log = structlog.get_logger("channels")

WORKER: Final = "channels"
LEASE_MS: Final = 30_000
RENEW_S: Final = LEASE_MS / 3000
Place = tuple[str, str]


class Holding:
    """Of one daemon. Alone on its store (SQLite) it asks nobody."""

    def __init__(self, store: Store, company: Callable[[], str], now_ms: Callable[[], int]) -> None:
        self._store = store
        self._company = company
        self._now_ms = now_ms
        self._shared = store.url != "sqlite"
        self._id = os.urandom(8).hex()

    async def run(self, place: Place, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work while this daemon has the account; wait for that first. Raises
        `channel.elsewhere` when another has it meanwhile, and whatever the work raises."""
        if not self._shared:
            await work()
            return
        await self._until_mine(place)
        working = asyncio.create_task(work())
        try:
            while not (await asyncio.wait([working], timeout=RENEW_S))[0]:
                if not await self._hold(place):
                    raise Unavailable(
                        "channel.elsewhere", "another daemon has the account", "Nothing to do."
                    )
            working.result()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await self._let_go(place)

    async def _until_mine(self, place: Place) -> None:
        wake = Wake(REST_S)
        undo = self._store.listen(wake.set)
        try:
            while not await self._hold(place):
                await wake.wait(RENEW_S)
        finally:
            undo()

    def _hold(self, place: Place) -> Awaitable[bool]:
        until_ms = self._now_ms() + LEASE_MS
        return self._store.write(self._own(place), connections.hold, *place, self._id, until_ms)

    async def _let_go(self, place: Place) -> None:
        try:
            await self._store.write(self._own(place), connections.let_go, *place, self._id)
        except HomarusError as error:  # it runs out by itself
            log.warning("channel_not_let_go", channel=place[0], code=error.code)

    def _own(self, place: Place) -> Action:
        return Action(self._company(), "channel.hold", f"channel:{place[0]}", system=WORKER)
