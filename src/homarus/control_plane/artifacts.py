"""Artifacts on the wire (control-plane contract, 10): the table of routes; reading and removing.

See `artifact_create.py` for recording them, `artifact_change.py` for changing, `folders.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.canonical import digest
from homarus.base.errors import Conflict, HomarusError, Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.control_plane import ranges
from homarus.control_plane import shapes_files as shapes
from homarus.control_plane.artifact_change import (
    REPLACE_FIELDS,
    ArtifactBody,
    MoveBody,
    about,
    changed,
    moved,
    replaced,
    versions_listed,
)
from homarus.control_plane.artifact_create import (
    UPLOAD_FIELDS,
    ReferenceBody,
    checked_id,
    created,
    uploaded,
)
from homarus.control_plane.route import (
    Call,
    FileReply,
    Route,
    Stream,
    StreamRoute,
    json_reply,
    read_route,
    write_route,
)
from homarus.control_plane.times import opt_ms
from homarus.records import artifacts, folders, quota, rules, sweep, versions
from homarus.records.artifacts import Artifact
from homarus.records.blobs import MAX_FILE_BYTES
from homarus.store.port import Event, Reply, Rx, Tx

# -- reading -------------------------------------------------------------------------------

ROOT: Final = "root"
MAX_SEARCH: Final = 200
DAY_MS: Final = 86_400_000

_IDS: Final = ("projectId", "taskId", "customerId", "agentId")
_FILTERS: Final = {
    "projectId": "project",
    "taskId": "task",
    "customerId": "customer",
    "agentId": "agent",
    "kind": "kind",
    "artifactClass": "artifact_class",
    "importance": "importance",
    "contentType": "content_type",
    "sha256": "sha256",
}
QUERY: Final = (
    *_FILTERS, "isCanonical", "folderId", "search", "startDate", "endDate", "limit", "cursor",
)  # fmt: skip


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /artifacts: newest first, with the project's goal and the task's type."""
    rows, following = page(rx, call, filters(rx, call))
    return json_reply({"artifacts": shapes.artifact_list(rx, rows), "nextCursor": following})


def filters(rx: Rx, call: Call[None]) -> dict[str, Any]:
    """What the query narrows the list to, for `artifacts.listed`."""
    query = call.query
    equal: dict[str, Any] = {}
    for name, key in _FILTERS.items():
        if query.get(name):
            equal[key] = checked_id(query[name], name) if name in _IDS else query[name]
    if query.get("isCanonical"):
        equal["is_canonical"] = int(query["isCanonical"].lower() in ("true", "1"))
    folder = query.get("folderId")
    if folder and folder != ROOT:
        equal["folder"] = folder_id(rx, call.company, folder)
    return {
        "filters": equal,
        "loose": folder == ROOT,
        "search": query.get("search", "")[:MAX_SEARCH],
        "since_ms": opt_ms(query.get("startDate"), "startDate"),
        "until_ms": _end_ms(query.get("endDate")),
    }


def page(rx: Rx, call: Call[None], narrowed: dict[str, Any]) -> tuple[list[Artifact], str | None]:
    """One page, and the cursor of the next. A search looks at so many rows a page: one may have
    fewer rows than its limit, and a cursor."""
    limit, before = call.limit(), call.cursor()
    floor = artifacts.search_floor(rx, call.company, before) if narrowed["search"] else 0
    rows = artifacts.listed(
        rx, call.company, limit=limit + 1, before=before, floor=floor, **narrowed
    )
    if len(rows) > limit:
        return rows[:limit], str(rows[limit - 1].no)
    return rows, str(floor) if floor else None


def folder_id(rx: Rx, company: str, ref: str) -> str:
    """The id of a folder to filter by: an unknown id finds nothing, an unknown number is 404."""
    return ref.lower() if is_uuid(ref.lower()) else folders.need(rx, company, ref).id


