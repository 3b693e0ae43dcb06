"""Taking over what another system kept: sessions with their transcripts (`homarus import`).

A session is sent in pieces, in order; the same piece again changes nothing, so whoever was
interrupted begins at the front, or where the reply's `session.entries` stands.
"""

from typing import Any, Final

import msgspec

from homarus.control_plane import shapes_turns as shapes
from homarus.control_plane.route import Call, Route, json_reply, write_route
from homarus.conversations import transcript
from homarus.flows import importing
from homarus.store.port import Reply, Tx


class LineBody(msgspec.Struct, rename="camel"):
    """A line of a transcript: its kind (`message`, `compaction`, …), what it says in the documented
    form without type, id, parent and time, and its time in Unix ms. `hidden`: kept, and shown to
    no model."""

    kind: str
    body: dict[str, Any]
    at: int
    hidden: bool = False


class PieceBody(msgspec.Struct, rename="camel"):
    """`agentId` by id or name; `source` names the system and the session's id there; `first` is the
    place of the first line of this piece, from 1; `end` comes with the last piece."""

    agent_id: str
    source: str
    session_key: str
    first: int
    lines: list[LineBody]
    kind: str = "direct"
    end: importing.End | None = None


def take(tx: Tx, call: Call[PieceBody]) -> Reply:
    body = call.body
    piece = importing.Piece(
        agent=body.agent_id, source=body.source, key=body.session_key, kind=body.kind,
        first=body.first, end=body.end,
        lines=[transcript.Line(row.kind, row.body, row.at, row.hidden) for row in body.lines],
    )  # fmt: skip
    return json_reply({"session": shapes.session(importing.take(tx, piece))})


ROUTES: Final[tuple[Route, ...]] = (
    write_route(
        "POST", "/imports/sessions", "import.session", take,
        "Take over a session from another system, piece by piece", body=PieceBody,
        target="session:import", tags=("turns",),
    ),
)  # fmt: skip
