"""`GET /messages/sync`: a long poll that wakes at once (control-plane contract, 8.1).

Cursor: `sinceSeq` (the `nextSeq` of the reply before) or `since` (`createdAt` of the last message
seen); either is exact, so nothing is skipped and nothing comes twice.
"""

import asyncio
import time
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.company import agents, summary
from homarus.control_plane import feed
from homarus.control_plane import shapes_talk as shapes
from homarus.control_plane.route import Call, FileReply, Stream, StreamRoute, json_reply
from homarus.control_plane.times import opt_ms
from homarus.conversations import sync
from homarus.conversations.model import SenderType
from homarus.store.port import Reply, Rx

POLL_S: Final = 25.0
"""How long an idle poll is held (contract, 8.1)."""
REST_S: Final = 0.1
"""A poll that other events wake looks at most this often; the first one wakes it at once."""

_MODES: Final = {"human_only": (SenderType.HUMAN,), "all": ()}


class Question(msgspec.Struct, frozen=True):
    """What a poll asks; `since_seq` moves on while nothing that it wants turns up."""

    company: str
    mode: str
    senders: tuple[SenderType, ...]
    since_seq: int | None
    since_ms: int | None
    agent: str | None


def question(call: Call[Any]) -> Question:
    """Raises `sync.mode`, `sync.sender`, `request.time`, `request.cursor`."""
    query = call.query
    mode = query.get("mode") or "human_only"
    senders = _MODES.get(mode)
    if senders is None:
        raise Invalid("sync.mode", f"unknown mode {mode[:40]!r}", f"One of {list(_MODES)}.")
    only = query.get("senderType")
    if only:
        if only not in tuple(SenderType):
            raise Invalid(
                "sync.sender", f"unknown senderType {only[:40]!r}", "human, agent or system."
            )
        senders = (SenderType(only),)
    text = query.get("sinceSeq") or None
    if text is not None and (not (text.isascii() and text.isdecimal()) or len(text) > 18):
        raise Invalid("request.cursor", "unreadable sequence", "Repeat `nextSeq` as given.")
    return Question(
        company=call.company,
        mode=mode,
        senders=senders,
        since_seq=None if text is None else int(text),
        since_ms=opt_ms(query.get("since"), "since"),
        agent=query.get("agentId") or None,
    )


class Answer(msgspec.Struct, frozen=True):
    """`feed_seq`: where the event feed stood in the same view of the store."""

    changes: sync.Changes
    notes: str | None
    feed_seq: int


def look(rx: Rx, asked: Question) -> Answer:
    """One query of a poll. Raises `agent.unknown`."""
    agent = None if asked.agent is None else agents.need(rx, asked.company, asked.agent).id
    changes = sync.changes(
        rx,
        asked.company,
        since_seq=asked.since_seq,
        since_ms=asked.since_ms,
        senders=asked.senders,
        agent=agent,
    )
    _, feed_seq = feed.head(rx, asked.company)
    return Answer(changes, summary.context_notes(rx, asked.company), feed_seq)


async def poll(stream: Stream, call: Call[None], hold_s: float = POLL_S) -> Reply | FileReply:
    """Answers at once when there is something, as soon as there is, or empty after `hold_s`."""
    asked = question(call)
    end_s = time.monotonic() + hold_s
    while True:
        answer = await stream.read(look, asked)
        looked_s = time.monotonic()
        if answer.changes.messages or looked_s >= end_s:
            return json_reply(_body(asked, answer))
        asked = msgspec.structs.replace(asked, since_seq=answer.changes.next_seq)
        seq = await stream.wait(answer.feed_seq, end_s - looked_s)
        if seq <= answer.feed_seq:  # its time is up, or the daemon stops
            return json_reply(_body(asked, answer))
        await asyncio.sleep(max(0.0, min(looked_s + REST_S, end_s) - time.monotonic()))


def _body(asked: Question, answer: Answer) -> dict[str, Any]:
    changes = answer.changes
    return {
        "ok": True,
        "mode": asked.mode,
        "contextNotes": answer.notes,
        "messages": [shapes.message(row) for row in changes.messages],
        "hasMore": changes.more,
        "nextSeq": changes.next_seq,
    }


ROUTES: Final[tuple[StreamRoute, ...]] = (
    StreamRoute(
        method="GET",
        path="/messages/sync",
        capability="read",
        handler=poll,
        kind="read",
        summary="Messages since a cursor; waits up to 25 s for the first",
        query=("since", "sinceSeq", "mode", "senderType", "agentId"),
        tags=("talk",),
    ),
)
