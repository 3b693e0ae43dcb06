"""Jobs that fire by the clock: a row for each firing, and who may start (governance contract, 8).

    fire     the time of a job has come: its firings become rows, and its next time is set
    take     of what waits, the next ones that there is room for are claimed
    start    a command's intent, judged as its agent
    …        how it ends: `firing_ends.py`, and of a turn `firing_turns.py`

Each agent is a namespace of its own: its queue, its bounds and its failures hold up nobody else's.
The unit itself looks at the clock and at the rows, so that of several daemons one acts.
"""

from typing import Final

import msgspec

from homarus.base.errors import Busy, Conflict, NotOffered
from homarus.company import agents
from homarus.conversations import keys
from homarus.conversations.turns import CRON
from homarus.flows import (
    firing_ends,
    job_agents,
    job_calls,
    job_turns,
    recurring,
    turn_ends,
    turn_inbound,
    turn_tools,
)
from homarus.flows.calling import check_arguments
from homarus.flows.turn_inbound import Inbound
from homarus.jobs import misfire, runs, service
from homarus.jobs.model import (
    COMMAND,
    PARALLEL,
    PRIORITIES,
    QUEUE,
    RUN_ALL,
    TASK,
    TURN,
    Job,
    Run,
    State,
)
from homarus.kernel import budgets, preflights, registry, stop
from homarus.kernel.preflights import Preflight
from homarus.store.port import Rx, Tx

ROWS_A_UNIT: Final = 20
"""A unit begins no further job when it has made so many."""
TAKEN_A_UNIT: Final = 5
MAX_NAMESPACES: Final = 1_000
MAX_WAITING: Final = 100
"""Runs of a job that wait for their start; one more by hand is refused."""
QUEUE_LOOK: Final = 20
"""Runs of a namespace that one look goes through."""
TAKEN_MS: Final = 10 * 60_000
"""A run that was claimed has begun and ended by then, unless its start says otherwise."""
HOUR_MS: Final = 3_600_000
FIRING: Final = "firing"
"""Kind of the preflight that a claimed run is."""
PREFLIGHT_MS: Final = 24 * HOUR_MS
MISSED: Final = "job_run.missed"
OVERLAPS: Final = "job_run.overlaps"
PREEMPTS: Final = PRIORITIES["P0"]
KEEPS: Final = PRIORITIES["P1"]
"""Runs below this priority make room for P0."""


class Taken(msgspec.Struct, frozen=True):
    """A claimed run and its job; `preflight`: under which a command acts."""

    run: Run
    job: Job
    preflight: str | None = None


# -- the clock -------------------------------------------------------------------------------


class Fired(msgspec.Struct, frozen=True):
    """The rows that were made; `more`: some job of the company is due yet."""

    runs: list[Run]
    more: bool


def fire(tx: Tx) -> Fired:
    """The firings of some jobs of the company whose time has come, as rows."""
    made: list[Run] = []
    for job in service.due(tx, tx.company, ROWS_A_UNIT):
        made += _fire(tx, job)
        if len(made) >= ROWS_A_UNIT:
            break
    return Fired(made, bool(service.due(tx, tx.company, 1)))


def _fire(tx: Tx, job: Job) -> list[Run]:
    first_ms = job.next_run_ms
    if first_ms is None:
        return []
    if job_agents.is_gone(tx, job):
        job_agents.pause(tx, job)
        return []
    due = misfire.due(job.schedule, first_ms, tx.now_ms, job.misfire)
    known = runs.fired(tx, job.id, first_ms, tx.now_ms)
    made = [
        runs.put(tx, job, at_ms, State.MISSED, through_ms=due.through_ms, reason=MISSED,
                 error=_missed(due.through_ms))
        for at_ms in due.missed if at_ms not in known
    ]  # fmt: skip
    several = len(due.run) > 1
    made += [_queue(tx, job, at_ms, catching_up=several) for at_ms in due.run if at_ms not in known]
    service.plan(tx, job.id, due.next_ms)
    return made


