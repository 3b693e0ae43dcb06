"""Wiki documents on the wire, in the control plane's style (design, 1)."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane.pages import cut
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.records import wiki
from homarus.records.wiki import WikiChange, WikiDoc, WikiVersion
from homarus.store.port import Event, Reply, Rx, Tx

ROOT: Final = "root"
MAX_SEARCH: Final = 200


class NewDoc(msgspec.Struct, frozen=True, rename="camel"):
    title: str
    body: str = ""
    parent_id: str | None = None


class DocChange(msgspec.Struct, frozen=True, rename="camel"):
    """`baseVersion`: the version that was read. `parentId` null: to the top."""

    base_version: int
    title: str | UnsetType = UNSET
    body: str | UnsetType = UNSET
    parent_id: str | UnsetType | None = UNSET


def wire(row: WikiDoc, *, body: bool = True) -> dict[str, Any]:
    shape = {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "parentId": row.parent,
        "title": row.title,
        "version": row.version,
        "createdBy": row.created_by,
        "updatedBy": row.updated_by,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }
    return shape | ({"body": row.body} if body else {})


def _version(row: WikiVersion) -> dict[str, Any]:
    return {"version": row.version, "title": row.title, "by": row.by, "at": iso_ms(row.at_ms)}


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /wiki/docs: newest first, without their bodies; `parentId=root` for those at the top."""
    query, limit = call.query, call.limit()
    parent = query.get("parentId") or None
    rows = wiki.listed(
        rx,
        call.company,
        limit=limit + 1,
        before=call.cursor(),
        parent=None if parent in (None, ROOT) else wiki.need(rx, call.company, str(parent)).id,
        roots=parent == ROOT,
        search=query.get("search", "")[:MAX_SEARCH],
    )
    rows, cursor = cut(rows, limit)
    shown = [wire(row, body=False) for row in rows]
    return json_reply({"docs": shown, "nextCursor": cursor})


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /wiki/docs/{id}: by id or number; `version` for a kept one."""
    row = wiki.need(rx, call.company, call.path["id"])
    number = call.query.get("version")
    if number:
        if not (number.isascii() and number.isdecimal() and len(number) <= 9):
            raise Invalid("wiki.version", f"{number[:40]!r} is no version", "Give its number.")
        kept = wiki.version(rx, row.id, int(number))
        row = msgspec.structs.replace(
            row, title=kept.title, body=kept.body, version=kept.version,
            updated_by=kept.by, updated_ms=kept.at_ms,
        )  # fmt: skip
    return json_reply({"doc": wire(row)})


def versions(rx: Rx, call: Call[None]) -> Reply:
    """GET /wiki/docs/{id}/versions: the kept ones, newest first."""
    row = wiki.need(rx, call.company, call.path["id"])
    return json_reply({"versions": [_version(one) for one in wiki.versions(rx, row.id)]})


def created(tx: Tx, call: Call[NewDoc]) -> Reply:
    """POST /wiki/docs."""
    body = call.body
    row = wiki.create(tx, WikiChange(body.title, body.body, body.parent_id or None))
    return json_reply({"message": "Document created", "doc": wire(row)}, 201)


def changed(tx: Tx, call: Call[DocChange]) -> Reply:
    """PATCH /wiki/docs/{id}: 409 `wiki.stale` where somebody was faster."""
    body = call.body
    parent = body.parent_id if isinstance(body.parent_id, UnsetType) else body.parent_id or None
    change = WikiChange(body.title, body.body, parent)
    row = wiki.update(tx, call.path["id"], body.base_version, change)
    return json_reply({"message": "Document updated", "doc": wire(row)})


def deleted(tx: Tx, call: Call[None]) -> Reply:
    """DELETE /wiki/docs/{id}."""
    row = wiki.delete(tx, call.path["id"])
    return json_reply({"message": "Document deleted", "doc": wire(row, body=False)})


def frame_changed(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = wiki.by_id(rx, company, event.subject)
    return [] if row is None else [{"type": event.kind, "doc": wire(row, body=False)}]


def frame_deleted(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    _ = rx, company
    return [{"type": "wiki_doc_deleted", "docId": event.subject}]


TAGS: Final = ("wiki",)
QUERY: Final = ("parentId", "search", "limit", "cursor")
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/wiki/docs", listed, "List and search wiki documents", query=QUERY, tags=TAGS),
    write_route(
        "POST", "/wiki/docs", "wiki.create", created, "Create a wiki document",
        body=NewDoc, status=201, target="wiki:", tags=TAGS,
    ),
    read_route("/wiki/docs/{id}", read, "Read a wiki document", query=("version",), tags=TAGS),
    read_route(
        "/wiki/docs/{id}/versions", versions, "Kept versions of a wiki document", tags=TAGS
    ),
    write_route(
        "PATCH", "/wiki/docs/{id}", "wiki.update", changed,
        "Change a wiki document, from the version that was read",
        body=DocChange, target="wiki:{id}", tags=TAGS,
    ),
    write_route(
        "DELETE", "/wiki/docs/{id}", "wiki.delete", deleted, "Remove a wiki document",
        target="wiki:{id}", tags=TAGS,
    ),
)  # fmt: skip
FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "wiki_doc_created": frame_changed,
    "wiki_doc_updated": frame_changed,
    "wiki_doc_deleted": frame_deleted,
}
