"""Channels of a daemon that may have none: nothing is loaded until the first is configured."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from homarus.config.channels import Channels as Configured
from homarus.config.schema import Settings
from homarus.store.port import Store

if TYPE_CHECKING:
    from homarus.channels.port import Channel
    from homarus.channels.worker import Channels


class Switch:
    """One a daemon. `channels`: None while none is configured."""

    def __init__(
        self, store: Store, adapters: "Mapping[str, Channel]", settings: Callable[[], Settings],
        company: Callable[[], str], now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self.channels: Channels | None = None
        self._store = store
        self._adapters = adapters
        self._settings = settings
        self._company = company
        self._now_ms = now_ms
        self._wanted = asyncio.Event()

    def configured(self, company: str) -> Configured:
        """The channels of a company, as they are configured now: all are the default company's."""
        return self._settings().channels if company == self._company() else {}

    def changed(self) -> None:
        """The settings are others now."""
        if self.channels is not None:
            self.channels.changed()
        elif self._settings().channels:
            self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        self.changed()
        await self._wanted.wait()
        from homarus.channels.worker import Channels

        self.channels = Channels(
            self._store, self._adapters, self._settings, self._company, self._now_ms
        )
        await self.channels.run()

    async def drain(self) -> None:
        if self.channels is not None:
            await self.channels.drain()
