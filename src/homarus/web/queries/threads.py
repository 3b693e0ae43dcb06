"""Threads: where people and agents talk, and one thread with its messages and what is under way.

A message's state is that of the turn it became, where it became one; else how far an agent that
runs elsewhere says it got.
"""

from typing import Any, Final

import msgspec

from homarus.base.ids import is_uuid
from homarus.company import agents
from homarus.control_plane import people
from homarus.conversations import sessions, sql
from homarus.conversations.model import DIRECT, TEAM, Conversation
from homarus.conversations.turns import State
from homarus.flows import turn_inbound
from homarus.store.paging import ABOVE_ALL
from homarus.store.port import Rx
from homarus.web.queries import MAX_COUNT, PAGE, counted
from homarus.web.queries.names import Names

MAX_SHOWN: Final = 4_000
"""Characters of one message on a page."""
MAX_LINE: Final = 200
MAX_PEOPLE: Final = 20
MAX_TOOLS: Final = 3
_MARGIN: Final = 200
"""Read beyond the cut, for `words.plain`."""
_OPEN: Final = "state in ('queued', 'running', 'parked')"
_OTHERS: Final = (
    "c.company=? and c.type<>'team' and (c.type<>'direct' or not exists("
    "select 1 from agent a where a.id=c.agent and a.deleted_ms is null))"
)


# -- the list --------------------------------------------------------------------------------


class Line(msgspec.Struct, frozen=True):
    """A thread in the list. `ref` opens it; `said`: its last message, None before the first;
    `waiting`: how many messages wait, `busy`: whether one is being answered."""

    ref: str
    kind: str
    title: str
    said: str | None = None
    who: str | None = None
    at_ms: int | None = None
    busy: bool = False
    waiting: int = 0


class Threads(msgspec.Struct, frozen=True):
    """`agents_last`, `others_last`: where the next page goes on, None at the end."""

    team: Line
    agents: list[Line]
    agents_count: str
    agents_last: str | None
    others: list[Line]
    others_count: str
    others_last: int | None
    people: list[people.Person]
    people_count: str


def listed(rx: Rx, company: str, after: str | None = None, before: int | None = None) -> Threads:
    """`after`: last agent's name, `before`: last number of the other threads of the page before."""
    names = Names(rx, company)
    hired = rx.all(
        "select id, name from agent where company=? and deleted_ms is null and name>? "
        "order by name limit ?",
        (company, after or "", PAGE + 1),
    )
    others = rx.all(
        f"select c.id, c.no, c.type, c.title from conversation c where {_OTHERS} "  # noqa: S608
        "and c.no<? order by c.no desc limit ?",
        (company, ABOVE_ALL if before is None else before, PAGE + 1),
    )
    known = people.found(rx, company)
    team = sql.team(rx, company)
    return Threads(
        team=_line(rx, names, TEAM, TEAM, "Team", team),
        agents=[
            _line(rx, names, agent, DIRECT, name, sql.direct(rx, company, agent))
            for agent, name in hired[:PAGE]
        ],
        agents_count=_total(rx, "agent c where c.company=? and c.deleted_ms is null", company),
        agents_last=hired[PAGE - 1][1] if len(hired) > PAGE else None,
        others=[
            _line(rx, names, thread, kind, title or kind, sql.conversation(rx, company, thread))
            for thread, _, kind, title in others[:PAGE]
        ],
        others_count=_total(rx, f"conversation c where {_OTHERS}", company),
        others_last=others[PAGE - 1][1] if len(others) > PAGE else None,
        people=known[:MAX_PEOPLE],
        people_count=counted(len(known)),
    )


def _total(rx: Rx, rows: str, company: str) -> str:
    row = rx.one(
        f"select count(*) from (select 1 from {rows} limit ?) n",  # noqa: S608
        (company, MAX_COUNT + 1),
    )
    return counted(0 if row is None else int(row[0]))


def _line(
    rx: Rx, names: Names, ref: str, kind: str, title: str, place: Conversation | None
) -> Line:
    if place is None:
        return Line(ref, kind, title)
    last = _messages(rx, place.id, ABOVE_ALL, 1, MAX_LINE)
    session = sessions.at(rx, place.company, place.id)
    busy, waiting = (False, 0) if session is None else _load(rx, session.id)
    if not last:
        return Line(ref, kind, title, busy=busy, waiting=waiting)
    row = last[0]
    return Line(ref, kind, title, row.text, _speaker(names, row), row.at_ms, busy, waiting)


