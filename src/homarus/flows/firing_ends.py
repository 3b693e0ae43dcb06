"""How a run of a job ends: done, to be tried again, given up, or handed back to wait.

Each is a unit of whoever has the run, fenced by its token: one that was given up for dead changes
nothing. A run that is given up is a dead letter: an incident tells operators, a notification its
agent. So they are told of one that was skipped because it was held back for too long.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import Effect, Outcome
from homarus.base.redact import redact_text
from homarus.jobs import rules, runs, service
from homarus.jobs.model import COMMAND, TASK, Job, Run, State
from homarus.kernel import receipts, registry
from homarus.records import incidents
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks

HOLD_MS: Final = 60_000
"""After this a run that was held back is looked at again; what held it back spends no attempt."""
HELD_BY: Final = frozenset({"stop", "suspended", "quota"})
"""First words of codes that mean: not now."""
USED_UP: Final = frozenset({"budget.exhausted", "budget.debt"})
"""A period turns, or somebody raises it. Waiting mends nothing else about a budget."""
WAITS_FOR: Final = frozenset({"approval.needed", "approval.expired"})
"""An approval of a command is asked for, and may come."""
MAX_HELD_MS: Final = 24 * 3_600_000
"""A run that could not begin for so long is skipped."""
PREEMPTED: Final = "job_run.preempted"
SHUTDOWN: Final = "job_run.shutdown"
LOST: Final = "job_run.lost"
NO_TARGET: Final = "company:"
"""Of a command that names none: its own workspace is what it reaches."""


class Ended(msgspec.Struct, frozen=True):
    """How a run ended. `reason`: a stable code where it did not go well; `output`: what it printed,
    of which the tail is kept."""

    ok: bool
    reason: str | None = None
    error: str | None = None
    output: str | None = None
    exit_code: int | None = None
    cpu_ms: int | None = None
    peak_bytes: int | None = None


def not_now(code: str, what: str) -> bool:
    """Whether what was refused with this code may be let in later; it is no failure of the run.
    `what`: what the run is of, such as COMMAND."""
    waits = what == COMMAND and code in WAITS_FOR
    return waits or code in USED_UP or code.partition(".")[0] in HELD_BY


def held(tx: Tx, run: str, token: int) -> Run | None:
    """The run, if whoever holds this fence still has it."""
    row = runs.by_id(tx, tx.company, run)
    return row if row is not None and row.state is State.RUNNING and row.token == token else None


def too_long(rx: Rx, row: Run) -> bool:
    """Whether it has been held back for so long that it is skipped."""
    return rx.now_ms - row.created_ms > MAX_HELD_MS


def settle(tx: Tx, run: str, token: int, ended: Ended) -> Run | None:
    """The outcome; None: it was settled before, or taken for lost."""
    row = held(tx, run, token)
    return None if row is None else end(tx, row, ended)


def end(tx: Tx, row: Run, ended: Ended) -> Run:
    values = _facts(tx, ended)
    job = service.by_id(tx, tx.company, row.job)
    _outcome(tx, row, job, Outcome.DONE if ended.ok else Outcome.FAILED, ended.reason)
    if ended.ok:
        after = runs.move(tx, row, "finish", reason=None, error=None, **values)
        if job is not None and job.deleted_ms is None:
            if job.what != TASK:  # its spawning has counted it
                service.counted(tx, job.id)
            if job.once and row.n == 0:
                service.archive(tx, job)
        return after
    values |= {"reason": ended.reason, "error": _tail(ended.error, runs.MAX_ERROR)}
    retry_ms = rules.retry_at(row.attempt, tx.now_ms)
    gone = job is None or job.deleted_ms is not None
    if retry_ms is None or gone:
        return give_up(tx, row, job, **values)
    return runs.move(tx, row, "fail", due_ms=retry_ms, **values)


def give_up(tx: Tx, row: Run, job: Job | None, **values: Any) -> Run:
    """A dead letter: nobody tries it again but an operator."""
    after = runs.move(tx, row, "give_up", **values)
    name = row.job if job is None else job.full_name
    why = after.error or after.reason or "it failed"
    _tell(
        tx, row, "job_dead",
        f"{name}: {row.number} failed {row.attempt} times and is not tried again: {why}",
        f"homarus cron show {name}; then `homarus cron retry {row.number}` or "
        f"`homarus cron drop {row.number}`",
    )  # fmt: skip
    return after


def skip_held(tx: Tx, row: Run, job: Job | None, why: str) -> Run:
    """It was held back for too long: it is skipped, and who would miss it is told."""
    after = runs.move(tx, row, "skip", due_ms=None, until_ms=None, ended_ms=tx.now_ms, reason=why)
    name = row.job if job is None else job.full_name
    hours = MAX_HELD_MS // 3_600_000
    _tell(
        tx, row, "job_held",
        f"{name}: {row.number} was held back for {hours} hours and is skipped: {why}",
        f"homarus cron show {name}; once nothing is in its way, `homarus cron run {name}`",
    )  # fmt: skip
    return after


def _tell(tx: Tx, row: Run, reason: str, said: str, action: str) -> None:
    incidents.open_incident(
        tx, severity="high", reason_code=reason, summary=said[:500], recommended_action=action,
        company_wide=True,
    )  # fmt: skip
    if row.agent:
        tasks.notify(tx, row.agent, reason, None, said[:500])


def hand_back(tx: Tx, run: str, token: int, why: str) -> Run | None:
    """It may not begin just now, so it waits, and that was no attempt; None: it is no longer
    held."""
    row = held(tx, run, token)
    return None if row is None else put_back(tx, row, why, wait_ms=HOLD_MS)


def cut(tx: Tx, run: str, token: int, leaving: bool = False) -> Run | None:
    """It was ended from outside: to make room, by a STOP, or because the daemon stops (`leaving`).
    It waits again; what may not simply be done again has then spent an attempt."""
    row = held(tx, run, token)
    if row is None:
        return None
    if row.stopping:
        return put_back(tx, row, PREEMPTED, preempted=True)
    if not leaving:
        return put_back(tx, row, "stop", wait_ms=HOLD_MS)
    if row.restartable:
        return put_back(tx, row, SHUTDOWN)
    return end(tx, row, Ended(False, reason=SHUTDOWN, error="the daemon stopped under it"))


def put_back(tx: Tx, row: Run, why: str, *, wait_ms: int = 0, preempted: bool = False) -> Run:
    job = service.by_id(tx, tx.company, row.job)
    _outcome(tx, row, job, Outcome.FAILED, why)
    if wait_ms and too_long(tx, row):
        return skip_held(tx, row, job, why)
    return runs.move(
        tx, row, "hand_back", due_ms=tx.now_ms + wait_ms, attempt=max(0, row.attempt - 1),
        until_ms=None, stopping=0, reason=why, subject=None,
        preemptions=row.preemptions + int(preempted),
    )  # fmt: skip


def recover(tx: Tx, limit: int, alone: bool, held: frozenset[str] = frozenset()) -> int:
    """Settle this company's runs whose worker died; how many. What may be run again waits again;
    anything else is a dead letter: nobody can say whether it took effect. `held`: see `runs.lost`.
    """
    lost = runs.lost(tx, tx.company, alone, held, limit)
    for row in lost:
        job = service.by_id(tx, tx.company, row.job)
        values = {"until_ms": None, "reason": LOST, "error": "the daemon ended before the run did"}
        _outcome(tx, row, job, Outcome.UNKNOWN, LOST)
        begun = row.receipt_seq is not None
        if (begun and not row.restartable) or row.attempt >= rules.MAX_ATTEMPTS:
            give_up(tx, row, job, ended_ms=tx.now_ms, stopping=0, **values)
        else:
            runs.move(tx, row, "hand_back", due_ms=tx.now_ms, stopping=0, **values)
    return len(lost)


# -- what operators do -----------------------------------------------------------------------


def retry(tx: Tx, ref: str) -> Run:
    """A dead letter is queued anew, with all its attempts. Raises `job_run.*`."""
    row = runs.need(tx, tx.company, ref)
    return runs.move(
        tx, row, "retry", due_ms=tx.now_ms, attempt=0, ended_ms=None, created_ms=tx.now_ms
    )


def drop(tx: Tx, ref: str, why: str | None = None) -> Run:
    """A dead letter is put away. Raises `job_run.*`."""
    row = runs.need(tx, tx.company, ref)
    said = row.error if not why else f"dropped: {why}; {row.error or ''}"
    return runs.move(tx, row, "drop", error=_tail(said, runs.MAX_ERROR))


# -- its facts -------------------------------------------------------------------------------


def _facts(tx: Tx, ended: Ended) -> dict[str, Any]:
    return {
        "ended_ms": tx.now_ms,
        "until_ms": None,
        "stopping": 0,
        "output": _tail(ended.output, runs.MAX_OUTPUT),
        "exit_code": ended.exit_code,
        "cpu_ms": ended.cpu_ms,
        "peak_bytes": ended.peak_bytes,
    }


def _outcome(tx: Tx, row: Run, job: Job | None, outcome: Outcome, why: str | None) -> None:
    """Closes the intent in the ledger, where the act was judged on its own (a command)."""
    if row.receipt_seq is None or job is None:
        return
    name = str(job.does.get("capability", ""))
    capability = registry.by_id(tx, row.company, name)
    effect = Effect.EXEC if capability is None else Effect(capability.effect)
    receipts.write_outcome(
        tx, row.receipt_seq, tx.actor, name, target_of(job), outcome, effect=effect, reason=why
    )


def target_of(job: Job) -> str:
    """What a command of a job is judged on."""
    return str(job.does.get("target") or NO_TARGET)


def _tail(text: str | None, most: int) -> str | None:
    """The end of it: that is where a program says what went wrong."""
    if text is None:
        return None
    plain = redact_text(text)
    return plain if len(plain) <= most else "…" + plain[-most + 1 :]
