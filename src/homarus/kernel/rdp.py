"""Rows of gates and routes: decisions, reverse briefs, parts of an L3 task (contract, 7)."""

import json
from typing import Any, Final

import msgspec

from homarus.kernel.gates import RULES_VERSION, Evaluation
from homarus.store.port import Row, Rx, Tx

MAX_DECISIONS: Final = 200
"""Evaluations of one task that are shown, the newest."""

AUDIT: Final = "audit"
IMPLEMENTATION: Final = "implementation"
ACCEPTANCE: Final = "acceptance"

_BRIEF: Final = (
    "task, n, author, credential, goal, scope, plan, risks, acceptance, at_ms, decision, "
    "decided_by, decided_ms, note"
)


class Decision(msgspec.Struct, frozen=True):
    n: int
    at_ms: int
    actor: str
    stage: str | None
    level: int
    rules: int
    verdicts: str
    evidence: dict[str, Any]
    observed: bool


class Brief(msgspec.Struct, frozen=True):
    """A row of `reverse_brief`. `decision` None: nobody has decided."""

    task: str
    n: int
    author: str
    credential: str
    goal: str
    scope: str
    plan: str
    risks: str
    acceptance: str
    at_ms: int
    decision: str | None
    decided_by: str | None
    decided_ms: int | None
    note: str | None


class Part(msgspec.Struct, frozen=True):
    part: str
    actor: str
    outcome: str
    note: str | None
    at_ms: int


# -- decisions -----------------------------------------------------------------------------


def record(
    tx: Tx, task: str, n: int, found: Evaluation, *, stage: str | None, observed: bool
) -> None:
    evidence = found.evidence
    tx.run(
        "insert into gate_decision(task, n, at_ms, actor, stage, level, rules, verdicts, evidence, "
        "observed) values(?,?,?,?,?,?,?,?,?,?)",
        (
            task, n, tx.now_ms, tx.actor.key, stage, found.level, RULES_VERSION, found.letters,
            json.dumps(evidence, separators=(",", ":"), ensure_ascii=False) if evidence else None,
            int(observed),
        ),
    )  # fmt: skip


def decisions(rx: Rx, task: str) -> list[Decision]:
    """Newest first."""
    rows = rx.all(
        "select n, at_ms, actor, stage, level, rules, verdicts, evidence, observed "
        "from gate_decision where task=? order by n desc limit ?",
        (task, MAX_DECISIONS),
    )
    return [_decision(row) for row in rows]


def last_decision(rx: Rx, task: str) -> Decision | None:
    row = rx.one(
        "select n, at_ms, actor, stage, level, rules, verdicts, evidence, observed "
        "from gate_decision where task=? order by n desc limit 1",
        (task,),
    )
    return None if row is None else _decision(row)


def _decision(row: Row) -> Decision:
    values: list[Any] = list(row)
    values[7] = {} if row[7] is None else json.loads(row[7])
    values[8] = bool(row[8])
    return Decision(*values)


def requester(rx: Rx, task: str) -> str | None:
    """Who created the task, as receipts name the actor."""
    row = rx.one("select actor from gate_decision where task=? and n=1", (task,))
    return None if row is None else str(row[0])


# -- reverse briefs ------------------------------------------------------------------------


def brief(rx: Rx, task: str) -> Brief | None:
    """The last one: the only one that counts."""
    row = rx.one(
        f"select {_BRIEF} from reverse_brief where task=? order by n desc limit 1",  # noqa: S608
        (task,),
    )
    return None if row is None else Brief(*row)


def confirmed(rx: Rx, task: str) -> bool:
    row = rx.one("select decision from reverse_brief where task=? order by n desc limit 1", (task,))
    return row is not None and row[0] == "confirm"


def add_brief(tx: Tx, task: str, n: int, texts: dict[str, str]) -> None:
    tx.run(
        "insert into reverse_brief(task, n, author, credential, goal, scope, plan, risks, "
        "acceptance, at_ms) values(?,?,?,?,?,?,?,?,?,?)",
        (
            task, n, tx.actor.key, tx.actor.credential, texts["goal"], texts["scope"],
            texts["plan"], texts["risks"], texts["acceptance"], tx.now_ms,
        ),
    )  # fmt: skip


def decide_brief(tx: Tx, row: Brief, decision: str, note: str | None) -> bool:
    """False: somebody decided it before."""
    return bool(
        tx.run(
            "update reverse_brief set decision=?, decided_by=?, decided_ms=?, note=? "
            "where task=? and n=? and decision is null",
            (decision, tx.actor.key, tx.now_ms, note, row.task, row.n),
        )
    )


# -- parts of an L3 task -------------------------------------------------------------------


def parts(rx: Rx, task: str) -> list[Part]:
    """Oldest first."""
    rows = rx.all(
        "select part, actor, outcome, note, at_ms from task_part where task=? order by n limit ?",
        (task, MAX_DECISIONS),
    )
    return [Part(*row) for row in rows]


def add_part(tx: Tx, task: str, part: str, actor: str, outcome: str, note: str | None) -> None:
    row = tx.one("select coalesce(max(n), 0) from task_part where task=?", (task,))
    n = 1 if row is None else int(row[0]) + 1
    tx.run(
        "insert into task_part(task, n, part, actor, outcome, note, at_ms) values(?,?,?,?,?,?,?)",
        (task, n, part, actor, outcome, note, tx.now_ms),
    )


def audited(found: list[Part]) -> str | None:
    """Who passed the audit that counts: the last one."""
    last = next((row for row in reversed(found) if row.part == AUDIT), None)
    return last.actor if last is not None and last.outcome == "pass" else None


def held_by(found: list[Part], actor: str) -> str | None:
    """The part that somebody holds in a task: what they do last counts for all they did."""
    return next((row.part for row in found if row.actor == actor), None)