def _load(rx: Rx, session: str) -> tuple[bool, int]:
    """Whether a turn runs or is parked, and how many wait."""
    rows = rx.all(
        f"select state from turn where session=? and {_OPEN} order by no limit ?",  # noqa: S608
        (session, MAX_COUNT + 1),
    )
    waiting = sum(state == State.QUEUED for (state,) in rows)
    return len(rows) > waiting, waiting


# -- one thread ------------------------------------------------------------------------------


class Place(msgspec.Struct, frozen=True):
    """What an address means. `conversation` None: nobody has said anything there yet; `agent`: who
    is spoken to there, `here`: by name, when this daemon runs it."""

    ref: str
    title: str
    kind: str
    conversation: Conversation | None
    agent: agents.Agent | None

    @property
    def here(self) -> bool:
        return self.agent is not None and self.agent.executor == turn_inbound.LLM


class Said(msgspec.Struct, frozen=True):
    """A message. `state`: a word of `words.DELIVERY`, None for what waits for nobody; `why` and
    `remedy`: of one that failed; `length`: of the whole text; `by`: who changed or dropped it."""

    id: str
    seq: int
    who: str
    kind: str
    relayed: bool
    text: str
    length: int
    at_ms: int
    state: str | None = None
    code: str | None = None
    why: str | None = None
    remedy: str | None = None
    by: str | None = None
    edited: bool = False
    task: str | None = None


class Open(msgspec.Struct, frozen=True):
    """A turn under way or waiting. `again`: it was begun before and put aside; `asks`: the
    approval it waits for; `asked_by`: as receipts name the actor; `fixed`: holds more than text."""

    id: str
    state: State
    text: str
    since_ms: int
    asked_by: str
    who: str
    again: bool
    attempts: int
    calls: int
    tools: list[str]
    asks: str | None
    by: str | None
    fixed: bool


class Thread(msgspec.Struct, frozen=True):
    """Oldest first. `older`: where the page before goes on; `cut`: turns that wait beyond those
    shown; `count`, `waiting`: in words."""

    place: Place
    said: list[Said]
    count: str
    older: int | None
    running: list[Open]
    queue: list[Open]
    waiting: str
    cut: bool


class Row(msgspec.Struct, frozen=True, gc=False):
    """A message as read, its text cut."""

    id: str
    seq: int
    kind: str
    sender: str | None
    text: str
    length: int
    at_ms: int
    state: str
    relayed: int


def find(rx: Rx, company: str, ref: str) -> Place | None:
    """`team`, a thread's id, or an agent's, whose own thread is meant; None: neither."""
    if ref == TEAM:
        return Place(TEAM, "Team", TEAM, sql.team(rx, company), None)
    if not is_uuid(ref.lower()):
        return None
    row = sql.conversation(rx, company, ref.lower())
    if row is None:
        agent = agents.by_id(rx, company, ref.lower())
        if agent is None:
            return None
        return Place(agent.id, agent.name, DIRECT, sql.direct(rx, company, agent.id), agent)
    if row.type == TEAM:
        return Place(TEAM, "Team", TEAM, row, None)
    listener = row.agent
    if listener is None:
        session = sessions.at(rx, company, row.id)
        listener = None if session is None else session.agent
    agent = None if listener is None else agents.by_id(rx, company, listener)
    if row.type == DIRECT:
        gone = Names(rx, company).agent(row.agent or "") or "an agent that is gone"
        return Place(row.agent or row.id if agent else row.id, gone, DIRECT, row, agent)
    return Place(row.id, row.title or f"{row.type} {row.no}", row.type, row, agent)


def thread(rx: Rx, company: str, place: Place, before: int | None = None) -> Thread:
    """The newest page before message `before`, and what is under way."""
    if place.conversation is None:
        return Thread(place, [], "0", None, [], [], "0", False)
    names = Names(rx, company)
    rows = _messages(rx, place.conversation.id, before or ABOVE_ALL, PAGE + 1, MAX_SHOWN)
    shown = rows[:PAGE][::-1]
    session = sessions.at(rx, company, place.conversation.id)
    under_way = [] if session is None else _open(rx, company, names, session.id)
    queue = [row for row in under_way if row.state is State.QUEUED]
    return Thread(
        place=place,
        said=_with_turns(rx, names, shown),
        count=_total(rx, "message c where c.conversation=?", place.conversation.id),
        older=shown[0].seq if len(rows) > PAGE else None,
        running=[row for row in under_way if row.state is not State.QUEUED],
        queue=queue[:PAGE],
        waiting=counted(len(queue)),
        cut=len(queue) > PAGE,
    )


