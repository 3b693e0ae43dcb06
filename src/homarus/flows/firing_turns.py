"""How the turn of a job ends its run; `turn_ends` calls this in the unit that ends the turn."""

from typing import Final

from homarus.conversations import turns
from homarus.conversations.turns import CRON, State, Turn
from homarus.flows import firing_ends
from homarus.flows.firing_ends import Ended
from homarus.jobs import runs
from homarus.jobs.model import State as RunState
from homarus.store.port import Tx

ABORTED: Final = "turn.aborted"


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
        reason = str(outcome.get("error") or "turn.failed")
        firing_ends.end(tx, run, Ended(False, reason=reason, error=text))
    elif run.stopping:
        firing_ends.put_back(tx, run, firing_ends.PREEMPTED, preempted=True)
    else:
        runs.move(tx, run, "skip", reason=ABORTED, ended_ms=tx.now_ms)
