"""A task's events as its time line, and as frames on the socket (control-plane contract, 6.2, 9).

Events carry what changed; the rest of a frame is read from the rows, so that a replayed frame
shows the task in the state that it had then.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.action import Actor
from homarus.base.clock import iso_ms
from homarus.base.ids import event_id, from_blob, to_blob
from homarus.company import projects
from homarus.control_plane import shapes_work as shapes
from homarus.store.port import Event, Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import Note, Spec, State, Task

MAX_EVENTS: Final = 500
_KEYS: Final = frozenset("sualornmc")
_decode = msgspec.json.Decoder(dict[str, Any]).decode

_EVENTS: Final = (  # by the index of subjects: the plus keeps the planner off the company's key
    "select c.no, e.seq, e.at_ms, e.kind, e.subject, e.actor, e.data from event e "
    "join company c on c.no=+e.company_no where e.subject=? and c.id=? order by e.seq desc limit ?"
)


def events_about(rx: Rx, company: str, subject: str, limit: int = MAX_EVENTS) -> list[Event]:
    """The newest events of one subject, oldest first."""
    rows = rx.all(_EVENTS, (to_blob(subject), company, limit))
    return [
        Event(
            seq=seq,
            at_ms=at_ms,
            kind=kind,
            subject=from_blob(bytes(blob)) or "",
            actor=actor,
            data=_decode(data) if data else {},
            id=event_id(at_ms, no, seq),
        )
        for no, seq, at_ms, kind, blob, actor, data in reversed(rows)
    ]


def _actor(key: str) -> tuple[str, str | None]:
    kind, _, ref = key.partition(":")
    word = {"agent": "agent", "operator": "human"}.get(kind, "system")
    return word, ref or None


def _entry(company: str, event: Event, payload: dict[str, Any]) -> dict[str, Any]:
    actor_type, actor_id = _actor(event.actor)
    return {
        "id": event.id,
        "companyId": company,
        "taskId": event.subject,
        "eventType": event.kind,
        "payloadJson": payload or None,
        "actorType": actor_type,
        "actorId": actor_id,
        "createdAt": iso_ms(event.at_ms),
    }


def _payload(event: Event, notes: dict[str, Note]) -> dict[str, Any]:
    data = event.data
    note = notes.get(data.get("n", ""))
    if note is not None:
        return shapes.note(note)
    payload: dict[str, Any] = {k: v for k, v in data.items() if k not in _KEYS}
    if "s" in data:
        payload["state"] = data["s"]
    if "a" in data:
        payload["agentId"] = data["a"]
    if "r" in data:
        payload["retries"] = data["r"]
    if "c" in data:
        payload["comment"] = data["c"]
    return payload


def of_task(rx: Rx, company: str, task: str) -> list[dict[str, Any]]:
    """The TaskEvents of a task, oldest first, at most the newest 500."""
    notes = sql.notes_of(rx, task)
    return [
        _entry(company, event, _payload(event, notes)) for event in events_about(rx, company, task)
    ]


def note_event(tx: Tx, note: Note) -> dict[str, Any]:
    """The event of the note that this unit has just emitted, as the reply shows it."""
    actor: Actor = tx.actor
    kind = "task_note" if note.handoff is None else "task_handoff"
    seq = tx.last_seq()
    event = Event(
        seq, tx.now_ms, kind, note.task, actor.key, {}, event_id(tx.now_ms, tx.head.no, seq)
    )
    return _entry(tx.company, event, shapes.note(note))


# -- frames --------------------------------------------------------------------------------


def _as_then(rx: Rx, company: str, event: Event) -> tuple[Task, Spec] | None:
    """The task with the state, holder and lease that the event recorded."""
    task = sql.by_id(rx, company, event.subject)
    if task is None:
        return None
    data = event.data
    then = msgspec.structs.replace(
        task,
        state=State(data.get("s", task.state.value)),
        agent=data.get("a"),
        lease_until_ms=data.get("l"),
        lease_owner=data.get("o", data.get("a")) if "l" in data else None,
        retries=data.get("r", 0),
        updated_ms=data.get("u", task.updated_ms),
    )
    return then, sql.spec_of(rx, task.id)


_WITHOUT_ASSIGNEE: Final = frozenset(
    {State.INBOX, State.QUEUED, State.BLOCKED, State.DEAD_LETTER, State.ARCHIVED}
)
"""A stock bridge counts a slot as taken for any frame that names it as assignee (9, rule 3)."""


def _updated(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    found = _as_then(rx, company, event)
    if found is None:
        return []
    task, spec = found
    if event.kind == "task_claimed":
        shape = shapes.claimed_task(task, spec)
        del shape["leaseToken"], shape["lease_token"]
    else:
        shape = shapes.task(task, spec)
        if task.state in _WITHOUT_ASSIGNEE:
            shape |= {"assignedAgentId": None, "assignee": None, "leaseOwner": None}
    return [{"type": "task_updated", "task": shape}]


def _created(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    found = _as_then(rx, company, event)
    if found is None:
        return []
    shape = shapes.task(*found)
    del shape["assignee"]
    return [{"type": "new_task", "task": shape}]


def _assigned(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    found = _as_then(rx, company, event)
    if found is None:
        return []
    return [
        {
            "type": "task_assigned",
            "taskId": event.subject,
            "agentId": event.data.get("a"),
            "task": shapes.task(*found),
        }
    ]


def _noted(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    task = sql.by_id(rx, company, event.subject)
    note = sql.note(rx, event.data.get("n", ""))
    if task is None or note is None:
        return []
    scope = {
        "projectId": task.project,
        "customerId": projects.customer_of(rx, company, task.project),
    }
    frame: dict[str, Any] = {
        "type": "task_note_added",
        "taskId": task.id,
        **scope,
        "event": _entry(company, event, shapes.note(note)) | scope,
    }
    memory = projects.memory(rx, event.data["m"]) if "m" in event.data else None
    if memory is not None:
        frame["memory"] = shapes.project_memory(memory)
    return [frame]


_MOVES: Final = (
    "task_claimed",
    "task_updated",
    "task_done",
    "task_failed",
    "task_review",
    "task_inbox",
    "task_in_progress",
    "task_archived",
    "lease_expired_retry",
    "dead_lettered",
)

FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "task_generated": _created,
    "task_assigned": _assigned,
    "task_reassigned": _assigned,
    "task_note": _noted,
    "task_handoff": _noted,
    **dict.fromkeys(_MOVES, _updated),
}
