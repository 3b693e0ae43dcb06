"""The manual's three lists, answered item by item from the store (governance contract, 2).

Each item is a sentence that is true when all is well: `yes`, `no`, or `unknown` where the rows do
not say, with what was looked at. Sources: the manual, 2.4 (A, B, C), 3.7 (R) and 5.5 (P).
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.company import agents
from homarus.flows.facts import SqlFacts
from homarus.kernel import preflights, stop
from homarus.kernel.facts import TaskFacts
from homarus.kernel.preflights import Preflight
from homarus.store.port import Rx
from homarus.tasks import sql

WINDOW_MS: Final = 7 * 24 * 3_600_000
MAX_RULED: Final = 2_000
"""Receipts of rules, of the whole company and the last week, that one answer looks at."""

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "unknown"

Said = tuple[str, str]
"""Answer and evidence."""


class Item(msgspec.Struct, frozen=True):
    id: str
    text: str
    answer: str
    evidence: str


class Seen(msgspec.Struct, frozen=True):
    """What the items are answered from. `thought`: the newest preflight that was thought, of the
    task where one is named; `breaches`: rule -> refusals of the last week; `codes`: code -> same;
    `holds`: the agent works on `task` now."""

    agent: agents.Agent
    task: TaskFacts | None
    holds: bool
    thought: Preflight | None
    live: bool
    stopped: bool
    breaches: dict[str, int]
    codes: dict[str, int]
    done_items: int
    wrote: int
    retries: int
    role: str | None
    is_granted: bool | None


def gather(rx: Rx, company: str, agent_ref: str, task_ref: str | None) -> Seen:
    """Raises `agent.unknown`, `task.unknown`."""
    agent = agents.need(rx, company, agent_ref)
    facts = SqlFacts()
    named = None if task_ref is None else sql.need(rx, company, task_ref)
    task = (
        facts.held(rx, company, agent.id, None)
        if named is None
        else facts.task(rx, company, named.id)
    )
    thought = preflights.latest(rx, company, agent.id, None if named is None else named.id)
    ruled = _ruled(rx, company, f"agent:{agent.id}")
    row = None if task is None else sql.need(rx, company, task.id)
    spec = None if task is None else sql.spec_of(rx, task.id)
    subjects = {agent.id, *((task.id, task.project, task.trace) if task is not None else ())}
    return Seen(
        agent=agent,
        task=task,
        holds=task is not None and task.held_by(agent.id, rx.now_ms),
        thought=thought,
        live=thought is not None and thought.live(rx.now_ms, None),
        stopped=any(
            s.scope == "company" or s.subject in subjects for s in stop.active(rx, company)
        ),
        breaches=_count(ruled, 0),
        codes=_count(ruled, 1),
        done_items=0 if spec is None else _count_done(spec.input.get("definitionOfDone")),
        wrote=0 if task is None else _wrote(rx, task.id, agent.id),
        retries=0 if row is None else row.retries,
        role=None if spec is None else spec.role,
        is_granted=_granted(rx, company, agent, task),
    )


def _ruled(rx: Rx, company: str, actor: str) -> list[tuple[str, str]]:
    rows = rx.all(
        "select actor, rule, code from receipt where company_no=(select no from company "
        "where id=?) and rule is not null and at_ms>? order by at_ms desc limit ?",
        (company, rx.now_ms - WINDOW_MS, MAX_RULED),
    )
    return [(rule, code) for who, rule, code in rows if who == actor]


def _count(ruled: list[tuple[str, str]], which: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in ruled:
        found[row[which]] = found.get(row[which], 0) + 1
    return found


def _count_done(items: Any) -> int:
    """Items of a Definition of Done as the wire gives it: a list, or one text."""
    return len(items) if isinstance(items, list) else int(bool(items))


def _wrote(rx: Rx, task: str, agent: str) -> int:
    row = rx.one(
        "select (select count(*) from task_note where task=? and agent=?) + "
        "(select count(*) from task_result where task=? and agent=?)",
        (task, agent, task, agent),
    )
    return 0 if row is None else int(row[0])


def _granted(rx: Rx, company: str, agent: agents.Agent, task: TaskFacts | None) -> bool | None:
    """Whether the agent may use what the task is bound to; None: it is bound to nothing."""
    if task is None or task.capability is None:
        return None
    row = rx.one(
        "select grants from capability where company=? and id=? and enabled=1",
        (company, task.capability),
    )
    mine = {"*", f"role:{agent.role}", f"agent:{agent.id}"}
    return row is not None and not mine.isdisjoint(msgspec.json.decode(row[0]))


# -- the items -----------------------------------------------------------------------------


def _thought(seen: Seen) -> Said:
    row = seen.thought
    if row is None:
        return NO, "no preflight of this agent" + ("" if seen.task is None else " for this task")
    about = f"preflight {row.id}, {'live' if seen.live else 'expired'}"
    return (YES if seen.live else NO), about


def _a1(seen: Seen) -> Said:
    if seen.holds and seen.task is not None and seen.task.capability is not None:
        return YES, f"the task is bound to {seen.task.capability}"
    return _thought(seen)


def _a2(seen: Seen) -> Said:
    if seen.is_granted is not None and seen.task is not None:
        word = "is" if seen.is_granted else "is not"
        return (YES if seen.is_granted else NO), f"{seen.task.capability} {word} granted"
    if seen.thought is None:
        return UNKNOWN, "nothing says what it is about to do: no preflight"
    hit = seen.thought.verdict == "hit"
    return (YES if hit else NO), f"the preflight's answer is {seen.thought.verdict}"


def _a3(seen: Seen) -> Said:
    if seen.agent.suspended:
        return NO, "the agent is suspended"
    if seen.stopped:
        return NO, "a STOP is in force"
    if not seen.live and not seen.holds:
        return NO, "neither a claim nor a live preflight"
    return YES, "no STOP, not suspended, " + ("a claim" if seen.holds else "a live preflight")


def _b1(seen: Seen) -> Said:
    if seen.task is None:
        return UNKNOWN, "no task is named, and it holds none"
    if seen.holds:
        return YES, f"it holds {seen.task.id}"
    return NO, f"the task is {seen.task.state}, and this agent does not hold it"


def _b2(seen: Seen) -> Said:
    if seen.task is None:
        return UNKNOWN, "no task"
    count = seen.done_items
    return (YES if count else NO), f"{count} item(s) in its Definition of Done"


def _b3(seen: Seen) -> Said:
    if seen.task is None:
        return UNKNOWN, "no task"
    if seen.wrote:
        return YES, f"{seen.wrote} note(s) and results of this agent"
    if seen.retries:
        return NO, f"its lease ran out {seen.retries} time(s) without a result"
    return UNKNOWN, "nothing is written yet"


def _b4(seen: Seen) -> Said:
    return _kept(seen, "R3")


def _c1(seen: Seen) -> Said:
    if seen.role is not None:
        own = seen.role == seen.agent.role
        return (YES if own else NO), f"the task is for the role {seen.role}"
    if seen.thought is None:
        return UNKNOWN, "the task names no role, and there is no preflight"
    other = seen.thought.verdict == "other"
    return (NO if other else YES), f"the preflight names {_who(seen.thought)}"


def _c2(seen: Seen) -> Said:
    if seen.thought is None:
        return UNKNOWN, "no preflight says whether help is needed"
    if seen.thought.verdict in ("hit", "none") and _who(seen.thought) == "self":
        needed = seen.thought.verdict == "none"
        return (NO if needed else YES), "help is needed" if needed else "it needs none"
    return NO, f"it is for {_who(seen.thought)}: spawn or send"


def _c3(seen: Seen) -> Said:
    count = seen.codes.get("permission.unknown_capability", 0)
    return (NO if count else YES), f"{count} attempt(s) to run what is not registered, last 7 days"


def _who(row: Preflight) -> str:
    who = row.evidence.get("who", {})
    return str(who.get("name") or who.get("agent") or "self")


def _kept(seen: Seen, rule: str) -> Said:
    count = seen.breaches.get(rule, 0)
    return (NO if count else YES), f"{count} refusal(s) by {rule} in the last 7 days"


def _r(rule: str) -> Callable[[Seen], Said]:
    return lambda seen: _kept(seen, rule)


def _p(step: str, holds: Callable[[Any], bool], told: Callable[[Any], str]) -> Callable[..., Said]:
    """An item of a preflight's step, from its evidence."""

    def said(seen: Seen) -> Said:
        if seen.thought is None:
            return _thought(seen)
        evidence = seen.thought.evidence.get(step)
        if not evidence:
            return UNKNOWN, f"the preflight holds nothing about {step}"
        return (YES if holds(evidence) else NO), told(evidence)

    return said


