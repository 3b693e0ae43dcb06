"""Messages that are commands to the gateway: `/new`, `/stop` and others (gateway contract, 6).

Each is done once under its idempotency key, as a run that is over at once; `/compact` is a turn.
"""

import hashlib
from typing import Any, Final

import msgspec

from homarus.conversations import keys, turns
from homarus.flows import chatting, conversing
from homarus.flows.chatting import Said
from homarus.gateway.ws import runs
from homarus.gateway.ws.method import Desk
from homarus.store.port import Key, Reply, Tx

RESET: Final = ("/new", "/reset")
STOP: Final = ("/stop", "/abort")
COMPACT: Final = "/compact"
WORDS: Final = (*RESET, *STOP, COMPACT)
"""Words that a message may consist of, and then are no message."""
_SCOPE: Final = b"chat.send word\0"
_ANY_BODY: Final = b"\0" * 8
"""A key is one run, whichever word comes with it."""
Doc = dict[str, Any]


class Word(msgspec.Struct, frozen=True):
    """`run`: the client's idempotency key; `agent`, `session` as the client named them."""

    text: str
    run: str
    agent: str | None
    session: str


class Done(msgspec.Struct, frozen=True):
    """What came of a word; `session`: id of the session that there is now, "" for none."""

    text: str
    key: str
    session: str


def in_message(message: str) -> str | None:
    """The word that a message begins with."""
    word = message.strip().split(" ", 1)[0].lower()
    return word if word in WORDS else None


# -- units ---------------------------------------------------------------------------------


def compact(tx: Tx, session: str, agent: str | None, run: str) -> Said | None:
    """None: there is nothing to sum up."""
    at = chatting.place(tx, tx.company, agent, session)
    if at.session is None:
        return None
    key = chatting.turn_key(tx.action.credential, run)
    known = turns.by_key(tx, tx.company, key)
    return Said(known or conversing.compact(tx, at.session.id, key), at.key, at.agent,
                known is not None)  # fmt: skip


def do(tx: Tx, word: Word) -> Reply:
    """A reset, or an end of what runs."""
    at = chatting.place(tx, tx.company, word.agent, word.session)
    if word.text in STOP:
        ended = [] if at.session is None else conversing.abort(tx, at.session.id)
        text = f"Ended {len(ended)} runs." if ended else "Nothing was running."
    else:
        if at.session is not None:
            conversing.reset(tx, at.session.id, abort_open=True)
        text = "A new session has begun."
    now = chatting.place(tx, tx.company, at.agent.id, at.key).session
    done = Done(text, at.key, "" if now is None else now.id)
    return Reply(200, msgspec.json.encode(done))


# -- saying --------------------------------------------------------------------------------


async def say(desk: Desk, word: Word) -> Doc:
    """The answer to `chat.send`. Raises `turn.key`, `agent.*`, `session.*`."""
    key = chatting.turn_key(desk.peer.token.id, word.run)
    if word.text == COMPACT:
        said: Said | None = await desk.write(compact, word.session, word.agent, word.run)
        if said is not None:
            return _followed(desk, said, word.run)
        at = await desk.read(chatting.place, desk.peer.company, word.agent, word.session)
        done = Done("There is nothing to sum up.", at.key, "")
    else:
        reply = await desk.write_once(do, word, key=_key_of(desk.peer.company, key))
        if reply.replayed:
            return {"runId": word.run, "status": "ok"}
        done = msgspec.json.decode(reply.body, type=Done)
    _tell(desk, word.run, done)
    return {"runId": word.run, "status": "started"}


def _key_of(company: str, key: str) -> Key:
    parts = f"{company}\0{key}".encode("utf-8", "surrogatepass")
    return Key(id=hashlib.sha256(_SCOPE + parts).digest()[:16], body=_ANY_BODY)


def _followed(desk: Desk, said: Said, run: str) -> Doc:
    if said.turn.state not in turns.OPEN:
        return {"runId": run, "status": "ok"}
    desk.hub.runs.follow(said.turn, said.key)
    return {"runId": run, "status": "in_flight" if said.known else "started"}


def _tell(desk: Desk, run: str, done: Done) -> None:
    now_ms = desk.hub.now_ms()
    told = runs.Run(
        id=run, turn="", company=desk.peer.company, session_key=done.key, session_id=done.session,
        agent=keys.agent_of(done.key), created_ms=now_ms,
    )  # fmt: skip
    message = runs.assistant(done.text, now_ms)
    desk.hub.tell_run(told, [told.chat_event("final", message=message, stopReason="stop")])