def _missed(through_ms: int | None) -> str:
    if through_ms is None:
        return "nothing could run then"
    return "nothing could run then; so many were missed that this row stands for the older ones"


def _queue(tx: Tx, job: Job, at_ms: int, *, catching_up: bool) -> Run:
    """The row of a firing that is to run, unless its job's other runs leave no room for it."""
    if job.what == TASK and not recurring.spawns(job):
        return runs.put(tx, job, at_ms, State.SKIPPED, reason="job.no_project",
                        error="it names no project or no task type")  # fmt: skip
    waits = runs.waiting(tx, job.id, 1) > 0
    several = catching_up and job.misfire == RUN_ALL
    full = {
        PARALLEL: False,
        QUEUE: waits and not several,
    }.get(job.overlap, waits or runs.runs_now(tx, job.id))
    if full:
        return runs.put(tx, job, at_ms, State.SKIPPED, reason=OVERLAPS,
                        error="an earlier run of it was still there")  # fmt: skip
    return runs.put(tx, job, at_ms, State.WAITING)


def by_hand(tx: Tx, job: Job) -> Run:
    """A run now, also of a paused job. Raises `job.no_project`, `job.agent_gone`,
    `job_run.many`."""
    job_agents.check(tx, job, job.agent)
    if job.what == TASK:
        recurring.check_spawns(job)
    if runs.waiting(tx, job.id, MAX_WAITING) >= MAX_WAITING:
        raise Busy(
            "job_run.many", f"{MAX_WAITING} runs of {job.full_name} wait already",
            "Wait until some have ended.",
        )  # fmt: skip
    return runs.put(tx, job, tx.now_ms, State.WAITING, n=runs.by_hand(tx, job.id, tx.now_ms))


# -- who starts next -------------------------------------------------------------------------


def take(tx: Tx, limit: int = TAKEN_A_UNIT) -> list[Taken]:
    """Claim up to `limit` waiting runs of the company: what is P0 of all namespaces, then of each
    by priority, then first come first served; the namespaces that have least to do first."""
    names = runs.agents_waiting(tx, tx.company, MAX_NAMESPACES)
    busy = {name: runs.running(tx, tx.company, name) for name in names}
    taken: list[Taken] = []
    for least in (PREEMPTS, None):
        for name in sorted(names, key=lambda name: len(busy[name])):
            if len(taken) < limit:
                taken += _take_of(tx, name, busy[name], limit - len(taken), least)
    return taken


def _take_of(tx: Tx, agent: str, running: list[Run], limit: int, least: int | None) -> list[Taken]:
    """`running` is what the namespace has then. `least`: of no lower priority."""
    taken: list[Taken] = []
    alone = service.not_parallel(tx, {one.job for one in running})
    for run in runs.queue(tx, tx.company, agent, alone, QUEUE_LOOK):
        if len(taken) == limit or (least is not None and run.priority < least):
            break
        job = service.by_id(tx, tx.company, run.job)
        if job is None or job.deleted_ms is not None:
            runs.move(tx, run, "skip", due_ms=None, ended_ms=tx.now_ms, reason="job.gone")
            continue
        if job_agents.is_gone(tx, job):
            job_agents.skip(tx, run)
            continue
        if job.overlap != PARALLEL and any(other.job == job.id for other in running):
            continue
        if len(running) >= job.concurrent:
            if least is not None:
                _make_room(tx, run, running)
            break  # first in, first out: whoever came later waits as well
        wait_ms = _wait_ms(tx, run, job)
        if wait_ms:
            _put_off(tx, run, job, wait_ms)
            continue
        claimed = _claim(tx, run, job)
        running.append(claimed.run)
        taken.append(claimed)
    return taken


def _wait_ms(rx: Rx, run: Run, job: Job) -> int:
    """How long it must wait yet: it is stopped, or its job has made its calls of this hour."""
    return firing_ends.HOLD_MS if _held_back(rx, job) else job_calls.wait_ms(rx, job)


