"""What stands around a turn: session, agent, standing task; and what its thread shows of it."""

from homarus.company import agents
from homarus.conversations import service as talk
from homarus.conversations import sessions
from homarus.conversations.model import DeliveryState
from homarus.conversations.sessions import Session
from homarus.conversations.turns import HEARTBEAT, Turn
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks
from homarus.tasks.model import Task


def around(rx: Rx, row: Turn) -> tuple[Session, agents.Agent, Task]:
    session = session_of(rx, row)
    agent = agents.need(rx, row.company, row.agent)
    return session, agent, tasks.need(rx, row.company, session.task, archived=True)


def session_of(rx: Rx, row: Turn) -> Session:
    return sessions.need(rx, row.company, row.session)


def show_typing(tx: Tx, session: Session, row: Turn, *, on: bool) -> None:
    """Whether its agent writes. The message that a turn answers is being worked on from then on,
    also while the turn is put aside; `turn_ends.wind_up` resolves it."""
    if row.origin == HEARTBEAT:  # nobody's conversation
        return
    place = talk.need(tx, tx.company, session.conversation)
    talk.show(tx, place, row.agent, typing=on, read=on)
    if on:
        heard(tx, row, DeliveryState.ACTING)


def heard(tx: Tx, row: Turn, state: DeliveryState) -> None:
    if row.message is not None:
        talk.progress(tx, row.message, state)
