"""How often a job reaches outside in an hour (governance contract, 8).

Each call is counted in the unit that lets it be made: a request to a model, a write to the outside,
a request through the egress proxy. So the runs that are going on count, those of all daemons
together, and a run that is cut, lost or handed back has made what it made. Hours are those of UTC,
as of the quota of an agent (`kernel/quota.py`).
"""

from typing import Final

from homarus.base.clock import iso_ms
from homarus.base.errors import Refused
from homarus.conversations import turns
from homarus.conversations.turns import CRON, Turn
from homarus.jobs import runs, service
from homarus.jobs.model import Job, Run
from homarus.kernel import quota
from homarus.kernel.quota import HOUR_MS
from homarus.store.port import Rx, Tx

OVER: Final = "quota.job"


def wait_ms(rx: Rx, job: Job) -> int:
    """Until the job may make a call again; 0: it may now."""
    hour = rx.now_ms // HOUR_MS
    if quota.made(rx, job.company, _subject(job), hour) < job.api_per_hour:
        return 0
    return (hour + 1) * HOUR_MS - rx.now_ms


def spend(tx: Tx, run: Run) -> None:
    """One more call, which may now be made. Raises `quota.job`."""
    job = service.by_id(tx, tx.company, run.job)
    if job is None:
        return
    left_ms = wait_ms(tx, job)
    if left_ms:
        next_at = iso_ms(tx.now_ms + left_ms)
        raise Refused(
            OVER, f"{job.full_name} has made its {job.api_per_hour} calls of this hour",
            f"Go on from {next_at}.", rule="quota", limit=job.api_per_hour, nextAt=next_at,
            retryAfterS=-(-left_ms // 1_000),
        )  # fmt: skip
    quota.count(tx, _subject(job), tx.now_ms // HOUR_MS)
    runs.called(tx, run.id)


def spend_admitted(tx: Tx, run: Run) -> None:
    """The same, where the act that the kernel has just let in is one that counts."""
    if any(each.kind == quota.COUNT for each in tx.admitted.consequences):
        spend(tx, run)


def spend_of_turn(tx: Tx, turn: Turn) -> None:
    """The same, of a turn that a job's run has said."""
    run = runs.of_subject(tx, tx.company, turn.id) if turn.origin == CRON else None
    if run is not None:
        spend_admitted(tx, run)


# -- the proxy -------------------------------------------------------------------------------


def run_of(rx: Rx, company: str, reaches: str) -> str | None:
    """The run of a job that a run of the proxy belongs to: a command, or a tool of a turn."""
    own = runs.by_id(rx, company, reaches)
    if own is not None:
        return own.id
    row = rx.one("select turn from tool_call where id=? and company=?", (reaches, company))
    turn = None if row is None else turns.by_id(rx, company, row[0])
    found = runs.of_subject(rx, company, turn.id) if turn and turn.origin == CRON else None
    return None if found is None else found.id


def request(tx: Tx, run: str) -> None:
    """A request that may now go out. Raises `quota.job`, `job_run.unknown`."""
    spend(tx, runs.need(tx, tx.company, run))


def _subject(job: Job) -> str:
    return f"job:{job.id}"
