"""The runner: takes turns that wait and has the loop run them, each session one at a time.

It wakes on commits. A turn is a row with a lease that the runner renews while it works; nothing is
held in memory that a crash could lose. At a STOP, an abort or the end of the daemon it cuts off
what a turn waits for (`agents/cut.py`), and the turn is queued again or ended. Turns whose daemon
died are queued again at the start, or, where several daemons share a store, after their lease.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from homarus.agents.cut import ABORT, FENCE, LOST, SHUTDOWN, TIMEOUT, Cut
from homarus.agents.loop import Loop
from homarus.base.action import Action
from homarus.base.errors import HomarusError, Refused
from homarus.base.failpoint import failpoint
from homarus.base.waking import Wake
from homarus.conversations import sessions, turns
from homarus.conversations.turns import State, Turn
from homarus.dispatch.halting import LiveRun, LiveRuns
from homarus.flows import leases, task_turns, turn_ends, turn_waits, turning
from homarus.flows.turning import Started
from homarus.kernel import stop
from homarus.store.port import Rx, Store, Tx
from homarus.tasks import sql as tasks

log = structlog.get_logger("runner")

WORKER: Final = "runner"
LEASE_MS: Final = 60_000
RENEW_S: Final = LEASE_MS / 3000
LOOK_S: Final = 20.0
"""Commits wake the runner; leases that other daemons let run out do not."""
RECOVER_ROWS: Final = 50
MAX_BEHIND: Final = 1_000
"""Sessions looked at when a STOP holds the first ones."""
RETRY_S: Final = 1.0
"""After a fault of ours; its session waits for so long."""
DRAIN_S: Final = 5.0
"""How long turns that were cut off at the end may take to be handed back."""


class _Running(msgspec.Struct):
    """A turn that runs here. `token`: its fence."""

    turn: Turn
    cut: Cut
    live: LiveRun | None = None


class Seen(msgspec.Struct, frozen=True):
    """`ready`: `(company, turn, session)` that wait; `gone`: turns that ran here and may not go on,
    with why they are cut off; `work`: what a STOP may name to reach the real tasks of the others.
    Companies: `lost` have turns whose worker is dead, `answered` parked ones that wait for nothing
    any more, `astray` tasks and turns that have lost each other."""

    ready: list[tuple[str, str, str]]
    gone: dict[str, str]
    work: dict[str, frozenset[str]]
    lost: list[str]
    answered: list[str]
    astray: list[str]


def look(rx: Rx, running: dict[str, int], limit: int, alone: bool) -> Seen:
    """What waits, without turns that a STOP holds; what became of `running` (id: fence); and what
    nobody looks after. `alone`: no other daemon can have a turn, so that all that run are lost."""
    rows = turns.ready(rx, limit)
    found = _free(rx, rows)
    if len(found) < len(rows) == limit:  # others wait behind those that a STOP holds
        found = _free(rx, turns.ready(rx, MAX_BEHIND))
    gone, work = {}, {}
    for turn, token in running.items():
        at = rx.one("select company, state, token, work from turn where id=?", (turn,))
        if at is None or at[1] != State.RUNNING or at[2] != token:
            gone[turn] = ABORT if at is not None and at[1] == State.ABORTED else LOST
        elif at[3] is not None:
            row = turns.need(rx, at[0], turn)
            work[turn] = task_turns.subjects(rx, row)
            if not task_turns.may_run(rx, row):
                gone[turn] = FENCE
    return Seen(
        found, gone, work,
        turns.companies_with_lost(rx, alone),
        turn_waits.companies_to_wake(rx),
        task_turns.companies_to_settle(rx),
    )  # fmt: skip


def _free(rx: Rx, rows: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Those that no STOP holds and whose task is in hand, with their session."""
    found = []
    stops: dict[str, list[stop.Stop]] = {}
    for company, turn in rows:
        if company not in stops:
            stops[company] = stop.active(rx, company)
        row = turns.need(rx, company, turn)
        if task_turns.may_run(rx, row) and not _stopped(rx, row, stops[company]):
            found.append((company, turn, row.session))
    return found


