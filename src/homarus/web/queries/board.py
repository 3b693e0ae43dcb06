"""The Board: one column per canonical state (dashboard contract, 2).

Open states are listed oldest first, as they will be worked on; ended ones newest first.
"""

from typing import Any, Final

import msgspec

from homarus.store.port import Rx
from homarus.tasks.model import State
from homarus.web.queries import MAX_COUNT, MAX_TITLE, PAGE, WINDOW, counted

COLUMNS: Final = (
    State.INBOX,
    State.QUEUED,
    State.IN_PROGRESS,
    State.REVIEW,
    State.BLOCKED,
    State.FAILED,
    State.DEAD_LETTER,
    State.DONE,
)
"""As shown; archived tasks only when asked for."""
NEWEST_FIRST: Final = frozenset({State.DONE, State.FAILED, State.DEAD_LETTER, State.ARCHIVED})
MAX_CHOICES: Final = 200


class Filter(msgspec.Struct, frozen=True):
    """What the URL narrows the Board to; None: not narrowed. `project`, `agent` are ids."""

    project: str | None = None
    agent: str | None = None
    role: str | None = None

    @property
    def narrows(self) -> bool:
        return any((self.project, self.agent, self.role))


class Card(msgspec.Struct, frozen=True):
    """A task in a column. `since_ms`: creation, or the end of an ended one. `lease_ms`: its end."""

    id: str
    number: str
    title: str
    priority: int
    who: str | None
    since_ms: int
    reason: str | None
    waits: int
    retries: int
    lease_ms: int | None


class Column(msgspec.Struct, frozen=True):
    """`count` in words; `last` the number to go on after, None at the end; `looked`: how many
    tasks a filter looked through, None when it saw all."""

    state: State
    cards: list[Card]
    count: str
    last: int | None
    looked: int | None = None


class Choice(msgspec.Struct, frozen=True):
    id: str
    label: str


def title_of(rx: Rx) -> str:
    """SQL for a task's title, cut; JSON with an escaped NUL is no title on PostgreSQL."""
    if rx.dialect == "postgres":
        text = "case when strpos(s.input, '\\u0000')=0 then s.input::json->>'title' end"
    else:
        text = "json_extract(s.input, '$.title')"
    return f"coalesce(substr(cast({text} as text), 1, {MAX_TITLE}), s.type)"


def board(
    rx: Rx, company: str, states: tuple[State, ...], chosen: Filter, after: int | None = None
) -> list[Column]:
    """Columns of `states`; `after` (with a single state): last number of the page before."""
    return [_column(rx, company, state, chosen, after) for state in states]


def _column(rx: Rx, company: str, state: State, chosen: Filter, after: int | None) -> Column:
    newest = state in NEWEST_FIRST
    way, beyond = ("desc", "<") if newest else ("asc", ">")
    start = after if after is not None else (2**62 if newest else 0)
    wanted, params = _wanted(chosen)
    window = WINDOW if chosen.narrows else PAGE + 1
    rows = rx.all(
        f"select t.id, t.seq, {title_of(rx)}, t.priority, t.member, a.name, r.name, "  # noqa: S608
        f"t.created_ms, t.updated_ms, {_reason(state)}, t.blocked, t.retries, t.lease_until_ms "
        f"from ({_window(beyond, way)}) t "
        "join task_spec s on s.task=t.id left join agent a on a.id=t.agent "
        "left join agent r on r.id=t.reviewer "
        f"where {wanted} order by t.seq {way} limit ?",
        (company, state.value, start, window, *params, PAGE + 1),
    )
    cards = [_card(state, row) for row in rows[:PAGE]]
    last = rows[PAGE - 1][1] if len(rows) > PAGE else None
    if not chosen.narrows:
        return Column(state, cards, _total(rx, company, state), last)
    matched, seen, end = _matched(rx, company, state, chosen, start)
    cut = seen == WINDOW
    return Column(
        state, cards, counted(matched), last or (end if cut else None), WINDOW if cut else None
    )


def _reason(state: State) -> str:
    """SQL for why a task is where it is; one that failed says so in its result."""
    if state is not State.FAILED:
        return "t.reason"
    result = f"select substr(comment, 1, {MAX_TITLE}) from task_result where task=t.id"  # noqa: S608
    return f"coalesce(t.reason, ({result}))"


def _window(beyond: str, way: str) -> str:
    return (
        "select id, seq, project, priority, agent, member, reviewer, created_ms, updated_ms, "  # noqa: S608
        "reason, blocked, retries, lease_until_ms from task "
        f"where company=? and state=? and seq{beyond}? order by seq {way} limit ?"
    )


def _wanted(chosen: Filter) -> tuple[str, list[str]]:
    """Conditions of a filter and their parameters."""
    parts = {"t.project=?": chosen.project, "t.agent=?": chosen.agent, "s.role=?": chosen.role}
    used = {sql: value for sql, value in parts.items() if value}
    return " and ".join(used) or "1=1", list(used.values())


def _matched(
    rx: Rx, company: str, state: State, chosen: Filter, start: int
) -> tuple[int, int, int | None]:
    """`(matching, looked at, number of the last one looked at)` of a filter's window."""
    newest = state in NEWEST_FIRST
    way, beyond = ("desc", "<") if newest else ("asc", ">")
    wanted, params = _wanted(chosen)
    end = "min" if newest else "max"
    row = rx.one(
        f"select coalesce(sum(case when {wanted} then 1 else 0 end), 0), count(*), {end}(t.seq) "  # noqa: S608
        f"from ({_window(beyond, way)}) t join task_spec s on s.task=t.id",
        (*params, company, state.value, start, WINDOW),
    )
    return (0, 0, None) if row is None else (int(row[0]), int(row[1]), row[2])


def _total(rx: Rx, company: str, state: State) -> str:
    row = rx.one(
        "select count(*) from (select 1 from task where company=? and state=? limit ?) n",
        (company, state.value, MAX_COUNT + 1),
    )
    return counted(0 if row is None else int(row[0]))


def _card(state: State, row: tuple[Any, ...]) -> Card:
    (
        task, seq, title, priority, member, agent, reviewer, created, updated, reason, blocked,
        retries, lease,
    ) = row  # fmt: skip
    holder = reviewer if state is State.REVIEW and reviewer else agent
    return Card(
        id=task,
        number=f"T-{seq}",
        title=title,
        priority=priority,
        who=member or holder,
        since_ms=updated if state in NEWEST_FIRST else created,
        reason=reason,
        waits=blocked if state in (State.QUEUED, State.INBOX, State.BLOCKED) else 0,
        retries=retries,
        lease_ms=lease,
    )


def projects(rx: Rx, company: str) -> list[Choice]:
    """What the Board can be narrowed to: the newest projects."""
    rows = rx.all(
        "select id, no, substr(goal, 1, 60) from project where company=? and deleted_ms is null "
        "order by created_ms desc limit ?",
        (company, MAX_CHOICES),
    )
    return [Choice(row[0], f"P-{row[1]} {row[2]}") for row in rows]


def agents(rx: Rx, company: str) -> list[Choice]:
    rows = rx.all(
        "select id, name from agent where company=? and deleted_ms is null order by name limit ?",
        (company, MAX_CHOICES),
    )
    return [Choice(row[0], row[1]) for row in rows]


def roles(rx: Rx, company: str) -> list[Choice]:
    """Roles that agents of the company have."""
    rows = rx.all(
        "select distinct role from (select role from agent where company=? "
        "and deleted_ms is null and role is not null order by name limit ?) r order by role",
        (company, 10 * MAX_CHOICES),
    )
    return [Choice(row[0], row[0]) for row in rows]
