"""Tasks of the queue as turns of a model: what an agent whose executor is `llm` claims (design, 7).

    take        claim a task, and the turn that does it, in one unit
    may_run     whether the claim stands under which a turn works
    finish      the answer is the task's result; both are over in one unit
    fail        the same with what went wrong
    hand_off    nothing here can do it: a note, and the task stays open
    put_by      the turn is to go on later, and its task waits for the same thing
    settle      turns whose task went elsewhere end; tasks that money held up are queued again

A task has a session of its own with its agent, `agent:NAME:task:t-12`: what was said at an earlier
claim stands there still. A turn that has not ended goes on under the next claim of the same agent;
under another agent's it ends, and a note tells what there was (`flows/partial.py`).
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Refused
from homarus.company import agents
from homarus.conversations import keys, sessions, turns
from homarus.conversations.sessions import Session
from homarus.conversations.turns import State, Turn
from homarus.flows import (
    claiming,
    parking,
    partial,
    reporting,
    running,
    session_life,
    task_hold,
    turn_ends,
    turn_inbound,
    turn_waits,
    turning,
)
from homarus.records import artifacts
from homarus.store.port import Rx, Tx
from homarus.tasks import service, sql
from homarus.tasks.model import State as TaskState
from homarus.tasks.model import Task

KIND: Final = "task"
"""Of a session, and the origin of its turns."""
BUDGET: Final = "budget"
"""Why a task is blocked whose next request nobody can pay."""
DAY_MS: Final = 86_400_000
MAX_COMMENT: Final = 2_000
MAX_ARTIFACTS: Final = 50

_ASTRAY: Final = (
    "from turn t left join task k on k.id=t.work where t.work_token is not null "
    "and t.ended_ms is null and t.state in ('queued', 'parked') and (k.id is null or k.state in "
    "('done', 'failed', 'dead_letter', 'archived', 'review') or k.agent<>t.agent)"
)
_PAID: Final = (
    "from task k where k.state='blocked' and k.reason='budget' and (k.updated_ms<? or "
    "exists(select 1 from budget b where b.company=k.company and b.updated_ms>k.updated_ms))"
)


# -- taking --------------------------------------------------------------------------------


def under_way(rx: Rx) -> int:
    """Tasks that turns have in hand; one that waits for a person, STOP or money is not."""
    row = rx.one(
        "select count(*) from turn t join task k on k.id=t.work and k.token=t.work_token "
        "where t.work_token is not null and t.ended_ms is null and k.state='in_progress'"
    )
    return 0 if row is None else int(row[0])


def take(tx: Tx, agent: str) -> Turn | None:
    """Claim what fits the acting agent; its turn. None: nothing fits now, or a conversation's turn
    has that very task in hand."""
    claimed = claiming.claim(tx, claiming.ClaimRequest(owner=agent))
    if claimed is None:
        return None
    task = claimed.task
    for row in _open_of(tx, task):
        if row.agent != task.agent:
            turn_ends.abort(tx, row.id)
        elif row.work_token is None:
            return None
        else:
            return _go_on(tx, row, task)
    return _begin(tx, task)


def _open_of(rx: Rx, task: Task) -> list[Turn]:
    """Turns that work on a task and have not ended; a conversation's own among them."""
    rows = rx.all(
        "select id from turn where work=? and work_token is not null and ended_ms is null "
        "union all select id from turn where company=? and agent=? and work=? "
        "and work_token is null and state in ('queued', 'running', 'parked')",
        (task.id, task.company, task.agent, task.id),
    )
    return [turns.need(rx, task.company, row[0]) for row in rows]


def _go_on(tx: Tx, row: Turn, task: Task) -> Turn:
    """The turn of an earlier claim, under this one."""
    tx.run("update turn set work_token=? where id=?", (task.token, row.id))
    row = msgspec.structs.replace(row, work_token=task.token)
    if row.state is State.PARKED:
        turn_waits.go_on(tx, row)
    return turns.need(tx, tx.company, row.id)


def _begin(tx: Tx, task: Task) -> Turn:
    agent = agents.need(tx, tx.company, task.agent or "")
    key = keys.of(agent.name, KIND, task.number)
    session = session_life.open_session(tx, agent, key, KIND)
    row = Turn(
        id=tx.new_id(), no=tx.number("turn"), company=tx.company, session=session.id,
        agent=agent.id, key=f"{KIND}:{task.id}:{task.token}", origin=KIND, asked_by=tx.actor.key,
        person=False, mode=turn_inbound.DEFAULT_MODE,
        text=f"Do {task.number}. What it asks for stands above as the task.", message=None,
        options={}, state=State.QUEUED, token=0, until_ms=None, attempts=0, calls=0,
        preflight=None, reply=None, outcome=None, created_ms=tx.now_ms, started_ms=None,
        ended_ms=None, work=task.id, work_token=task.token,
    )  # fmt: skip
    turns.insert(tx, row)
    sessions.change(tx, session.id, interaction_ms=tx.now_ms)
    tx.about(task=task.id, trace=task.trace)
    tx.emit("turn_queued", row.id, {"session": session.id, "agent": agent.id})
    return row