def _held_back(rx: Rx, job: Job) -> bool:
    subjects = (job.company, job.agent, job.project)
    if any(row.subject in subjects for row in stop.active(rx, job.company)):
        return True
    if job.agent is None:
        return False
    agent = agents.by_id(rx, job.company, job.agent)
    if agent is not None and agent.suspended:
        return True
    return job.what == TURN and budgets.used_up(rx, job.company, job.agent) is not None


def _put_off(tx: Tx, run: Run, job: Job, wait_ms: int) -> None:
    if firing_ends.too_long(tx, run):
        firing_ends.skip_held(tx, run, job, "job_run.held")
    else:
        runs.put_off(tx, run.id, tx.now_ms + wait_ms)


def make_room(tx: Tx, in_hand: frozenset[str]) -> None:
    """A daemon has no room at all: the first P0 of the company that could start but for that has
    one of these runs of the company end, whichever agent's it is."""
    mine = [one for one in runs.of_ids(tx, tx.company, in_hand) if one.what == COMMAND]
    for name in runs.agents_waiting(tx, tx.company, MAX_NAMESPACES):
        running = runs.running(tx, tx.company, name)
        alone = service.not_parallel(tx, {one.job for one in running})
        for run in runs.queue(tx, tx.company, name, alone, QUEUE_LOOK):
            job = service.by_id(tx, tx.company, run.job)
            if run.priority < PREEMPTS:
                break
            if job is not None and job.deleted_ms is None and _wait_ms(tx, run, job) == 0:
                _make_room(tx, run, running if len(running) >= job.concurrent else mine)
                return


def _make_room(tx: Tx, run: Run, running: list[Run]) -> None:
    """P0 has one of these runs end that can go on later: the least, of those the newest."""
    if run.priority < PREEMPTS or any(one.stopping for one in running):
        return
    able = [
        one for one in running
        if one.priority < KEEPS and one.restartable and one.what in (COMMAND, TURN)
    ]  # fmt: skip
    if able:
        victim = min(able, key=lambda one: (one.priority, -one.no))
        runs.stop(tx, victim.id, run.id)
        tx.emit("job_run_stopping", victim.job, {"run": victim.id, "for": run.id})


def _claim(tx: Tx, run: Run, job: Job) -> Taken:
    capability = _capability(tx, job)
    after = runs.move(
        tx, run, "take", token=run.token + 1, attempt=run.attempt + 1, due_ms=None,
        claimed_ms=tx.now_ms, started_ms=None, until_ms=tx.now_ms + TAKEN_MS, stopping=0,
        receipt_seq=None, restartable=int(capability is None or capability.restartable),
    )  # fmt: skip
    preflight = None
    if job.what == COMMAND and job.agent is not None:
        preflight = _preflight(tx, job)
    return Taken(after, job, preflight)


def _capability(rx: Rx, job: Job) -> registry.Capability | None:
    """What a command job runs, if it is there. Whatever else a job runs may be done again."""
    if job.what != COMMAND:
        return None
    return registry.by_id(rx, job.company, str(job.does.get("capability", "")))


def _preflight(tx: Tx, job: Job) -> str:
    """A firing is a claim on its run row: the agent may do what the job says, and no more."""
    capability = str(job.does.get("capability", ""))
    row = Preflight(
        id=tx.new_id(), company=tx.company, agent=job.agent or "", task=None, kind=FIRING,
        intent=job.full_name, verdict=None, evidence={},
        scope=((capability, firing_ends.target_of(job)),), perm=preflights.READ_WRITE,
        route_level=0, capability=capability, token=None, created_ms=tx.now_ms,
        expires_ms=tx.now_ms + PREFLIGHT_MS,
    )  # fmt: skip
    preflights.put(tx, row)
    return row.id


# -- what a claimed run does -----------------------------------------------------------------


