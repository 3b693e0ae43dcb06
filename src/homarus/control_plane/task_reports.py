"""What is said of a task in hand: notes, hand-overs, results (control-plane contract, 6.2)."""

from typing import Any

import msgspec

from homarus.control_plane import shapes_work as shapes
from homarus.control_plane import timeline
from homarus.control_plane.approvals import waiting
from homarus.control_plane.route import Call, json_reply
from homarus.control_plane.task_context import scope_of
from homarus.flows import editing, parking, reporting
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import State


class NoteBody(msgspec.Struct, rename="camel"):
    """`agentId` is needed of company tokens; an operator may speak for themselves."""

    note: str
    agent_id: str | None = None
    handoff: editing.Handoff | None = None


def add_note(tx: Tx, call: Call[NoteBody]) -> Reply:
    note, memory = editing.note(tx, call.path["id"], call.body.note, call.body.handoff)
    task = sql.need(tx, tx.company, note.task)
    event = timeline.note_event(tx, note) | scope_of(tx, tx.company, task)
    more = {} if memory is None else {"memory": shapes.project_memory(memory)}
    return json_reply({"message": "Note added", "event": event} | more)


def notes(rx: Rx, call: Call[None]) -> Reply:
    task = sql.need(rx, call.company, call.path["id"])
    scope = scope_of(rx, call.company, task)
    events = [event | scope for event in timeline.of_task(rx, call.company, task.id)]
    return json_reply({"events": events})


class ResultBody(msgspec.Struct, rename="camel"):
    state: str
    agent_id: str
    output_json: Any = None
    comment: str | None = None
    approval_rationale: str | None = None
    confidence: float = 0
    lease_token: int | None = None


def result(tx: Tx, call: Call[ResultBody]) -> Reply:
    body = call.body
    task = reporting.result(
        tx,
        reporting.ResultRequest(
            task=call.path["id"],
            state=body.state,
            output=body.output_json,
            comment=body.comment,
            lease_token=body.lease_token,
        ),
    )
    if body.state == State.DONE.value and parking.awaits_done(tx, task):
        return waiting(tx, task)
    stored = sql.result_of(tx, task.id)
    shape = shapes.task(task, sql.spec_of(tx, task.id), stored) | scope_of(tx, tx.company, task)
    return json_reply({"message": "Result recorded", "task": shape})


class Complete(msgspec.Struct, rename="camel"):
    agent_id: str | None = None
    output_json: Any = None
    comment: str | None = None
    lease_token: int | None = None


def complete(tx: Tx, call: Call[Complete]) -> Reply:
    """The shell helper's alias: result done (contract 16)."""
    body = call.body
    task = reporting.result(
        tx,
        reporting.ResultRequest(
            call.path["id"], "done", body.output_json, body.comment, body.lease_token
        ),
    )
    if parking.awaits_done(tx, task):
        return waiting(tx, task)
    shape = shapes.task(task, sql.spec_of(tx, task.id), sql.result_of(tx, task.id))
    shape |= scope_of(tx, tx.company, task)
    return json_reply({"message": "Task completed", "task": shape})