def expected(agent: agents.Agent) -> Session:
    """What a session for a task of this agent would be, for asking whether a model answers for it
    before anything is claimed."""
    return Session(
        id="", company=agent.company, agent=agent.id, key=keys.of(agent.name, KIND, "t-0"),
        kind=KIND, conversation="", task="", label=None, model=None, thinking=None,
        queue_mode=None, entries=0, first_kept=1, compactions=0, input_tokens=0, output_tokens=0,
        context_tokens=0, created_ms=0, updated_ms=0, interaction_ms=0, ended_ms=None,
    )  # fmt: skip


# -- working -------------------------------------------------------------------------------


def may_run(rx: Rx, row: Turn) -> bool:
    """Whether a turn may be worked on: a conversation's always, a task's while its claim stands
    (and to its end where it has reported by itself)."""
    if row.work_token is None:
        return True
    return task_hold.holding(rx, row) is not None or task_hold.reported(rx, row)


def subjects(rx: Rx, row: Turn) -> frozenset[str]:
    """What a STOP may name to reach the turn's real task: the task, its trace, its project."""
    task = None if row.work is None else sql.by_id(rx, row.company, row.work)
    if task is None:
        return frozenset()
    return frozenset(filter(None, (task.id, task.trace, task.project)))


# -- ends ----------------------------------------------------------------------------------


def finish(tx: Tx, turn: str, token: int, text: str, outcome: dict[str, Any]) -> Turn:
    """The answer as the task's result, with the turn's end. What the task's rules want besides the
    agent's word (evidence, a review) leaves it in review.

    Raises `turn.lost`, `task.lease_lost`, and what a result raises.
    """
    row = _held(tx, turn, token)
    if not task_hold.reported(tx, row):
        task = sql.need(tx, tx.company, row.work or "")
        told: dict[str, Any] = {"text": text, "turn": row.id}
        made = [id_ for _, id_ in artifacts.of_task(tx, task.id)][-MAX_ARTIFACTS:]
        _report(tx, row, "done", told | ({"artifacts": made} if made else {}), text)
    return turn_ends.finish(tx, turn, token, text, outcome)


def _report(tx: Tx, row: Turn, state: str, output: dict[str, Any], comment: str) -> None:
    def say(state: str, comment: str) -> None:
        reporting.result(tx, reporting.ResultRequest(
            row.work or "", state, output, comment[:MAX_COMMENT] or None,
            lease_token=row.work_token,
        ))  # fmt: skip

    try:
        say(state, comment)
    except (Conflict, Refused) as error:
        if state != "done" or error.code == "task.lease_lost":
            raise
        say("review", f"{comment[: MAX_COMMENT // 2]}\n{error.message}")


def fail(tx: Tx, turn: str, token: int, error: str, why: str, remedy: str) -> Turn:
    """What went wrong as the task's result, with what the turn had said by then."""
    row = _held(tx, turn, token)
    if not task_hold.reported(tx, row):
        text, used = partial.said(tx, row)
        output = {"error": error, "text": text, "turn": row.id, "tools": used}
        _report(tx, row, "failed", output, f"{error}: {why}")
    return turn_ends.fail(tx, turn, token, error, why, remedy)


def hand_off(tx: Tx, turn: str, token: int, error: str, why: str, remedy: str) -> Turn:
    """Nothing here can do the task: an honest note, and it stays open for others."""
    row = _held(tx, turn, token)
    running.hand_off(tx, row.work or "", row.work_token or 0, f"{why}. {remedy}")
    return turn_ends.fail(tx, turn, token, error, why, remedy)


def put_by(tx: Tx, turn: str, token: int, harmless: frozenset[str], reason: str) -> Turn:
    """The turn goes on where it is when its task is claimed again; until then the task is blocked
    for `reason`, and keeps its agent."""
    row = turns.held(tx, turn, token)
    task = task_hold.holding(tx, row)
    after = turning.hand_back(tx, turn, token, harmless)
    if task is not None:
        parking.park(tx, task, reason)
    return after


def _held(tx: Tx, turn: str, token: int) -> Turn:
    row = turns.held(tx, turn, token)
    if not may_run(tx, row):
        raise turns.lost(row)
    return row


# -- what nobody works on ------------------------------------------------------------------


def companies_to_settle(rx: Rx) -> list[str]:
    rows = rx.all(
        f"select distinct t.company {_ASTRAY} union select distinct k.company {_PAID}",
        (_today(rx),),
    )
    return [row[0] for row in rows]


def _today(rx: Rx) -> int:
    """When the day began, by which budgets turn: in UTC, in ms."""
    return rx.now_ms - rx.now_ms % DAY_MS


def settle(tx: Tx, limit: int) -> int:
    """End this company's turns whose task ended or is another agent's; queue what money held up,
    once a budget was set or another day began. How many there were."""
    astray = tx.all(f"select t.id {_ASTRAY} and t.company=? limit ?", (tx.company, limit))
    for (turn,) in astray:
        turn_ends.abort(tx, turn)
    held_up = tx.all(
        f"select k.id {_PAID} and k.company=? limit ?",
        (_today(tx), tx.company, limit),
    )
    for (ref,) in held_up:
        task = sql.need(tx, tx.company, ref)
        after = service.leave(tx, task, TaskState.QUEUED, keep_agent=True, retries=task.retries)
        service.emit(tx, "task_updated", after)
    return len(astray) + len(held_up)
