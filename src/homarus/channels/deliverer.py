"""The worker of deliveries: intent, then the channel acts, then the outcome, a part at a time.

    look -> attempt (row says `sending`) -> send -> part_out | later | refuse | doubt

It wakes on commits and when a channel begins to run. Of one lane it sends one at a time. What a
crash left `sending` is asked for by its token where the channel can, else it is `unknown`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from homarus.base.action import Action
from homarus.base.errors import HomarusError, Refused
from homarus.base.failpoint import failpoint
from homarus.base.waking import REST_S, Wake
from homarus.channels.accounts import Accounts, Place
from homarus.channels.port import Channel, Later, Outcome, Outgoing, Sent, Unknown
from homarus.channels.port import Refused as RefusedThere
from homarus.conversations import deliveries, outgoing
from homarus.conversations.deliveries import Delivery
from homarus.flows import delivering
from homarus.store.port import Rx, Store, Ts, Tx

log = structlog.get_logger("deliveries")

WORKER: Final = "deliveries"
AT_ONCE: Final = 32
SEND_S: Final = 30.0
LOOKUP_S: Final = 15.0
LOOK_S: Final = 60.0
DRAIN_S: Final = 5.0
HELD_S: Final = 1.0
"""After a refusal, which is a commit and wakes the worker."""
LOST_AT_ONCE: Final = 50


class Deliverer:
    """One a daemon. `company`: whose channels they are."""

    def __init__(self, store: Store, accounts: Accounts, company: Callable[[], str]) -> None:
        self._store = store
        self._accounts = accounts
        self._company = company
        self._wake = Wake(REST_S)
        self._busy: set[str] = set()
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()

    def look(self) -> None:
        """Look for deliveries now: a channel runs that did not."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        undo = self._store.listen(self._wake.set)
        alone = self._store.url == "sqlite"
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    wait_s = LOOK_S
                    try:
                        wait_s = await self._look(group, alone)
                        alone = False
                    except HomarusError as error:
                        log.warning("deliveries_failed", code=error.code)
                    await self._wake.wait(wait_s)
        finally:
            undo()

    async def drain(self) -> None:
        """Begin nothing more; wait for what is being sent, DRAIN_S at most."""
        self._closing = True
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._empty.wait()
        except TimeoutError:
            log.warning("deliveries_cut_off", count=len(self._busy))

    async def _look(self, group: asyncio.TaskGroup, alone: bool) -> float:
        """Take up what is due; how long until more is."""
        rows, lost, next_ms = await self._store.read(
            _seen, self._company(), self._accounts.running(), alone, AT_ONCE
        )
        for row in lost:
            if row.id not in self._busy:
                self._take(group, self._recover, row)
        for row in rows:
            if len(self._busy) >= AT_ONCE:
                break
            if row.id not in self._busy:
                self._take(group, self._deliver, row)
        return LOOK_S if next_ms is None else min(LOOK_S, next_ms / 1000)

    def _take(
        self, group: asyncio.TaskGroup, work: Callable[[Delivery], Awaitable[None]], row: Delivery
    ) -> None:
        if self._closing:
            return
        self._busy.add(row.id)
        self._empty.clear()
        group.create_task(self._work(work, row))

    async def _work(self, work: Callable[[Delivery], Awaitable[None]], row: Delivery) -> None:
        try:
            await work(row)
        except Refused as refusal:  # a STOP: it stays queued
            log.info("delivery_waits", delivery=row.number, code=refusal.code)
            await asyncio.sleep(HELD_S)
        except HomarusError as error:
            log.warning("delivery_left", delivery=row.number, code=error.code)
        finally:
            self._busy.discard(row.id)
            if not self._busy:
                self._empty.set()
            self._wake.set()

    # -- one delivery --------------------------------------------------------------------------

    async def _deliver(self, queued: Delivery) -> None:
        adapter = self._accounts.adapter(queued.channel)
        if adapter is None:
            return
        action = Action(queued.company, "delivery.send", f"delivery:{queued.id}", system=WORKER,
                        task=queued.task, what=f"{queued.channel} {queued.target}")  # fmt: skip
        row: Delivery | None = await self._store.write(action, delivering.attempt, queued.id)
        if row is None:
            return
        failpoint("delivery.begun")
        await self._send(adapter, row)

    async def _send(self, adapter: Channel, row: Delivery) -> None:
        """Its parts from where it stands, until all are out or one is not."""
        texts = outgoing.parts(_words(adapter, row), adapter.capabilities.rule)
        for n in range(row.parts_out, len(texts)):
            came = await _sent(adapter, _part(adapter, row, n, texts[n]))
            failpoint("delivery.acted")
            if not isinstance(came, Sent):
                await self._not_sent(row, came)
                return
            row = await self._settle(row, delivering.part_out, came.message, n == len(texts) - 1)
            failpoint("delivery.settled")

    async def _not_sent(self, row: Delivery, came: Later | Unknown | RefusedThere) -> None:
        match came:
            case Later(why, retry_s):
                await self._settle(row, delivering.later, why, round(retry_s * 1000))
            case RefusedThere(why):
                await self._settle(row, delivering.refuse, why)
            case Unknown(why):
                await self._settle(row, delivering.doubt, why)

    async def _settle(
        self, row: Delivery, fn: Callable[[Tx, str, int, *Ts], Delivery], *args: *Ts
    ) -> Delivery:
        action = Action(row.company, "delivery.settle", f"delivery:{row.id}", system=WORKER)
        return await self._store.write(action, fn, row.id, row.token, *args)

    async def _recover(self, lost: Delivery) -> None:
        """One whose sender died: what became of the part that was under way?"""
        row = await self._settle(lost, delivering.take_over)
        adapter = self._accounts.adapter(row.channel)
        if adapter is None or not adapter.capabilities.lookup:
            await self._settle(row, delivering.doubt, delivering.UNKNOWN_AFTER_CRASH)
            return
        try:
            async with asyncio.timeout(LOOKUP_S):
                found = await adapter.lookup(row.account, _token(row, row.parts_out))
        except Exception as error:
            why = error.message if isinstance(error, HomarusError) else type(error).__name__
            log.error("lookup_failed", channel=row.channel, delivery=row.id, exc_info=error)
            await self._settle(
                row, delivering.doubt, f"{delivering.UNKNOWN_AFTER_CRASH}; not found out: {why}"
            )
            return
        if found is None:
            await self._settle(row, delivering.again)
            return
        texts = outgoing.parts(_words(adapter, row), adapter.capabilities.rule)
        last = row.parts_out == len(texts) - 1
        row = await self._settle(row, delivering.part_out, found.message, last)
        if not last:
            await self._settle(row, delivering.again)


