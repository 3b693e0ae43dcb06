"""Turns of agents that this daemon runs, and their sessions (design, 6, 7).

`POST /turns` keeps a message as work; what comes of it is told by `GET /turns/{id}` and, as it
happens, by `GET /turns/{id}/events`:

    event: turn     the turn as in GET, whenever it changed
    event: delta    {"call", "offset", "text", "thinking"}: text of request `call` of the turn; at
                    offset 0 it begins anew, so whoever connects again gets all of it
    event: end      the turn, ended; the stream closes

Sessions of agents that run elsewhere are under `/agents/{id}/sessions`.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from homarus.agents.live import Piece, Still
from homarus.base.errors import HomarusError, NotOffered
from homarus.company import agents
from homarus.control_plane import idempotency
from homarus.control_plane import shapes_turns as shapes
from homarus.control_plane.pages import cut
from homarus.control_plane.route import (
    Call,
    EventReply,
    Route,
    Stream,
    StreamRoute,
    json_reply,
    read_route,
    write_route,
)
from homarus.conversations import sessions, turns
from homarus.flows import conversing, queued, turn_ends, turn_inbound, turn_views
from homarus.store.port import Reply, Rx, Tx

_TAGS: Final = ("turns",)
_encode = msgspec.json.Encoder().encode


class Options(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """`thinking`: off, low, medium, high; `instructions`: an operator's stand below the agent's
    rules, anybody else's are shown to it as data."""

    instructions: str | None = None
    thinking: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None


class TurnBody(msgspec.Struct, rename="camel"):
    """`agentId` by id or name; `sessionKey` full, or short as `main`; default: the agent's own;
    `mode`: steer, followup, collect, interrupt; default: the session's."""

    agent_id: str
    text: str
    session_key: str | None = None
    mode: str | None = None
    options: Options | None = None


class AbortBody(msgspec.Struct):
    pass


class TextBody(msgspec.Struct):
    """What a message that waits shall say."""

    text: str


class ResetBody(msgspec.Struct):
    """`abort`: end what is open in the session first."""

    abort: bool = False


class ForkBody(msgspec.Struct):
    """`name`: the new key ends in `fork:<name>`."""

    name: str | None = None


class SessionBody(msgspec.Struct, rename="camel"):
    label: str | msgspec.UnsetType | None = msgspec.UNSET
    model: str | msgspec.UnsetType | None = msgspec.UNSET
    thinking: str | msgspec.UnsetType | None = msgspec.UNSET
    queue_mode: str | msgspec.UnsetType | None = msgspec.UNSET


def accept(tx: Tx, call: Call[TurnBody]) -> Reply:
    body = call.body
    options = {} if body.options is None else msgspec.to_builtins(body.options)
    inbound = turn_inbound.Inbound(
        agent=body.agent_id, text=body.text, key=turn_key(call), session=body.session_key,
        origin="http", mode=body.mode or "", default=call.queue_mode,
        options=options,
    )  # fmt: skip
    row = turn_inbound.accept(tx, inbound)
    return _kept(_view(tx, row.id), row.id, 202)


def turn_key(call: Call[Any]) -> str:
    return idempotency.turn_key(call.token.id, call.key)


def _kept(body: dict[str, Any], turn: str, status: int) -> Reply:
    return Reply(status=status, body=_encode(body), keep=turn.encode())


def _replay(tx: Tx, kept: bytes) -> Reply:
    """The same request again: the turn as it is by now."""
    body = _encode(_view(tx, kept.decode()))
    return Reply(status=202, body=body, replayed=True)


def _view(rx: Rx, turn: str, company: str = "") -> dict[str, Any]:
    return {"turn": shapes.turn(turn_views.view(rx, company or rx.company, turn))}  # type: ignore[attr-defined]


def read(rx: Rx, call: Call[None]) -> Reply:
    return json_reply(_view(rx, call.path["id"], call.company))


