"""Messages that wait behind a running turn, and tasks made of messages (dashboard contract, 2).

A queued message is a row like any other: until a worker takes it up it can be changed, by whoever
wrote it, or dropped. Both writes hold only while nobody has begun it, and the row keeps who it was.
"""

from typing import Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, HomarusError, Invalid, NotFound, Refused
from homarus.base.ids import is_uuid
from homarus.company import projects
from homarus.conversations import rules, sessions, sql, turns
from homarus.conversations.model import Message
from homarus.conversations.turns import State, Turn
from homarus.flows import creating, turn_ends, turn_inbound
from homarus.kernel.actor_names import actor_name
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks

DROPPED: Final = "dropped"
"""`outcome.stop` of a turn that was dropped before it began."""
TASK_TYPE: Final = "message_work"
MAX_TITLE: Final = 200


class NewTask(msgspec.Struct, frozen=True):
    """What a task of a message says. `project` None: the newest active one; `agent`: id or name,
    None: who fits; `title` "": the message's first line."""

    project: str | None = None
    title: str = ""
    agent: str | None = None


def edit(tx: Tx, ref: str, text: str) -> Turn:
    """Change what a message says that nobody has begun to answer, in its thread too.

    Raises `turn.unknown`, `turn.text`, `turn.not_yours`, `turn.begun`, `turn.fixed`.
    """
    row = waiting(tx, tx.company, ref)
    if row.asked_by != tx.actor.key:
        raise Refused(
            "turn.not_yours", f"{actor_name(tx, row.asked_by)} wrote this message",
            "Only who wrote a message changes it. You may drop it, and write another.",
            rule="identity",
        )  # fmt: skip
    if turn_inbound.COMMAND in row.options or turn_inbound.GIVEN in row.options:
        raise Conflict(
            "turn.fixed", "this message is a command, or holds more than text",
            "Drop it, and send another.",
        )  # fmt: skip
    if not text.strip() or len(text) > turn_inbound.MAX_TEXT:
        most = f"1 to {turn_inbound.MAX_TEXT}."
        raise Invalid("turn.text", "the message is empty or too long", most)
    if not turns.reword(tx, row, text):
        raise _begun(tx, turns.need(tx, tx.company, row.id))
    said = None if row.message is None else sql.message(tx, tx.company, row.message)
    if said is not None:
        sql.reword(tx, said, text, said.metadata | rules.edited(tx.actor, tx.now_ms))
        tx.emit("message_changed", said.id, {"thread": said.conversation})
    tx.about(task=sessions.need(tx, tx.company, row.session).task)
    return turns.need(tx, tx.company, row.id)


def drop(tx: Tx, ref: str) -> Turn:
    """End a turn that nobody has begun; its message stays in the thread, answered by nobody.

    Raises `turn.unknown`, `turn.begun`.
    """
    row = waiting(tx, tx.company, ref)
    row = turns.move(
        tx, row, "abort", outcome={"stop": DROPPED, "text": ""}, changed_by=tx.actor.key,
        changed_ms=tx.now_ms,
    )  # fmt: skip
    session = sessions.need(tx, tx.company, row.session)
    turn_ends.wind_up(tx, row, session)
    tx.about(task=session.task)
    return row


def task_of(tx: Tx, message: str, new: NewTask) -> creating.Claim:
    """A task that says what a message says, and keeps the link to it; one a message.

    Raises `message.unknown`, `message.task`, `project.*`, `agent.unknown`, `task.*`.
    """
    said = need_message(tx, tx.company, message)
    made = sql.task_of(tx, said.id)
    if made is not None:
        task, by, at_ms = made
        number = f"T-{tasks.need(tx, tx.company, task, archived=True).seq}"
        raise Conflict(
            "message.task",
            f"{actor_name(tx, by)} made {number} of this message at {iso_ms(at_ms)}",
            f"See it: `homarus task show {number}`.", task=number, by=by, at=iso_ms(at_ms),
        )  # fmt: skip
    title = new.title.strip() or said.text.strip().splitlines()[0]
    spec = {"title": title[:MAX_TITLE], "description": said.text}
    claim = creating.create(
        tx,
        creating.NewTask(
            project=new.project or _project(tx), type=TASK_TYPE, spec=spec,
            allow_underspecified=True, agent=new.agent,
        ),
    )  # fmt: skip
    sql.link_task(tx, said.id, claim.task.id)
    tx.emit("message_changed", said.id, {"thread": said.conversation, "task": claim.task.id})
    return claim


def need_message(rx: Rx, company: str, ref: str) -> Message:
    """Raises `message.unknown`."""
    found = sql.message(rx, company, ref.lower()) if is_uuid(ref.lower()) else None
    if found is None:
        raise NotFound("message.unknown", f"no message {ref[:80]!r}", "See GET /threads.")
    return found


def _project(rx: Tx) -> str:
    found = projects.listed(rx, rx.company, limit=1, status="active")
    if not found:
        raise Invalid(
            "project.unknown", "a task belongs to a project, and there is no active one",
            "Create one: `homarus project create GOAL`.",
        )  # fmt: skip
    return found[0].id


def waiting(rx: Rx, company: str, ref: str) -> Turn:
    """A turn that nobody has begun. Raises `turn.unknown`, `turn.begun`."""
    row = turns.need(rx, company, ref)
    if row.state is not State.QUEUED or row.started_ms is not None:
        raise _begun(rx, row)
    return row


def _begun(rx: Rx, row: Turn) -> HomarusError:
    """Why it is too late: what became of the turn, by whom and when."""
    at_ms = row.ended_ms or row.started_ms
    if row.state is State.ABORTED and row.changed_by is not None:
        what = f"was dropped by {actor_name(rx, row.changed_by)}"
    elif row.ended_ms is not None:
        what = f"has ended ({row.state.value})"
    else:
        what = "has begun"
    when = "" if at_ms is None else f" at {iso_ms(at_ms)}"
    remedy = "Stop it, or write another message." if row.ended_ms is None else "Write another."
    return Conflict("turn.begun", f"this message {what}{when}", remedy)
