"""All of a daemon's channels: their accounts, what they bring, what is delivered over them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.errors import HomarusError
from homarus.base.failpoint import failpoint
from homarus.channels.accounts import Accounts, Place
from homarus.channels.deliverer import Deliverer
from homarus.channels.holding import Holding
from homarus.channels.port import Account, Channel, Inbox, Incoming, Taken
from homarus.config.schema import Settings
from homarus.conversations import access, places, routing
from homarus.conversations.access import Access
from homarus.conversations.routing import Rules
from homarus.flows import channel_inbound
from homarus.store.port import Store

log = structlog.get_logger("channels")

WORKER: Final = "channels"
MAX_PROBE_S: Final = 30.0


class AccountStatus(msgspec.Struct, frozen=True):
    """`configured`: the configuration names it, and there is an adapter."""

    channel: str
    label: str
    account: str
    name: str | None
    enabled: bool
    configured: bool
    running: bool
    stopped: bool
    default: bool
    error: str | None
    since_ms: int | None
    dm_policy: str
    probe: dict[str, Any] | None = None


class Channels:
    """One a daemon. `settings`: as they are now; `company`: whose channels they are."""

    def __init__(
        self, store: Store, adapters: Mapping[str, Channel], settings: Callable[[], Settings],
        company: Callable[[], str], now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._store = store
        self._settings = settings
        self._company = company
        self._changed = asyncio.Event()
        self._rules: tuple[Settings, Rules] | None = None
        self.accounts = Accounts(
            adapters, lambda: self._settings().channels, self._inbox, now_ms, self._news,
            Holding(store, company, now_ms),
        )  # fmt: skip
        self._deliverer = Deliverer(store, self.accounts, company)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.accounts.run(self._changed))
            group.create_task(self._deliverer.run())

    def changed(self) -> None:
        """The settings are others now."""
        self._changed.set()

    async def drain(self) -> None:
        """Take nothing more in, and let what is being sent end."""
        await self.accounts.close()
        await self._deliverer.drain()

    def _news(self) -> None:
        self._deliverer.look()

    # -- what comes in -------------------------------------------------------------------------

    def _inbox(self, place: Place) -> Inbox:
        async def inbox(came: Incoming) -> Taken:
            taken = await self._take(place, came)
            failpoint("channel.received")
            return taken

        return inbox

    async def _take(self, place: Place, came: Incoming) -> Taken:
        """Kept, routed and a turn when this returns. Raises HomarusError: it is not kept."""
        came = msgspec.structs.replace(came, channel=place[0], account=place[1])
        action = Action(self._company(), "channel.receive", f"channel:{place[0]}", system=WORKER)
        try:
            taken = await self._store.write(
                action, channel_inbound.receive, came, self.rules(), self._access(place),
                self._settings().mode_for(place[0]),
            )  # fmt: skip
        except HomarusError as error:
            log.warning("channel_not_taken", channel=place[0], code=error.code)
            raise
        if taken.missing is not None:
            log.warning("binding_without_agent", agent=taken.missing, channel=place[0])
        if taken.what != channel_inbound.TAKEN or taken.why:
            log.info("channel_heard", channel=place[0], what=taken.what, why=taken.why)
        return taken

    def rules(self) -> Rules:
        """What routes now; made once for each edit of the settings."""
        settings = self._settings()
        if self._rules is None or self._rules[0] is not settings:
            self._rules = (settings, routing.rules_of(settings))
        return self._rules[1]

    def _access(self, place: Place) -> Access:
        channel, account = self.accounts.config(place)
        return access.of(place[0], channel, account)

    # -- how they do ---------------------------------------------------------------------------

    def status(self, only: str | None = None) -> list[AccountStatus]:
        """In the order of the configuration."""
        found = []
        for name, channel in self._settings().channels.items():
            if only not in (None, name):
                continue
            adapter = self.accounts.adapter(name)
            for id_ in channel.account_ids():
                config, account = self.accounts.config((name, id_))
                health = self.accounts.health((name, id_))
                found.append(
                    AccountStatus(
                        name, config.name or (adapter.label if adapter else name.capitalize()),
                        id_, account.name, config.enabled and account.enabled,
                        adapter is not None, health.running, health.stopped,
                        id_ == config.default_id(), health.error, health.since_ms,
                        access.of(name, config, account).dm_policy,
                    )
                )  # fmt: skip
        return found

    async def probe(self, row: AccountStatus, timeout_s: float) -> AccountStatus:
        """Ask the platform. It never raises."""
        adapter = self.accounts.adapter(row.channel)
        if adapter is None:
            return row
        try:
            async with asyncio.timeout(min(timeout_s, MAX_PROBE_S)):
                found = await adapter.probe(Account(row.channel, row.account, row.name))
        except TimeoutError:
            found = {"ok": False, "error": "no answer in time"}
        except Exception as error:
            why = error.message if isinstance(error, HomarusError) else type(error).__name__
            log.error("probe_failed", channel=row.channel, account=row.account, exc_info=error)
            found = {"ok": False, "error": why}
        return msgspec.structs.replace(row, probe=found)

    def place(self, channel: str, account: str | None) -> Place:
        """The account that is meant. Raises `channel.unknown`, `channel.account`."""
        return channel, places.account_of(self._settings().channels, channel, account)

    def runs(self, place: Place) -> bool:
        return self.accounts.health(place).running
