"""A message that stands in a thread, and what follows from it: where an agent that this daemon runs
is spoken to, it is a turn, in the same unit. `/new [MODEL]` and `/reset` begin the session anew.

Spoken to is an agent in its direct thread, and in a thread that one of its sessions follows. A
person's word always counts (only an operator's may have real work done); another agent's does where
it was sent with a routing note (`session.send`).
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, NotFound
from homarus.base.ids import is_uuid
from homarus.company import agents
from homarus.conversations import inbound, rules, sessions, sql, turns
from homarus.conversations import service as talk
from homarus.conversations.model import (
    DIRECT,
    TEAM,
    Conversation,
    Draft,
    Message,
    Sender,
    SenderType,
)
from homarus.conversations.turns import Turn
from homarus.flows import delivering, session_life, turn_ends, turn_inbound
from homarus.kernel import settings
from homarus.store.port import Rx, Tx

SESSION: Final = "session"
ROOT: Final = "root"
"""Option of a turn that another agent's message began: the turn that led to it in the end."""
SENT: Final = "sent"
"""Option of such a root: how many messages between agents came of it."""


def post(
    tx: Tx, place: Conversation, draft: Draft, *, commands: bool = True,
    mode: str = turn_inbound.DEFAULT_MODE,
) -> tuple[Message, bool]:  # fmt: skip
    """As `conversations.service.post`; a person's message to an agent of ours is a turn besides.
    `commands`: `/new` and `/reset` are heeded; `mode`: of the turn, where its session has none.

    Raises `message.text`, `turn.many`.
    """
    row, known = talk.post(tx, place, draft)
    if known or row.sender_type != SenderType.HUMAN:
        return row, known
    if not (commands and _begun_anew(tx, place, row)):
        _turn(tx, place, row, "chat", mode=mode)
    return row, known


def _begun_anew(tx: Tx, place: Conversation, row: Message) -> bool:
    """Whether the message was `/new` or `/reset`; what else stands behind it is said in the
    new session. It ends what is under way, where who wrote it may."""
    found = session_life.command(row.text)
    agent, key = _spoken_to(tx, place)
    if found is None or agent is None or agent.executor != turn_inbound.LLM:
        return False
    session = session_life.open_session(tx, agent, key, sessions.DIRECT)
    under_way = turns.open_of(tx, session.id)
    if not all(turn_inbound.may_end(tx, turn) for turn in under_way):
        _notice(tx, place, row, "An operator is being answered here. Say it again afterwards.")
        return True
    for turn in under_way:
        turn_ends.abort(tx, turn.id)
    fresh, left = session_life.begin_anew(tx, session, found[1])
    if left:
        _turn(tx, place, msgspec.structs.replace(row, text=left), "chat")
        return True
    model = "" if fresh.model is None else f" It is asked of {fresh.model}."
    _notice(tx, place, row, f"A new session.{model}")
    return True


def _notice(tx: Tx, place: Conversation, asked: Message, text: str) -> None:
    """The daemon's own answer to a message."""
    draft = Draft(Sender(SenderType.SYSTEM, None), text)
    delivering.reply(tx, asked, talk.post(tx, place, draft)[0])


def say(tx: Tx, place: str, text: str, mode: str = turn_inbound.DEFAULT_MODE) -> Message:
    """What a person writes in a thread: `team`, the thread's id, or the id of the agent that they
    write to, whose thread opens with it. `mode`: see `post`.

    Raises `thread.unknown`, `message.text`, `turn.many`.
    """
    who = rules.sender(tx.actor, None, None, SenderType.HUMAN)
    draft = Draft(who, text, metadata=rules.metadata(None, who))
    return post(tx, _named(tx, place), draft, mode=mode)[0]


def _named(tx: Tx, place: str) -> Conversation:
    if place == TEAM:
        return talk.team(tx)
    ref = place.lower()
    row = sql.conversation(tx, tx.company, ref) if is_uuid(ref) else None
    if row is not None:
        return row
    agent = agents.by_id(tx, tx.company, ref) if is_uuid(ref) else None
    if agent is None:
        raise NotFound("thread.unknown", f"no thread {place[:80]!r}", "See the Threads page.")
    return talk.direct(tx, agent.id)


def relayed(
    tx: Tx, message: inbound.Inbound, mode: str = turn_inbound.DEFAULT_MODE
) -> tuple[Message, bool]:
    """A person's message that came by the webhook, into the thread that it names if that is one of
    ours, else into the team's; `(it, whether it was there)`. `mode`: see `post`.

    Raises `message.platform_id`, `message.text`, `turn.many`.
    """
    ref = (message.thread_id or "").lower()
    named = sql.conversation(tx, tx.company, ref) if is_uuid(ref) else None
    draft = inbound.draft(tx.actor, message)
    return post(tx, talk.team(tx) if named is None else named, draft, mode=mode)


def sent(tx: Tx, place: Conversation, row: Message, root: str | None) -> Turn | None:
    """An agent's message to another: a turn of the one who is spoken to, if it runs here. `root`:
    the turn that it comes from in the end, None: no turn here. Raises `send.many`."""
    return _turn(tx, place, row, "spawn", root)


def root_of(turn: Turn) -> str:
    """The turn that led to this one in the end: itself, unless another agent's message began it."""
    return str(turn.options.get(ROOT, turn.id))


def _turn(
    tx: Tx, place: Conversation, row: Message, origin: str, root: str | None = None,
    mode: str = turn_inbound.DEFAULT_MODE,
) -> Turn | None:  # fmt: skip
    agent, session = _spoken_to(tx, place)
    if agent is None or agent.executor != turn_inbound.LLM or agent.id == row.sender:
        return None
    new = turn_inbound.Inbound(
        agent=agent.id, text=row.text, key=f"message:{row.id}", session=session, origin=origin,
        message=row.id, default=mode, options={} if root is None else _counted(tx, root),
    )  # fmt: skip
    return turn_inbound.accept(tx, new)


def _counted(tx: Tx, root: str) -> dict[str, Any]:
    """The options of one more turn that comes of `root`, which counts them, so that two agents who
    answer each other come to an end."""
    first = turns.need(tx, tx.company, root)
    count = 1 + int(first.options.get(SENT, 0))
    most = settings.value(tx, tx.company, "routing.messages")
    if count > most:
        raise Conflict(
            "send.many", f"agents have sent each other {most} messages on one from elsewhere",
            "Answer whoever asked; a person's next message lets you go on.",
        )  # fmt: skip
    options = msgspec.json.encode(first.options | {SENT: count}).decode()
    tx.run("update turn set options=? where id=?", (options, first.id))
    return {ROOT: first.id}


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
