"""Routes of deliveries: what goes out over channels, and an operator's answer to what did not."""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.control_plane.frames import Frame, FrameTable
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.shapes_work import ts
from homarus.conversations import deliveries
from homarus.conversations.deliveries import Delivery, State
from homarus.flows import delivering
from homarus.store.port import Event, Reply, Rx, Tx


class DropBody(msgspec.Struct, frozen=True):
    """`reason`: why it is not to be sent."""

    reason: str = ""


def shape(row: Delivery) -> dict[str, Any]:
    """`platformMessageIds`: of the parts that are out."""
    return {
        "id": row.id,
        "number": row.number,
        "channel": row.channel,
        "accountId": row.account,
        "target": row.target,
        "threadId": row.thread,
        "replyToId": row.reply_to,
        "messageId": row.message,
        "agentId": row.agent,
        "text": row.text,
        "state": row.state.value,
        "attempts": row.attempts,
        "partsOut": row.parts_out,
        "platformMessageIds": row.posted,
        "error": row.error,
        "by": row.by_actor,
        "createdAt": ts(row.created_ms),
        "nextAt": ts(row.next_ms) if row.state is State.QUEUED else None,
        "endedAt": None if row.ended_ms is None else ts(row.ended_ms),
    }


def listed(rx: Rx, call: Call[None]) -> Reply:
    state = call.query.get("state") or None
    if state is not None and state not in set(State):
        raise Invalid(
            "delivery.state", f"no state {state[:40]!r}", f"One of {[s.value for s in State]}."
        )
    limit = call.limit()
    rows = deliveries.listed(rx, call.company, limit=limit, before=call.cursor(), state=state)
    more = rows[-1].no if len(rows) == limit else None
    return json_reply({"deliveries": [shape(row) for row in rows], "nextCursor": more})


def show(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"delivery": shape(deliveries.need(rx, call.company, call.path["ref"]))})


def retry(tx: Tx, call: Call[None]) -> Reply:
    row = delivering.retry(tx, call.path["ref"])
    return json_reply({"message": "It is sent again", "delivery": shape(row)})


def drop(tx: Tx, call: Call[DropBody | None]) -> Reply:
    reason = "" if call.body is None else call.body.reason
    row = delivering.drop(tx, call.path["ref"], reason)
    return json_reply({"message": "It is not sent", "delivery": shape(row)})


_TAGS: Final = ("deliveries",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/deliveries", listed, "What goes out over channels, newest first",
        query=("state", "limit", "cursor"), tags=_TAGS,
    ),
    read_route("/deliveries/{ref}", show, "One delivery, by number or id", tags=_TAGS),
    write_route(
        "POST", "/deliveries/{ref}/retry", "delivery.change", retry,
        "Send one again that failed or may not have arrived", target="delivery:{ref}", tags=_TAGS,
    ),
    write_route(
        "POST", "/deliveries/{ref}/drop", "delivery.change", drop, "Give one up",
        body=DropBody | None, target="delivery:{ref}", tags=_TAGS,
    ),
)  # fmt: skip


def _frame(rx: Rx, company: str, event: Event) -> list[Frame]:
    row = deliveries.by_id(rx, company, event.subject)
    return [] if row is None else [{"type": "delivery_updated", "delivery": shape(row)}]


FRAMES: Final[FrameTable] = {f"delivery_{state.value}": _frame for state in State}
