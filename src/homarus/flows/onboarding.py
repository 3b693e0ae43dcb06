"""A new agent's four weeks: reading, quiz, a practice task; passing counts as training.

A week is passed when its quiz is right and its practice task is done by the agent itself
(governance contract, 2; trust: 12).
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid
from homarus.company import agents, projects
from homarus.flows import creating
from homarus.flows.course import BY_NUMBER, WEEKS, Week
from homarus.kernel import preflights, trust
from homarus.store.port import Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import State, Task

PROJECT: Final = "Onboarding practice"
MAX_ATTEMPTS: Final = 10
"""Wrong quizzes of one week; then an operator looks after it."""


class Progress(msgspec.Struct, frozen=True):
    """Of one week. `state`: `closed` (the one before is not passed), `open`, `started`, `passed`.
    `missing`: what a started one still needs."""

    week: Week
    state: str
    task: Task | None
    attempts: int
    quiz_ms: int | None
    passed_ms: int | None
    missing: tuple[str, ...]


class Turn(msgspec.Struct, frozen=True):
    """What one visit brought: ids of questions whose answer was `wrong`, weeks newly `passed`."""

    progress: list[Progress]
    wrong: tuple[str, ...]
    passed: tuple[int, ...]


def course(rx: Rx, company: str, agent: str) -> list[Progress]:
    """The four weeks of an agent (by id)."""
    rows = {
        row[0]: row[1:]
        for row in rx.all(
            "select week, task, attempts, quiz_ms, passed_ms from onboarding "
            "where company=? and agent=?",
            (company, agent),
        )
    }
    found: list[Progress] = []
    for week in WEEKS:
        task_id, attempts, quiz_ms, passed_ms = rows.get(week.n, (None, 0, None, None))
        task = None if task_id is None else sql.by_id(rx, company, task_id)
        before = not found or found[-1].state == "passed"
        state = "open" if before else "closed"
        if week.n in rows:
            state = "started" if passed_ms is None else "passed"
        missing = () if state != "started" else _missing(rx, company, agent, week, task, quiz_ms)
        found.append(Progress(week, state, task, attempts, quiz_ms, passed_ms, missing))
    return found


def _missing(
    rx: Rx, company: str, agent: str, week: Week, task: Task | None, quiz_ms: int | None
) -> tuple[str, ...]:
    found = () if quiz_ms is not None else ("quiz",)
    result = None if task is None else sql.result_of(rx, task.id)
    if task is None or task.state is not State.DONE or result is None or result.agent != agent:
        return (*found, "practice")
    if week.needs_preflight and preflights.latest(rx, company, agent, task.id) is None:
        return (*found, "preflight")
    return found


def visit(tx: Tx, agent_id: str, n: int, answers: Mapping[str, str] | None) -> Turn:
    """Open a week, hand in its quiz, and pass what is complete.

    Raises `onboarding.week`, `onboarding.closed`, `onboarding.attempts`, `onboarding.answers`.
    """
    week = BY_NUMBER.get(n)
    if week is None:
        raise Invalid("onboarding.week", f"there is no week {n}", f"One of {sorted(BY_NUMBER)}.")
    agent = agents.need(tx, tx.company, agent_id)
    now = course(tx, tx.company, agent.id)[n - 1]
    if now.state == "closed":
        raise Conflict(
            "onboarding.closed", f"week {n} follows week {n - 1}", f"Pass week {n - 1} first."
        )
    if now.state == "open" or (now.state == "started" and _lost(now.task)):
        _open(tx, agent, week)
    wrong = _hand_in(tx, agent.id, week, now, answers) if answers else ()
    passed = tuple(_pass(tx, agent.id, p) for p in course(tx, tx.company, agent.id) if _complete(p))
    return Turn(course(tx, tx.company, agent.id), wrong, passed)


def _lost(task: Task | None) -> bool:
    """A practice task that cannot be done any more is replaced."""
    return task is None or task.state in (State.ARCHIVED, State.FAILED, State.DEAD_LETTER)


def _complete(progress: Progress) -> bool:
    return progress.state == "started" and not progress.missing


def _open(tx: Tx, agent: agents.Agent, week: Week) -> None:
    title, text = week.practice
    made = creating.create(
        tx,
        creating.NewTask(
            project=_project(tx),
            type="practice",
            spec={
                "title": title,
                "description": text,
                "definitionOfDone": ["a result is reported"],
            },
            allow_underspecified=True,
            agent=agent.id,
        ),
    )
    tx.run(
        "insert into onboarding(company, agent, week, task) values(?,?,?,?) "
        "on conflict(company, agent, week) do update set task=excluded.task",
        (tx.company, agent.id, week.n, made.task.id),
    )
    tx.emit("onboarding_started", agent.id, {"week": week.n, "task": made.task.id})


def _project(tx: Tx) -> str:
    """The scratch project of the company's practice tasks."""
    row = tx.one(
        "select id from project where company=? and goal=? and status='active' "
        "and deleted_ms is null order by no limit 1",
        (tx.company, PROJECT),
    )
    return projects.create(tx, {"goal": PROJECT}).id if row is None else str(row[0])


def _hand_in(
    tx: Tx, agent: str, week: Week, now: Progress, answers: Mapping[str, str]
) -> tuple[str, ...]:
    known = {question.id for question in week.questions}
    if set(answers) - known:
        raise Invalid(
            "onboarding.answers",
            f"week {week.n} has no question {sorted(set(answers) - known)}"[:300],
            f"Answer {', '.join(sorted(known))}.",
        )
    if now.quiz_ms is not None:
        return ()
    if now.attempts >= MAX_ATTEMPTS:
        raise Conflict(
            "onboarding.attempts",
            f"the quiz of week {week.n} was wrong {MAX_ATTEMPTS} times",
            "An operator looks after it.",
        )
    wrong = tuple(q.id for q in week.questions if answers.get(q.id, "").lower() != q.right)
    tx.run(
        "update onboarding set attempts=attempts+?, quiz_ms=? where company=? and agent=? "
        "and week=?",
        (1 if wrong else 0, None if wrong else tx.now_ms, tx.company, agent, week.n),
    )
    tx.emit("onboarding_quiz", agent, {"week": week.n, "wrong": len(wrong)})
    return wrong


def _pass(tx: Tx, agent: str, progress: Progress) -> int:
    week = progress.week.n
    tx.run(
        "update onboarding set passed_ms=? where company=? and agent=? and week=?",
        (tx.now_ms, tx.company, agent, week),
    )
    trust.event(tx, agent, "training", task=_id(progress.task), note=f"week {week} of the course")
    tx.emit("onboarding_passed", agent, {"week": week})
    return week


def _id(task: Task | None) -> str | None:
    return None if task is None else task.id


def plain(progress: Progress) -> dict[str, Any]:
    """A week for people, without the right answers."""
    week = progress.week
    return {
        "week": week.n,
        "title": week.title,
        "reading": [f"docs/{page}" for page in week.reading],
        "questions": [
            {"id": q.id, "text": q.text, "options": dict(zip("abc", q.options, strict=True))}
            for q in week.questions
        ],
        "state": progress.state,
        "taskId": None if progress.task is None else progress.task.id,
        "taskNumber": None if progress.task is None else progress.task.number,
        "attempts": progress.attempts,
        "missing": list(progress.missing),
    }
