"""Lists of sessions, and being told of them (gateway contract, 7)."""

from typing import Any, Final

from homarus.base.errors import HomarusError
from homarus.conversations import keys, sessions, transcript, turns
from homarus.conversations.sessions import Session
from homarus.flows import answering, chatting
from homarus.gateway.ws import days, entries, frames, peer, shapes
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, Desk, read, work
from homarus.kernel.scopes import READ
from homarus.store.port import Rx

LIMIT: Final = 100
MAX_LISTED: Final = 1_000
MAX_KEYS: Final = 64
PREVIEW: Final = 12
MAX_PREVIEW: Final = 50
PREVIEW_CHARS: Final = 240
MINUTE_MS: Final = 60_000
TITLE_CHARS: Final = 60
Doc = dict[str, Any]


class List(Params):
    """`archived`: true those alone, a word such as `all` them too."""

    limit: int | None = None
    offset: int = 0
    agent_id: str | None = None
    search: str | None = None
    label: str | None = None
    spawned_by: str | None = None
    active_minutes: int | None = None
    active_only: bool = False
    sort_by: str | None = None
    sort_dir: str | None = None
    archived: bool | str | None = None
    include_global: bool = False
    include_unknown: bool = False
    include_derived_titles: bool = False
    include_last_message: bool = False
    configured_agents_only: bool = False
    kinds: list[str] | None = None


class Subscribe(List):
    pass


class OfKey(Params):
    key: str
    agent_id: str | None = None


class Follow(Params):
    key: str
    agent_id: str | None = None
    include_approvals: bool = False


class Preview(Params):
    keys: list[str]
    limit: int = PREVIEW
    max_chars: int = PREVIEW_CHARS


class Resolve(Params):
    key: str | None = None
    session_id: str | None = None
    label: str | None = None
    reference: str | None = None
    agent_id: str | None = None
    spawned_by: str | None = None
    include_global: bool = False
    include_unknown: bool = False
    allow_missing: bool = False


def listed(rx: Rx, ask: Ask) -> Doc:
    params: List = ask.params
    agent = None
    if params.agent_id is not None:
        agent = answering.target(rx, ask.company, params.agent_id).id
    rows = sessions.listed(rx, ask.company, limit=MAX_LISTED, agent=agent)
    rows = [row for row in rows if _fits(rx, row, params)]
    if params.active_only and params.active_minutes is None:
        lately = turns.lately(rx, [row.id for row in rows])
        rows = [row for row in rows if row.id in lately and lately[row.id].running]
    limit = LIMIT if params.limit is None else max(1, min(params.limit, MAX_LISTED))
    offset = max(0, params.offset)
    page = rows[offset : offset + limit]
    more = len(rows) > offset + limit
    return {
        "ts": rx.now_ms, "path": "(the store)", "count": len(page), "totalCount": len(rows),
        "limitApplied": limit, "nextOffset": offset + limit if more else None, "hasMore": more,
        "defaults": shapes.defaults(rx, ask.company),
        "owners": [],
        "sessions": [
            _with_words(rx, row, found, params)
            for row, found in zip(page, shapes.sessions(rx, page), strict=True)
        ],
    }  # fmt: skip


def _fits(rx: Rx, row: Session, params: List) -> bool:
    if not isinstance(params.archived, str) and row.archived is not bool(params.archived):
        return False
    words = (params.search or "").strip().lower()
    if words and words not in f"{row.key} {row.label or ''}".lower():
        return False
    if params.label is not None and row.label != params.label:
        return False
    minutes = params.active_minutes
    return minutes is None or row.updated_ms >= rx.now_ms - minutes * MINUTE_MS


def _with_words(rx: Rx, row: Session, found: Doc, params: List) -> Doc:
    if params.include_derived_titles or params.include_last_message:
        lines = transcript.newest(rx, row.id, PREVIEW)
        texts = [text for line in lines if (text := entries.text_of(line))]
        if params.include_derived_titles:
            first = transcript.since(rx, row.id, 1, PREVIEW)
            asked = next((text for line in first if (text := _asked(line))), None)
            found |= {} if asked is None else {"derivedTitle": asked[:TITLE_CHARS]}
        if params.include_last_message and texts:
            found["lastMessagePreview"] = texts[-1][:PREVIEW_CHARS]
    return found


def _asked(row: transcript.Entry) -> str:
    """What a person said there; "" for anything else."""
    return entries.text_of(row) if row.body.get("message", {}).get("role") == "user" else ""


async def subscribe(desk: Desk, params: Subscribe) -> Doc:
    """News of all sessions; with words of a list, the list too."""
    desk.peer.every = True
    found: Doc = {"subscribed": True}
    if params != Subscribe():
        found["list"] = await desk.read(listed, desk.ask(params))
    return found


async def follow(desk: Desk, params: Follow) -> Doc:
    if len(desk.peer.sessions) >= peer.MAX_FOLLOWED:
        raise Fault(frames.UNAVAILABLE, f"{peer.MAX_FOLLOWED} sessions are followed already")
    at = await desk.read(chatting.place, desk.peer.company, params.agent_id, params.key)
    desk.peer.sessions.add(at.key)
    return {"subscribed": True, "key": at.key}


async def unfollow(desk: Desk, params: Follow) -> Doc:
    at = await desk.read(chatting.place, desk.peer.company, params.agent_id, params.key)
    desk.peer.sessions.discard(at.key)
    return {"subscribed": False, "key": at.key}


