"""One mirror's pass: lease, ask or send, settle. The adapter is the target's; the rest is here.

    take (intent, committed) -> lookup where it may be there -> push -> settle (outcome, committed)

Each row has two units of its own in the store, judged for itself. What goes to the store side by
side shares its commits: leases are asked for together, outcomes are not waited for one by one.

What is leased and not yet sent is handed back, untouched, when the target turns out to be down, a
STOP comes, or the daemon ends. Everything that may have been written is `unknown` until a lookup
has settled it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.clock import Clock
from homarus.base.errors import HomarusError
from homarus.base.failpoint import failpoint
from homarus.flows import mirror_conflicts, mirror_leases, mirror_rows
from homarus.flows.mirror_conflicts import Foreign
from homarus.flows.mirror_leases import PUSH, Settlement, Taken
from homarus.flows.mirror_rows import Due
from homarus.flows.mirrors import Mirror as MirrorRow
from homarus.outbox import rules
from homarus.outbox.budget import Budget
from homarus.outbox.changes import as_change, not_there, there
from homarus.outbox.ill import Ill
from homarus.outbox.port import (
    Absent,
    Act,
    Done,
    Fetched,
    Found,
    Health,
    Later,
    Looked,
    Mirror,
    Outcome,
    Refused,
    Unknown,
)
from homarus.outbox.together import together
from homarus.store.port import Store, Ts, Tx

log = structlog.get_logger("outbox")
T = TypeVar("T")
Lease = tuple[Due, "asyncio.Future[Taken | None]"]

WORKER: Final = "outbox"
CALL_S: Final = 60.0
"""The longest that a target is waited for in one call."""
LEASE_MS: Final = 600_000
SEND_MS: Final = LEASE_MS - 180_000
"""A row that is not sent by then is handed back: its lookup and its push end within the lease."""
AHEAD: Final = 16
"""Rows that are leased before the first of them is sent, where one is sent after the other."""
AT_ONCE: Final = 64
"""Rows in flight at one target that takes them side by side."""
HELD_FIRST_MS: Final = 5_000
HELD_MOST_MS: Final = 300_000
"""Between two looks whether a target that was down is well again."""
FETCH_MS: Final = 60_000
"""Between two looks at what others changed at a target."""
MAX_SKIPPED: Final = 1_000
"""Rows just refused, or whose lease failed, that are looked past to find others."""
MAX_PAGES: Final = 20
MONTH_LOOK_MS: Final = 3_600_000
"""Between two looks whether a new month has begun, once this one's calls are spent."""
RULED_MS: Final = 5_000
"""After a lease that a rule forbade, such as STOP, or that failed."""


class Fell(Unknown, frozen=True):
    """The adapter itself failed, or answered what the port does not know."""


