"""Agents: the roster by name, and one agent with its work and what it may do."""

import json
from typing import Any, Final

import msgspec

from homarus.base.action import Effect
from homarus.company.agents import Agent, by_id
from homarus.kernel.capabilities import BUILTIN
from homarus.kernel.facts import GOVERNED_ROLES
from homarus.store.port import Rx
from homarus.tasks.model import State
from homarus.web.queries import MAX_COUNT, PAGE, WINDOW, counted
from homarus.web.queries.board import NEWEST_FIRST, title_of

SILENT_MS: Final = 120_000
"""An agent that was not heard of for this long is shown as silent, whatever its row says."""
MAX_CURRENT: Final = 3
MAX_WORK: Final = 20
MAX_GRANTS: Final = 200
WORK: Final = (State.IN_PROGRESS, State.REVIEW, State.BLOCKED, State.QUEUED, State.FAILED,
               State.DEAD_LETTER, State.DONE)  # fmt: skip


class Item(msgspec.Struct, frozen=True):
    """A task as a line under an agent."""

    number: str
    title: str
    state: State
    priority: int
    since_ms: int
    lease_ms: int | None


class Row(msgspec.Struct, frozen=True):
    """A line of the roster. `state` is a word of `state_of`; `more`: tasks beyond `current`."""

    id: str
    name: str
    role: str | None
    state: str
    active: int
    limit: int
    load: int
    seen_ms: int | None
    trust: int
    current: list[Item]
    more: int


class Roster(msgspec.Struct, frozen=True):
    rows: list[Row]
    count: str
    last: str | None


class May(msgspec.Struct, frozen=True):
    """One thing that an agent may do, and why. `effect` as the kernel records it."""

    id: str
    about: str
    effect: str
    why: str


class Pass(msgspec.Struct, frozen=True):
    """An access token that may act as the agent; never its secret."""

    name: str
    kind: str
    how: str
    state: str
    expires_ms: int | None


class Profile(msgspec.Struct, frozen=True):
    """One agent. `work`: its tasks by state, and whether there are more of that state than shown;
    `cut`: tasks before its last WINDOW were left out."""

    agent: Agent
    state: str
    governed: bool
    work: list[tuple[State, list[Item], bool]]
    cut: bool
    may: list[May]
    passes: list[Pass]


def state_of(*, suspended: bool, active: int, status: str, seen_ms: int | None, now_ms: int) -> str:
    """suspended, working, online, silent, offline or never: only what the rows bear out."""
    if suspended:
        return "suspended"
    fresh = seen_ms is not None and now_ms - seen_ms < SILENT_MS
    if active:
        return "working" if fresh or seen_ms is None else "silent"
    if seen_ms is None:
        return "never"
    if status != "online":
        return "offline"
    return "online" if fresh else "silent"


def roster(rx: Rx, company: str, after: str | None = None) -> Roster:
    """A page by name; `after` is the last name of the page before."""
    rows = rx.all(
        "select id, name, role, suspended, status, active, concurrency_limit, current_load, "
        "last_seen_ms, trust from agent where company=? and deleted_ms is null and name>? "
        "order by name limit ?",
        (company, after or "", PAGE + 1),
    )
    total = rx.one(
        "select count(*) from (select 1 from agent where company=? and deleted_ms is null "
        "limit ?) n",
        (company, MAX_COUNT + 1),
    )
    return Roster(
        [_row(rx, row) for row in rows[:PAGE]],
        counted(0 if total is None else int(total[0])),
        rows[PAGE - 1][1] if len(rows) > PAGE else None,
    )


def _row(rx: Rx, row: tuple[Any, ...]) -> Row:
    agent, name, role, suspended, status, active, limit, load, seen, trust = row
    current = _held(rx, agent, MAX_CURRENT)
    return Row(
        id=agent,
        name=name,
        role=role,
        state=state_of(
            suspended=bool(suspended),
            active=active,
            status=status,
            seen_ms=seen,
            now_ms=rx.now_ms,
        ),
        active=active,
        limit=limit,
        load=load,
        seen_ms=seen,
        trust=trust,
        current=current,
        more=max(0, active - len(current)),
    )