def ready(rx: Rx, company: str, job: str) -> registry.Capability:
    """The capability of a command job. Raises `executor.no_capability`, `call.arguments`."""
    row = service.by_id(rx, company, job)
    found = None if row is None else _capability(rx, row)
    if row is None or found is None or not found.enabled:
        wanted = None if row is None else row.does.get("capability")
        raise NotOffered(
            "executor.no_capability",
            f"the capability {wanted!r} is not registered or is disabled",
            "Register it, or change the job: `homarus cron show`.",
        )
    check_arguments(found, row.does.get("arguments") or {})
    return found


def start(tx: Tx, run: str, token: int, wall_ms: int) -> Run:
    """A command begins: the intent, judged as its agent. A living worker has ended it after
    `wall_ms`. Raises `job_run.moved`, `quota.job`."""
    row = _held(tx, run, token)
    job_calls.spend_admitted(tx, row)
    seq = tx.head.receipt_seq + 1
    runs.begun(tx, row.id, until_ms=tx.now_ms + wall_ms, receipt_seq=seq)
    tx.emit("job_run_begun", row.job, {"run": row.id})
    return row


def begun(tx: Tx, run: str, token: int, wall_ms: int) -> Run:
    """Housekeeping begins; a living worker has ended it after `wall_ms`. Raises `job_run.moved`."""
    row = _held(tx, run, token)
    runs.begun(tx, row.id, until_ms=tx.now_ms + wall_ms)
    return row


def spawn(tx: Tx, run: str, token: int) -> Run:
    """A task template: its task is made, and the run is over, in one unit."""
    row = _held(tx, run, token)
    job = _job(tx, row)
    _, made = recurring.spawn(tx, job)
    runs.begun(tx, row.id, until_ms=row.until_ms, subject=made.task.id)
    return firing_ends.end(tx, runs.need(tx, tx.company, row.id), firing_ends.Ended(True))


def say(tx: Tx, run: str, token: int) -> Run:
    """An agent's turn: it is said, and the run is over when the turn is.

    A run that was preempted goes on where its transcript ends. Raises `agent.*`, `turn.*`.
    """
    row = _held(tx, run, token)
    job = _job(tx, row)
    if job.agent is None:
        raise Conflict("job.no_agent", f"{job.full_name} names no agent", "Give it one.")
    agent = agents.need(tx, tx.company, job.agent)
    text = str(job.does.get("message") or job.name)
    if row.preemptions or row.reason == job_calls.OVER:
        text = f"Go on where you were: other work had to come first. You were asked:\n{text}"
    turn = turn_inbound.accept(
        tx,
        Inbound(
            agent=agent.id, text=text, key=f"cron:{row.id}:{row.token}", origin=CRON,
            session=_session(job, agent), mode=turn_inbound.DEFAULT_MODE,
            options=job_turns.options(job),
        ),
    )  # fmt: skip
    runs.begun(tx, row.id, until_ms=None, subject=turn.id)
    return runs.need(tx, tx.company, row.id)


def _session(job: Job, agent: agents.Agent) -> str | None:
    """`main`: the agent's own; a key: that one; else one of the job's own."""
    named = str(job.does.get("session") or "")
    if named == keys.MAIN:
        return None
    return keys.resolve(named, agent.name) if named else keys.of(agent.name, CRON, job.id)


def yield_turn(tx: Tx, run: str) -> bool:
    """End a turn that is to make room, if no tool of it is at work just now; whether it ended."""
    row = runs.by_id(tx, tx.company, run)
    if row is None or row.state is not State.RUNNING or not row.stopping or row.subject is None:
        return False
    if turn_tools.unfinished(tx, row.subject):
        return False
    return turn_ends.abort(tx, row.subject)


def _held(tx: Tx, run: str, token: int) -> Run:
    row = firing_ends.held(tx, run, token)
    if row is None:
        raise Conflict("job_run.moved", "somebody else has this run by now", "Nothing to do.")
    return row


def _job(rx: Tx, row: Run) -> Job:
    job = service.by_id(rx, rx.company, row.job)
    if job is None:
        raise Conflict("job.gone", "the job of this run is gone", "Nothing to do.")
    return job
