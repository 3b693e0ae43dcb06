"""How a turn ends: with a reply, with calls for its asker to do, with an error, or from outside."""

import json
from typing import Any

from homarus.conversations import service as talk
from homarus.conversations import sessions, transcript, turns
from homarus.conversations.model import DeliveryState, Draft, Sender, SenderType
from homarus.conversations.sessions import Session
from homarus.conversations.turns import State, Turn
from homarus.flows import (
    delivering,
    firing_turns,
    heartbeat_turns,
    task_hold,
    turn_inbound,
    turn_models,
    turn_tools,
)
from homarus.flows.turn_rows import around, heard, session_of, show_typing
from homarus.flows.turn_tools import UNKNOWN_TEXT
from homarus.records import incidents
from homarus.store.port import Rx, Tx


def finish(tx: Tx, turn: str, token: int, text: str, outcome: dict[str, Any]) -> Turn:
    """The reply is a message, and the turn is over. An empty text says nothing to anybody. What
    came from a channel is answered there (`delivering.answer`).

    `outcome`: `stop`, `model`; what the turn used is added, and the text.
    """
    row = turns.held(tx, turn, token)
    session, agent, task = around(tx, row)
    reply = None
    said = heartbeat_turns.told(tx, row, session, text)
    if said.text.strip() and said.conversation is not None:
        place = talk.need(tx, tx.company, said.conversation)
        draft = Draft(Sender(SenderType.AGENT, agent.id), said.text[: turn_inbound.MAX_TEXT])
        reply = talk.post(tx, place, draft)[0]
    told = {"text": text, **outcome, **said.facts, "usage": _used(tx, row)}
    row = turns.move(tx, row, "finish", reply=None if reply is None else reply.id, outcome=told)
    delivering.answer(tx, row, reply)
    wind_up(tx, row, session)
    show_typing(tx, session, row, on=False)
    tx.about(task=task.id, trace=task.trace)
    return row


def hand_out(tx: Tx, turn: str, token: int, text: str, outcome: dict[str, Any]) -> Turn:
    """The turn is over, and whoever asked has the rest of its tool calls to do. They are in
    `outcome.calls`; the next turn of the session brings their results (`Given.results`)."""
    row = turns.held(tx, turn, token)
    calls = turn_tools.unfinished(tx, row.id)
    tx.run(
        "update tool_call set state=? where turn=? and ended_seq is null",
        (turn_tools.HANDED_OUT, row.id),
    )
    told = [{"id": call.ref, "name": call.tool, "arguments": call.arguments} for call in calls]
    return finish(tx, turn, token, text, outcome | {"calls": told})


def wind_up(tx: Tx, row: Turn, session: Session) -> None:
    """What follows a turn's end, however it came: of its message, its heartbeat, its
    firing, its session."""
    heard(tx, row, DeliveryState.RESOLVED)
    heartbeat_turns.settle(tx, row, session)
    firing_turns.settle(tx, row)
    if row.options.get(turn_inbound.ONCE) and session.ended_ms is None:
        sessions.end(tx, session)


def _used(rx: Rx, row: Turn) -> dict[str, int]:
    rows = rx.all("select usage from model_call where turn=? and usage is not null", (row.id,))
    used = [json.loads(usage) for (usage,) in rows]
    return {name: sum(one[name] for one in used) for name in ("input", "output")}


def fail(tx: Tx, turn: str, token: int, error: str, why: str, remedy: str) -> Turn:
    """No answer comes. What was done until then stays in the transcript; a task that was not
    reported on is let go (`task_hold.give_back`). `error` a stable code."""
    row = turns.held(tx, turn, token)
    session, _, task = around(tx, row)
    _close(tx, row, "The turn ended before this was done.")
    task_hold.give_back(tx, row, f"its turn failed: {error}")
    row = turns.move(tx, row, "fail", outcome={"error": error, "stop": "error", "text": why,
                                               "remedy": remedy})  # fmt: skip
    delivering.regret(tx, row)
    wind_up(tx, row, session)
    show_typing(tx, session, row, on=False)
    tx.about(task=task.id, trace=task.trace)
    return row


def _close(tx: Tx, row: Turn, why: str) -> None:
    """No request to a model and no tool call stays without an outcome."""
    turn_models.close_all(tx, row.id, why)
    turn_tools.close_all(tx, row, why)


def abort(tx: Tx, turn: str, partial: str = "") -> bool:
    """End a turn from outside; False: it had ended. `partial`: what the model had said so far,
    kept as its line. A worker that still has it finds its fence gone."""
    row = turns.need(tx, tx.company, turn)
    if row.state not in turns.OPEN:
        return False
    session = session_of(tx, row)
    if partial.strip() and not turn_tools.unfinished(tx, row.id):
        body = {"role": "assistant", "content": [{"type": "text", "text": partial}],
                "stopReason": "aborted", "timestamp": tx.now_ms}  # fmt: skip
        transcript.append(tx, session, transcript.MESSAGE, {"message": body}, row.id)
    _close(tx, row, "The turn was aborted before this was done.")
    task_hold.give_back(tx, row, "its turn was aborted")
    turns.move(tx, row, "abort", outcome={"stop": "aborted", "text": partial})
    wind_up(tx, row, session)
    show_typing(tx, session, row, on=False)
    tx.about(task=session.task)
    return True


def keep_partial(tx: Tx, turn: str, token: int, text: str) -> None:
    """What a model had said when its turn was aborted becomes its line, unless others follow."""
    row = turns.need(tx, tx.company, turn)
    if row.state is not State.ABORTED or row.token != token or not text.strip():
        return
    session = session_of(tx, row)
    last = transcript.newest(tx, session.id, 1)
    if not last or last[0].turn != row.id:
        return
    body = {"role": "assistant", "content": [{"type": "text", "text": text}],
            "stopReason": "aborted", "timestamp": tx.now_ms}  # fmt: skip
    transcript.append(tx, session, transcript.MESSAGE, {"message": body}, row.id)
    outcome = (row.outcome or {}) | {"text": text}
    tx.run("update turn set outcome=? where id=?", (json.dumps(outcome), row.id))
    tx.emit("turn_aborted", row.id, {"session": row.session, "agent": row.agent})


def give_up(tx: Tx, row: Turn, session: Session, why: str) -> None:
    _close(tx, row, UNKNOWN_TEXT)
    task_hold.give_back(tx, row, "its turn was given up")
    turns.move(tx, row, "fail", outcome={"error": "turn.attempts", "stop": "error", "text": why,
                                         "remedy": "See the daemon's log."})  # fmt: skip
    delivering.regret(tx, row)
    wind_up(tx, row, session)
    incidents.open_incident(
        tx,
        severity="high",
        reason_code="turn_failed",
        summary=f"A turn in {session.key} was given up: {why}",
        task=session.task,
    )


def refuse(tx: Tx, turn: str, error: str, why: str, remedy: str) -> None:
    """A turn that waits cannot be taken up (its agent is suspended, say): its asker hears why."""
    row = turns.need(tx, tx.company, turn)
    if row.state is not State.QUEUED:
        return
    session = session_of(tx, row)
    _close(tx, row, "The turn ended before this was done.")
    task_hold.give_back(tx, row, f"its turn was refused: {error}")
    tx.about(task=session.task)
    turns.move(tx, row, "fail", outcome={"error": error, "stop": "error", "text": why,
                                         "remedy": remedy})  # fmt: skip
    delivering.regret(tx, row)
    wind_up(tx, row, session)
