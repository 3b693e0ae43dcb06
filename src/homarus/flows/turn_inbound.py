"""A message for an agent becomes a turn that waits; its session is made with it (design, 6)."""

from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.errors import Busy, Conflict, Invalid, TooLarge
from homarus.company import agents
from homarus.conversations import service as talk
from homarus.conversations import sessions, turns
from homarus.conversations.model import Conversation, Draft, Sender, SenderType
from homarus.conversations.sessions import Session
from homarus.conversations.turns import State, Turn
from homarus.flows import session_life, turn_ends
from homarus.kernel.capabilities import role_reaches
from homarus.store.port import Tx
from homarus.tasks import sql as tasks

MAX_TEXT: Final = 100_000
MAX_OPTIONS: Final = 262_144
COMMAND: Final = "command"
"""Option of a turn that is no message: `compact`, `callTool`. It waits for what is before it, and
is done by itself, whatever its session's mode."""
CALL_TOOL: Final = "callTool"
"""Command, and option with its `tool` and `arguments`."""
GIVEN: Final = "given"
ONCE: Final = "once"
"""Option of a turn whose session ends with it: nobody comes back to it."""
MODEL: Final = "model"
"""Option of a turn: which model answers, whatever its session has."""
TOOLS: Final = "tools"
"""Option of a turn: patterns of the tools that it may use; without it, all that its agent may."""
MAKER: Final = "maker"
"""Option of a job's turn: who wrote its text, as receipts name them."""
MAX_GIVEN: Final = 1_800_000
"""Characters of what a message holds besides its text, as JSON: pictures are most of it."""
LLM: Final = "llm"
DEFAULT_MODE: Final = "followup"
"""Each message has an answer of its own, unless its session says otherwise."""


class Inbound(msgspec.Struct, frozen=True):
    """A message for an agent. `agent` by id or name; `session` its full key, None: the agent's own;
    `mode`: "" for the session's own, and `default` where it has none; `message`: the row where it
    stands already, "" for none; `key`: idempotency key of the asker."""

    agent: str
    text: str
    key: str
    session: str | None = None
    kind: str = sessions.DIRECT
    origin: str = "chat"
    mode: str = ""
    default: str = DEFAULT_MODE
    message: str | None = None
    options: dict[str, Any] = {}
    given: "Given | None" = None


class Given(msgspec.Struct, frozen=True):
    """What a message holds besides its text, in the transcript's form. `content`: the parts of its
    line, the text among them; `source` in a part: whose word it is, when it is not the asker's.
    `results`: `{"call", "content"}` for tool calls that the last turn handed out."""

    content: tuple[dict[str, Any], ...] = ()
    results: tuple[dict[str, Any], ...] = ()


def accept(tx: Tx, new: Inbound) -> Turn:
    """Keep an inbound message as a turn that waits. Raises `turn.*`, `agent.*`, `session.key`."""
    known = turns.by_key(tx, tx.company, new.key)
    if known is not None:
        return known
    _check(new)
    agent = agents.need(tx, tx.company, new.agent)
    if agent.executor != LLM:
        raise Conflict(
            "agent.not_run_here",
            f"{agent.name} is not run by this daemon (executor {agent.executor})",
            f"Let it be: `homarus agent update {agent.name} --executor llm`.",
        )
    session = _session(tx, agent, new)
    person = _has_role(tx, "operator")
    said = new.mode or session.queue_mode or new.default
    mode = DEFAULT_MODE if COMMAND in new.options else said
    if mode == "interrupt":
        _interrupt(tx, session)
    if sum(row.state is State.QUEUED for row in turns.open_of(tx, session.id)) >= turns.MAX_QUEUED:
        raise Busy(
            "turn.many",
            f"{turns.MAX_QUEUED} messages wait in {session.key} already",
            "Wait until some are answered, or abort: `homarus session abort`.",
        )
    message = new.message
    if message is None:
        place = talk.need(tx, tx.company, session.conversation)
        message = _inbound_message(tx, place, new.text)
    row = Turn(
        id=tx.new_id(), no=tx.number("turn"), company=tx.company, session=session.id,
        agent=agent.id, key=new.key, origin=new.origin, asked_by=tx.actor.key, person=person,
        mode=mode, text=new.text, message=message or None, options=_options(new),
        state=State.QUEUED,
        token=0, until_ms=None, attempts=0, calls=0, preflight=None, reply=None, outcome=None,
        created_ms=tx.now_ms, started_ms=None, ended_ms=None,
    )  # fmt: skip
    turns.insert(tx, row)
    if new.origin != turns.HEARTBEAT:
        sessions.change(tx, session.id, interaction_ms=tx.now_ms)
    elif not session.entries:
        sessions.change(tx, session.id, interaction_ms=sessions.NEVER)
    standing = tasks.need(tx, tx.company, session.task, archived=True)
    tx.about(task=standing.id, trace=standing.trace)
    tx.emit("turn_queued", row.id, {"session": session.id, "agent": agent.id})
    return row