def preview(rx: Rx, ask: Ask) -> Doc:
    params: Preview = ask.params
    if len(params.keys) > MAX_KEYS:
        raise frames.bad_params("sessions.preview", f"at keys: at most {MAX_KEYS} items")
    limit = max(1, min(params.limit, MAX_PREVIEW))
    return {
        "ts": rx.now_ms,
        "previews": [_preview(rx, ask, key, limit, params.max_chars) for key in params.keys],
    }


def _preview(rx: Rx, ask: Ask, key: str, limit: int, chars: int) -> Doc:
    row = _maybe(rx, ask.company, key)
    if row is None:
        return {"key": key, "status": "missing", "items": []}
    lines = transcript.newest(rx, row.id, limit)
    items = [
        {"role": line.message.get("role"), "text": text[: max(1, chars)]}
        for line in lines
        if (text := entries.text_of(line))
    ]
    return {"key": key, "status": "ok" if items else "empty", "items": items}


def _maybe(rx: Rx, company: str, key: str, agent: str | None = None) -> Session | None:
    try:
        return chatting.place(rx, company, agent, key).session
    except HomarusError:
        return None


def describe(rx: Rx, ask: Ask) -> Doc:
    params: OfKey = ask.params
    row = _maybe(rx, ask.company, params.key, params.agent_id)
    return {"session": None if row is None else shapes.session(rx, row)}


def resolve(rx: Rx, ask: Ask) -> Doc:
    params: Resolve = ask.params
    wanted = params.key or params.session_id or params.label or params.reference or ""
    row = None
    if params.key or params.session_id or params.reference:
        row = _maybe(rx, ask.company, wanted, params.agent_id)
    if row is None and (params.label or params.reference):
        rows = sessions.listed(rx, ask.company, limit=MAX_LISTED)
        row = next((one for one in rows if one.label == wanted), None)
    if row is None:
        if params.allow_missing:
            return {"ok": False}
        raise Fault(frames.INVALID_REQUEST, f"No session found: {wanted[:80]}")
    return {"ok": True, "key": row.key, "agentId": keys.agent_of(row.key)}


def usage(rx: Rx, ask: Ask) -> Doc:
    """Of sessions that were used last on the days named: all that each has used so far."""
    params: Usage = ask.params
    first_s = _day(params.start_date, "startDate", 0)
    last_s = _day(params.end_date, "endDate", rx.now_ms // 1000)
    until_ms = (last_s + days.DAY_S) * 1000
    agent = None
    if params.agent_id is not None:
        agent = answering.target(rx, ask.company, params.agent_id).id
    rows = [
        row for row in sessions.listed(rx, ask.company, limit=MAX_LISTED)
        if agent in (None, row.agent) and first_s * 1000 <= row.updated_ms < until_ms
    ][: max(1, min(params.limit or MAX_LISTED, MAX_LISTED))]  # fmt: skip
    shown: list[Doc] = [
        {"key": row.key, "agentId": keys.agent_of(row.key), "updatedAt": row.updated_ms,
         "usage": {"input": row.input_tokens, "output": row.output_tokens,
                   "totalTokens": row.input_tokens + row.output_tokens}}
        for row in rows
        if params.key in (None, row.key)
    ]  # fmt: skip
    totals = {
        "input": sum(one["usage"]["input"] for one in shown),
        "output": sum(one["usage"]["output"] for one in shown),
    }
    totals["totalTokens"] = totals["input"] + totals["output"]
    return {"updatedAt": rx.now_ms, "startDate": days.of(first_s), "endDate": days.of(last_s),
            "sessions": shown, "totals": totals}  # fmt: skip


def _day(text: str | None, name: str, default_s: int) -> int:
    return default_s if text is None else days.start_s(text, "sessions.usage", name)


class Usage(Params):
    key: str | None = None
    agent_id: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    limit: int | None = None
    include_context_weight: bool = False


def search(rx: Rx, ask: Ask) -> Doc:
    """Sessions whose newest lines hold the words."""
    params: Search = ask.params
    words = params.query.strip().lower()
    found = []
    for row in sessions.listed(rx, ask.company, limit=LIMIT) if words else []:
        for line in transcript.newest(rx, row.id, LIMIT):
            text = entries.text_of(line)
            if words in text.lower():
                found.append({"key": row.key, "sessionKey": row.key, "messageId": line.id,
                              "snippet": text[:PREVIEW_CHARS], "ts": line.created_ms})  # fmt: skip
    return {"results": found[: max(1, min(params.limit, LIMIT))]}


class Search(Params):
    query: str
    agent_id: str | None = None
    limit: int = 20


METHODS: Final = (
    read("sessions.list", READ, List, listed, "Live sessions, last used first",
         "sessions, count, hasMore, defaults"),
    work("sessions.subscribe", READ, Subscribe, subscribe, "Be told when a session changes",
         "subscribed"),
    work("sessions.messages.subscribe", READ, Follow, follow, "Be told a session's messages",
         "subscribed, key"),
    work("sessions.messages.unsubscribe", READ, Follow, unfollow, "No longer", "subscribed, key"),
    read("sessions.preview", READ, Preview, preview, "The last lines of some sessions",
         "previews"),
    read("sessions.describe", READ, OfKey, describe, "One session", "session, or null"),
    read("sessions.get", READ, OfKey, describe, "One session", "session, or null",
         advertised=False),
    read("sessions.resolve", READ, Resolve, resolve, "The key that a name stands for",
         "ok, key, agentId"),
    read("sessions.usage", READ, Usage, usage, "Tokens by session", "sessions, totals",
         advertised=False),
    read("sessions.search", READ, Search, search, "Find words in sessions", "results"),
)  # fmt: skip
