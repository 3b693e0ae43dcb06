"""Tasks, leases, idempotency and receipts under random operations, beside a plain model.

After each step: one holder, fences that only grow, no task lost, counters that agree with the rows,
a feed without gaps, an unbroken chain of receipts, an outcome for each unit that failed.
"""

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from homarus.flows import reporting
from homarus.tasks.model import LEASE_MS, State
from homarus.testing.model import PlainTask
from tests.machines.world import World, same
from tests.support.engines import Engine
from tests.support.profile import Profile

NAMES = ("ada", "bob", "cy", "rev")
PROJECTS = ("open", "capped")
RESULTS = (State.DONE, State.REVIEW, State.REVIEW, State.FAILED, State.QUEUED, State.IN_PROGRESS)
PASSING_MS = (1, 1, LEASE_MS // 10 + 1, LEASE_MS // 2, LEASE_MS - 1, LEASE_MS)
MAX_STOPS = 2
PLAN = {"ci": (15, 30), "full": (125, 50)}
"""Profile -> examples and steps of each; `full` makes at least 5,000 steps."""
names = st.sampled_from(NAMES)
projects = st.sampled_from(PROJECTS)
picks = st.integers(0, 1_000)


class TasksMachine(RuleBasedStateMachine):
    """`engine` is set on a subclass for each run."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.engine)
        self.model = self.world.model
        self.shop = self.world.shop
        self.kept: dict[tuple[str, str], tuple[int, int]] = {}
        self.replies: dict[str, tuple[str, int, Any, bytes]] = {}
        self.fences: dict[int, int] = {}
        self.serial = 0

    def teardown(self) -> None:
        try:
            self.world.check_whole()
        finally:
            self.world.close()

    @initialize(cap=st.sampled_from([None, 1, 2]))
    def found(self, cap: int | None) -> None:
        self.world.project("open", None)
        self.world.project("capped", cap)
        self.world.agent("ada", "coder", ("python", "sql"), 2)
        self.world.agent("bob", None, (), 1)
        self.world.agent("cy", "coder", (), 3)
        self.world.agent("rev", "qa", ("sql",), 1)
        for n in range(1, 7):
            review = "qa" if n % 2 else None
            waits = (n - 2,) if n > 4 else ()
            plain = PlainTask(
                n, PROJECTS[n % 2], n % 2, blockers=waits, review=review, max_retries=1
            )
            self.world.create(self.next("create"), plain)

    def task(self, pick: int) -> PlainTask:
        return self.model.tasks[pick % len(self.model.tasks) + 1]

    def next(self, word: str) -> str:
        self.serial += 1
        return f"{word}-{self.serial:06}"

    # -- creating --------------------------------------------------------------------------

    @rule(
        project=projects,
        priority=st.integers(-1, 1),
        role=st.sampled_from([None, None, "coder"]),
        skills=st.sampled_from([(), (), ("sql",), ("python", "sql")]),
        who=st.sampled_from([None, None, None, "ada", "cy", "member"]),
        review=st.booleans(),
        retries=st.integers(0, 1),
        waits_for=st.lists(picks, max_size=2),
        repeat=st.booleans(),
    )
    def create(
        self, project: str, priority: int, role: str | None, skills: tuple[str, ...],
        who: str | None, review: bool, retries: int, waits_for: list[int], repeat: bool,
    ) -> None:  # fmt: skip
        behind = [self.task(pick) for pick in waits_for]
        plain = PlainTask(
            n=len(self.model.tasks) + 1,
            project=project,
            priority=priority,
            role=role,
            skills=frozenset(skills),
            agent=who if who != "member" else None,
            member=who if who == "member" else None,
            review="qa" if review else None,
            max_retries=retries,
            blockers=tuple(dict.fromkeys(t.n for t in behind if t.project == project)),
        )
        key = self.next("create")
        for _ in range(1 + repeat):
            self.world.create(key, plain)

    # -- claiming --------------------------------------------------------------------------

    @rule(name=names, strict=st.booleans(), readopt=st.sampled_from([False, False, True]))
    def claim(self, name: str, strict: bool, readopt: bool) -> None:
        same(
            *self.world.both(
                lambda: self.model.claim(name, strict=strict, readopt=readopt),
                self.shop.claim(name, strict_role=strict, readopt=readopt),
            )
        )

    @precondition(lambda self: not self.model.stops)
    @rule(order=st.lists(names, min_size=2, max_size=6))
    def claim_side_by_side(self, order: list[str]) -> None:
        for name, task in zip(order, self.world.side_by_side(order), strict=True):
            same(self.model.claim(name), task)

    @rule(name=names, pick=picks)
    def claim_one(self, name: str, pick: int) -> None:
        n = self.task(pick).n
        same(
            *self.world.both(
                lambda: self.model.claim_named(name, n),
                self.shop.claim(name, task=self.world.ids[n]),
            )
        )

    @precondition(lambda self: any(t.state is State.REVIEW for t in self.model.tasks.values()))
    @rule(name=st.sampled_from(["rev", "rev", "ada"]), verdict=st.sampled_from([None, *RESULTS]))
    def review(self, name: str, verdict: State | None) -> None:
        """A review, and what comes of it at once, if anything."""
        expected, got = self.world.both(
            lambda: self.model.claim_review(name), self.shop.claim(name, review=True)
        )
        same(expected, got)
        if expected is not None and verdict is not None:
            self.report(name, expected, verdict, None, expected.token)

    @rule(name=names, key=st.sampled_from(["k1", "k2"]))
    def claim_with_a_key_that_repeats(self, name: str, key: str) -> None:
        def plain() -> PlainTask | None:
            self.model.admit(name)
            n, token = self.kept.get((name, key), (0, 0))
            if n and self.model.holds(name, n, token):
                return self.model.tasks[n]
            return self.model.claim(name)

        expected, got = self.world.both(plain, self.world.keyed_claim(name, key))
        same(expected, got)
        if expected is not None:
            self.kept[name, key] = (expected.n, expected.token)

    @rule(
        name=names,
        to=st.sampled_from(RESULTS),
        passing_ms=st.sampled_from([0, 0, 0, LEASE_MS - 1, LEASE_MS]),
    )
    def work(self, name: str, to: State, passing_ms: int) -> None:
        """A claim, some time, a result under its fence."""
        expected, got = self.world.both(lambda: self.model.claim(name), self.shop.claim(name))
        same(expected, got)
        if expected is not None:
            self.advance(passing_ms)
            self.report(name, expected, to, None, expected.token)

    # -- holding ---------------------------------------------------------------------------

    @rule(
        name=names, pick=picks, to=st.sampled_from(RESULTS),
        fence=st.sampled_from([None, 0, -1]), output=st.sampled_from([None, 1]),
    )  # fmt: skip
    def result_of_anything(
        self, name: str, pick: int, to: State, fence: int | None, output: Any
    ) -> None:
        """Most often by somebody who does not hold it."""
        task = self.task(pick)
        self.report(name, task, to, output, None if fence is None else task.token + fence)

    @precondition(lambda self: self.model.held())
    @rule(
        pick=picks, to=st.sampled_from(RESULTS), fence=st.sampled_from([None, 0, 0, -1]),
        output=st.sampled_from([None, 1]),
    )  # fmt: skip
    def result_by_its_holder(self, pick: int, to: State, fence: int | None, output: Any) -> None:
        held = self.model.held()
        task = held[pick % len(held)]
        name = task.reviewer or task.agent or ""
        self.report(name, task, to, output, None if fence is None else task.token + fence)

    @precondition(lambda self: self.model.held())
    @rule(pick=picks, to=st.sampled_from([State.DONE, State.REVIEW]))
    def finish(self, pick: int, to: State) -> None:
        held = self.model.held()
        task = held[pick % len(held)]
        self.report(task.reviewer or task.agent or "", task, to, 1, task.token)

    def report(self, name: str, task: PlainTask, to: State, output: Any, token: int | None) -> None:
        word = "inbox" if to is State.QUEUED else to.value
        request = reporting.ResultRequest(self.world.ids[task.n], word, output, lease_token=token)
        key = self.next("result")
        _, reply = self.world.both(
            lambda: self.model.result(name, task.n, to, output, token),
            self.world.keyed_result(name, key, request),
        )
        if reply is not None:
            assert json.loads(reply.body) == [task.n, task.state.value, task.token]
            self.replies[key] = (name, task.n, request, reply.body)

    @precondition(lambda self: self.replies)
    @rule(pick=picks)
    def the_same_result_by_its_key(self, pick: int) -> None:
        key = sorted(self.replies)[pick % len(self.replies)]
        name, n, request, body = self.replies[key]
        _, reply = self.world.both(
            lambda: self.model.admit(name, self.model.tasks[n]),
            self.world.keyed_result(name, key, request),
        )
        if reply is not None:
            assert (reply.body, reply.replayed) == (body, True)

    @rule(name=names)
    def beat(self, name: str) -> None:
        expected, got = self.world.both(lambda: self.model.beat(name), self.shop.beat(name))
        assert got == expected

    @rule(ms=st.sampled_from(PASSING_MS))
    def time_passes(self, ms: int) -> None:
        self.advance(ms)

    def advance(self, ms: int) -> None:
        self.world.clock.advance(ms)
        self.model.now = self.world.clock.now_ms()

    @rule()
    def expire(self) -> None:
        expected, got = self.world.both(self.model.expire, self.shop.expire())
        assert got == expected

    # -- by hand ---------------------------------------------------------------------------

    @rule(pick=picks, name=names)
    def assign(self, pick: int, name: str) -> None:
        n = self.task(pick).n
        self.world.both(
            lambda: self.model.assign(n, name), self.shop.assign(self.world.ids[n], name)
        )

    @rule(pick=picks, who=st.sampled_from([None, "ada", "bob", "member"]))
    def reassign(self, pick: int, who: str | None) -> None:
        n = self.task(pick).n
        agent, member = (None, who) if who == "member" else (who, None)
        change: dict[str, Any] = {"agent": agent} if agent else {"agent": None, "member": member}
        self.world.both(
            lambda: self.model.reassign(n, agent, member),
            self.shop.patch(self.world.ids[n], **change),
        )

    @rule(pick=picks, priority=st.integers(-2, 2), role=st.sampled_from([None, "coder", "qa"]))
    def patch(self, pick: int, priority: int, role: str | None) -> None:
        n = self.task(pick).n
        self.world.both(
            lambda: self.model.patch(n, priority, role),
            self.shop.patch(self.world.ids[n], priority=priority, input={"ownerRole": role}),
        )

    @rule(pick=picks, waits_for=st.lists(picks, max_size=3))
    def wait_for(self, pick: int, waits_for: list[int]) -> None:
        n, behind = self.task(pick).n, [self.task(other).n for other in waits_for]
        ids = tuple(self.world.ids[b] for b in behind)
        self.world.both(
            lambda: self.model.block(n, behind), self.shop.patch(self.world.ids[n], blockers=ids)
        )

    @rule(pick=picks)
    def archive(self, pick: int) -> None:
        n = self.task(pick).n
        self.world.both(lambda: self.model.archive(n), self.shop.archive(self.world.ids[n]))

    @rule(pick=picks, to=st.sampled_from(list(State)))
    def move(self, pick: int, to: State) -> None:
        n = self.task(pick).n
        self.world.both(lambda: self.model.move(n, to), self.shop.move(self.world.ids[n], to))

    @precondition(lambda self: any(t.state is State.DONE for t in self.model.tasks.values()))
    @rule(pick=picks)
    def reopen(self, pick: int) -> None:
        done = [t.n for t in self.model.tasks.values() if t.state is State.DONE]
        n = done[pick % len(done)]
        self.world.both(
            lambda: self.model.move(n, State.REVIEW),
            self.shop.move(self.world.ids[n], State.REVIEW),
        )

    @precondition(lambda self: len(self.model.at_work("capped")) > 1)
    @rule()
    def lower_the_cap(self) -> None:
        """Below what is at work: as agents leave, the lanes stay closed."""
        self.change_project("capped", 1, True)

    @rule(
        project=projects,
        cap=st.sampled_from([None, 1, 2]),
        active=st.sampled_from([True, True, False]),
    )
    def project_changes(self, project: str, cap: int | None, active: bool) -> None:
        self.change_project(project, cap, active)

    def change_project(self, project: str, cap: int | None, active: bool) -> None:
        plain = self.model.projects[project]
        plain.cap, plain.active = cap, active
        self.world.run(
            self.shop.set_project(
                self.world.projects[project],
                max_active_agents=cap,
                status="active" if active else "paused",
            )
        )

    # -- STOP ------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.stops) < MAX_STOPS)
    @rule(scope=st.sampled_from(["company", "project", "agent"]), pick=picks)
    def stop(self, scope: str, pick: int) -> None:
        subject = {
            "company": "",
            "project": PROJECTS[pick % len(PROJECTS)],
            "agent": NAMES[pick % len(NAMES)],
        }[scope]
        self.world.stop(self.next("stop"), scope, subject)

    @precondition(lambda self: len(self.model.stops) < MAX_STOPS)
    @rule(scope=st.sampled_from(["task", "trace"]), pick=picks)
    def stop_work(self, scope: str, pick: int) -> None:
        self.world.stop(self.next("stop"), scope, self.task(pick).n)

    @precondition(lambda self: self.model.stops)
    @rule(pick=picks)
    def lift(self, pick: int) -> None:
        key = sorted(self.model.stops)[pick % len(self.model.stops)]
        self.model.lift(key)
        self.world.run(self.shop.lift(self.world.stops.pop(key)))

    # -- the store -------------------------------------------------------------------------

    @rule(killed=st.booleans())
    def restart(self, killed: bool) -> None:
        self.world.restart(killed=killed)

    @invariant()
    def both_agree(self) -> None:
        self.world.check()

    @invariant()
    def fences_grow(self) -> None:
        for n, task in self.model.tasks.items():
            assert task.token >= self.fences.get(n, 0)
            self.fences[n] = task.token


def test_tasks_beside_a_plain_model(engine: Engine, profile: Profile) -> None:
    examples, steps = PLAN[profile.name]
    run_state_machine_as_test(
        type("Machine", (TasksMachine,), {"engine": engine}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
