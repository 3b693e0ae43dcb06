"""Firings, claims, ends, deaths of the daemon and jumps of the clock in random order, beside a
plain model that knows each moment at which a job was to fire, and who holds which run.

After each step: each of these moments has one row and no other has any; a namespace runs no more
than it may, a job no two runs unless it says so; who waits has a time, who ended has one; a run is
done once.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from homarus.base.errors import Conflict
from homarus.flows import firing, firing_ends, scheduling
from homarus.flows.firing_ends import Ended
from homarus.jobs import rules, runs
from homarus.jobs.model import CRON, Job, JobChange, Run, State
from homarus.kernel import registry
from homarus.store.port import Rx
from homarus.testing.ground import Ground, ManualClock
from homarus.testing.shop import OWNER, SYSTEM, open_shop
from tests.support.engines import Engine
from tests.support.profile import Profile

PLAN = {"ci": (6, 30), "full": (100, 60)}
"""Profile -> examples and steps of each."""
MIN = 60_000
HOUR = 60 * MIN
JUMPS_MS = (-HOUR, 1, MIN, 7 * MIN, 20 * MIN, HOUR, 3 * HOUR)
MOST = 2
"""Runs of a namespace beside each other."""
OPEN = (State.WAITING, State.FAILED)
picks = st.integers(0, 1_000)
PLANS: tuple[dict[str, Any], ...] = (
    {"name": "a", "agent": "ada", "every_ms": 10 * MIN, "misfire": "run_all"},
    {"name": "b", "agent": "ada", "every_ms": 7 * MIN, "misfire": "skip", "overlap": "parallel"},
    {"name": "c", "agent": "ada", "every_ms": 31 * MIN, "priority": 100, "overlap": "skip"},
    {"name": "d", "agent": "bob", "every_ms": 10 * MIN, "priority": -50},
)


class CronMachine(RuleBasedStateMachine):
    """`engine` is set on a subclass for each run."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        home = Path(tempfile.mkdtemp(dir=self.engine.home))
        home = home if self.engine.name == "sqlite" else self.engine.home
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.ground = Ground(home, self.clock, self.engine.opener)
        self.run(self.ground.start(fresh=True))
        self.moments: dict[str, set[int]] = {}
        self.next: dict[str, int | None] = {}
        self.held: list[Run] = []
        self.done: Counter[str] = Counter()

    def run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self.runner.run(awaited())

    def teardown(self) -> None:
        self.run(self.ground.store.stop())
        self.runner.close()

    def do(self, capability: str, as_: str, fn: Any, *args: Any) -> Any:
        return self.run(self.shop.do(capability, as_, fn, *args))

    @initialize()
    def found(self) -> None:
        self.shop = self.run(open_shop(self.ground))
        for name in ("ada", "bob"):
            self.run(self.shop.agent(name))
        new = registry.NewCapability(id="a.run", title="Run", argv=("true",), restartable=True)
        self.do("capability.register", OWNER, registry.register, new)
        self.jobs: list[Job] = [
            self.do("job.create", OWNER, scheduling.define, CRON, JobChange(
                what="command", does={"capability": "a.run"}, concurrent=MOST, **plan,
            ))
            for plan in PLANS
        ]  # fmt: skip
        for job in self.jobs:
            self.moments[job.id] = set()
            self.next[job.id] = self.after(job)

    def after(self, job: Job) -> int:
        """Its first moment after now; none is before its anchor."""
        every = job.every_ms or 1
        return job.anchor_ms + max(0, (self.clock.at_ms - job.anchor_ms) // every + 1) * every

    # -- what happens ----------------------------------------------------------------------

    @rule(ms=st.sampled_from(JUMPS_MS))
    def jump(self, ms: int) -> None:
        self.clock.at_ms += ms

    @rule()
    def fire(self) -> None:
        while self.do("job.fire", SYSTEM, firing.fire).more:
            pass
        for job in self.jobs:
            at = self.next[job.id]
            while at is not None and at <= self.clock.at_ms:
                self.moments[job.id].add(at)
                at += job.every_ms or 1
            self.next[job.id] = at

    @rule(limit=st.integers(1, 4))
    def take(self, limit: int) -> None:
        before = {run.id: run for run in self.rows()}
        taken: list[firing.Taken] = self.do("job.fire", SYSTEM, firing.take, limit)
        for one in taken:
            assert before[one.run.id].state in OPEN
            assert (before[one.run.id].due_ms or 0) <= self.clock.at_ms
            assert one.run.token == before[one.run.id].token + 1
        self.held += [one.run for one in taken]

    @rule(pick=picks, how=st.sampled_from(["done", "failed", "cut", "late"]))
    def end(self, pick: int, how: str) -> None:
        if not self.held:
            return
        run = self.held.pop(pick % len(self.held))
        fence = run.token - (how == "late")
        if how == "cut":
            self.do("job.settle", SYSTEM, firing_ends.cut, run.id, fence)
            return
        after = self.do("job.settle", SYSTEM, firing_ends.settle, run.id, fence,
                        Ended(how != "failed", reason="x"))  # fmt: skip
        if how == "late":
            assert after is None, "an old fence changes nothing"
            self.held.append(run)
        elif how == "done":
            assert after is not None
            self.done[run.id] += 1

    @rule()
    def die(self) -> None:
        """The daemon comes back: what it held is settled, and what it says of that not heard."""
        while self.do("job.settle", SYSTEM, firing_ends.recover, 10, True):
            pass
        for run in self.held:
            assert self.do("job.settle", SYSTEM, firing_ends.settle, run.id, run.token,
                           Ended(True)) is None  # fmt: skip
        self.held = []

    @rule(pick=picks, active=st.booleans())
    def switch(self, pick: int, active: bool) -> None:
        job = self.jobs[pick % len(self.jobs)]
        self.do("job.update", OWNER, scheduling.change, job, JobChange(active=active))
        self.next[job.id] = self.after(job) if active else None

    @rule(pick=picks)
    def by_hand(self, pick: int) -> None:
        self.do("job.run", OWNER, firing.by_hand, self.jobs[pick % len(self.jobs)])

    @rule(pick=picks, drop=st.booleans())
    def operate(self, pick: int, drop: bool) -> None:
        """An operator retries or drops a run, which only a dead one lets happen."""
        rows = self.rows()
        if not rows:
            return
        row = rows[pick % len(rows)]
        act = firing_ends.drop if drop else firing_ends.retry
        try:
            self.do("job.retry", OWNER, act, row.id)
            assert row.state is State.DEAD
        except Conflict:
            assert row.state is not State.DEAD

    # -- what holds ------------------------------------------------------------------------

    def rows(self) -> list[Run]:
        found: list[Run] = self.run(self.ground.read(_rows, self.ground.company))
        return found

    @invariant()
    def it_holds(self) -> None:
        if not self.moments:
            return
        rows = self.rows()
        for job in self.jobs:
            slots = [run.scheduled_ms for run in rows if run.job == job.id and run.n == 0]
            assert sorted(slots) == sorted(self.moments[job.id]), "each firing once, none left out"
        running = [run for run in rows if run.state is State.RUNNING]
        assert {run.id for run in running} == {run.id for run in self.held}
        assert all(n <= MOST for n in Counter(run.agent for run in running).values())
        alone = {job.id for job in self.jobs if job.overlap != "parallel"}
        assert all(n == 1 for job, n in Counter(r.job for r in running).items() if job in alone)
        for run in rows:
            assert (run.due_ms is not None) is (run.state in OPEN)
            assert run.attempt <= rules.MAX_ATTEMPTS
            over = run.state not in (*OPEN, State.RUNNING)
            assert not over or run.ended_ms is not None
            assert (run.state is State.DONE) is (self.done[run.id] == 1)


def _rows(rx: Rx, company: str) -> list[Run]:
    return runs.listed(rx, company, limit=100_000)


def test_cron_machine(engine: Engine, profile: Profile) -> None:
    examples, steps = PLAN[profile.name]
    machine = type("Machine", (CronMachine,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
