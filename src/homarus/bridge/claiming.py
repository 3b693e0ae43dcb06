"""Claims of a bridge: under queue pressure only, and each heard of exactly once.

A claim's key is in the journal before it is sent and leaves it with the answer. A key is used for
one claim alone, so no old claim is ever replayed to a bridge that wants another task (3.3).
"""

from collections.abc import Container
from typing import Final

from homarus.base.errors import HomarusError
from homarus.base.failpoint import failpoint
from homarus.base.ids import new_id
from homarus.bridge import rules
from homarus.bridge.journal import STARTED, Operation, Work
from homarus.bridge.station import Station, is_fatal, is_transient
from homarus.client.groups import Tasks
from homarus.client.shapes import Claim, Task

FEW: Final = 20
MAX_LISTED: Final = 500
"""Tasks of a list that are looked at for one to claim: a few of the newest, then many."""


async def next_task(at: Station) -> Work | None:
    """Claim one; None when nothing waits, or nothing fits. Raises HomarusError."""
    if rules.stopped_by(at.stops, at.agent.id) is not None:
        return None
    found = await _waiting(at)
    if found is None:
        return None
    named = found.id if at.work is None else None
    key = f"claim:{new_id()}"
    at.journal.own.operations[key] = Operation(at.agent.id, named, at.settings.lease_s)
    at.journal.save()
    failpoint("bridge.claiming")
    return await _send(at, key)


async def repeat(at: Station) -> None:
    """Claims whose answer was not heard: the same key gives the same task."""
    for key in [*at.journal.own.operations]:
        await _send(at, key)


async def _waiting(at: Station) -> Task | None:
    """A task that waits. Which one is claimed the daemon decides, so any will do; without a program
    it is the one that is named, so that none is taken twice."""
    passed_over: Container[str] = at.journal.handed_back if at.work is None else ()
    for limit in (FEW, MAX_LISTED):
        listed = await at.client.tasks.list(state="inbox", limit=limit)
        found = rules.next_waiting(listed, at.agent.id, passed_over)
        if found is not None or len(listed) < limit:
            return found
    return None


async def _send(at: Station, key: str) -> Work | None:
    own = at.journal.own
    asked = own.operations[key]
    request = Tasks.claim.request(asked.agent, task=asked.task, lease_s=asked.lease_s, key=key)
    try:
        claim = await at.client.send(request)
    except HomarusError as error:
        if is_transient(error):
            raise
        if asked.task is not None:
            at.journal.handed_back.add(asked.task)
        del own.operations[key]
        at.journal.save()
        if is_fatal(error):
            raise
        at.tell("not_claimed", code=error.code, error=error.message)
        return None
    failpoint("bridge.claimed")
    del own.operations[key]
    work = None if claim is None else _in_hand(at, claim)
    at.journal.save()
    return work


def _in_hand(at: Station, claim: Claim) -> Work:
    """The claimed task as a row of the journal."""
    own = at.journal.own
    work = own.tasks.get(claim.id) or Work(claim.id, claim.lease_token)
    work.token = claim.lease_token
    work.number, work.project, work.trace = claim.number, claim.project_id, claim.trace_id
    if claim.id in at.journal.interrupted:  # its program ran here once, nobody knows how far
        work.phase = STARTED
        at.journal.interrupted.discard(claim.id)
    own.tasks[claim.id] = work
    at.tell("claimed", task=claim.number or claim.id, title=claim.title)
    return work