def _stopped(rx: Rx, row: Turn, stops: list[stop.Stop]) -> bool:
    """Whether a STOP covers the turn: its agent, its session's task or trace, its real task."""
    if not stops:
        return False
    session = sessions.need(rx, row.company, row.session)
    subjects = {row.company, row.agent, session.task, row.work}
    for ref in (session.task, row.work):
        task = None if ref is None else tasks.by_id(rx, row.company, ref)
        if task is not None:
            subjects |= {task.trace, task.project or None}
    return any(s.subject in subjects for s in stops)


def _renew(tx: Tx, turn: str, token: int, until_ms: int) -> bool:
    if not turns.renew(tx, turn, token, until_ms):
        return False
    row = turns.need(tx, tx.company, turn)
    if row.work is not None:
        leases.renew(tx, row.agent, row.work)
    return True


class Runner:
    """One a daemon. `run` is its only task; turns are children of its TaskGroup."""

    def __init__(
        self, store: Store, loop: Loop, now_ms: Callable[[], int], limit: Callable[[], int],
    ) -> None:  # fmt: skip
        """`limit`: turns that may run at one time, as the settings say now; fewer than run already
        lets those end."""
        self._store = store
        self._loop = loop
        self._now_ms = now_ms
        self._limit = limit
        self._wake = Wake()
        self._running: dict[str, _Running] = {}
        self._sessions: set[str] = set()
        self._halts = LiveRuns(store)
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def busy(self) -> int:
        """How many turns run here now."""
        return len(self._running)

    def look(self) -> None:
        """Look for turns now: there may be room for more."""
        self._wake.set()

    def leave(self) -> None:
        """Take nothing more; what runs leaves at its next boundary."""
        self._closing = True
        for running in self._running.values():
            running.cut.please(SHUTDOWN)

    async def drain(self) -> None:
        """Cut off what still runs, and wait until it is handed back, DRAIN_S at most."""
        self.leave()
        for running in self._running.values():
            running.cut.cut(SHUTDOWN)
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._empty.wait()
        except TimeoutError:
            log.warning("turns_not_handed_back", count=len(self._running))

    async def run(self) -> None:
        """Until cancelled."""
        undo = self._store.listen(self._wake.set)
        alone = self._store.url == "sqlite"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._halts.watch())
                group.create_task(self._renewals())
                while True:
                    try:
                        await self._look(group, alone)
                        alone = False
                    except HomarusError as error:
                        log.warning("runner_failed", code=error.code)
                    await self._wake.wait(LOOK_S)
        finally:
            undo()

    async def _look(self, group: asyncio.TaskGroup, alone: bool) -> None:
        running = {id: r.turn.token for id, r in self._running.items()}
        seen = await self._store.read(look, running, 2 * self._limit(), alone)
        await self._recover(seen, alone)
        self._offer(group, seen)

    async def _recover(self, seen: Seen, alone: bool) -> None:
        """What is queued again by this wakes the runner."""
        for company in seen.answered:
            await self._store.write(_own(company, "turn:"), turn_waits.wake, RECOVER_ROWS)
        for company in seen.astray:
            await self._store.write(_own(company, "turn:"), task_turns.settle, RECOVER_ROWS)
        for company in seen.lost:
            settled = RECOVER_ROWS
            while settled == RECOVER_ROWS:
                settled = await self._store.write(
                    _own(company, "turn:"), turning.recover, RECOVER_ROWS, alone,
                    self._loop.tools.harmless,
                )  # fmt: skip

    def _offer(self, group: asyncio.TaskGroup, seen: Seen) -> None:
        """Heed what became of turns that run, and take up others while there is room."""
        for turn, why in seen.gone.items():
            running = self._running.get(turn)
            if running is not None:
                running.cut.cut(why)
        for turn, work in seen.work.items():
            live = self._running[turn].live if turn in self._running else None
            if live is not None:
                live.also(work)
        for company, turn, session in seen.ready:
            if self._closing or len(self._sessions) >= self._limit():
                return
            if turn not in self._running and session not in self._sessions:
                self._take(group, company, turn, session)

    def _take(self, group: asyncio.TaskGroup, company: str, turn: str, session: str) -> None:
        self._sessions.add(session)
        self._empty.clear()
        group.create_task(self._work(company, turn, session))

    async def _work(self, company: str, turn: str, session: str) -> None:
        """One turn to its end. A fault of ours leaves it to its lease."""
        try:
            started = await self._start(company, turn)
            if started is not None:
                await self._go(started)
        except HomarusError as error:
            log.warning("turn_left", turn=turn, code=error.code)
            await asyncio.sleep(RETRY_S)
        except Exception as error:
            log.error("turn_broke", turn=turn, exc_info=error)
        finally:
            self._running.pop(turn, None)
            self._sessions.discard(session)
            if not self._sessions:
                self._empty.set()
            self._wake.set()

    async def _start(self, company: str, turn: str) -> Started | None:
        """As its agent. What refuses it (a suspension, say) ends it; a STOP lets it wait."""
        row = await self._store.read(turns.need, company, turn)
        action = Action(company, "turn.run", f"turn:{turn}", system=WORKER, acting=row.agent,
                        task=await self._store.read(_standing, row))  # fmt: skip
        try:
            started: Started | None = await self._store.write(
                action, turning.start, turn, self._now_ms() + LEASE_MS
            )
        except Refused as refusal:
            if refusal.rule == "stop":
                return None
            await self._store.write(
                _own(company, f"turn:{turn}"), turn_ends.refuse, turn, refusal.code,
                refusal.message, refusal.remedy,
            )  # fmt: skip
            return None
        failpoint("turn.started")
        return started

    async def _go(self, started: Started) -> None:
        cut = Cut()
        live = LiveRun.of_task(started.agent.id, started.task)
        live.started(cut)
        live.also(await self._store.read(task_turns.subjects, started.turn))
        self._running[started.turn.id] = _Running(started.turn, cut, live)
        if self._closing:
            cut.please(SHUTDOWN)
        self._halts.add(live)
        end = self._end_in_time(started.turn, cut)
        try:
            await self._loop.run(started, cut)
        except Exception as error:
            log.error("turn_broke", turn=started.turn.id, exc_info=error)
            await self._broke(started, error)
        finally:
            if end is not None:
                end.cancel()
            self._halts.remove(live)

    def _end_in_time(self, turn: Turn, cut: Cut) -> asyncio.TimerHandle | None:
        """Cuts it off when the time that it was given, from its first start, is over."""
        given_s = turn.options.get(turns.TIMEOUT_S)
        if given_s is None:
            return None
        now_ms = self._now_ms()
        took_s = (now_ms - (turn.started_ms or now_ms)) / 1000
        return asyncio.get_running_loop().call_later(given_s - took_s, cut.cut, TIMEOUT)

    async def _broke(self, started: Started, error: Exception) -> None:
        turn = started.turn
        await self._store.write(
            _own(turn.company, f"turn:{turn.id}"), turn_ends.fail, turn.id, turn.token,
            "internal.turn", f"the turn failed inside the daemon ({type(error).__name__})",
            "See logs/homarus.log for the trace, and report it.",
        )  # fmt: skip

    async def _renewals(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for id, running in list(self._running.items()):
                turn = running.turn
                try:
                    ours = await self._store.write(
                        _own(turn.company, f"turn:{id}"), _renew, id, turn.token,
                        self._now_ms() + LEASE_MS,
                    )  # fmt: skip
                except HomarusError as error:
                    log.warning("turn_not_renewed", turn=id, code=error.code)
                    continue
                if not ours:
                    running.cut.cut(LOST)


def _standing(rx: Rx, row: Turn) -> str:
    return sessions.need(rx, row.company, row.session).task


def _own(company: str, target: str) -> Action:
    return Action(company, "turn.run", target, system=WORKER)
