"""Documents of the main space on the wire. Their paths hold slashes, so no path of ours names one:
reading has it in the query, writing in the body."""

from operator import attrgetter
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import documents as flow
from homarus.kernel import documents as places
from homarus.records import documents
from homarus.records.documents import Document, Version
from homarus.store.port import Reply, Rx, Tx


class DocumentBody(msgspec.Struct, frozen=True, rename="camel"):
    """The whole text. `content` null removes the document."""

    path: str
    content: str | None
    title: str = ""


def wire(row: Document, *, content: bool = False) -> dict[str, Any]:
    shape = {
        "path": row.path,
        "class": row.cls,
        "kind": row.kind,
        "title": row.title,
        "version": row.version,
        "state": row.state,
        "sha256": row.sha256,
        "approvedAt": iso_ms(row.approved_ms),
        "change": None if row.change_no is None else f"C-{row.change_no}",
    }
    return shape | ({"content": row.content} if content else {})


def _version(row: Version) -> dict[str, Any]:
    return {
        "n": row.n,
        "version": row.version,
        "state": row.state,
        "sha256": row.sha256,
        "removed": row.removed,
        "change": None if row.change_no is None else f"C-{row.change_no}",
        "by": row.by,
        "at": iso_ms(row.at_ms),
    }


def _path(call: Call[None]) -> str:
    path = call.query.get("path")
    if path is None:
        raise Invalid("request.schema", "no document is named", "Give `?path=rules/house.md`.")
    return places.check_path(path)


def listed(rx: Rx, call: Call[None]) -> Reply:
    limit = call.limit()
    rows = documents.listed(rx, call.company, limit=limit, after=call.query.get("cursor", ""))
    more = behind(rows, limit, attrgetter("path"))
    return json_reply({"documents": [wire(row) for row in rows]} | more)


def read(tx: Tx, call: Call[None]) -> Reply:
    """The approved text, whatever the file says. Reading a governed one leaves a receipt."""
    row = flow.read(tx, _path(call))
    kept = [_version(v) for v in documents.versions(tx, tx.company, row.path)]
    return json_reply({"document": wire(row, content=True) | {"versions": kept}})


def write(tx: Tx, call: Call[DocumentBody]) -> Reply:
    """A plain document. R4 has refused governed ones before this runs."""
    body = call.body
    row = flow.write(tx, places.check_path(body.path), body.content, body.title)
    if row is None:
        return json_reply({"message": "Document removed", "document": None})
    return json_reply({"message": "Document written", "document": wire(row)})


def _asked(call: Call[Any]) -> str:
    return f"document:{call.query.get('path', '')}"


def _written(call: Call[DocumentBody]) -> str:
    return f"document:{call.body.path}"


TAGS: Final = ("documents",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/documents", listed, "List documents", query=("limit", "cursor"), tags=TAGS),
    write_route(
        "GET", "/documents/content", "document.read", read, "Read a document",
        keyed="ignored", aims=_asked, query=("path",), tags=TAGS,
    ),
    write_route(
        "PUT", "/documents/content", "document.write", write, "Write a plain document",
        body=DocumentBody, aims=_written, tags=TAGS,
    ),
)  # fmt: skip
