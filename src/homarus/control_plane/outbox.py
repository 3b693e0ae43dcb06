"""The outbox on the wire: what waits for mirrors, what failed, and what an operator does with
it."""

from operator import attrgetter
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.shapes_work import ts
from homarus.flows import mirrors, outbox_desk
from homarus.flows.outbox_desk import OutboxRow
from homarus.store.port import Reply, Rx, Tx


class DropBody(msgspec.Struct, frozen=True):
    reason: str


class DropManyBody(msgspec.Struct, frozen=True):
    """`mirror`: name or id; whatever waits for it or has failed."""

    mirror: str
    reason: str


def shape(row: OutboxRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "mirror": row.mirror_name or row.mirror,
        "targetType": row.target_type,
        "entityType": row.entity_type,
        "entityId": row.entity_id,
        "number": row.payload.get("number"),
        "action": row.action,
        "status": row.status,
        "priority": row.priority,
        "retryCount": row.retry_count,
        "maxRetries": row.max_retries,
        "tries": row.tries,
        "error": row.error or None,
        "receiptId": row.receipt or None,
        "kernelReceiptId": row.kernel_receipt,
        "traceId": row.trace,
        "createdAt": iso_ms(row.created_ms),
        "scheduledAt": iso_ms(row.scheduled_ms),
        "processedAt": ts(row.processed_ms),
        "completedAt": ts(row.completed_ms),
    }


def listed(rx: Rx, call: Call[None]) -> Reply:
    limit, query = call.limit(), call.query
    ref = query.get("mirror")
    rows = outbox_desk.listed(
        rx, call.company, limit=limit, before=query.get("cursor"), status=query.get("status"),
        entity=query.get("entityId"),
        mirror=None if ref is None else mirrors.need(rx, call.company, ref).id,
    )  # fmt: skip
    return json_reply(
        {"rows": [shape(row) for row in rows]} | behind(rows, limit, attrgetter("id"))
    )


def show(rx: Rx, call: Call[None]) -> Reply:
    """With what was sent."""
    row = outbox_desk.need(rx, call.company, call.path["id"])
    more = {"fields": row.payload.get("fields"), "pushToken": row.push_token}
    return json_reply({"row": shape(row) | more})


def retry(tx: Tx, call: Call[None]) -> Reply:
    return json_reply({"row": shape(outbox_desk.retry(tx, call.path["id"]))})


def drop(tx: Tx, call: Call[DropBody]) -> Reply:
    return json_reply({"row": shape(outbox_desk.drop(tx, call.path["id"], call.body.reason))})


def drop_many(tx: Tx, call: Call[DropManyBody]) -> Reply:
    """POST /outbox/drop: a bounded number at once; `more`: ask again."""
    mirror = mirrors.need(tx, call.company, call.body.mirror).id
    n = outbox_desk.drop_many(tx, mirror, call.body.reason)
    return json_reply({"dropped": n, "more": n == outbox_desk.DROP_ROWS})


_TAGS: Final = ("mirrors",)
_ONE: Final[dict[str, Any]] = {"target": "outbox:{id}", "tags": _TAGS}
ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/outbox", listed, "Changes on their way to mirrors, newest first",
        query=("mirror", "status", "entityId", "limit", "cursor"), tags=_TAGS,
    ),
    read_route("/outbox/{id}", show, "One change, with what was sent", tags=_TAGS),
    write_route("POST", "/outbox/{id}/retry", "outbox.retry", retry, "Push it again now", **_ONE),
    write_route(
        "POST", "/outbox/{id}/drop", "outbox.drop", drop, "Give it up", body=DropBody, **_ONE
    ),
    write_route(
        "POST", "/outbox/drop", "outbox.drop", drop_many, "Give up what waits for a mirror",
        body=DropManyBody, target="outbox:", tags=_TAGS,
    ),
)  # fmt: skip
