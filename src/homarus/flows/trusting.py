"""Trust over the ledger, tasks and agents: gather what an agent did, compute, write the score.

Weekly for every agent (`recompute_due`), at once on a severe violation (`happened`, `punish`), and
after a person's review. The score on the agent's row is what claims read.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.action import Consequence, Effect, Refuse, Verdict, VerdictKind
from homarus.base.errors import Conflict, NotFound
from homarus.company import agents
from homarus.kernel import trust
from homarus.kernel.trust_rules import (
    KINDS,
    NORMAL,
    RECOMPUTE_MS,
    REDLINES,
    REPEAT_MS,
    SEVERE,
    START,
    WINDOW_MS,
    Act,
    Score,
    Seen,
    band,
    causes,
    is_severe,
    score,
)
from homarus.records import incidents
from homarus.store.port import Rx, Tx

MAX_TASKS: Final = 300
"""Finished tasks of an agent that one computation reads, the newest first."""

AGENTS_A_UNIT: Final = 1
"""Scores that one unit computes: each may read 900 rows, and a unit has 5 ms."""

_ENDED: Final = (
    "case when r.at_ms>t.started_ms then r.at_ms else coalesce(t.started_ms, t.created_ms) end"
)
"""When the work ended: its last report, else its last claim. A later edit changes neither."""
_TASKS: Final = (
    f"select t.state, {_ENDED} from task t left join task_result r on r.task=t.id "  # noqa: S608
    "where t.agent=? and t.state in ('done', 'dead_letter') "
    f"and {_ENDED}>? order by t.seq desc limit ?"
)
_DUE: Final = "deleted_ms is null and coalesce(trust_ms, created_ms)<=? "


class Standing(msgspec.Struct, frozen=True):
    """An agent's trust as it stands. `stored` is in force; `now` what a computation would give."""

    agent: agents.Agent
    stored: int
    computed_ms: int | None
    now: Score
    new: list[str]
    restricted: str | None


# -- facts ---------------------------------------------------------------------------------


def gather(rx: Rx, company_no: int, agent: str) -> Seen:
    """All acts that count: since the window's start, or since the last review by an operator."""
    since, base, after = rx.now_ms - WINDOW_MS, START, 0
    events = trust.events(rx, agent, since)
    review = trust.last(rx, agent, "reviewed")
    if review is not None and review.at_ms > since:
        since, base, after = review.at_ms, NORMAL, review.no
    acts = [
        *_of_tasks(rx, agent, since),
        *_of_receipts(rx, company_no, agent, since),
        *(_of_event(e) for e in events if e.no > after and KINDS[e.kind].dimension),
    ]
    training = sum(e.weight for e in events if e.kind == "training")
    return Seen(tuple(acts), training, base)


def _of_event(event: trust.TrustEvent) -> Act:
    kind = KINDS[event.kind]
    return Act(kind.dimension or "", event.at_ms, kind.good, kind.about, event.weight)


def _of_tasks(rx: Rx, agent: str, since_ms: int) -> list[Act]:
    acts = []
    for state, at_ms in rx.all(_TASKS, (agent, since_ms, MAX_TASKS)):
        done = state == "done"
        acts.append(Act("completion", at_ms, done, "task done" if done else "task given up"))
        acts.append(Act("compliance", at_ms, True, "task worked on within the rules"))
    return acts


def _of_receipts(rx: Rx, company_no: int, agent: str, since_ms: int) -> list[Act]:
    """A refusal of one kind of act for one reason counts once a minute, whatever its targets."""
    acts, counted = [], dict[tuple[str, str | None], int]()
    for row in trust.judged(rx, company_no, agent, since_ms):
        if row.verdict is VerdictKind.REFUSE:
            kind = (row.capability, row.code)
            if abs(row.at_ms - counted.get(kind, -trust.FOLD_MS)) < trust.FOLD_MS:
                continue
            counted[kind] = row.at_ms
        acts += _of_receipt(row)
    return acts


def _of_receipt(row: trust.Judged) -> list[Act]:
    """What the level `observe` let pass is no violation, but it is an act without a preflight.
    Severe refusals and untrusted executions count by their own event besides."""
    if row.outcome is not None:
        if row.code == "task.dod_unmet":
            return [_of_kind("unmet_dod", row.at_ms)]
        wild = row.code == "divert.wild_task" or (
            row.code == "task.unknown" and row.capability == "task.result"
        )
        return [_of_kind("wild_task", row.at_ms)] if wild else []
    acts = []
    if row.verdict is VerdictKind.REFUSE and row.rule in REDLINES:
        acts.append(Act("compliance", row.at_ms, False, f"refused by {row.rule} ({row.code})"))
    if row.rule == "R6":
        acts.append(Act("preflight", row.at_ms, False, "act without a preflight"))
    elif row.verdict is VerdictKind.ALLOW and row.effect is not Effect.READ and row.preflight:
        acts.append(Act("preflight", row.at_ms, True, "act with a preflight"))
    return acts


