"""Accounts of channels: each configured one is run by its adapter, and run again when it falls.

wanted (configured, enabled, not stopped by hand) -> connecting -> running -> down -> connecting
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from homarus.base.errors import Conflict, HomarusError, NotFound, NotOffered
from homarus.channels.holding import Holding
from homarus.channels.port import Account, Channel, Inbox
from homarus.config.channels import Account as AccountConfig
from homarus.config.channels import ChannelConfig, Channels
from homarus.conversations import places

log = structlog.get_logger("channels")

FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 60.0
STOP_S: Final = 5.0
NO_ADAPTER: Final = "this version has no adapter for it"
Place = tuple[str, str]
"""(channel, account)"""


class Health(msgspec.Struct):
    """How an account does. `stopped`: by hand."""

    running: bool = False
    stopped: bool = False
    error: str | None = None
    since_ms: int | None = None


class Accounts:
    """`wanted`: channels as they are configured now; `inbox`: of an account; `news`: called when
    an account begins or ends to run; `holding`: whose connection it is."""

    def __init__(
        self, adapters: Mapping[str, Channel], wanted: Callable[[], Channels],
        inbox: Callable[[Place], Inbox], now_ms: Callable[[], int], news: Callable[[], None],
        holding: Holding,
    ) -> None:  # fmt: skip
        self._adapters = adapters
        self._wanted = wanted
        self._inbox = inbox
        self._now_ms = now_ms
        self._news = news
        self._holding = holding
        self._followed: Channels = {}
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._health: dict[Place, Health] = {}
        self._group: asyncio.TaskGroup | None = None
        self._closing = False

    # -- what there is -------------------------------------------------------------------------

    def adapter(self, channel: str) -> Channel | None:
        return self._adapters.get(channel)

    def health(self, place: Place) -> Health:
        return self._health.setdefault(place, Health())

    def running(self) -> list[Place]:
        return [place for place, health in self._health.items() if health.running]

    def config(self, place: Place) -> tuple[ChannelConfig, AccountConfig]:
        """Raises `channel.unknown`, `channel.account`."""
        channel = self._wanted().get(place[0])
        if channel is None:
            raise places.unknown(place[0])
        if place[1] not in channel.account_ids():
            raise places.no_account(place[0], place[1], channel.account_ids())
        return channel, channel.accounts.get(place[1], AccountConfig())

    # -- running -------------------------------------------------------------------------------

    async def run(self, changed: asyncio.Event) -> None:
        """Until cancelled; `changed` is set when the configuration has moved."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            while True:
                changed.clear()
                await self._follow(self._wanted())
                await changed.wait()

    async def _follow(self, config: Channels) -> None:
        """Stop what is gone or has changed, start what is new."""
        old, self._followed = self._followed, config
        for place in list(self._tasks):
            channel = config.get(place[0])
            same = channel is not None and channel == old.get(place[0])
            if not same or not self._is_wanted(place):
                await self._end(place)
        for name, channel in config.items():
            for account in channel.account_ids():
                self._begin((name, account))

    def _is_wanted(self, place: Place) -> bool:
        try:
            channel, account = self.config(place)
        except NotFound:
            return False
        return channel.enabled and account.enabled and not self.health(place).stopped

    def _begin(self, place: Place) -> None:
        adapter = self._adapters.get(place[0])
        health = self.health(place)
        if adapter is None:
            health.error = NO_ADAPTER
            return
        if self._closing or place in self._tasks or not self._is_wanted(place):
            return
        if self._group is not None:
            self._tasks[place] = self._group.create_task(self._live(adapter, place))

    async def _live(self, adapter: Channel, place: Place) -> None:
        """One account, again and again until it is cancelled."""
        wait_s = FIRST_RETRY_S
        account = Account(place[0], place[1], self.config(place)[1].name)
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._holding.run(
                    place,
                    lambda: adapter.run(account, self._inbox(place), lambda: self._is_up(place)),
                )
                self._is_down(place, "it ended by itself")
            except HomarusError as error:
                self._is_down(place, error.message)
                log.warning("channel_down", channel=place[0], account=place[1], code=error.code)
            except Exception as error:
                self._is_down(place, f"a fault of the adapter ({type(error).__name__})")
                log.error("channel_broke", channel=place[0], account=place[1], exc_info=error)
            finally:
                if self.health(place).running:
                    self._is_down(place, None)
            if asyncio.get_running_loop().time() - began > LONGEST_RETRY_S:
                wait_s = FIRST_RETRY_S
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_RETRY_S, wait_s * 2)

    def _is_up(self, place: Place) -> None:
        self._health[place] = Health(running=True, since_ms=self._now_ms())
        log.info("channel_running", channel=place[0], account=place[1])
        self._news()

    def _is_down(self, place: Place, why: str | None) -> None:
        health = self.health(place)
        health.running, health.error, health.since_ms = False, why, None
        self._news()

    async def _end(self, place: Place) -> None:
        task = self._tasks.pop(place, None)
        if task is None:
            return
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=STOP_S)
        if not done:
            log.warning("channel_lingers", channel=place[0], account=place[1])

    # -- by hand -------------------------------------------------------------------------------

    def check_start(self, place: Place) -> None:
        """Raises `channel.unknown`, `channel.account`, `channel.no_adapter`, `channel.off`: it
        cannot run."""
        channel, account = self.config(place)
        if place[0] not in self._adapters:
            raise NotOffered("channel.no_adapter", f"{place[0]}: {NO_ADAPTER}",
                             "Take it out of homarus.json.")  # fmt: skip
        if not (channel.enabled and account.enabled):
            raise Conflict("channel.off", f"{place[0]} {place[1]} is off in the configuration",
                           "Take `enabled: false` out of homarus.json.")  # fmt: skip

    async def start(self, place: Place) -> bool:
        """Whether it was not running. Raises as `check_start`."""
        self.check_start(place)
        self.health(place).stopped = False
        fresh = place not in self._tasks
        self._begin(place)
        return fresh and place in self._tasks

    async def stop(self, place: Place) -> bool:
        """Whether it was running; it stays down until it is started, or the daemon is. Raises
        `channel.unknown`, `channel.account`."""
        self.config(place)
        self.health(place).stopped = True
        was = place in self._tasks
        await self._end(place)
        return was

    async def close(self) -> None:
        """Nothing more comes in."""
        self._closing = True
        for place in list(self._tasks):
            await self._end(place)
