"""Undo of local writes whose former version is kept: an honest table, and a reason for the rest.

An undo is a write like any other: judged, with a receipt whose target is the first receipt. What
came after is never overwritten: an act that is not the last word on its thing is refused.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.base.ids import is_uuid, time_of, to_blob
from homarus.company import agents, calendar, memory
from homarus.company.calendar import CalendarEvent
from homarus.flows import by_hand
from homarus.kernel import receipts
from homarus.kernel.receipts import Receipt
from homarus.records import incidents, wiki
from homarus.records.wiki import WikiDoc
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import State, Task

_EVENTS: Final = (
    "select seq, at_ms, actor, data from event where subject=? and +company_no=? "
    "order by seq desc limit 3"
)


class Undone(msgspec.Struct, frozen=True, rename="camel"):
    """`what` was restored, in one sentence."""

    receipt: str
    capability: str
    what: str


def undo(tx: Tx, ref: str) -> Undone:
    """Bring back what was before a receipt. Raises `receipt.unknown`, `undo.*`, and what the
    inverse act itself may raise."""
    row = _receipt(tx, ref)
    if row.verdict != "allow" or row.outcome is not None or _failed(tx, row):
        raise Conflict(
            "undo.nothing", f"{row.capability} changed nothing ({row.verdict})", "Nothing to undo."
        )
    fn = UNDO.get(row.capability)
    if fn is None:
        why = INSTEAD.get(row.capability, "No former version of it is kept.")
        raise Conflict("undo.impossible", f"{row.capability} cannot be undone", why)
    what = fn(tx, row)
    tx.emit("receipt_undone", row.id, {"capability": row.capability, "what": what})
    return Undone(row.id, row.capability, what)


def _receipt(tx: Tx, ref: str) -> Receipt:
    row = None
    if is_uuid(ref.lower()):
        row = receipts.by_id(tx, tx.company, tx.head.no, ref.lower())
    if row is None:
        raise NotFound(
            "receipt.unknown", f"no receipt {ref[:80]!r} in this company", "See `homarus audit`."
        )
    return row


def _failed(tx: Tx, row: Receipt) -> bool:
    return any(
        r.outcome == "failed" for r in receipts.outcomes_of(tx, tx.company, tx.head.no, row.seq)
    )


def _superseded(what: str) -> Conflict:
    return Conflict(
        "undo.superseded", f"{what} has changed since", "Undo the later act first, or change it."
    )


def _last_words(tx: Tx, row: Receipt, subject: str) -> list[dict[str, Any]]:
    """Data of the subject's newest events: the receipt's own, then the one before it.

    Raises `undo.superseded` when the newest is another act's.
    """
    found = tx.all(_EVENTS, (to_blob(subject), tx.head.no))
    own = [r for r in found if r[1] == time_of(row.id) and r[2] == row.actor]
    if not found or not own or found[0] != own[0]:
        raise _superseded(row.target)
    return [json.loads(r[3]) if r[3] else {} for r in found]


def _memory(tx: Tx, row: Receipt) -> str:
    """The snapshot before it becomes the latest again, as a new one; entries stay."""
    agent = agents.need(tx, tx.company, row.target.partition(":")[2])
    rows = tx.all(
        "select content, created_ms from agent_memory_snapshot where agent=? "
        "order by no desc limit 2",
        (agent.id,),
    )
    if not rows or rows[0][1] != time_of(row.id):
        raise _superseded(f"the memory of {agent.name}")
    if len(rows) < 2:
        raise Conflict(
            "undo.impossible", f"{agent.name} had no memory before it", "Write what it shall be."
        )
    entry = memory.NewEntry(
        content=f"undo of receipt {row.id}", kind="undo", snapshot=str(rows[1][0])
    )
    memory.write(tx, agent.id, entry)
    return f"the memory of {agent.name} is again what it was before"


def _task(tx: Tx, row: Receipt) -> tuple[Task, dict[str, Any]]:
    """The task of a receipt, and what it was before."""
    task = sql.need(tx, tx.company, row.task or row.target.partition(":")[2], archived=True)
    said = _last_words(tx, row, task.id)
    if len(said) < 2 or "s" not in said[1]:
        raise Conflict("undo.impossible", f"{task.number} has no earlier state", "Move it by hand.")
    return task, said[1]


def _move(tx: Tx, row: Receipt) -> str:
    """Back to the state before, where the table of moves has a way back."""
    task, before = _task(tx, row)
    after = by_hand.move(tx, task.id, State(before["s"]), f"undo of receipt {row.id}")
    return f"{after.number} is {after.state.value} again"


def _assign(tx: Tx, row: Receipt) -> str:
    """Back to whom it was for before."""
    task, before = _task(tx, row)
    if task.state not in (State.INBOX, State.QUEUED, State.BLOCKED):
        raise _superseded(task.number)
    agent = before.get("a")
    if agent is not None:
        agent = agents.need(tx, tx.company, agent).id
    after = by_hand.reassign(tx, task, agent=agent, member=None)
    service.emit(tx, "task_updated", after)
    return f"{after.number} is {'nobody' if agent is None else 'its former agent'}'s again"


def _incident(tx: Tx, row: Receipt) -> str:
    """A removed incident was only hidden."""
    ref = row.target.partition(":")[2].lower()
    found = incidents.by_id(tx, tx.company, ref, deleted=True) if is_uuid(ref) else None
    if found is None or found.deleted_ms is None:
        raise _superseded(f"incident {ref}")
    tx.run("update incident set deleted_ms=null, updated_ms=? where id=?", (tx.now_ms, found.id))
    tx.emit("incident_updated", found.id, {"status": found.status})
    return f"{found.number} is listed again"


def _event(tx: Tx, row: Receipt) -> str:
    """One that was taken out was only hidden."""
    found = calendar.need(tx, tx.company, row.target.partition(":")[2], deleted=True)
    _still_hidden(tx, row, found)
    return f"{calendar.restore(tx, found).number} is in the calendar again"


def _still_hidden(tx: Tx, row: Receipt, found: CalendarEvent | WikiDoc) -> None:
    """Raises `undo.superseded`."""
    _last_words(tx, row, found.id)
    if found.deleted_ms is None:
        raise _superseded(found.number)


def _removed_doc(tx: Tx, row: Receipt) -> str:
    found = wiki.need(tx, tx.company, row.target.partition(":")[2], deleted=True)
    _still_hidden(tx, row, found)
    return f"{wiki.restore(tx, found).number} is in the wiki again"


def _edited_doc(tx: Tx, row: Receipt) -> str:
    """Its title and text of before, as a new version."""
    found = wiki.need(tx, tx.company, row.target.partition(":")[2])
    said = _last_words(tx, row, found.id)[0]
    if "parent" in said.get("fields", ()):
        raise Conflict(
            "undo.impossible", f"where {found.number} lay before is not kept", "Move it by hand."
        )
    before = wiki.version(tx, found.id, found.version - 1)
    change = wiki.WikiChange(title=before.title, body=before.body)
    wiki.update(tx, found.id, found.version, change)
    return f"{found.number} is again what version {before.version} was"


UNDO: Final[dict[str, Callable[[Tx, Receipt], str]]] = {
    "memory.write": _memory,
    "task.move": _move,
    "task.assign": _assign,
    "incident.delete": _incident,
    "event.delete": _event,
    "wiki.update": _edited_doc,
    "wiki.delete": _removed_doc,
}
"""Capability -> how it is undone. All of them an operator may do by hand as well."""

INSTEAD: Final = {
    "task.result": "An operator moves the task: `homarus task move T-… review`.",
    "task.claim": "Hand it back: `homarus task result T-… queued`, or have an operator move it.",
    "task.delete": "An archived task stays archived; create it again.",
    "task.note": "Notes are never changed; write another.",
    "stop.set": "An owner lifts it: `homarus stop lift ID`.",
    "stop.lift": "Set it again: `homarus stop set`.",
    "token.revoke": "A revoked token stays dead; mint another: `homarus token create`.",
    "token.create": "Revoke it: `homarus token revoke ID`.",
    "agent.create": "Remove it: `homarus agent delete`.",
    "change.switch": "Roll back by a change of its own; the last ten versions are kept.",
    "document.write": "Former versions are in the main space; write or propose the one you want.",
    "event.create": "Take it out: `homarus event delete E-…`.",
    "event.update": "What an event was before is not kept; change it: `homarus event update`.",
    "wiki.create": "Remove it: `homarus wiki delete W-…`.",
    "trust.review": "The score follows what the agent does from now on.",
    "receipt.undo": "Do the first act again.",
    "resource.update": "Former texts are kept: `homarus resource restore NAME VERSION`.",
    "resource.lease": "A secret that was read stays read; change it at its provider, then here.",
    "message.send": "What was said was said.",
}
"""What to do where nothing can be undone."""