def _of_kind(name: str, at_ms: int) -> Act:
    kind = KINDS[name]
    return Act(kind.dimension or "", at_ms, kind.good, kind.about, kind.weight)


def standing(rx: Rx, company: str, ref: str) -> Standing:
    """What `homarus trust AGENT` explains. Raises `agent.unknown`."""
    agent = agents.need(rx, company, ref)
    row = rx.one(
        "select a.trust, a.trust_ms, c.no from agent a join company c on c.id=a.company "
        "where a.id=?",
        (agent.id,),
    )
    if row is None:
        raise NotFound("agent.unknown", f"no agent {ref[:200]!r}", "See `homarus agent list`.")
    seen = gather(rx, row[2], agent.id)
    return Standing(
        agent, row[0], row[1], score(seen, rx.now_ms), causes(seen, row[1] or 0),
        restriction(rx, agent.id) if agent.suspended else None,
    )  # fmt: skip


def restriction(rx: Rx, agent: str) -> str | None:
    """Why the kernel made it read-only, until a review; None: it did not."""
    event = trust.last(rx, agent, "restricted")
    if event is None:
        return None
    review = trust.last(rx, agent, "reviewed")
    return event.note if review is None or review.no < event.no else None


# -- computing -----------------------------------------------------------------------------


def recompute(tx: Tx, agent: str, *, event: trust.TrustEvent | None = None) -> Score:
    """Compute and store one agent's score; a row with its causes when it changed."""
    row = tx.one("select trust, trust_ms from agent where id=?", (agent,))
    if row is None:
        raise NotFound("agent.unknown", f"no agent {agent}", "See `homarus agent list`.")
    seen = gather(tx, tx.head.no, agent)
    found = score(seen, tx.now_ms)
    why = causes(seen, row[1] or 0)
    if event is not None:
        why = [_told(event), *why]
    _store(tx, agent, row[0], found.total, _plain(found), why, event)
    return found


def _told(event: trust.TrustEvent) -> str:
    about = KINDS[event.kind].about
    return f"{about}: {event.note}" if event.note else about


def _plain(found: Score) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(msgspec.json.encode(found.dimensions))
    return plain | ({"training": found.training} if found.training else {})


def _store(
    tx: Tx,
    agent: str,
    before: int,
    after: int,
    dimensions: dict[str, Any],
    why: list[str],
    event: trust.TrustEvent | None,
) -> None:
    tx.run("update agent set trust=?, trust_ms=? where id=?", (after, tx.now_ms, agent))
    if after == before:
        return
    why = why or ["older acts weigh less"]
    trust.changed(
        tx, agent, before, after, band(after), dimensions, why, None if event is None else event.id
    )


def recompute_due(tx: Tx, limit: int) -> int:
    """Recompute this company's agents whose week is over; how many."""
    rows = tx.all(
        f"select id from agent where company=? and {_DUE} order by id limit ?",  # noqa: S608
        (tx.company, tx.now_ms - RECOMPUTE_MS, limit),
    )
    for (agent,) in rows:
        recompute(tx, agent)
    return len(rows)


def due(rx: Rx, limit: int) -> list[str]:
    """Companies with an agent whose week is over."""
    rows = rx.all(
        f"select distinct company from agent where {_DUE} limit ?",  # noqa: S608
        (rx.now_ms - RECOMPUTE_MS, limit),
    )
    return [str(row[0]) for row in rows]


# -- what happened -------------------------------------------------------------------------


def happened(
    tx: Tx,
    agent: str,
    kind: str,
    *,
    task: str | None = None,
    receipt: str | None = None,
    note: str = "",
) -> trust.TrustEvent | None:
    """Record an event and what it brings about at once: severe ones recompute the score, a repeated
    untrusted execution also makes the agent read-only (governance contract, 2)."""
    earlier = trust.last(tx, agent, kind) if kind == "untrusted_execution" else None
    event = trust.event(tx, agent, kind, task=task, receipt=receipt, note=note)
    if event is None:
        return None
    repeat = (
        earlier is not None
        and tx.now_ms - earlier.at_ms < REPEAT_MS
        and not _reviewed(tx, agent, earlier)
    )
    if repeat:
        restrict(tx, agent, f"a repeated untrusted execution: {note}"[: trust.MAX_NOTE], task)
    if repeat or kind in SEVERE:
        recompute(tx, agent, event=event)
    return event