def _held(rx: Rx, agent: str, limit: int) -> list[Item]:
    """What an agent works on, the newest first."""
    return _items(
        rx,
        "agent=? and state='in_progress' order by +seq desc limit ?",
        (agent, limit),
    )


def _items(rx: Rx, which: str, params: tuple[Any, ...]) -> list[Item]:
    rows = rx.all(
        f"select t.seq, {title_of(rx)}, t.state, t.priority, t.created_ms, t.updated_ms, "  # noqa: S608
        "t.started_ms, t.lease_until_ms from (select id, seq, state, priority, created_ms, "
        f"updated_ms, started_ms, lease_until_ms from task where {which}) t "
        "join task_spec s on s.task=t.id order by t.seq desc",
        params,
    )
    return [
        Item(
            number=f"T-{seq}",
            title=title,
            state=State(state),
            priority=priority,
            since_ms=updated if state in NEWEST_FIRST else (started or created),
            lease_ms=lease,
        )
        for seq, title, state, priority, created, updated, started, lease in rows
    ]


def _work(rx: Rx, company: str, agent: str) -> tuple[list[tuple[State, list[Item], bool]], bool]:
    """Its tasks by state, at most MAX_WORK each, and whether older ones were left out."""
    recent = rx.all(
        "select seq, state from task where agent=? order by seq desc limit ?", (agent, WINDOW)
    )
    by_state: dict[str, list[int]] = {}
    for seq, state in recent:
        by_state.setdefault(state, []).append(seq)
    work = []
    for state in WORK:
        numbers = by_state.get(state, [])
        if state is State.IN_PROGRESS:
            items = _held(rx, agent, MAX_WORK + 1)
        elif numbers:
            marks = ",".join("?" * len(numbers[: MAX_WORK + 1]))
            which = f"company=? and seq in ({marks})"
            items = _items(rx, which, (company, *numbers[: MAX_WORK + 1]))
        else:
            items = []
        if items:
            work.append((state, items[:MAX_WORK], len(items) > MAX_WORK))
    return work, len(recent) == WINDOW


def profile(rx: Rx, company: str, ref: str) -> Profile | None:
    """One agent by id; None when this company has no such agent."""
    agent = by_id(rx, company, ref)
    if agent is None:
        return None
    work, cut = _work(rx, company, agent.id)
    return Profile(
        agent=agent,
        state=state_of(
            suspended=agent.suspended,
            active=agent.active,
            status=agent.status,
            seen_ms=agent.last_seen_ms,
            now_ms=rx.now_ms,
        ),
        governed=agent.role in GOVERNED_ROLES,
        work=work,
        cut=cut,
        may=_may(rx, company, agent),
        passes=_passes(rx, company, agent),
    )


def _may(rx: Rx, company: str, agent: Agent) -> list[May]:
    """What the kernel's table and the company's registry grant; STOP and suspension come on top."""
    built_in = [
        May(b.id, b.about, b.effect.name.lower(), "every agent")
        for b in BUILTIN.values()
        if b.agents
    ]
    reasons = {
        "*": "every agent",
        f"role:{agent.role}": f"role {agent.role}",
        f"agent:{agent.id}": "granted to it",
    }
    registered = []
    for capability, title, effect, grants in rx.all(
        "select id, title, effect, grants from capability where company=? and enabled=1 "
        "order by id limit ?",
        (company, MAX_GRANTS),
    ):
        why = [reasons[grant] for grant in json.loads(grants) if grant in reasons]
        if why:
            registered.append(May(capability, title, Effect(effect).name.lower(), why[0]))
    return registered + built_in


def _passes(rx: Rx, company: str, agent: Agent) -> list[Pass]:
    rows = rx.all(
        "select t.name, t.kind, coalesce(g.how, 'its own'), t.revoked_ms, t.expires_ms "
        "from token t left join token_agent g on g.token=t.id and g.agent=? "
        "where t.company=? and (t.agent=? or g.agent is not null) "
        "order by t.created_ms desc limit ?",
        (agent.id, company, agent.id, MAX_GRANTS),
    )
    found = []
    for name, kind, how, revoked, expires in rows:
        ended = expires is not None and expires <= rx.now_ms
        word = "revoked" if revoked is not None else "expired" if ended else "valid"
        found.append(Pass(name, kind, how, word, expires))
    return found
