"""A message that stands in a thread, and what follows from it: where an agent that this daemon runs
is spoken to, it is a turn, in the same unit. `/new [MODEL]` and `/reset` begin the session anew.

Spoken to is an agent in its direct thread, and in a thread that one of its sessions follows. A
person's word always counts (only an operator's may have real work done); another agent's does where
it was sent with a routing note (`session.send`).
"""

from typing import Final

import msgspec

from homarus.company import agents
from homarus.conversations import service as talk
from homarus.conversations import sessions, turns
from homarus.conversations.model import (
    DIRECT,
    Conversation,
    Draft,
    Message,
    Sender,
    SenderType,
)
from homarus.conversations.turns import Turn
from homarus.flows import session_life, turn_ends, turn_inbound
from homarus.store.port import Rx, Tx

SESSION: Final = "session"


def post(tx: Tx, place: Conversation, draft: Draft) -> tuple[Message, bool]:
    """As `conversations.service.post`; a person's message to an agent of ours is a turn besides.

    Raises `message.text`, `turn.many`.
    """
    row, known = talk.post(tx, place, draft)
    if not known and row.sender_type == SenderType.HUMAN and not _begun_anew(tx, place, row):
        _turn(tx, place, row, "chat")
    return row, known


def _begun_anew(tx: Tx, place: Conversation, row: Message) -> bool:
    """Whether the message was `/new` or `/reset`; what else stands behind it is said in the
    new session."""
    found = session_life.command(row.text)
    agent, key = _spoken_to(tx, place)
    if found is None or agent is None or agent.executor != turn_inbound.LLM:
        return False
    session = session_life.open_session(tx, agent, key, sessions.DIRECT)
    for turn in turns.open_of(tx, session.id):
        turn_ends.abort(tx, turn.id)
    fresh, left = session_life.begin_anew(tx, session, found[1])
    if left:
        _turn(tx, place, msgspec.structs.replace(row, text=left), "chat")
        return True
    model = "" if fresh.model is None else f" It is asked of {fresh.model}."
    talk.post(tx, place, Draft(Sender(SenderType.SYSTEM, None), f"A new session.{model}"))
    return True


def sent(tx: Tx, place: Conversation, row: Message) -> Turn | None:
    """An agent's message to another: a turn of the one who is spoken to, if it runs here."""
    return _turn(tx, place, row, "spawn")


def _turn(tx: Tx, place: Conversation, row: Message, origin: str) -> Turn | None:
    agent, session = _spoken_to(tx, place)
    if agent is None or agent.executor != turn_inbound.LLM or agent.id == row.sender:
        return None
    inbound = turn_inbound.Inbound(
        agent=agent.id, text=row.text, key=f"message:{row.id}", session=session, origin=origin,
        message=row.id,
    )  # fmt: skip
    return turn_inbound.accept(tx, inbound)


def _spoken_to(rx: Rx, place: Conversation) -> tuple[agents.Agent | None, str | None]:
    """The agent that listens in a conversation, and the key of its session there."""
    if place.type == DIRECT and place.agent is not None:
        return agents.by_id(rx, place.company, place.agent), None
    if place.type != SESSION:
        return None, None
    session = sessions.at(rx, place.company, place.id)
    if session is None:
        return None, None
    return agents.by_id(rx, place.company, session.agent), session.key