def _reviewed(tx: Tx, agent: str, event: trust.TrustEvent) -> bool:
    """Whether an operator has dealt with it."""
    review = trust.last(tx, agent, "reviewed")
    return review is not None and review.no > event.no


def punish(tx: Tx, verdict: Verdict) -> None:
    """A refused act that is severe by itself: an R4 attempt, a forged note."""
    if isinstance(verdict, Refuse) and is_severe(verdict) and verdict.actor is not None:
        happened(tx, verdict.actor.id, "redline", note=f"{verdict.rule} ({verdict.code})")


def restrict(tx: Tx, agent: str, reason: str, task: str | None = None) -> bool:
    """Make an agent read-only until an operator reviews it; False: it is already. Opens an incident
    the first time."""
    if not tx.run(
        "update agent set suspended=1, updated_ms=? where id=? and company=? and suspended=0",
        (tx.now_ms, agent, tx.company),
    ):
        return False
    trust.event(tx, agent, "restricted", task=task, note=reason)
    row = agents.need(tx, tx.company, agent)
    tx.emit("agent_updated", agent, {"fields": ["suspended"]})
    incidents.open_incident(
        tx,
        severity="high",
        reason_code="agent_restricted",
        summary=f"{row.name} is read-only: {reason}. Review it: homarus trust review {row.name}",
        task=task,
        company_wide=True,
    )
    return True


def review(tx: Tx, ref: str, note: str) -> agents.Agent:
    """An operator has looked into it: at least the floor of the normal band, restriction lifted,
    earlier acts no longer count. Raises `agent.unknown`, `trust.nothing`."""
    agent = agents.need(tx, tx.company, ref)
    row = tx.one("select trust from agent where id=?", (agent.id,))
    before = NORMAL if row is None else int(row[0])
    restricted = restriction(tx, agent.id)
    if before >= NORMAL and restricted is None:
        raise Conflict(
            "trust.nothing",
            f"{agent.name} stands at {before} and is not restricted",
            "Nothing to restore; see `homarus trust AGENT`.",
        )
    event = trust.event(tx, agent.id, "reviewed", note=note or "reviewed")
    if restricted is not None:
        tx.run("update agent set suspended=0 where id=?", (agent.id,))
        tx.emit("agent_updated", agent.id, {"fields": ["suspended"]})
    after = max(before, NORMAL)
    _store(tx, agent.id, before, after, {}, [f"reviewed by an operator: {note}"], event)
    return agents.need(tx, tx.company, agent.id)


# -- consequences --------------------------------------------------------------------------


def on_event(tx: Tx, consequence: Consequence) -> None:
    """`trust.event`: subject the agent's id; data kind, task, note."""
    data = consequence.data
    happened(
        tx, consequence.subject, data["kind"], task=_task(tx, data),
        note=data.get("note") or f"{tx.action.capability} {tx.action.target}",
    )  # fmt: skip


def on_restrict(tx: Tx, consequence: Consequence) -> None:
    """`agent.restrict`: subject the agent's id; data reason, task."""
    data = consequence.data
    restrict(tx, consequence.subject, data.get("reason", "a rule was broken"), _task(tx, data))


def on_incident(tx: Tx, consequence: Consequence) -> dict[str, Any] | None:
    """`incident.open`: subject a task's id or ""; data severity, reason_code, summary, project."""
    data = consequence.data
    task = _task(tx, {"task": consequence.subject, **data})
    about = {
        "severity": data.get("severity", "medium"),
        "reason_code": data["reason_code"],
        "summary": data["summary"],
        "task": task,
        "project": data.get("project"),
    }
    if task is not None:
        opened = incidents.open_once(tx, **about)
    elif _open_already(tx, about["reason_code"], about["summary"]):
        opened = None
    else:
        opened = incidents.open_incident(tx, **about, company_wide=True)
    return None if opened is None else {"incident": opened.id}


def _open_already(tx: Tx, reason_code: str, summary: str) -> bool:
    row = tx.one(
        "select 1 from incident where company=? and reason_code=? and summary=? "
        "and status<>'resolved' and deleted_ms is null limit 1",
        (tx.company, reason_code, summary),
    )
    return row is not None


def _task(tx: Tx, data: Any) -> str | None:
    """The id of the task that a consequence names, if this company has it."""
    named = data.get("task") or None
    if named is None:
        return None
    row = tx.one("select 1 from task where id=? and company=?", (named, tx.company))
    return None if row is None else str(named)
