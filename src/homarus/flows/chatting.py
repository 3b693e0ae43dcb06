"""What a gateway client says to an agent (gateway contract, 6, 10.1): a line becomes a turn.

    accept(tx, line)      which agent, which session -> its turn, and whether the key had it already
    place(rx, ...)        the same without saying anything

A run is a turn under the client's own name: its id is the idempotency key that came with it.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.company.agents import Agent
from homarus.config.channels import Channels
from homarus.conversations import keys, sessions, turns
from homarus.conversations.sessions import Session
from homarus.conversations.turns import Brief, Turn
from homarus.flows import announcing, answering, turn_ends, turn_inbound
from homarus.flows.announcing import Wish
from homarus.flows.turn_inbound import Given
from homarus.store.port import Rx, Tx

ID_CHARS: Final = 36
MAX_RUN: Final = turns.MAX_KEY - ID_CHARS - 1
MAX_OPEN: Final = 1_000


class Line(msgspec.Struct, frozen=True):
    """`agent` by id, name or slug; `session` as the client named it; `content`: parts besides the
    text; `mode`, `default`: see `turn_inbound.Inbound`; `expected`: id that the session must
    have; `deliver`: where the answer goes besides, over one of `channels`."""

    text: str
    run: str
    agent: str | None = None
    session: str | None = None
    mode: str = ""
    default: str = turn_inbound.DEFAULT_MODE
    content: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = {}
    model: str | None = None
    expected: str | None = None
    label: str | None = None
    deliver: Wish | None = None
    channels: Channels = {}


class Place(msgspec.Struct, frozen=True):
    """Where a line belongs: the agent, the session's full key, and the session if it is there."""

    agent: Agent
    key: str
    session: Session | None


class Said(msgspec.Struct, frozen=True):
    """What became of a line. `known`: it had been said before."""

    turn: Turn
    key: str
    agent: Agent
    known: bool


def place(rx: Rx, company: str, agent: str | None, session: str | None) -> Place:
    """Raises `agent.*`, `session.key`. `session` None or `main`: the agent's own."""
    text = (session or keys.MAIN).strip().lower()
    if is_uuid(text):
        found = sessions.by_id(rx, company, text)
        if found is not None and found.ended_ms is None:
            return Place(answering.target(rx, company, found.agent), found.key, found)
    if text.startswith("agent:"):
        named = keys.agent_of(text)
        if agent is None or keys.slug(agent) != named:
            agent = _other(rx, company, agent, named)
    who = answering.target(rx, company, agent)
    key = keys.resolve(text, who.name)
    return Place(who, key, sessions.by_key(rx, company, key))


def _other(rx: Rx, company: str, agent: str | None, named: str) -> str:
    if agent is not None and keys.slug(answering.target(rx, company, agent).name) != named:
        raise Invalid("session.key", f"that session is {named}'s, not {agent[:80]}'s",
                      "Name one agent.")  # fmt: skip
    return named


def accept(tx: Tx, line: Line) -> Said:
    """Raises `agent.*`, `session.*`, `stop.*`, `turn.*`, `channel.*`, `delivery.*`."""
    key = turn_key(tx.action.credential, line.run)
    at = place(tx, tx.company, line.agent, line.session)
    known = turns.by_key(tx, tx.company, key)
    if known is not None:
        return Said(known, at.key, at.agent, True)
    if line.expected is not None and (at.session is None or at.session.id != line.expected):
        raise NotFound("session.unknown", "the session is not the one that was expected",
                       "Read it anew.")  # fmt: skip
    answering.check_stop(tx, at.agent, at.session)
    options = line.options
    if line.deliver is not None:
        home = announcing.home_of(tx, tx.company, at.agent, at.key)
        options = options | announcing.settled(tx, line.deliver, line.channels, home)
    text = {"type": "text", "text": line.text}
    row = turn_inbound.accept(
        tx,
        turn_inbound.Inbound(
            agent=at.agent.id, text=line.text, key=key, session=at.key,
            kind=sessions.DIRECT, origin="chat", mode=line.mode, default=line.default,
            options=options,
            given=Given((text, *line.content)) if line.content else None,
        ),
    )  # fmt: skip
    changes = {"model": line.model, "label": line.label}
    given = {name: value for name, value in changes.items() if value is not None}
    if given:
        sessions.change(tx, row.session, **given)
    return Said(row, at.key, at.agent, False)


# -- runs ----------------------------------------------------------------------------------


def turn_key(credential: str, run: str) -> str:
    """The turn's key of a client's run. Raises `turn.key`."""
    if not 0 < len(run) <= MAX_RUN:
        raise Invalid("turn.key", "unusable idempotency key", f"1 to {MAX_RUN} characters.")
    return f"{credential}:{run}"


def run_of(row: Turn | Brief) -> str:
    """What clients call a turn: the key of whoever asked, or its id where that was no client."""
    return run_in(row.key) or row.id


def run_in(key: str) -> str | None:
    """The name that a client gave its run, from the key of the turn; None: no client did."""
    head, _, run = key.partition(":")
    return run if run and len(head) == ID_CHARS and is_uuid(head) else None


def find(rx: Rx, company: str, credential: str, run: str) -> Turn | None:
    """The caller's own run of that name, or any turn by its id."""
    if not 0 < len(run) <= MAX_RUN:
        return None
    own = turns.by_key(rx, company, turn_key(credential, run))
    if own is not None or not is_uuid(run.lower()):
        return own
    return turns.by_id(rx, company, run.lower())


def abort(
    tx: Tx, session: str | None, run: str | None, turn: str | None, *, agent: str | None = None
) -> list[str]:
    """End a session's open turns, or the one named (`turn`: its id, where the caller knows it);
    names of the runs that were ended."""
    if run is not None:
        row = find(tx, tx.company, tx.action.credential, run)
        if row is None and turn is not None:
            row = turns.by_id(tx, tx.company, turn)
        rows = [] if row is None or row.state not in turns.OPEN else [row]
        if session is not None:
            at = place(tx, tx.company, agent, session).session
            rows = [row for row in rows if at is not None and row.session == at.id]
    else:
        at = place(tx, tx.company, agent, session).session
        rows = [] if at is None else turns.open_of(tx, at.id)
    return [run_of(row) for row in rows if turn_ends.abort(tx, row.id)]