def _matched(who: Any) -> list[str]:
    return [sign for candidate in who["candidates"] for sign in candidate["matched"]]


ITEMS: Final[tuple[tuple[str, str, Callable[[Seen], Said]], ...]] = (
    ("A1", "The available capabilities have been looked through.", _a1),
    ("A2", "The act is within this agent's permissions.", _a2),
    ("A3", "Nothing stands in the act's way.", _a3),
    ("B1", "The task comes from the store and is held by this agent.", _b1),
    ("B2", "The task says what done means.", _b2),
    ("B3", "The state of the work is written back here.", _b3),
    ("B4", "What other systems are to know goes by the outbox.", _b4),
    ("C1", "The task is within this agent's responsibility.", _c1),
    ("C2", "Where an expert is needed, one has been asked.", _c2),
    ("C3", "No script runs that is not registered.", _c3),
    ("R1", "Data is asked of the store.", _r("R1")),
    ("R2", "Scans ask the store first.", _r("R2")),
    ("R3", "Writes outward follow the outbox.", _r("R3")),
    ("R4", "Governed documents change by approved changes.", _r("R4")),
    ("R5", "What is handed to others carries a routing note.", _r("R5")),
    ("R6", "Permissions were asked for before acting.", _r("R6")),
    ("P1", "The profession that the task needs is known.",
     _p("who", lambda who: bool(_matched(who)), lambda who: ", ".join(_matched(who)) or "no sign")),
    ("P2", "The roster has been read.",
     _p("who", lambda who: bool(who["candidates"]),
        lambda who: f"{len(who['candidates'])} candidate(s) weighed")),
    ("P3", "This agent is the one that fits best.",
     _p("who", lambda who: who["agent"] == "self", lambda who: f"the answer: {who['agent']}")),
    ("P4", "The capabilities that the task needs are known.",
     _p("how", lambda how: bool(how["hits"]), lambda how: f"{len(how['hits'])} found")),
    ("P5", "The registry was asked, and one of them may be used.",
     _p("how", lambda how: how["capability"] is not None, lambda how: str(how["capability"]))),
    ("P6", "The index of projects has been read.",
     _p("where", lambda _: True, lambda where: f"{len(where['candidates'])} candidate(s)")),
    ("P7", "The project that the work belongs to is decided.",
     _p("where", lambda where: bool(where["project"]), lambda where: str(where["project"]))),
    ("P8", "The scale of the work has been estimated.",
     _p("card", lambda card: bool(card["scale"]), lambda card: str(card["scale"]))),
    ("P9", "Whether it needs a project card is decided.",
     _p("card", lambda card: card["needed"] is not None,
        lambda card: "needed: " + ", ".join(card["signs"]) if card["needed"] else "not needed")),
)  # fmt: skip


def answer(rx: Rx, company: str, agent: str, task: str | None) -> list[Item]:
    """All items in order. Raises `agent.unknown`, `task.unknown`."""
    seen = gather(rx, company, agent, task)
    return [Item(id, text, *said(seen)) for id, text, said in ITEMS]
