"""The outbox worker: carries changes to mirrors, and is the only thing that does (redline R3).

It wakes on commits. All that it must not forget is in rows: what waits, what is in flight, where a
resync has come to. Each mirror has a lane of its own, so that one that is slow or down holds up no
other.
"""

import asyncio
import functools
import random
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.clock import Clock
from homarus.base.errors import HomarusError, Internal
from homarus.base.ids import new_id
from homarus.base.waking import REST_S, Wake
from homarus.flows import mirror_alerts, mirror_leases, mirror_resyncs, mirror_rows, mirrors
from homarus.flows.mirrors import Mirror as MirrorRow
from homarus.outbox import looking, registry, rules
from homarus.outbox.credentials import Credentials
from homarus.outbox.lane import (
    HELD_FIRST_MS,
    HELD_MOST_MS,
    RULED_MS,
    WORKER,
    Lane,
)
from homarus.outbox.looking import AT_A_PASS, Look, samples, without
from homarus.outbox.port import Health, Kind, Means
from homarus.outbox.together import together
from homarus.store.port import Store

log = structlog.get_logger("outbox")

PASSES: Final = 20
"""Of one mirror, one right after the other where each leaves more to do."""
LOOK_S: Final = 30.0
IDLE_S: Final = 1.0
"""Between two looks while no company has a mirror."""
RECOVER_ROWS: Final = 50
RECOVER_MS: Final = 30_000
"""Between two looks for rows whose worker, in another daemon, is gone."""
DRAIN_S: Final = 10.0
CHECK_S: Final = 30.0
SWEEP_ROWS: Final = 200
SWEEP_MS: Final = 3_600_000
WATCH_MS: Final = 60_000
"""Between two looks for what has gone on for too long."""
OPEN_MS: Final = 60_000
"""After an adapter could not be opened."""


