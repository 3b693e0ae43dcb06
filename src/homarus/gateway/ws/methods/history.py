"""What was said (gateway contract, 6): pages of a session's lines, and who its agent is.

A page ends with a `deltaCursor`; with it, a client that was away asks for what came since, which is
told as `session.message` tells it, or that it has to begin anew (`reset`).
"""

from typing import Annotated, Any, Final

import msgspec

from homarus.base.errors import HomarusError
from homarus.base.ids import is_uuid
from homarus.conversations import keys, transcript, turns
from homarus.conversations.sessions import Session
from homarus.conversations.turns import State
from homarus.flows import chatting
from homarus.gateway.ws import entries, frames, shapes
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, read
from homarus.kernel.scopes import READ
from homarus.store.port import Rx

HISTORY: Final = 200
MAX_HISTORY: Final = 1_000
MAX_HISTORY_BYTES: Final = 6 * 1_048_576
MAX_MESSAGE_CHARS: Final = 100_000
MAX_RUNS: Final = 50
MAX_DELTA: Final = 200
"""Lines that came since; a client that missed more begins anew."""
MAX_DIGITS: Final = 15
MAX_PENDING: Final = 20
RESET: Final = {"kind": "reset"}
Doc = dict[str, Any]


class Identity(Params):
    agent_id: str | None = None
    session_key: str | None = None


class History(Params):
    session_key: str
    agent_id: str | None = None
    limit: int = HISTORY
    offset: int = 0
    cursor: str | int | None = None
    max_chars: int | None = None
    max_bytes: int | None = None
    input_run_ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_RUNS)] = ()
    message_id: str | None = None
    session_id: str | None = None


# -- reading -------------------------------------------------------------------------------


def history(rx: Rx, ask: Ask) -> Doc:
    """Newest page, oldest line first; `offset` counts back from the newest. With a `cursor`, what
    came since it."""
    params: History = ask.params
    at = _where(rx, ask, params.agent_id, params.session_key)
    row = None if at is None else at.session
    if row is None:
        if params.cursor is not None:
            return RESET
        key = params.session_key if at is None else at.key
        return {"sessionKey": key, "messages": [], "hasMore": False, "totalMessages": 0,
                "pendingInputs": {"items": [], "total": 0}, "sessionInfo": None,
                "defaults": shapes.defaults(rx, ask.company)}  # fmt: skip
    if params.cursor is not None:
        return _since(rx, ask, row)
    limit = max(1, min(params.limit, MAX_HISTORY))
    before = _before(row.entries, params.offset)
    rows = transcript.newest(rx, row.id, limit + 1, before)
    more, rows = len(rows) > limit, rows[-limit:]
    told = [line for line in rows if line.kind in (transcript.MESSAGE, transcript.COMPACTION)]
    shown = [_cut(one, params.max_chars) for one in entries.messages(rx, ask.company, told)]
    kept = _newest_bytes(shown, params.max_bytes)
    more = more or len(kept) < len(shown)
    found: Doc = {
        "sessionKey": row.key, "sessionId": row.id, "messages": kept, "hasMore": more,
        "totalMessages": transcript.count(rx, row.id), "deltaCursor": _cursor(row),
        **_inputs(rx, ask, row), "sessionInfo": shapes.session(rx, row),
        "defaults": shapes.defaults(rx, ask.company),
    }  # fmt: skip
    if row.thinking:
        found["thinkingLevel"] = row.thinking
    return found


def _cursor(row: Session) -> str:
    return f"{row.id}:{row.entries}"


def _since(rx: Rx, ask: Ask, row: Session) -> Doc:
    params: History = ask.params
    session, _, seq = str(params.cursor).partition(":")
    if not (is_uuid(session) and seq.isascii() and seq.isdecimal() and len(seq) <= MAX_DIGITS):
        raise frames.bad_params("chat.history", "at cursor: must be a cursor that was given")
    if session != row.id or not row.entries - MAX_DELTA <= int(seq) <= row.entries:
        return RESET
    rows = transcript.since(rx, row.id, int(seq) + 1, MAX_DELTA)
    told = [line for line in rows if line.kind == transcript.MESSAGE]
    return {
        "kind": "delta", "deltaCursor": _cursor(row),
        "messages": [
            {"sessionKey": row.key, "agentId": keys.agent_of(row.key), "message": message,
             "messageId": line.id, "messageSeq": line.seq}
            for line, message in zip(told, entries.messages(rx, ask.company, told), strict=True)
        ],
        **_inputs(rx, ask, row), "sessionInfo": shapes.session(rx, row),
    }  # fmt: skip


