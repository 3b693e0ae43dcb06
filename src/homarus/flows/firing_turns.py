"""How the turn of a job ends its run; `turn_ends` calls this in the unit that ends the turn."""

from typing import Final

from homarus.conversations import turns
from homarus.conversations.turns import CRON, State, Turn
from homarus.flows import firing_ends, job_calls
from homarus.flows.firing_ends import Ended
from homarus.jobs import runs, service
from homarus.jobs.model import Run
from homarus.jobs.model import State as RunState
from homarus.store.port import Tx

ABORTED: Final = "turn.aborted"
HOLD_MS: Final = 3_600_000
"""After this a turn that was refused while it ran is said again: each one stays in its session. One
that its job's quota ended goes on when the quota does."""


def settle(tx: Tx, ended: Turn) -> None:
    """A turn has ended: if a job's run asked for it, that ends too. One that made room waits again;
    one that a person ended is not tried again."""
    if ended.origin != CRON:
        return
    run = runs.of_subject(tx, tx.company, ended.id)
    if run is None or run.state is not RunState.RUNNING:
        return
    row = turns.need(tx, tx.company, ended.id)
    outcome = row.outcome or {}
    text = str(outcome.get("text") or "")
    if row.state is State.DONE:
        firing_ends.end(tx, run, Ended(True, output=text))
    elif row.state is not State.ABORTED:
        _failed(tx, run, str(outcome.get("error") or "turn.failed"), text)
    elif run.stopping:
        firing_ends.put_back(tx, run, firing_ends.PREEMPTED, preempted=True)
    else:
        runs.move(tx, run, "skip", reason=ABORTED, ended_ms=tx.now_ms)


def _failed(tx: Tx, run: Run, reason: str, text: str) -> None:
    if firing_ends.not_now(reason, run.what):
        job = service.by_id(tx, tx.company, run.job)
        own_ms = job_calls.wait_ms(tx, job) if job and reason == job_calls.OVER else 0
        firing_ends.put_back(tx, run, reason, wait_ms=own_ms or HOLD_MS)
    else:
        firing_ends.end(tx, run, Ended(False, reason=reason, error=text))