def listed(rx: Rx, call: Call[None]) -> Reply:
    """Newest first; `sessionKey` or `agentId` or neither; `open=true`: not ended."""
    limit, query = call.limit(), call.query
    session = query.get("sessionKey")
    agent = query.get("agentId")
    rows = turns.listed(
        rx, call.company, limit=limit + 1, before=call.cursor(),
        session=None if not session else sessions.need(rx, call.company, session).id,
        agent=None if not agent else agents.need(rx, call.company, agent).id,
        only_open=query.get("open") == "true",
    )  # fmt: skip
    rows, cursor = cut(rows, limit)
    return json_reply(
        {
            "turns": [shapes.turn(turn_views.of(rx, row)) for row in rows],
            "nextCursor": cursor,
        }
    )


def abort(tx: Tx, call: Call[AbortBody | None]) -> Reply:
    row = turns.need(tx, tx.company, call.path["id"])
    aborted = turn_ends.abort(tx, row.id)
    return json_reply({"aborted": aborted, **_view(tx, row.id)})


def edit(tx: Tx, call: Call[TextBody]) -> Reply:
    """Only its writer, and only until it is begun."""
    return json_reply(_view(tx, queued.edit(tx, call.path["id"], call.body.text).id))


def drop(tx: Tx, call: Call[AbortBody | None]) -> Reply:
    return json_reply(_view(tx, queued.drop(tx, call.path["id"]).id))


async def events(stream: Stream, call: Call[None]) -> EventReply:
    turn = (await stream.read(turns.need, call.company, call.path["id"])).id
    if stream.live is None:
        raise NotOffered("turn.events", "this daemon runs no turns", "Ask the one that does.")
    return EventReply(_told(stream, call.company, turn))


async def _told(stream: Stream, company: str, turn: str) -> AsyncIterator[bytes]:
    if stream.live is None:
        return
    try:
        async for event in stream.live.follow(company, turn):
            match event:
                case Piece():
                    yield _sse("delta", msgspec.to_builtins(event))
                case Still():
                    yield b": still here\n\n"
                case _:
                    ended = event.turn.state not in turns.OPEN
                    yield _sse("end" if ended else "turn", shapes.turn(event))
    except HomarusError as error:
        yield _sse("error", {"code": error.code, "error": error.message, "remedy": error.remedy})