def _inputs(rx: Rx, ask: Ask, row: Session) -> Doc:
    """What waits for its turn, and what became of the messages that the client asks about."""
    waiting = [t for t in turns.open_of(rx, row.id) if t.state is State.QUEUED]
    items = [
        {"id": t.id, "runId": chatting.run_of(t), "acceptedAt": t.created_ms, "state": "queued",
         "message": {"role": "user", "content": t.text, "timestamp": t.created_ms}}
        for t in waiting
    ]  # fmt: skip
    found: Doc = {"pendingInputs": {"items": items[:MAX_PENDING], "total": len(items)}}
    params: History = ask.params
    if params.input_run_ids:
        found["inputReceipts"] = _receipts(rx, ask, row, params.input_run_ids)
    return found


def _receipts(rx: Rx, ask: Ask, row: Session, runs: tuple[str, ...]) -> list[Doc]:
    """Of each run that is known: it waits still, or became that line."""
    newest = transcript.newest(rx, row.id, MAX_HISTORY)
    lines = {line.message.get("idempotencyKey"): line.id for line in newest
             if line.kind == transcript.MESSAGE}  # fmt: skip
    told: list[Doc] = []
    for run in runs:
        turn = chatting.find(rx, ask.company, ask.credential, run)
        if turn is None or turn.session != row.id:
            continue
        if turn.state is State.QUEUED:
            told.append({"runId": run, "state": "pending"})
            continue
        line = lines.get(f"{turn.key}{entries.SAID}")
        if line is not None:
            told.append({"runId": run, "state": "consumed", "consumedByEventId": line})
    return told


def _where(rx: Rx, ask: Ask, agent: str | None, session: str) -> chatting.Place | None:
    """A session that cannot be is empty, like one that is not there yet."""
    try:
        return chatting.place(rx, ask.company, agent, session)
    except HomarusError:
        return None


def _before(count: int, offset: int) -> int | None:
    return count + 1 - offset if offset > 0 else None


def _cut(message: Doc, most: int | None) -> Doc:
    limit = MAX_MESSAGE_CHARS if most is None else max(1, most)
    text = message.get("content")
    if isinstance(text, str) and len(text) > limit:
        return message | {"content": text[:limit] + "…"}
    if isinstance(text, list):
        parts = [
            part | {"text": part["text"][:limit] + "…"}
            if isinstance(part.get("text"), str) and len(part["text"]) > limit
            else part
            for part in text
        ]
        return message | {"content": parts}
    return message


def _newest_bytes(messages: list[Doc], most: int | None) -> list[Doc]:
    left = MAX_HISTORY_BYTES if most is None else max(1, min(most, MAX_HISTORY_BYTES))
    kept: list[Doc] = []
    for message in reversed(messages):
        left -= len(msgspec.json.encode(message))
        if left < 0:
            break
        kept.append(message)
    return kept[::-1]


def identity(rx: Rx, ask: Ask) -> Doc:
    params: Identity = ask.params
    at = chatting.place(rx, ask.company, params.agent_id, params.session_key)
    return {"agentId": keys.slug(at.agent.name), "name": at.agent.name, "nameSource": "config",
            "avatar": at.agent.avatar_url}  # fmt: skip


def one_message(rx: Rx, ask: Ask) -> Doc:
    params: History = ask.params
    at = chatting.place(rx, ask.company, params.agent_id, params.session_key)
    wanted = params.message_id or ""
    rows = [] if at.session is None else transcript.newest(rx, at.session.id, MAX_HISTORY)
    found = next((row for row in rows if wanted in (row.id, str(row.seq))), None)
    if found is None or not (is_uuid(wanted) or wanted.isdecimal()):
        raise Fault(frames.INVALID_REQUEST, f"No message found: {wanted[:80]}")
    return {"sessionKey": at.key, "message": entries.message(rx, ask.company, found)}


METHODS: Final = (
    read("agent.identity.get", READ, Identity, identity, "Who an agent is", "agentId, name"),
    read("chat.history", READ, History, history, "Lines of a session, newest page first",
         "messages, hasMore, sessionInfo"),
    read("chat.startup", READ, History, history, "What a page shows first of a session",
         "messages, hasMore, sessionInfo"),
    read("chat.message.get", READ, History, one_message, "One line of a session", "message"),
)  # fmt: skip