def _end_ms(text: str | None) -> int | None:
    """The first moment after `endDate`; a date without a time counts with its whole day."""
    at = opt_ms(text, "endDate")
    if at is None or text is None:
        return None
    return at + (DAY_MS if len(text.strip()) == len("2026-01-02") else 1)


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /artifacts/{id}: by id or number."""
    row = artifacts.need(rx, call.company, call.path["id"])
    return json_reply({"artifact": shapes.artifact(rx, row)})


class _File(msgspec.Struct, frozen=True):
    sha256: str
    size_bytes: int
    content_type: str
    name: str


def _file(rx: Rx, company: str, ref: str, version: str | None) -> _File:
    row = artifacts.need(rx, company, ref)
    if version and version != str(row.version):
        if not (version.isascii() and version.isdecimal() and len(version) < 10):
            raise Invalid("artifact.version", f"{version[:20]!r} is no version", "Send a number.")
        old = versions.need(rx, row.id, int(version))
        return _File(old.sha256, old.size_bytes, old.content_type, old.filename or row.number)
    if not row.stored or row.sha256 is None:
        raise Conflict(
            "artifact.reference",
            f"{row.number} is a reference; its content is kept elsewhere",
            "See its `storageUrl`, or upload the file as an artifact of its own.",
        )
    return _File(row.sha256, row.size_bytes, row.content_type, row.filename or row.number)


async def downloaded(stream: Stream, call: Call[None]) -> FileReply:
    """GET /artifacts/{id}/download: the bytes, checked against their checksum first."""
    file = await stream.read(_file, call.company, call.path["id"], call.query.get("version"))
    etag = f'"{file.sha256}"'
    part = ranges.wanted(stream.headers, file.size_bytes, etag)
    path = await asyncio.to_thread(stream.blobs.check, file.sha256, file.size_bytes)
    headers = (
        ("content-type", file.content_type),
        ("content-disposition", rules.disposition(file.name)),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "private, no-store"),
        ("etag", etag),
        ("accept-ranges", "bytes"),
    )
    if part is None:
        return FileReply(path, file.size_bytes, headers)
    start, size = part
    where = f"bytes {start}-{start + size - 1}/{file.size_bytes}"
    return FileReply(path, size, (*headers, ("content-range", where)), start=start, status=206)


# -- removing ------------------------------------------------------------------------------


def deleted(tx: Tx, call: Call[None]) -> Reply:
    """DELETE /artifacts/{id}: the row; its content goes with the sweep when no other has it."""
    row = _delete(tx, call.path["id"])
    return json_reply({"message": "Artifact deleted", "artifact": shapes.artifact(tx, row)})


def _delete(tx: Tx, ref: str) -> Artifact:
    row = artifacts.delete(tx, ref)
    about(tx, row)
    return row


def _purged(tx: Tx, ref: str) -> Reply:
    _delete(tx, ref)
    return json_reply({"success": True})


async def purged(stream: Stream, call: Call[None]) -> Reply:
    """DELETE /artifacts/{id}/delete: the row, then the bytes unless `purgeStorage=false`."""
    ref = call.path["id"]
    contents = await stream.read(_contents, call.company, ref)
    reply = await stream.write(_purged, ref, digest=digest([ref, dict(call.query)]))
    if call.query.get("purgeStorage", "true").lower() != "false":
        with contextlib.suppress(HomarusError, OSError):  # else the sweep takes them
            await sweep.purge_all(stream.store, stream.blobs, contents)
    return reply


def _contents(rx: Rx, company: str, ref: str) -> list[str]:
    """What to purge. One that is gone already may still be answered by its key: nothing then."""
    try:
        return artifacts.contents(rx, company, ref)
    except NotFound:
        return []


# -- room ----------------------------------------------------------------------------------


class StorageBody(msgspec.Struct, frozen=True, rename="camel"):
    """PATCH /storage."""

    quota_bytes: int


def storage(rx: Rx, call: Call[None]) -> Reply:
    """GET /storage: bytes in use and allowed, and what one upload and one artifact may have."""
    return json_reply({"storage": _storage(rx, call.company)})


def _storage(rx: Rx, company: str) -> dict[str, int]:
    used, allowed = quota.usage(rx, company)
    return {
        "usedBytes": used,
        "quotaBytes": allowed,
        "maxUploadBytes": MAX_FILE_BYTES,
        "maxVersions": versions.MAX_VERSIONS,
    }


def storage_set(tx: Tx, call: Call[StorageBody]) -> Reply:
    """PATCH /storage: how many bytes the company may have."""
    quota.set_quota(tx, call.body.quota_bytes)
    return json_reply({"storage": _storage(tx, call.company)})


# -- tables --------------------------------------------------------------------------------


def frame_created(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = artifacts.by_id(rx, company, event.subject)
    return (
        [] if row is None else [{"type": "artifact_created", "artifact": shapes.artifact(rx, row)}]
    )


def frame_updated(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = artifacts.by_id(rx, company, event.subject)
    return (
        [] if row is None else [{"type": "artifact_updated", "artifact": shapes.artifact(rx, row)}]
    )


def frame_deleted(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    _ = rx, company
    return [{"type": "artifact_deleted", "artifactId": event.subject}]


def _named_agent(call: Call[ReferenceBody]) -> str | None:
    return call.body.agent_id or None


def _task(call: Call[ReferenceBody]) -> str | None:
    return call.body.task_id or None


TAGS: Final = ("artifacts",)
ROUTES: Final[tuple[Route | StreamRoute, ...]] = (
    read_route("/artifacts", listed, "List artifacts", query=QUERY, tags=TAGS),
    write_route(
        "POST", "/artifacts", "artifact.create", created, "Record an artifact kept elsewhere",
        body=ReferenceBody, keyed="required", acting=_named_agent, task=_task, status=201,
        target="artifact:", tags=TAGS,
    ),
    StreamRoute(
        method="POST", path="/artifacts/upload", capability="artifact.create", handler=uploaded,
        kind="write", summary="Upload an artifact (multipart)", keyed="required", status=201,
        target="artifact:", multipart=UPLOAD_FIELDS, tags=TAGS,
    ),
    read_route("/artifacts/{id}", read, "Read an artifact's record", tags=TAGS),
    write_route(
        "PATCH", "/artifacts/{id}", "artifact.update", changed, "Change an artifact's record",
        body=ArtifactBody, target="artifact:{id}", tags=TAGS,
    ),
    write_route(
        "PATCH", "/artifacts/{id}/move", "artifact.update", moved,
        "Move an artifact to another folder, or rename it",
        body=MoveBody, target="artifact:{id}", tags=TAGS,
    ),
    StreamRoute(
        method="PATCH", path="/artifacts/{id}/replace", capability="artifact.update",
        handler=replaced, kind="write", summary="Replace an artifact's content (multipart)",
        target="artifact:{id}", multipart=REPLACE_FIELDS, tags=TAGS,
    ),
    read_route(
        "/artifacts/{id}/versions", versions_listed, "Earlier contents that are kept", tags=TAGS
    ),
    StreamRoute(
        method="GET", path="/artifacts/{id}/download", capability="read", handler=downloaded,
        kind="read", summary="Download an artifact's content", keyed="ignored",
        query=("version",), tags=TAGS,
    ),
    write_route(
        "DELETE", "/artifacts/{id}", "artifact.delete", deleted, "Remove an artifact's record",
        keyed="required", target="artifact:{id}", tags=TAGS,
    ),
    StreamRoute(
        method="DELETE", path="/artifacts/{id}/delete", capability="artifact.delete",
        handler=purged, kind="write", summary="Remove an artifact and its content",
        keyed="accepted", target="artifact:{id}", query=("purgeStorage",), tags=TAGS,
    ),
    read_route("/storage", storage, "Bytes in use and allowed", tags=TAGS),
    write_route(
        "PATCH", "/storage", "storage.quota", storage_set, "Set how many bytes may be stored",
        body=StorageBody, target="storage:", tags=TAGS,
    ),
)  # fmt: skip
FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "artifact_created": frame_created,
    "artifact_updated": frame_updated,
    "artifact_replaced": frame_updated,
    "artifact_deleted": frame_deleted,
}
