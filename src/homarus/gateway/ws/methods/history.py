"""What was said (gateway contract, 6): pages of a session's lines, and who its agent is."""

from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError
from homarus.base.ids import is_uuid
from homarus.conversations import keys, transcript, turns
from homarus.conversations.turns import State
from homarus.flows import chatting
from homarus.gateway.ws import frames, shapes
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, read
from homarus.kernel.scopes import READ
from homarus.store.port import Rx

HISTORY: Final = 200
MAX_HISTORY: Final = 1_000
MAX_HISTORY_BYTES: Final = 6 * 1_048_576
MAX_MESSAGE_CHARS: Final = 100_000
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
    message_id: str | None = None
    session_id: str | None = None


# -- reading -------------------------------------------------------------------------------


def history(rx: Rx, ask: Ask) -> Doc:
    """Newest page, oldest line first; `offset` counts back from the newest."""
    params: History = ask.params
    at = _where(rx, ask, params.agent_id, params.session_key)
    row = None if at is None else at.session
    if row is None:
        key = params.session_key if at is None else at.key
        return {"sessionKey": key, "messages": [], "hasMore": False, "totalMessages": 0,
                "pendingInputs": {"items": [], "total": 0}, "sessionInfo": None,
                "defaults": {}}  # fmt: skip
    limit = max(1, min(params.limit, MAX_HISTORY))
    before = _before(row.entries, params)
    rows = transcript.newest(rx, row.id, limit + 1, before)
    more, rows = len(rows) > limit, rows[-limit:]
    shown = [_cut(shapes.message(line), params.max_chars) for line in rows
             if line.kind in (transcript.MESSAGE, transcript.COMPACTION)]  # fmt: skip
    kept = _newest_bytes(shown)
    more = more or len(kept) < len(shown)
    waiting = [t for t in turns.open_of(rx, row.id) if t.state is State.QUEUED]
    items = [{"runId": chatting.run_of(t), "text": t.text, "ts": t.created_ms} for t in waiting]
    found: Doc = {
        "sessionKey": row.key, "sessionId": row.id, "messages": kept, "hasMore": more,
        "totalMessages": transcript.count(rx, row.id),
        "pendingInputs": {"items": items, "total": len(items)},
        "sessionInfo": shapes.session(rx, row), "defaults": {},
    }  # fmt: skip
    if row.thinking:
        found["thinkingLevel"] = row.thinking
    if more and kept:
        found["deltaCursor"] = str(kept[0]["__openclaw"]["seq"])
    return found


def _where(rx: Rx, ask: Ask, agent: str | None, session: str) -> chatting.Place | None:
    """A session that cannot be is empty, like one that is not there yet."""
    try:
        return chatting.place(rx, ask.company, agent, session)
    except HomarusError:
        return None


def _before(entries: int, params: History) -> int | None:
    if params.cursor is not None:
        text = str(params.cursor)
        if not text.isascii() or not text.isdecimal() or len(text) > 15:
            raise frames.bad_params("chat.history", "at cursor: must be a cursor that was given")
        return int(text)
    return entries + 1 - params.offset if params.offset > 0 else None


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


def _newest_bytes(messages: list[Doc]) -> list[Doc]:
    left, kept = MAX_HISTORY_BYTES, []
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
    return {"sessionKey": at.key, "message": shapes.message(found)}


METHODS: Final = (
    read("agent.identity.get", READ, Identity, identity, "Who an agent is", "agentId, name"),
    read("chat.history", READ, History, history, "Lines of a session, newest page first",
         "messages, hasMore, sessionInfo"),
    read("chat.message.get", READ, History, one_message, "One line of a session", "message"),
)  # fmt: skip