def _seen(
    rx: Rx, company: str, running: list[Place], alone: bool, limit: int
) -> tuple[list[Delivery], list[Delivery], int | None]:
    """What is due on the accounts that run and no STOP holds; what nobody sends any more; and how
    long until more is due."""
    found: list[Delivery] = []
    for channel, account in running:
        rows = deliveries.due(rx, company, channel, account, 4 * limit)
        found += [row for row in rows if not delivering.is_held(rx, row)]
    lost = deliveries.abandoned(rx, company, alone, LOST_AT_ONCE)
    return sorted(found, key=lambda row: row.no), lost, deliveries.next_due_ms(rx, company)


def _token(row: Delivery, part: int) -> str:
    return f"{row.id}:{part}"


def _words(adapter: Channel, row: Delivery) -> str:
    named = row.speaker is not None and adapter.capabilities.prefix_name
    return f"{row.speaker}: {row.text}" if named else row.text


def _part(adapter: Channel, row: Delivery, n: int, text: str) -> Outgoing:
    threads = adapter.capabilities.threads
    return Outgoing(
        token=_token(row, n), account=row.account, target=row.target, text=text,
        thread=row.thread if threads else None, reply_to=row.reply_to if n == 0 else None,
    )  # fmt: skip


async def _sent(adapter: Channel, out: Outgoing) -> Outcome:
    """A time-out and a fault of the adapter say nothing of what arrived."""
    try:
        async with asyncio.timeout(SEND_S):
            return await adapter.send(out)
    except TimeoutError:
        return Unknown(f"no answer within {SEND_S:g} s")
    except Exception as error:
        log.error("channel_broke", channel=adapter.id, exc_info=error)
        return Unknown(f"a fault of the adapter ({type(error).__name__})")