def _sse(kind: str, data: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode(data) + b"\n\n"


# -- sessions ------------------------------------------------------------------------------


def listed_sessions(rx: Rx, call: Call[None]) -> Reply:
    """Live ones, last used first."""
    limit, agent = call.limit(), call.query.get("agentId")
    rows = sessions.listed(
        rx, call.company, limit=limit + 1, after=call.cursor_at(),
        agent=None if not agent else agents.need(rx, call.company, agent).id,
    )  # fmt: skip
    rows, cursor = cut(rows, limit, lambda row: f"{row.updated_ms}-{row.id}")
    return json_reply(
        {
            "sessions": _shown(rx, rows),
            "nextCursor": cursor,
        }
    )


def _shown(rx: Rx, rows: Sequence[sessions.Session]) -> list[dict[str, Any]]:
    lately = turns.lately(rx, [row.id for row in rows])
    running = {session: found.running[0] for session, found in lately.items() if found.running}
    return [shapes.session(row, running.get(row.id)) for row in rows]


def _session(rx: Rx, row: sessions.Session) -> dict[str, Any]:
    return {"session": _shown(rx, [row])[0]}


def read_session(rx: Rx, call: Call[None]) -> Reply:
    return json_reply(_session(rx, sessions.need(rx, call.company, call.path["key"])))


def history(rx: Rx, call: Call[None]) -> Reply:
    """The newest page, oldest line first; `cursor` leads to older ones."""
    limit = call.limit()
    row, lines = conversing.history(rx, call.company, call.path["key"], limit + 1, call.cursor())
    more, lines = len(lines) > limit, lines[-limit:]
    return json_reply(
        {
            **_session(rx, row),
            "entries": [shapes.entry(line) for line in lines],
            "nextCursor": str(lines[0].seq) if more else None,
        }
    )


def change(tx: Tx, call: Call[SessionBody]) -> Reply:
    given = {
        name: value
        for name, value in msgspec.structs.asdict(call.body).items()
        if value is not msgspec.UNSET
    }
    return json_reply(_session(tx, conversing.change(tx, call.path["key"], given)))


def reset(tx: Tx, call: Call[ResetBody | None]) -> Reply:
    body = call.body or ResetBody()
    row = conversing.reset(tx, call.path["key"], abort_open=body.abort)
    return json_reply(_session(tx, row))


def abort_all(tx: Tx, call: Call[AbortBody | None]) -> Reply:
    return json_reply({"aborted": conversing.abort(tx, call.path["key"])})


def fork(tx: Tx, call: Call[ForkBody | None]) -> Reply:
    body = call.body or ForkBody()
    return json_reply(_session(tx, conversing.fork(tx, call.path["key"], body.name)), 201)


def compact(tx: Tx, call: Call[AbortBody | None]) -> Reply:
    """A turn of its own, which the runner does."""
    key = turn_key(call) if call.key else f"compact:{tx.new_id()}"
    row = conversing.compact(tx, call.path["key"], key)
    return _kept(_view(tx, row.id), row.id, 202)


_OF_SESSION: Final[dict[str, Any]] = {"target": "session:{key}", "tags": _TAGS}
ROUTES: Final[tuple[Route | StreamRoute, ...]] = (
    read_route(
        "/turns", listed, "List turns, newest first",
        query=("sessionKey", "agentId", "open", "limit", "cursor"), tags=_TAGS,
    ),
    write_route(
        "POST", "/turns", "turn.accept", accept, "Say something to an agent that runs here",
        body=TurnBody, keyed="required", strict=True, replay=_replay, target="turn:new",
        status=202, tags=_TAGS,
    ),
    read_route("/turns/{id}", read, "Read a turn, by its id", tags=_TAGS),
    write_route(
        "POST", "/turns/{id}/abort", "turn.abort", abort, "End a turn that waits or runs",
        body=AbortBody | None, target="turn:{id}", tags=_TAGS,
    ),
    write_route(
        "PATCH", "/turns/{id}", "turn.accept", edit, "Change a message that waits for its turn",
        body=TextBody, target="turn:{id}", tags=_TAGS,
    ),
    write_route(
        "POST", "/turns/{id}/drop", "turn.abort", drop, "Drop a message that waits for its turn",
        body=AbortBody | None, target="turn:{id}", tags=_TAGS,
    ),
    StreamRoute(
        method="GET", path="/turns/{id}/events", capability="read", handler=events, kind="read",
        summary="Follow a turn: text as it comes, states, the end (text/event-stream)",
        target="turn:{id}", tags=_TAGS,
    ),
    read_route(
        "/sessions", listed_sessions, "List live sessions, last used first",
        query=("agentId", "limit", "cursor"), tags=_TAGS,
    ),
    read_route("/sessions/{key}", read_session, "Read a session, by key or id", tags=_TAGS),
    write_route(
        "PATCH", "/sessions/{key}", "turn.accept", change,
        "Set a session's label, model, thinking, queue mode", body=SessionBody, **_OF_SESSION,
    ),
    read_route(
        "/sessions/{key}/history", history, "Read a session's transcript",
        query=("limit", "cursor"), tags=_TAGS,
    ),
    write_route(
        "POST", "/sessions/{key}/reset", "turn.abort", reset,
        "Begin a session anew; its transcript stays", body=ResetBody | None, **_OF_SESSION,
    ),
    write_route(
        "POST", "/sessions/{key}/abort", "turn.abort", abort_all,
        "End every open turn of a session", body=AbortBody | None, **_OF_SESSION,
    ),
    write_route(
        "POST", "/sessions/{key}/fork", "turn.accept", fork, "Branch a session off",
        body=ForkBody | None, status=201, **_OF_SESSION,
    ),
    write_route(
        "POST", "/sessions/{key}/compact", "turn.accept", compact,
        "Have the older part of a session summed up", body=AbortBody | None, status=202,
        **_OF_SESSION,
    ),
)  # fmt: skip
FRAMES: Final[dict[str, Any]] = {}
