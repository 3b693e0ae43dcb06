"""What stands around a turn: session, agent, standing task; and what its thread shows of it."""

from homarus.company import agents
from homarus.conversations import service as talk
from homarus.conversations import sessions
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


def show_typing(tx: Tx, row: Turn, session: Session, *, on: bool) -> None:
    """To those who follow the conversation; a heartbeat is nobody's conversation."""
    if row.origin == HEARTBEAT:
        return
    place = talk.need(tx, tx.company, session.conversation)
    talk.report(tx, place, row.agent, typing=on, read=on, explicit=None if on else "resolved")
