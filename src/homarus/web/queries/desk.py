"""The Desk: what waits for a person, what runs, what today came to (dashboard contract, 2).

Rows come by risk, then by age. Each kind is looked at up to its bound; what is cut is said.
"""

from typing import Any, Final

import msgspec

from homarus.base.redact import redact_text
from homarus.flows import mirrors
from homarus.kernel import settings
from homarus.store.port import Rx
from homarus.tasks.model import State
from homarus.web.queries import counted
from homarus.web.queries.board import title_of
from homarus.web.queries.names import Names

MAX_WAITING: Final = 36
MAX_RUNNING: Final = 20
MAX_TODAY: Final = 1_000
"""Finished tasks that are looked at for the counts of today."""
DAY_MS: Final = 86_400_000
RISKS: Final = ("high", "medium", "low")
_RISK_OF: Final = {"critical": "high", "high": "high", "medium": "medium", "low": "low"}
_STUCK: Final = {
    State.DEAD_LETTER: ("dead letter", "medium"),
    State.FAILED: ("failed", "medium"),
    State.BLOCKED: ("stuck", "medium"),
    State.REVIEW: ("review", "low"),
}


class Waiting(msgspec.Struct, frozen=True):
    """A line of *Waiting for you*. `requester`, `credential`: who asked, and by which
    token; they cannot answer it."""

    kind: str
    id: str
    number: str
    risk: str
    since_ms: int
    what: str
    who: str | None
    cause: str | None
    link: str | None = None
    cost: int | None = None
    deadline_ms: int | None = None
    target: str = ""
    capability: str = ""
    scope: str = ""
    requester: str = ""
    credential: str = ""


class Running(msgspec.Struct, frozen=True):
    number: str
    title: str
    who: str | None
    since_ms: int | None
    lease_ms: int | None


class Desk(msgspec.Struct, frozen=True):
    """`more`: there is more waiting than shown. `unwell`: what is not as it should be, in words;
    `mirrors`: each with how far it lags."""

    waiting: list[Waiting]
    more: bool
    running: list[Running]
    running_count: str
    done: str
    failed: str
    unwell: list[str]
    mirrors: list[tuple[str, str]]


def desk(rx: Rx, company: str) -> Desk:
    names = Names(rx, company)
    rows = _approvals(rx, company, names)
    for state in _STUCK:
        rows += _tasks(rx, company, state)
    rows += _incidents(rx, company, names)
    rows.sort(key=lambda row: (RISKS.index(row.risk), row.since_ms))
    running = _running(rx, company)
    return Desk(
        waiting=rows[:MAX_WAITING],
        more=len(rows) > MAX_WAITING,
        running=running[:MAX_RUNNING],
        running_count=counted(len(running), more=len(running) > MAX_RUNNING),
        done=_today(rx, company, State.DONE),
        failed=_today(rx, company, State.FAILED),
        unwell=_unwell(rx, company),
        mirrors=[(row.name, _mirror(rx, row)) for row in mirrors.listed(rx, company)],
    )


def _mirror(rx: Rx, row: mirrors.Mirror) -> str:
    """`up to date`; `12 changes wait, the oldest for 40 s; held: the target is down`."""
    rows = mirrors.waiting(rx, row.id)
    left = rows["pending"] + rows["processing"] + rows["unknown"]
    said = "up to date"
    if left:
        said = f"{left} changes wait, the oldest for {mirrors.lag_ms(rx, row.id) // 1000} s"
    if rows["failed"]:
        said += f"; {rows['failed']} failed"
    if row.state != mirrors.ACTIVE:
        return f"{row.state}; {said}"
    return f"{said}; held: {redact_text(row.held)}" if row.held else said


