"""How the turn of a heartbeat ends: what its answer comes to, and what is known from then on.

`turn_ends` calls this in the unit that ends a turn. Nothing to tell: no message, and lines that the
model is not shown again, unless it used tools: what it did then, it should remember.
"""

from typing import Any, Final

import msgspec

from homarus.company import heartbeat_rules as rules
from homarus.company import heartbeats
from homarus.company.heartbeats import Heartbeat
from homarus.conversations import sessions, transcript, turns
from homarus.conversations.sessions import Session
from homarus.conversations.turns import HEARTBEAT, State, Turn
from homarus.flows import turn_tools
from homarus.store.port import Rx, Tx

TOLD: Final = "heartbeat"
"""In the outcome of a turn: what it came to, as of `heartbeat_rules`."""
EVENT: Final = "heartbeat"
NO_TARGET: Final = "no-target"
MAX_PREVIEW: Final = 200


class Told(msgspec.Struct, frozen=True):
    """What of an answer is said in `conversation` (None: nowhere); `facts` for the outcome."""

    text: str
    conversation: str | None
    facts: dict[str, Any]


def told(rx: Rx, row: Turn, session: Session, text: str) -> Told:
    """What an answer is to the outside; of another turn than a heartbeat's all of it."""
    beat = heartbeats.of(rx, row.agent) if row.origin == HEARTBEAT else None
    if beat is None:
        return Told(text, session.conversation, {})
    heard = rules.heard(text, beat.ack_max_chars)
    place = _place(rx, beat, session)
    return Told(heard.text, place, {TOLD: heard.status})


def _place(rx: Rx, beat: Heartbeat, own: Session) -> str | None:
    match beat.target:
        case heartbeats.NONE:
            return None
        case heartbeats.MAIN:
            return own.conversation
        case heartbeats.LAST:
            found = sessions.last_spoken_to(rx, beat.company, beat.agent)
        case key:
            found = sessions.by_key(rx, beat.company, key)
    return own.conversation if found is None else found.conversation


def settle(tx: Tx, ended: Turn, session: Session) -> None:
    """A turn has ended: if it was a heartbeat's, its row says how. Emits `heartbeat`."""
    if ended.origin != HEARTBEAT:
        return
    row = turns.need(tx, tx.company, ended.id)
    beat = heartbeats.of(tx, row.agent)
    if beat is None or beat.turn != row.id:
        return
    status, reason, preview = _came_to(row, beat)
    if status in (rules.OK_EMPTY, rules.OK_TOKEN) and not turn_tools.any_of(tx, row.id):
        transcript.hush(tx, session.id, row.id)
    record = {
        "ts": tx.now_ms, "status": status, "agentId": row.agent, "turnId": row.id,
        "durationMs": tx.now_ms - row.created_ms, "reason": reason, "preview": preview,
        "messageId": row.reply, "to": beat.target if row.reply else None,
    }  # fmt: skip
    record = {name: value for name, value in record.items() if value is not None}
    usage = (row.outcome or {}).get("usage") or {}
    values: dict[str, Any] = {
        "turn": None, "pending": None, "outcome": status, "reason": reason,
        "record": heartbeats.keep(record),
        "input_tokens": beat.input_tokens + usage.get("input", 0),
        "output_tokens": beat.output_tokens + usage.get("output", 0),
        "money": beat.money + _spent(tx, row),
    }  # fmt: skip
    if row.state is State.DONE and beat.pending is not None:
        values["mark"] = heartbeats.keep(_known(tx, beat.pending, row))
        values["wakes"] = heartbeats.keep(beat.wakes[beat.pending.wakes :])
    heartbeats.put(tx, row.agent, **values)
    tx.emit(EVENT, row.agent, record)


def _came_to(row: Turn, beat: Heartbeat) -> tuple[str, str | None, str | None]:
    outcome = row.outcome or {}
    text = str(outcome.get("text") or "")[:MAX_PREVIEW] or None
    if row.state is not State.DONE:
        return rules.FAILED, str(outcome.get("error") or row.state.value), text
    status = str(outcome.get(TOLD, rules.SENT))
    if status == rules.SENT and row.reply is None:
        return rules.SKIPPED, NO_TARGET, text
    return status, None, text if status == rules.SENT else None


def _known(tx: Tx, mark: heartbeats.Mark, row: Turn) -> heartbeats.Mark:
    """What it wrote itself meanwhile is no news to it."""
    if not turn_tools.any_of(tx, row.id):
        return mark
    began = row.created_ms if row.started_ms is None else row.started_ms
    return msgspec.structs.replace(mark, from_ms=began, to_ms=tx.now_ms)


def _spent(rx: Rx, row: Turn) -> int:
    found = rx.one(
        "select sum(r.spent_money) from model_call m join reservation r on r.id=m.reservation "
        "where m.turn=?",
        (row.id,),
    )
    return 0 if found is None or found[0] is None else int(found[0])
