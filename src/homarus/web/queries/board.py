"""The Board: one column per canonical state (dashboard contract, 2).

Open states are listed oldest first, as they will be worked on; ended ones newest first.
"""

from typing import Any, Final

import msgspec

from homarus.store.port import Rx
from homarus.tasks import sql as task_sql
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
    if chosen.narrows:
        return _narrowed(rx, company, state, chosen, after)
    where = _range(state, after)
    rows = _cards(rx, state, f"{where} limit ?", (company, state.value, PAGE + 1))
    return Column(
        state=state,
        cards=[_card(state, row) for row in rows[:PAGE]],
        count=_total(rx, company, state),
        last=rows[PAGE - 1][1] if len(rows) > PAGE else None,
    )


def _narrowed(rx: Rx, company: str, state: State, chosen: Filter, after: int | None) -> Column:
    """Which tasks of the next WINDOW match, then the first PAGE of those."""
    parts = {"t.project=?": chosen.project, "t.agent=?": chosen.agent, "s.role=?": chosen.role}
    used = {sql: value for sql, value in parts.items() if value}
    spec = "join task_spec s on s.task=t.id" if chosen.role else ""
    looked = rx.all(
        f"select t.seq, case when {' and '.join(used)} then 1 else 0 end "  # noqa: S608
        f"from (select id, seq, project, agent from task where {_range(state, after)} limit ?) t "
        f"{spec} order by t.seq {_way(state)}",
        (*used.values(), company, state.value, WINDOW),
    )
    found = [seq for seq, matches in looked if matches]
    shown = found[:PAGE]
    marks = ",".join("?" * len(shown))
    rows = _cards(rx, state, f"company=? and seq in ({marks})", (company, *shown)) if shown else []
    cut = len(looked) == WINDOW
    more = shown[-1] if len(found) > PAGE else looked[-1][0] if cut else None
    return Column(
        state=state,
        cards=[_card(state, row) for row in rows],
        count=counted(len(found)),
        last=more,
        looked=WINDOW if cut and len(found) <= PAGE else None,
    )


def _way(state: State) -> str:
    return "desc" if state in NEWEST_FIRST else "asc"


def _range(state: State, after: int | None) -> str:
    """The rest of a state's tasks after a number; parameters: company, state."""
    beyond = "" if after is None else f" and seq{'<' if state in NEWEST_FIRST else '>'}{int(after)}"
    return f"company=? and state=?{beyond} order by seq {_way(state)}"


def _cards(rx: Rx, state: State, which: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return rx.all(
        f"select t.id, t.seq, {title_of(rx)}, t.priority, t.member, a.name, r.name, "  # noqa: S608
        f"t.created_ms, t.updated_ms, {_reason(state)}, t.blocked, t.retries, t.lease_until_ms "
        "from (select id, seq, priority, agent, member, reviewer, created_ms, updated_ms, reason, "
        f"blocked, retries, lease_until_ms from task where {which}) t "
        "join task_spec s on s.task=t.id left join agent a on a.id=t.agent "
        f"left join agent r on r.id=t.reviewer order by t.seq {_way(state)}",
        params,
    )


def _reason(state: State) -> str:
    """SQL for why a task is where it is; one that failed says so in its result."""
    if state is not State.FAILED:
        return "t.reason"
    result = f"select substr(comment, 1, {MAX_TITLE}) from task_result where task=t.id"  # noqa: S608
    return f"coalesce(t.reason, ({result}))"


def _total(rx: Rx, company: str, state: State) -> str:
    return counted(task_sql.count_state(rx, company, state, MAX_COUNT + 1))


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