def _approvals(rx: Rx, company: str, names: Names) -> list[Waiting]:
    rows = rx.all(
        "select id, no, risk, created_ms, what, requester, reason, cost, expires_ms, target, "
        "capability, scope, hours, credential, task from approval where company=? "
        "and status='pending' and expires_ms>? order by case risk when 'high' then 0 "
        "when 'medium' then 1 else 2 end, no limit ?",
        (company, rx.now_ms, MAX_WAITING + 1),
    )
    found = []
    for row in rows:
        (
            approval, no, risk, created, what, requester, reason, cost, expires, target,
            capability, scope, hours, credential, task,
        ) = row  # fmt: skip
        found.append(
            Waiting(
                kind="approval",
                id=approval,
                number=f"A-{no}",
                risk=risk,
                since_ms=created,
                what=redact_text(what),
                who=names.actor(requester),
                cause=reason or None,
                link=None if task is None else names.task(task),
                cost=cost,
                deadline_ms=expires,
                target=names.target(target),
                capability=capability,
                scope={"once": "once", "task": "for this task"}.get(scope, f"for {hours} h"),
                requester=requester,
                credential=credential,
            )
        )
    return found


def _tasks(rx: Rx, company: str, state: State) -> list[Waiting]:
    kind, risk = _STUCK[state]
    beyond = ""
    if state is State.BLOCKED:
        beyond = " and coalesce(reason, '') not in ('approval', 'stop')"
    rows = rx.all(
        f"select t.id, t.seq, {title_of(rx)}, a.name, t.reason, t.updated_ms "  # noqa: S608
        "from (select id, seq, agent, reason, updated_ms from task where company=? and state=?"
        f"{beyond} order by seq limit ?) t join task_spec s on s.task=t.id "
        "left join agent a on a.id=t.agent order by t.seq",
        (company, state.value, MAX_WAITING + 1),
    )
    return [
        Waiting(
            kind=kind,
            id=task,
            number=f"T-{seq}",
            risk=risk,
            since_ms=at_ms,
            what=title,
            who=agent,
            cause=reason,
            link=f"T-{seq}",
        )
        for task, seq, title, agent, reason, at_ms in rows
    ]


def _incidents(rx: Rx, company: str, names: Names) -> list[Waiting]:
    rows = rx.all(
        "select id, no, severity, created_ms, summary, opened_by, reason_code, task "
        "from incident where company=? and status='open' and deleted_ms is null "
        "order by no desc limit ?",
        (company, MAX_WAITING + 1),
    )
    return [
        Waiting(
            kind="incident",
            id=incident,
            number=f"I-{no}",
            risk=_RISK_OF.get(severity, "medium"),
            since_ms=at_ms,
            what=summary,
            who=names.actor(by),
            cause=code,
            link=None if task is None else names.task(task),
        )
        for incident, no, severity, at_ms, summary, by, code, task in rows
    ]


def _running(rx: Rx, company: str) -> list[Running]:
    rows = rx.all(
        f"select t.seq, {title_of(rx)}, a.name, t.started_ms, t.lease_until_ms from "  # noqa: S608
        "(select id, seq, agent, started_ms, lease_until_ms from task where company=? "
        "and state='in_progress' order by seq limit ?) t join task_spec s on s.task=t.id "
        "left join agent a on a.id=t.agent order by t.seq",
        (company, MAX_RUNNING + 1),
    )
    return [Running(f"T-{row[0]}", *row[1:]) for row in rows]


def _today(rx: Rx, company: str, state: State) -> str:
    """How many of the newest tasks came to `state` since midnight (UTC)."""
    midnight = rx.now_ms - rx.now_ms % DAY_MS
    row = rx.one(
        "select count(*) from (select updated_ms from task where company=? and state=? "
        "order by seq desc limit ?) t where updated_ms>=?",
        (company, state.value, MAX_TODAY, midnight),
    )
    return counted(0 if row is None else int(row[0]))


def _unwell(rx: Rx, company: str) -> list[str]:
    found = []
    if settings.level(rx, company) == settings.OBSERVE:
        found.append(
            "The company only observes: redlines, preflight, gates and quota record what they "
            "would refuse, and refuse nothing."
        )
    row: Any = rx.one("select count(*) from notice where company=? and state='failed'", (company,))
    if row is not None and row[0]:
        found.append(f"{row[0]} notices about approvals could not be delivered to the webhook.")
    return found