def _messages(rx: Rx, conversation: str, before: int, limit: int, chars: int) -> list[Row]:
    """Newest first. A message is relayed when its metadata says so; the daemon alone writes that,
    and what only looks like it is at worst trusted less."""
    rows = rx.all(
        f"select id, seq, sender_type, sender, substr(text, 1, {chars + _MARGIN}), "  # noqa: S608
        "length(text), created_ms, delivery_state, "
        "case when metadata like '%\"relayed\":true%' then 1 else 0 end "
        "from message where conversation=? and seq<? order by seq desc limit ?",
        (conversation, before, limit),
    )
    return [Row(*row) for row in rows]


def _speaker(names: Names, row: Row) -> str:
    if row.kind == "agent":
        return (names.agent(row.sender) if row.sender else None) or "an agent"
    if row.kind == "system":
        return "Homarus"
    known = names.token(row.sender) if row.sender and not row.relayed else None
    return known or row.sender or "somebody"


def _with_turns(rx: Rx, names: Names, rows: list[Row]) -> list[Said]:
    if not rows:
        return []
    ids = [row.id for row in rows]
    marks = ",".join("?" * len(ids))
    turns = {
        row[0]: row[1:]
        for row in rx.all(
            "select message, state, started_ms, changed_by, case when state in "  # noqa: S608
            f"('failed', 'aborted') then outcome end from turn where message in ({marks})",
            ids,
        )
    }
    sql_made = f"select message, task from message_task where message in ({marks})"  # noqa: S608
    made: dict[str, str] = dict(rx.all(sql_made, ids))
    return [_said(names, row, turns.get(row.id), made.get(row.id)) for row in rows]


def _said(names: Names, row: Row, turn: Any, task: str | None) -> Said:
    state = row.state if row.kind == "human" else None
    told: dict[str, Any] = {}
    by = None
    if turn is not None:
        word, started, changed, outcome = turn
        told = {} if outcome is None else msgspec.json.decode(outcome)
        state = told["stop"] if told.get("stop") == "dropped" else word
        if word == State.QUEUED and started is not None:
            state = "interrupted"
        by = None if changed is None else names.actor(changed)
    failed = state == State.FAILED
    return Said(
        id=row.id, seq=row.seq, who=_speaker(names, row), kind=row.kind, relayed=bool(row.relayed),
        text=row.text, length=row.length, at_ms=row.at_ms, state=state,
        code=told.get("error") if failed else None,
        why=told.get("text") if failed else None,
        remedy=told.get("remedy") if failed else None,
        by=by, edited=by is not None and state != "dropped",
        task=None if task is None else names.task(task),
    )  # fmt: skip


def _open(rx: Rx, company: str, names: Names, session: str) -> list[Open]:
    """Turns of a session that have not ended, oldest first."""
    rows = rx.all(
        f"select id, state, substr(text, 1, {MAX_LINE + _MARGIN}), created_ms, started_ms, "  # noqa: S608
        "asked_by, attempts, calls, changed_by, case when options like '%\"command\":%' "
        f"or options like '%\"given\":%' then 1 else 0 end "
        f"from turn where session=? and {_OPEN} order by no limit ?",
        (session, MAX_COUNT + 1),
    )
    found = []
    for id, state, text, created, started, asked_by, attempts, calls, changed, fixed in rows:
        tools, asks = ([], None) if state == State.QUEUED else _tools(rx, id)
        found.append(
            Open(
                id=id, state=State(state), text=text, since_ms=started or created,
                asked_by=asked_by, who=names.actor(asked_by),
                again=state == State.QUEUED and started is not None,
                attempts=attempts, calls=calls, tools=tools, asks=asks,
                by=None if changed is None else names.actor(changed), fixed=bool(fixed),
            )
        )  # fmt: skip
    return found


def _tools(rx: Rx, turn: str) -> tuple[list[str], str | None]:
    """What a turn is doing besides thinking, and the approval it waits for."""
    rows = rx.all(
        "select c.tool, a.no from tool_call c left join approval a on a.id=c.approval "
        "and c.state='waiting' where c.turn=? and c.ended_seq is null order by c.seq, c.n limit ?",
        (turn, MAX_TOOLS),
    )
    asked = [f"A-{no}" for _, no in rows if no is not None]
    return [tool for tool, _ in rows], asked[0] if asked else None