def _has_role(tx: Tx, least: str) -> bool:
    """Whether an operator asks, of this role or above."""
    return tx.actor.kind is ActorKind.OPERATOR and role_reaches(tx.actor.role, least)


def _interrupt(tx: Tx, session: Session) -> None:
    """End what runs or is parked, where the caller may; else their message waits for its end."""
    for other in turns.open_of(tx, session.id):
        if other.state is not State.QUEUED and may_end(tx, other):
            turn_ends.abort(tx, other.id)


def may_end(tx: Tx, other: Turn) -> bool:
    """Whether the caller's message may end a turn: an operator's only they themselves or an owner
    end."""
    if not other.person or _has_role(tx, "owner"):
        return True
    return other.asked_by == tx.actor.key and _has_role(tx, "operator")


def _session(tx: Tx, agent: agents.Agent, new: Inbound) -> Session:
    """Messages may begin it anew; what is none, or brings what a model waits for, does not."""
    if new.origin == turns.HEARTBEAT or COMMAND in new.options or (new.given and new.given.results):
        return session_life.open_session(tx, agent, new.session, new.kind)
    return session_life.for_message(tx, agent, new.session, new.kind)


def _options(new: Inbound) -> dict[str, Any]:
    if new.given is None:
        return new.options
    return new.options | {GIVEN: msgspec.to_builtins(new.given)}


def _check(new: Inbound) -> None:
    if not 0 < len(new.key) <= turns.MAX_KEY:
        raise Invalid("turn.key", "unusable idempotency key", f"1 to {turns.MAX_KEY} characters.")
    if not new.text.strip() or len(new.text) > MAX_TEXT:
        raise Invalid("turn.text", "the message is empty or too long", f"1 to {MAX_TEXT}.")
    if new.mode and new.mode not in turns.MODES:
        raise Invalid("turn.mode", f"no mode {new.mode[:40]!r}", f"One of {list(turns.MODES)}.")
    if new.origin not in turns.ORIGINS:
        raise Invalid(
            "turn.origin", f"no origin {new.origin[:40]!r}", f"One of {list(turns.ORIGINS)}."
        )
    if len(msgspec.json.encode(new.options)) > MAX_OPTIONS:
        raise Invalid("turn.options", "the options are too large", f"At most {MAX_OPTIONS}.")
    if new.given is not None and len(msgspec.json.encode(new.given)) > MAX_GIVEN:
        raise TooLarge(
            "turn.given", f"the message is larger than {MAX_GIVEN} characters with its pictures",
            "Send smaller pictures, or less of the conversation so far.",
        )  # fmt: skip


def _inbound_message(tx: Tx, place: Conversation, text: str) -> str:
    """The message row of what somebody said to the agent: as whom the kernel knows the asker."""
    actor = tx.actor
    if actor.kind is ActorKind.OPERATOR:
        about = {"senderName": actor.name, "senderRole": actor.role}
        who = Sender(SenderType.HUMAN, actor.id, about)
    elif actor.kind is ActorKind.AGENT:
        who = Sender(SenderType.AGENT, actor.id)
    elif actor.kind is ActorKind.SYSTEM:
        who = Sender(SenderType.SYSTEM, actor.id)
    else:
        who = Sender(SenderType.HUMAN, None, {"relayed": True})
    return talk.post(tx, place, Draft(who, text))[0].id