class Outbox:
    """One a daemon. `kind` finds an adapter by target type."""

    def __init__(
        self, store: Store, clock: Clock, home: Path, credentials: Credentials, *,
        kind: Any = registry.kind, chance: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._home = home
        self._credentials = credentials
        self._kind = kind
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._worker = new_id()
        self._wake = Wake(REST_S)
        self._lanes: dict[str, Lane] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, tuple[str, ...]] = {}
        self._sweep_ms: dict[str, int] = {}
        self._shut_ms: dict[str, int] = {}
        self._falls: dict[str, tuple[int, str]] = {}
        self._recover_ms = 0
        self._watch_ms = 0
        self._draining = False
        self._any = True
        self._later: asyncio.TimerHandle | None = None

    # -- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        undo = self._store.listen(self._heard)
        alone = self._store.url == "sqlite"
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    wait_s = LOOK_S
                    try:
                        if alone or self._clock.now_ms() >= self._recover_ms:
                            await self.recover(alone)
                            self._recover_ms = self._clock.now_ms() + RECOVER_MS
                        alone = False
                        wait_s = await self._start_passes(group)
                    except HomarusError as error:
                        log.warning("outbox_failed", code=error.code)
                    await self._wake.wait(wait_s)
        finally:
            undo()
            if self._later is not None:
                self._later.cancel()
            await self._close_lanes(list(self._lanes))

    def _heard(self, _: object) -> None:
        """Something was committed. Without a mirror that is looked at now and then, at most."""
        if self._any:
            self._wake.set()
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(IDLE_S, self._look_again)

    def _look_again(self) -> None:
        self._later = None
        self._wake.set()

    async def drain(self) -> None:
        """Take up nothing more, and wait for what is under way, DRAIN_S at the most; what was
        leased and not sent is handed back as it was."""
        self._draining = True
        for lane in self._lanes.values():
            lane.draining = True
        busy = list(self._busy.values())
        if busy:
            await asyncio.wait(busy, timeout=DRAIN_S)

    async def recover(self, alone: bool) -> None:
        """What a worker that died had leased."""
        for company in await self._store.read(mirror_leases.companies_lost, alone):
            action = Action(company, "mirror.settle", "mirrors:", system=WORKER)
            done = RECOVER_ROWS
            while done == RECOVER_ROWS:
                done = await self._store.write(action, mirror_leases.recover, RECOVER_ROWS, alone)

    # -- passes ----------------------------------------------------------------------------

    async def _start_passes(self, group: asyncio.TaskGroup) -> float:
        """A pass for each mirror with something due; how long until there is more, in seconds."""
        looks = await self.look()
        await self._watch()
        now_ms = self._clock.now_ms()
        waits = [LOOK_S]
        for look in looks:
            mirror = look.row.id
            if mirror in self._busy or self._draining:
                continue
            lane = self._lanes.get(mirror)
            if self._wanted(look, lane, now_ms):
                task = group.create_task(self._turn(look))
                self._busy[mirror] = task
                task.add_done_callback(functools.partial(self._over, mirror))
            elif look.due and lane is not None:
                until_ms = max(lane.until_ms, self._shut_ms.get(mirror, 0))
                waits.append((until_ms - now_ms) / 1000)
            if look.next_ms is not None:
                waits.append((look.next_ms - now_ms) / 1000)
        return max(0.0, min(waits))

    def _wanted(self, look: Look, lane: Lane | None, now_ms: int) -> bool:
        """Whether a pass has something to do."""
        if now_ms < self._shut_ms.get(look.row.id, 0):
            return False
        if lane is None or look.row.resync or now_ms >= lane.fetch_ms:
            return True
        return bool(look.due) and now_ms >= lane.until_ms

    def _over(self, mirror: str, _: object) -> None:
        self._busy.pop(mirror, None)
        self._wake.set()

    async def once(self) -> int:
        """One turn of every mirror that has something due; how many rows were due at first."""
        now_ms = self._clock.now_ms()
        looks = [
            look for look in await self.look()
            if self._wanted(look, self._lanes.get(look.row.id), now_ms)
        ]  # fmt: skip
        for look in looks:
            await self._turn(look)
        await self._watch()
        return sum(len(look.due) for look in looks)

    async def _watch(self) -> None:
        """Now and then: who is to be told of a mirror, and what is over. Nothing is late, where the
        worker was not at work itself, before it had as long again."""
        now_ms = self._clock.now_ms()
        if not self._any or now_ms < self._watch_ms:
            return
        missed = now_ms > self._watch_ms + WATCH_MS
        self._watch_ms = now_ms + (mirror_alerts.WAIT_MS if missed else WATCH_MS)
        if missed:
            return
        for row in await self._store.read(mirror_alerts.news, looking.MAX_AT_WORK):
            try:
                await self._store.write(_action(row, "mirror.settle"), mirror_alerts.see_to, row.id)
            except HomarusError as error:
                log.warning("mirror_not_told_of", mirror=row.name, code=error.code)

    async def look(self) -> list[Look]:
        """What there is to do, rows left out that a rule has just refused; of a mirror that is
        being worked on its own turn looks."""
        now_ms = self._clock.now_ms()
        more = {mirror: lane.passed_over(now_ms) for mirror, lane in self._lanes.items()}
        looks, stops = await self._store.read(looking.look, more, frozenset(self._busy))
        self._any = bool(looks)
        for company, ids in stops.items():
            if self._stops.get(company, ()) != ids:
                self._stops[company] = ids
                for lane in self._lanes.values():
                    if lane.row.company == company:
                        lane.skip.clear()
        await self._close_lanes([m for m in self._lanes if m not in {x.row.id for x in looks}])
        return [without(look, self._lanes.get(look.row.id)) for look in looks]

    async def check(self, row: MirrorRow) -> tuple[Health, list[str]]:
        """How a mirror's target is, and what pushes of its next rows would do there; nothing is
        written. Raises `mirror.*`."""
        opened = self._kind(row.target_type).open(row.config, self._means(row))
        try:
            async with asyncio.timeout(CHECK_S):
                health = await opened.health()
                lines = [
                    line
                    for change in await self._store.read(samples, row)
                    for line in await opened.dry_run(change)
                ]
        except TimeoutError:
            return Health(False, f"no answer within {CHECK_S:g} s"), []
        finally:
            await opened.aclose()
        return health, lines

    async def _close_lanes(self, gone: list[str]) -> None:
        for mirror in gone:
            if mirror not in self._busy:
                lane = self._lanes.pop(mirror)
                try:
                    await lane.mirror.aclose()
                except Exception as error:  # whatever it is, it is over
                    log.error("mirror_not_closed", mirror=lane.row.name, exc_info=error)

    async def _turn(self, look: Look) -> None:
        """The passes of one mirror, whose faults are its own."""
        try:
            await self._passes(look)
            await self._rise(look.row)
        except Exception as error:  # the others go on
            if isinstance(error, HomarusError) and not isinstance(error, Internal):
                log.warning("outbox_pass_failed", mirror=look.row.name, code=error.code)
                self._shut_ms[look.row.id] = self._clock.now_ms() + RULED_MS
                return
            log.error("outbox_pass_failed", mirror=look.row.name, exc_info=error)
            await self._fall(look.row, f"the mirror failed: {type(error).__name__}")

    async def _fall(self, row: MirrorRow, why: str) -> None:
        """It is held, and tried again later and later."""
        falls = self._falls.get(row.id, (0, ""))[0] + 1
        self._falls[row.id] = falls, why
        wait_ms = rules.doubling(HELD_FIRST_MS, HELD_MOST_MS, falls)
        self._shut_ms[row.id] = self._clock.now_ms() + rules.spread(wait_ms, self._chance)
        lane = self._lanes.get(row.id)
        if lane is not None:
            lane.held = lane.trouble = why
        try:
            await self._hold(row, why)
        except Exception as error:
            log.error("mirror_not_held", mirror=row.name, exc_info=error)

    async def _rise(self, row: MirrorRow) -> None:
        """A turn ended well."""
        _, why = self._falls.pop(row.id, (0, ""))
        lane = self._lanes.get(row.id)
        if why and lane is not None:
            lane.risen(why)
            await self._note(lane)

    async def _hold(self, row: MirrorRow, why: str) -> None:
        await self._store.write(_action(row, "mirror.settle"), _note, row.id, 0, False, why)
        lane = self._lanes.get(row.id)
        if lane is not None:
            lane.row = msgspec.structs.replace(lane.row, held=why)

    async def _passes(self, look: Look) -> None:
        """Pass after pass, as long as each leaves more to do at once."""
        for _ in range(PASSES):
            if not await self._pass(look):
                return
            again = await self._again(look)
            if again is None or again.due == look.due:
                return
            look = again

    async def _pass(self, look: Look) -> bool:
        """The top of what is due, and a part of a resync; whether there is more at once."""
        if look.row.resync:
            await self._store.write(
                _action(look.row, "mirror.settle"), mirror_resyncs.chunk, look.row.id
            )
        lane = await self._lane(look.row)
        if lane is None:
            return False
        now_ms = self._clock.now_ms()
        lane.this_month = look.row.calls if look.row.month == mirrors.month_of(now_ms) else 0
        if look.due and now_ms >= lane.until_ms:
            await self._push(lane, look.due)
        if now_ms >= lane.fetch_ms:
            await lane.fetch()
            if lane.held != lane.row.held:
                await self._note(lane)
            await self._forget_old(look.row, now_ms)
            await self._ease(lane, look)
        more = bool(look.row.resync) or len(look.due) == AT_A_PASS
        return more and not lane.resting

    async def _ease(self, lane: Lane, look: Look) -> None:
        """Where a mirror is held, and what it was held for waits no more."""
        if lane.held is None or look.due or self._clock.now_ms() < lane.until_ms:
            return
        if not await self._store.read(mirror_rows.tried, look.row.id):
            await lane.eased()
            await self._note(lane)

    async def _again(self, look: Look) -> Look | None:
        """What there is to do now for the same mirror; None: it rests."""
        lane = self._lanes[look.row.id]
        more = lane.passed_over(self._clock.now_ms())
        found = await self._store.read(looking.look_again, look.row, more)
        return None if found is None else without(found, lane)

    async def _forget_old(self, row: MirrorRow, now_ms: int) -> None:
        """Now and then, in chunks."""
        if now_ms < self._sweep_ms.get(row.id, 0):
            return
        self._sweep_ms[row.id] = now_ms + SWEEP_MS
        gone = SWEEP_ROWS
        while gone == SWEEP_ROWS:
            gone = await self._store.write(
                _action(row, "mirror.settle"), mirror_rows.forget_old, row.id, SWEEP_ROWS
            )

    async def _push(self, lane: Lane, due: list[mirror_rows.Due]) -> None:
        try:
            await lane.work(due)
        finally:
            await together([self._note(lane), lane.settled()])

    async def _note(self, lane: Lane) -> None:
        """What the pass came to, committed with its outcomes; nothing where nothing is new."""
        if not lane.sent and lane.held == lane.row.held:
            return
        held, action = lane.held, _action(lane.row, "mirror.settle")
        figures = lane.row.id, lane.sent, lane.pushed > 0, held
        await self._store.write(action, _note, *figures)
        lane.row = msgspec.structs.replace(lane.row, held=held)

    async def _lane(self, row: MirrorRow) -> Lane | None:
        """The mirror's lane, with its adapter open; None: it cannot be opened, and is held."""
        lane = self._lanes.get(row.id)
        if lane is not None:
            lane.draining = self._draining
            return lane
        try:
            found: Kind = self._kind(row.target_type)
            opened = found.open(row.config, self._means(row))
        except HomarusError as error:
            self._shut_ms[row.id] = self._clock.now_ms() + OPEN_MS
            if row.held != error.message:
                await self._hold(row, error.message)
            return None
        company = row.company
        lane = Lane(
            row, opened, self._store, self._clock, self._worker, self._chance,
            lambda: self._stops.get(company),
        )  # fmt: skip
        self._lanes[row.id] = lane
        return lane

    def _means(self, row: MirrorRow) -> Means:
        async def secret(name: str) -> str:
            return await self._credentials.value(row, name)

        return Means(row.company, row.id, self._home, secret, self._clock.now_ms)


def _action(row: MirrorRow, capability: str) -> Action:
    return Action(row.company, capability, row.record, system=WORKER)


def _note(tx: Any, mirror: str, calls: int, ok: bool, held: str | None) -> None:
    mirrors.note(tx, mirror, calls=calls, ok=ok, held=held)
