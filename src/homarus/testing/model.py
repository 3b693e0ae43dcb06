"""The task machine as a plain model: dictionaries, no SQL, no lanes, no counters.

It says what the contract and the design say, in the plainest way, so that a state machine test can
drive it beside a real store and compare after each step. Tasks go by number (`T-n` is n), agents by
name, projects by any key. A call returns what the real one answers, or raises `Refusal`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from homarus.flows.claiming import MAX_PUT_ASIDE
from homarus.flows.leases import RENEW_MS
from homarus.tasks.model import FINISHED, LEASE_MS, WAITING, Mover, State, may_move

STOP_REASON: Final = "stop"


class Refusal(Exception):
    """The real call fails with one of these codes."""

    def __init__(self, *codes: str) -> None:
        super().__init__(", ".join(codes))
        self.codes = codes


@dataclass
class PlainAgent:
    role: str | None = None
    skills: frozenset[str] = frozenset()
    limit: int = 1


@dataclass
class PlainProject:
    cap: int | None = None
    active: bool = True


@dataclass
class PlainTask:
    n: int
    project: str
    priority: int = 0
    role: str | None = None
    skills: frozenset[str] = frozenset()
    review: str | None = None
    """Role whose review the Definition of Done wants."""
    agent: str | None = None
    member: str | None = None
    blockers: tuple[int, ...] = ()
    max_retries: int = 3
    state: State = State.QUEUED
    token: int = 0
    until: int | None = None
    reviewer: str | None = None
    started: int = 0
    retries: int = 0
    reason: str | None = None
    met: bool = False
    said: tuple[str, object, str] | None = None
    """The last terminal result: state, output, by whom."""
    claimed_by: set[str] = field(default_factory=set)

    def free(self) -> None:
        self.until = self.reviewer = None


@dataclass
class PlainModel:
    """`stops`: scope and subject by a key of the caller's; traces go by their task's number."""

    now: int
    agents: dict[str, PlainAgent] = field(default_factory=dict)
    projects: dict[str, PlainProject] = field(default_factory=dict)
    tasks: dict[int, PlainTask] = field(default_factory=dict)
    stops: dict[str, tuple[str, str | int]] = field(default_factory=dict)

    # -- questions -------------------------------------------------------------------------

    def need(self, n: int) -> PlainTask:
        task = self.tasks[n]
        if task.state is State.ARCHIVED:
            raise Refusal("task.unknown")
        return task

    def blocked(self, task: PlainTask) -> int:
        return sum(self.tasks[n].state not in FINISHED for n in task.blockers)

    def in_hand(self, agent: str) -> list[PlainTask]:
        return [t for t in self.tasks.values() if t.state is State.IN_PROGRESS and t.agent == agent]

    def held(self) -> list[PlainTask]:
        """Everything with a live lease, in hand or in review."""
        return [t for t in self.tasks.values() if t.until is not None and t.until > self.now]

    def at_work(self, project: str) -> set[str | None]:
        return {
            t.agent
            for t in self.tasks.values()
            if t.project == project and t.state is State.IN_PROGRESS
        }

    def stopped(self, task: PlainTask, *scopes: str) -> bool:
        subjects: dict[str, str | int] = {
            "task": task.n, "trace": task.n, "project": task.project, "company": "",
            "agent": task.agent or "",
        }  # fmt: skip
        return any((scope, subjects[scope]) in self.stops.values() for scope in scopes)

    def admit(self, agent: str, task: PlainTask | None = None) -> None:
        """STOP binds agents, not operators. Which of several says no is not promised."""
        codes = [
            f"stop.{scope}"
            for scope, subject in self.stops.values()
            if scope == "company"
            or (scope == "agent" and subject == agent)
            or (task is not None and scope in ("task", "trace") and subject == task.n)
            or (task is not None and scope == "project" and subject == task.project)
        ]
        if codes:
            raise Refusal(*codes)

    def holds(self, name: str, n: int, token: int) -> bool:
        """Whether an agent has this very claim still, in hand or in review."""
        task = self.tasks[n]
        holder = {State.IN_PROGRESS: task.agent, State.REVIEW: task.reviewer}.get(task.state)
        live = task.until is not None and task.until > self.now
        return holder == name and task.token == token and live

    def fits(self, task: PlainTask, name: str, *, strict: bool) -> bool:
        """Whether an agent may have a waiting task, STOP of task and trace aside."""
        agent, project = self.agents[name], self.projects[task.project]
        at_work = self.at_work(task.project)
        full = project.cap is not None and len(at_work) >= project.cap and name not in at_work
        mine = task.agent == name
        return (
            task.member is None
            and (mine or task.agent is None)
            and not self.blocked(task)
            and (mine or not strict or task.role in (None, agent.role))
            and (mine or task.skills <= agent.skills)
            and project.active
            and not self.stopped(task, "project")
            and not full
        )

    # -- claims ----------------------------------------------------------------------------

    def claim(self, name: str, *, strict: bool = True, readopt: bool = False) -> PlainTask | None:
        self.admit(name)
        if readopt:
            held = [
                t for t in self.in_hand(name) if not self.stopped(t, "task", "trace", "project")
            ]
            if held:
                task = min(held, key=lambda t: (t.started, t.n))
                task.token += 1
                task.until = self.now + LEASE_MS
                return task
        for _ in range(MAX_PUT_ASIDE):
            fitting = [
                t
                for t in self.tasks.values()
                if t.state is State.QUEUED and self.fits(t, name, strict=strict)
            ]
            if not fitting:
                return None
            task = min(fitting, key=lambda t: (-t.priority, t.n))
            if not self.stopped(task, "task", "trace"):
                room = len(self.in_hand(name)) < self.agents[name].limit
                return self._take(task, name) if room else None
            task.state, task.reason = State.BLOCKED, STOP_REASON
        return None

    def claim_named(self, name: str, n: int, *, strict: bool = True) -> PlainTask:
        self.admit(name, self.tasks[n])
        task = self.need(n)
        room = len(self.in_hand(name)) < self.agents[name].limit
        back = task.state is State.REVIEW and task.agent == name and task.until is None
        waiting = task.state is State.QUEUED or back
        if not (room and waiting and self.fits(task, name, strict=strict)):
            raise Refusal("task.not_claimable")
        return self._take(task, name)

    def _take(self, task: PlainTask, name: str) -> PlainTask:
        task.state, task.agent, task.reason = State.IN_PROGRESS, name, None
        task.token += 1
        task.until, task.started = self.now + LEASE_MS, self.now
        task.claimed_by.add(name)
        return task

    def claim_review(self, name: str) -> PlainTask | None:
        self.admit(name)
        waiting = [
            t
            for t in self.tasks.values()
            if t.state is State.REVIEW
            and t.until is None
            and t.review is not None
            and t.review == self.agents[name].role
            and not t.met
            and t.agent != name
            and not self.stopped(t, "task", "trace", "project")
        ]
        if not waiting:
            return None
        task = min(waiting, key=lambda t: (-t.priority, t.n))
        task.reviewer, task.until = name, self.now + LEASE_MS
        task.token += 1
        task.claimed_by.add(name)
        return task

    # -- results and leases ----------------------------------------------------------------

    def result(
        self, name: str, n: int, to: State, output: object = None, token: int | None = None
    ) -> PlainTask:
        self.admit(name, self.tasks[n])
        task = self.need(n)
        terminal = to in (State.DONE, State.FAILED)
        if task.state is to and terminal and task.said == (to.value, output, name):
            return task
        reviewing = task.state is State.REVIEW and task.reviewer == name
        self._check_holder(task, name, token, reviewing)
        if to is State.IN_PROGRESS:
            if task.state is not State.IN_PROGRESS:
                raise Refusal("task.illegal_move")
            task.until, task.said = self.now + LEASE_MS, None
            return task
        if not may_move(task.state, to, Mover.HOLDER):
            raise Refusal("task.illegal_move")
        if to is State.DONE and task.review is not None and not task.met:
            if not (reviewing and self.agents[name].role == task.review):
                raise Refusal("task.dod_unmet")
            task.met = True
        task.state, task.reason = to, None
        task.said = (to.value, output, name) if terminal else None
        task.free()
        if to is State.QUEUED:
            task.agent = None
        return task

    def _check_holder(self, task: PlainTask, name: str, token: int | None, reviewing: bool) -> None:
        holder = task.reviewer if reviewing else task.agent
        if holder != name and name not in task.claimed_by:
            raise Refusal("divert.wild_task")
        if holder != name or token not in (None, task.token):
            raise Refusal("task.lease_lost")
        if task.state is State.REVIEW and not reviewing:
            if task.until is not None:
                raise Refusal("task.lease_lost")
        elif task.until is not None and task.until <= self.now:
            raise Refusal("task.lease_lost")

    def beat(self, name: str) -> int:
        until, renewed = self.now + LEASE_MS, 0
        for task in self.tasks.values():
            mine = (task.state is State.IN_PROGRESS and task.agent == name) or (
                task.state is State.REVIEW and task.reviewer == name
            )
            if mine and task.until and self.now < task.until < until - RENEW_MS:
                task.until = until
                renewed += 1
        return renewed

    def expire(self) -> int:
        due = [t for t in self.tasks.values() if t.until is not None and t.until <= self.now]
        for task in due:
            task.free()
            if task.state is State.REVIEW:
                task.reason = None
            elif task.retries < task.max_retries:
                task.state, task.agent, task.reason = State.QUEUED, None, None
                task.retries += 1
            else:
                task.state = State.DEAD_LETTER
                task.reason = f"its lease ran out {task.retries + 1} times"
        return len(due)

    # -- by hand ---------------------------------------------------------------------------

    def assign(self, n: int, name: str) -> None:
        task = self.need(n)
        if task.state is State.IN_PROGRESS and task.agent == name:
            return
        self._waiting(task)
        task.agent, task.member = name, None

    def reassign(self, n: int, agent: str | None, member: str | None) -> None:
        """PATCH of the assignee; not both."""
        task = self.need(n)
        if (agent, member) != (task.agent, task.member):
            self._waiting(task)
            task.agent, task.member = agent, member

    def _waiting(self, task: PlainTask) -> None:
        if task.state not in WAITING:
            raise Refusal("task.claimed")

    def patch(self, n: int, priority: int, role: str | None) -> None:
        task = self.need(n)
        task.priority, task.role = priority, role

    def block(self, n: int, blockers: Iterable[int]) -> None:
        """PATCH of the blockers."""
        task = self.need(n)
        self._waiting(task)
        chosen = tuple(dict.fromkeys(blockers))
        if any(self.tasks[b].project != task.project for b in chosen):
            raise Refusal("task.blocker_foreign")
        if any(n == b or n in self._behind(b) for b in chosen):
            raise Refusal("task.blocker_cycle")
        task.blockers = chosen

    def _behind(self, n: int) -> set[int]:
        seen: set[int] = set()
        edge = [n]
        while edge:
            for b in self.tasks[edge.pop()].blockers:
                if b not in seen:
                    seen.add(b)
                    edge.append(b)
        return seen

    def archive(self, n: int) -> None:
        task = self.need(n)
        if task.state is State.IN_PROGRESS:
            raise Refusal("task.claimed")
        task.state, task.reason = State.ARCHIVED, None
        task.free()

    def move(self, n: int, to: State) -> None:
        task = self.need(n)
        if task.state is to:
            return
        if not may_move(task.state, to, Mover.OPERATOR):
            raise Refusal("task.illegal_move")
        if to is State.QUEUED:
            task.agent = task.agent if task.state in WAITING else None
            task.retries = 0
        if task.state is State.DONE:
            task.met = False
        task.state, task.reason = to, None
        task.free()

    # -- STOP ------------------------------------------------------------------------------

    def stop(self, key: str, scope: str, subject: str | int) -> None:
        if scope == "task":
            self.need(int(subject))
        if (scope, subject) in self.stops.values():
            raise Refusal("stop.active")
        self.stops[key] = (scope, subject)
        if scope == "task" and self.tasks[int(subject)].state is State.QUEUED:
            self.tasks[int(subject)].state = State.BLOCKED
            self.tasks[int(subject)].reason = STOP_REASON

    def lift(self, key: str) -> None:
        self.stops.pop(key)
        self.give_back()

    def give_back(self) -> None:
        for task in self.tasks.values():
            if (
                task.state is State.BLOCKED
                and task.reason == STOP_REASON
                and not self.stopped(task, "company", "project", "agent", "task", "trace")
            ):
                task.state, task.reason = State.QUEUED, None
