"""What each page shows: from a parsed URL to the values of its template.

A view is `fn(rx, company, query)`; it runs inside the visit's read and returns plain values.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from homarus.base.action import VerdictKind
from homarus.base.errors import HomarusError, Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.company.founding import Company
from homarus.flows import queued
from homarus.kernel import stop
from homarus.store.port import Rx
from homarus.tasks import sql
from homarus.tasks.model import State
from homarus.web.queries import PAGE, board, desk, halt, ledger, roster, task, threads

Values = dict[str, Any]
Query = Mapping[str, str]
MAX_VALUE: Final = 200
MAX_WRITTEN: Final = 20_000
"""Characters of a message that is written on a page."""


class View(msgspec.Struct, frozen=True):
    """A page. `fragment`: the template of its live part; `capability`: what reading it takes;
    `query`: names that its URL knows; `rule`: path of the page, with `{ref}` where it has one;
    `key`: after `g` it leads here, from the header."""

    name: str
    title: str
    rule: str
    fragment: str
    fn: Callable[[Rx, Company, Query], Values]
    query: tuple[str, ...] = ()
    capability: str = "read"
    key: str = ""


def _text(query: Query, name: str) -> str | None:
    return query.get(name, "").strip()[:MAX_VALUE] or None


def _number(query: Query, name: str) -> int | None:
    text = _text(query, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise Invalid("request.cursor", "unreadable cursor", "Follow the page's own links.")
    return int(text)


def _state(query: Query) -> State | None:
    text = _text(query, "state")
    try:
        return None if text is None else State(text)
    except ValueError:
        raise Invalid(
            "task.state", f"unknown state {text!r}", f"One of {', '.join(State)}."
        ) from None


def show_desk(rx: Rx, company: Company, query: Query) -> Values:
    return {"desk": desk.desk(rx, company.id)}


def show_stop(rx: Rx, company: Company, query: Query) -> Values:
    scope = _text(query, "scope") or "company"
    if scope not in stop.SCOPES:
        raise Invalid("stop.scope", f"unknown scope {scope!r}", f"One of {', '.join(stop.SCOPES)}.")
    return {
        "halts": halt.halts(rx, company.id, company.no),
        "scope": scope,
        "subject": _text(query, "subject") or "",
        "scopes": stop.SCOPES,
    }


def show_board(rx: Rx, company: Company, query: Query) -> Values:
    chosen = board.Filter(_text(query, "project"), _text(query, "agent"), _text(query, "role"))
    state = _state(query)
    after = _number(query, "after") if state is not None else None
    states = board.COLUMNS if state is None else (state,)
    columns = board.board(rx, company.id, states, chosen, after)
    return {
        "columns": columns,
        "chosen": chosen,
        "state": state,
        "after": after,
        "page": PAGE,
        "projects": board.projects(rx, company.id),
        "agents": board.agents(rx, company.id),
        "roles": board.roles(rx, company.id),
        "empty": state is None
        and not chosen.narrows
        and not any(column.cards for column in columns),
    }


def show_agents(rx: Rx, company: Company, query: Query) -> Values:
    return {"roster": roster.roster(rx, company.id, _text(query, "after")), "page": PAGE}


def show_agent(rx: Rx, company: Company, query: Query) -> Values:
    ref = query["ref"].lower()
    found = roster.profile(rx, company.id, ref) if is_uuid(ref) else None
    if found is None:
        raise NotFound("agent.unknown", "no such agent in this company", "See the Agents page.")
    return {"profile": found}


def show_threads(rx: Rx, company: Company, query: Query) -> Values:
    found = threads.listed(rx, company.id, _text(query, "after"), _number(query, "before"))
    return {"threads": found, "page": PAGE}


def show_thread(rx: Rx, company: Company, query: Query) -> Values:
    place = threads.find(rx, company.id, query["ref"])
    if place is None:
        raise NotFound("thread.unknown", "no such thread in this company", "See Threads.")
    before = _number(query, "before")
    edited, made_of, problem = _text(query, "edit"), _text(query, "task"), None
    turn = message = None
    try:
        turn = None if edited is None else queued.waiting(rx, company.id, edited)
        message = None if made_of is None else queued.need_message(rx, company.id, made_of)
    except HomarusError as error:
        problem = error
    return {
        "thread": threads.thread(rx, company.id, place, before),
        "before": before,
        "page": PAGE,
        "most": MAX_WRITTEN,
        "turn": turn,
        "message": message,
        "problem": problem,
        "projects": [] if message is None else board.projects(rx, company.id),
    }


def show_receipts(rx: Rx, company: Company, query: Query) -> Values:
    given = {name: _text(query, name) for name in ("actor", "verdict", "task", "trace")}
    actor, verdict, of_task, trace = given.values()
    problem = None
    task_id = None
    if of_task is not None:
        try:
            task_id = sql.need(rx, company.id, of_task, archived=True).id
        except HomarusError as error:
            problem = error
    if trace is not None and not is_uuid(trace.lower()):
        problem = Invalid("request.bad_id", f"{trace!r} is not a trace's id", "Give the UUID.")
    if verdict is not None and verdict.upper() not in VerdictKind.__members__:
        raise Invalid("request.verdict", f"unknown verdict {verdict!r}", "allow, refuse or divert.")
    chosen = ledger.Filter(
        actor=None if actor is None else ledger.actor_key(rx, company.id, actor),
        verdict=None if verdict is None else VerdictKind[verdict.upper()],
        task=task_id,
        trace=None if trace is None else trace.lower(),
    )
    before = _number(query, "before")
    shown = ledger.EMPTY if problem else ledger.page(rx, company.id, company.no, chosen, before)
    return {"ledger": shown, "given": given, "before": before, "problem": problem, "page": PAGE}


def show_task(rx: Rx, company: Company, query: Query) -> Values:
    found = task.detail(rx, company.id, query["ref"])
    if found is None:
        raise NotFound("task.unknown", "no such task in this company", "See the Board.")
    return {"detail": found}


def show_banner(rx: Rx, company: Company, query: Query) -> Values:
    """STOP and the like; what it shows every visit reads anyway."""
    return {}


VIEWS: Final = (
    View("desk", "Desk", "/app", "_desk.html", show_desk, key="d"),
    View("stop", "STOP", "/app/stop", "_stop.html", show_stop, ("scope", "subject")),
    View("board", "Board", "/app/board", "_board.html", show_board,
         ("project", "agent", "role", "state", "after"), key="b"),
    View("agents", "Agents", "/app/agents", "_agents.html", show_agents, ("after",),
         key="a"),
    View("agent", "Agent", "/app/agents/{ref}", "_agent.html", show_agent),
    View("threads", "Threads", "/app/threads", "_threads.html", show_threads,
         ("after", "before"), key="t"),
    View("thread", "Thread", "/app/threads/{ref}", "_thread.html", show_thread,
         ("before", "edit", "task")),
    View("receipts", "Receipts", "/app/receipts", "_receipts.html", show_receipts,
         ("actor", "verdict", "task", "trace", "before"), "audit.read", "r"),
    View("task", "Task", "/app/tasks/{ref}", "_task.html", show_task),
)  # fmt: skip
BANNER: Final = View("banner", "", "/app/banner", "_banner.html", show_banner)