class Lane:
    """Of one mirror while the daemon runs. `until_ms`: nothing is tried before; `suspect`: its
    health is asked before the next send; `trouble`: what only a push that succeeds disproves,
    whatever its health says, so that one row at a time is tried; `ill`: the rows that it came from,
    which are no trouble of the mirror once another gets through; `skip`: rows that a rule (STOP,
    R3) refuses, or whose lease failed, and until when they are left alone."""

    def __init__(
        self, row: MirrorRow, mirror: Mirror, store: Store, clock: Clock, worker: str,
        chance: random.Random, stops: Callable[[], object],
    ) -> None:  # fmt: skip
        self.row = row
        self.mirror = mirror
        self.until_ms = 0
        self.suspect = True
        self.held: str | None = row.held
        self.trouble: str | None = None
        self.ill = Ill()
        self.cursor = row.cursor
        self.fetch_ms = 0
        self.this_month = 0
        self.skip: dict[str, int] = {}
        self.draining = False
        self.sent = 0
        self.pushed = 0
        self._store = store
        self._clock = clock
        self._worker = worker
        self._chance = chance
        self._stops = stops
        self._budget = Budget(mirror.manifest.limits)
        self._down = 0
        self._outcomes: list[tuple[str, asyncio.Future[bool]]] = []

    # -- a pass ----------------------------------------------------------------------------

    async def work(self, rows: list[Due]) -> None:
        """Push these, as far as the target's budget and health let it."""
        self.sent = self.pushed = 0
        now_ms = self._clock.now_ms()
        if self.suspect and not await self._well():
            return
        if self.trouble is not None:
            rows = self.ill.probe(rows, self._down)
        rows = rows[: self._room(now_ms, len(rows))]
        if self.mirror.manifest.serial_by == "entity":
            await self._side_by_side(rows)
        else:
            await together(self._one_by_one(group) for group in self._grouped(rows))
        if self.suspect and not self.draining and self._clock.now_ms() >= self.until_ms:
            await self._well()  # now: the next row may not be due for long

    def _room(self, now_ms: int, most: int) -> int:
        """How many pushes the target's limits leave now."""
        room = self._budget.free(now_ms, most)
        if room < most:
            self.until_ms = max(self.until_ms, now_ms + self._budget.wait_ms(now_ms))
        monthly = self.mirror.manifest.monthly
        if monthly is not None and monthly - self.this_month - self.sent < room:
            room = max(0, monthly - self.this_month - self.sent)
            if room == 0:
                self.until_ms = now_ms + MONTH_LOOK_MS
                self.held = f"the {monthly} calls of this month are spent"
        return room

    def _grouped(self, rows: list[Due]) -> list[list[Due]]:
        """What has one writer at a time at the target, in order."""
        if self.mirror.manifest.serial_by != "entity_type":
            return [rows] if rows else []
        groups: dict[str, list[Due]] = {}
        for row in rows:
            groups.setdefault(row.entity_type, []).append(row)
        return list(groups.values())

    def passed_over(self, now_ms: int) -> int:
        """How many rows are left alone for now, or come after the others."""
        self.skip = {row: until_ms for row, until_ms in self.skip.items() if until_ms > now_ms}
        return min(len(self.skip) + len(self.ill), MAX_SKIPPED)

    @property
    def resting(self) -> bool:
        return self.draining or self.suspect or self._clock.now_ms() < self.until_ms

    async def _side_by_side(self, rows: list[Due]) -> None:
        """Where entities do not disturb each other: AT_ONCE are sent at a time, each as soon as its
        lease is committed."""
        stops, by_ms = self._stops(), self._clock.now_ms() + SEND_MS
        leases = iter([self._lease(row) for row in rows])
        await together(
            self._sent_in_turn(leases, stops, by_ms) for _ in range(min(AT_ONCE, len(rows)))
        )

    async def _one_by_one(self, rows: list[Due]) -> None:
        """One after the other, AHEAD leased before; outcomes are written while the next is sent."""
        for start in range(0, len(rows), AHEAD):
            if start and self.resting:
                return
            stops, by_ms = self._stops(), self._clock.now_ms() + SEND_MS
            leases = iter([self._lease(row) for row in rows[start : start + AHEAD]])
            await self._sent_in_turn(leases, stops, by_ms)

    async def _sent_in_turn(self, leases: Iterator[Lease], stops: object, by_ms: int) -> None:
        """Each as soon as it is leased; outcomes are handed to the store and not waited for."""
        for lease in leases:
            taken = await self._leased(lease)
            if taken is not None:
                self._settle(taken, await self._decided(taken, stops, by_ms))

    async def _decided(self, taken: Taken, stops: object, by_ms: int) -> Settlement:
        """What a leased row becomes; handed back unsent where it may no longer be sent."""
        now_ms = self._clock.now_ms()
        late = now_ms > by_ms
        if late or self.draining or self.suspect or stops is not self._stops():
            return Settlement(self._before(taken), now_ms, why=mirror_rows.NOT_SENT)
        return await self._judged(taken)

    @staticmethod
    def _before(taken: Taken) -> str:
        """What it was before it was leased."""
        return mirror_rows.UNKNOWN if taken.look else mirror_rows.PENDING

    # -- intent and outcome ----------------------------------------------------------------

    def _action(self, capability: str, task: str | None, trace: str | None = None) -> Action:
        target = self.row.target if capability == PUSH else self.row.record
        return Action(self.row.company, capability, target, system=WORKER, task=task, trace=trace)

    def _written(
        self, action: Action, fn: Callable[[Tx, *Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Handed to the store now, which commits it together with what is handed to it beside."""
        try:
            return asyncio.ensure_future(self._store.write(action, fn, *args))
        except HomarusError as error:  # the store takes no more
            refused: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    def _lease(self, row: Due) -> Lease:
        action = self._action(PUSH, row.task, row.trace)
        return row, self._written(action, mirror_leases.take, row.id, self._worker, LEASE_MS)

    async def _leased(self, lease: Lease) -> Taken | None:
        row, taking = lease
        try:
            taken = await taking
        except HomarusError as error:
            self.skip[row.id] = self._clock.now_ms() + RULED_MS
            log.info("push_waits", mirror=self.row.name, code=error.code)
            return None
        failpoint("outbox.leased")
        return taken

    def _settle(self, taken: Taken, how: Settlement) -> None:
        """The outcome goes to the store at once; `settled` waits for it."""
        task = taken.entity_id if taken.entity_type == "task" else None
        action = self._action("mirror.settle", task)
        self._outcomes.append((taken.id, self._written(action, mirror_leases.settle, taken, how)))

    async def settled(self) -> None:
        """Once all outcomes of the pass are committed."""
        outcomes, self._outcomes = self._outcomes, []
        for row, kept in zip(outcomes, await together(o for _, o in outcomes), strict=True):
            failpoint("outbox.settled")
            if not kept:
                log.warning("push_lease_lost", mirror=self.row.name, row=row[0])

    async def _judged(self, taken: Taken) -> Settlement:
        """Ask where it may be there already, and send; what the row becomes."""
        change, found, gone = as_change(taken, self.row.company), None, False
        if taken.look:
            looked = await self._called(self.mirror.lookup(change), Looked)
            failpoint("outbox.looked")
            match looked:
                case Found(receipt=receipt, same=True) if change.act is not Act.DELETE:
                    self.well_again(taken.id)
                    return Settlement(mirror_rows.COMPLETED, receipt=receipt)
                case Found(receipt=receipt):
                    change, found = there(change, receipt), receipt
                case Absent() if change.act is Act.DELETE:
                    self.well_again(taken.id)
                    return Settlement(mirror_rows.COMPLETED)
                case Absent():
                    change, gone = not_there(change), taken.receipt is not None
                case Later(why=why) | Unknown(why=why):
                    self._unwell(looked, taken.id)
                    return self._after(Unknown(why), taken)
        outcome = await self._called(self.mirror.push(change), Outcome)
        failpoint("outbox.sent")
        if isinstance(outcome, Refused) and outcome.kind == "gone" and change.act is Act.DELETE:
            outcome = Done(taken.receipt or "")
        if isinstance(outcome, Done):
            self.pushed += 1
            self.well_again(taken.id)
        else:
            self._unwell(outcome, taken.id)
        how = self._after(outcome, taken)
        if not gone and found is None:
            return how
        return msgspec.structs.replace(how, gone=how.gone or gone, found=found)

    def _after(self, outcome: Outcome, taken: Taken) -> Settlement:
        return rules.after(
            outcome, self._clock.now_ms(), taken.tries, taken.retries,
            self.mirror.manifest.lag_s, self._chance,
        )  # fmt: skip

    async def _called(self, call: Awaitable[Any], answers: Any) -> Any:
        """The adapter's answer. One that does not come, or is none, means that nobody knows."""
        self.sent += 1
        self._budget.spend(self._clock.now_ms())
        try:
            async with asyncio.timeout(CALL_S):
                answer = await call
        except TimeoutError:
            return Unknown(f"no answer within {CALL_S:g} s")
        except HomarusError as error:
            return Unknown(error.message)
        except Exception as error:  # adapters are supervised here
            log.error("adapter_failed", mirror=self.row.name, exc_info=error)
            return Fell(f"the adapter failed: {type(error).__name__}")
        if isinstance(answer, answers):
            return answer
        log.error("adapter_failed", mirror=self.row.name, answer=type(answer).__name__)
        return Fell(f"the adapter failed: it answered {type(answer).__name__}")

    # -- what others changed there -----------------------------------------------------------

    async def fetch(self) -> None:
        """Take in what somebody else changed at the target, a bounded number of pages; before that,
        see whether one that was not well is again. One that tells no changes is asked only that."""
        now_ms = self._clock.now_ms()
        self.sent = self.pushed = 0
        self.fetch_ms = now_ms + FETCH_MS
        tells = self.mirror.manifest.changes != "none"
        asks = self.suspect and (tells or self._down > 0)
        if asks and (now_ms < self.until_ms or not await self._well()):
            return
        if not tells:
            return
        for _ in range(MAX_PAGES):
            fetched = await self._called(self.mirror.fetch_changes(self.cursor), Fetched)
            if not isinstance(fetched, Fetched) or self.draining:
                return
            changes = [
                Foreign(c.entity_type, c.marker, c.receipt, c.fields) for c in fetched.changes
            ]
            if not changes and fetched.cursor == self.cursor:
                return
            await self._store.write(
                self._action("mirror.settle", None),
                mirror_conflicts.take_in, self.row.id, changes, fetched.cursor,
            )  # fmt: skip
            self.cursor = fetched.cursor
            if not changes:
                return

    # -- how the target is -----------------------------------------------------------------

    def well_again(self, row: str) -> None:
        """A push or a lookup has ended well."""
        self.ill.discard(row)
        self.held = self.trouble = None
        self._down = 0

    async def eased(self) -> None:
        """No row waits that was tried: what it was in trouble for is over."""
        self.sent = self.pushed = 0
        self.trouble, self.ill = None, Ill()
        await self._well()

    def risen(self, why: str) -> None:
        """What a whole turn fell over is over."""
        if self.trouble == why:
            self.trouble = None
        if self.held == why:
            self.held = None

    def _unwell(self, answer: Outcome | Looked, row: str) -> None:
        """Down or throttled, or it wants an operator: the rest waits until its health is known."""
        match answer:
            case Later(alone=True):
                return
            case Later(after_s=after_s) if after_s is not None:
                rest_ms = round(min(after_s, rules.MAX_WAIT_S) * 1000)
                self.until_ms = max(self.until_ms, self._clock.now_ms() + rest_ms)
            case Fell(why=why) | Refused(kind="auth", why=why):
                if self.ill.add(row) and self.trouble is None:
                    return  # others got through since: it is the row's own matter
                self._in_trouble(why)
            case Refused(kind=kind) if kind != "operator":
                return
            case _:
                pass
        self.suspect = True

    def _in_trouble(self, why: str) -> None:
        self.held = self.trouble = why
        if not self.suspect:
            self._rest()

    def _rest(self) -> None:
        """It is left alone, longer and longer."""
        self._down += 1
        wait_ms = rules.doubling(HELD_FIRST_MS, HELD_MOST_MS, self._down)
        again_ms = self._clock.now_ms() + rules.spread(wait_ms, self._chance)
        self.until_ms = max(self.until_ms, again_ms)

    async def _well(self) -> bool:
        """Whether the target is well. Where it is not, it is asked again later and later."""
        health = await self._called(self.mirror.health(), Health)
        if isinstance(health, Health) and health.ok:
            self.suspect, self.held = False, self.trouble
            if self.trouble is None:
                self._down = 0
            return True
        self.held = health.why or "the target is not well"
        self._rest()
        return False
