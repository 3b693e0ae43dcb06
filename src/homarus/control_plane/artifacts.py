"""Artifacts on the wire (control-plane contract, 10): record, upload, list, download, remove."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from homarus.base.canonical import digest
from homarus.base.errors import Conflict, Invalid
from homarus.company import projects
from homarus.control_plane.artifact_create import (
    UPLOAD_FIELDS,
    ReferenceBody,
    checked_id,
    created,
    uploaded,
    wire,
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
from homarus.records import artifacts, rules, sweep
from homarus.records.artifacts import Artifact
from homarus.store.port import Event, Reply, Rx, Tx
from homarus.tasks import sql as task_sql

# -- reading -------------------------------------------------------------------------------

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
    query = call.query
    filters: dict[str, Any] = {}
    for name, key in _FILTERS.items():
        if query.get(name):
            filters[key] = checked_id(query[name], name) if name in _IDS else query[name]
    if query.get("isCanonical"):
        filters["is_canonical"] = int(query["isCanonical"].lower() in ("true", "1"))
    limit = call.limit()
    rows = (
        []
        if query.get("folderId")
        else artifacts.listed(
            rx,
            call.company,
            filters,
            limit=limit,
            before=call.cursor(),
            search=query.get("search", "")[:200],
            since_ms=_date(query.get("startDate"), "startDate"),
            until_ms=_date(query.get("endDate"), "endDate"),
        )
    )
    goals = _each({r.project for r in rows}, lambda p: _goal(rx, call.company, p))
    types = _each({r.task for r in rows}, lambda t: task_sql.spec_of(rx, t).type)
    body: dict[str, Any] = {
        "artifacts": [
            wire(r) | {"projectGoal": goals.get(r.project), "taskType": types.get(r.task)}
            for r in rows
        ]
    }
    if len(rows) == limit:
        body["nextCursor"] = str(rows[-1].no)
    return json_reply(body)


def _each(ids: set[str | None], find: Callable[[str], str | None]) -> dict[str | None, str | None]:
    return {one: find(one) for one in ids if one is not None}


def _goal(rx: Rx, company: str, project: str) -> str | None:
    row = projects.by_id(rx, company, project)
    return None if row is None else row.goal


def _date(text: str | None, field: str) -> int | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(
            "request.date", f"{field} {text[:40]!r} is no date", "Send 2026-01-02 or RFC 3339."
        ) from error
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return int(at.timestamp() * 1000)


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /artifacts/{id}: by id or number."""
    return json_reply({"artifact": wire(artifacts.need(rx, call.company, call.path["id"]))})


async def downloaded(stream: Stream, call: Call[None]) -> FileReply:
    """GET /artifacts/{id}/download: the bytes, checked against their checksum first."""
    row = await stream.read(artifacts.need, call.company, call.path["id"])
    if not row.stored or row.sha256 is None:
        raise Conflict(
            "artifact.reference",
            f"{row.number} is a reference; its content is kept elsewhere",
            "See its `storageUrl`.",
        )
    path = await asyncio.to_thread(stream.blobs.check, row.sha256, row.size_bytes)
    headers = (
        ("content-type", row.content_type),
        ("content-disposition", rules.disposition(row.filename or row.number)),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "private, no-store"),
        ("etag", f'"{row.sha256}"'),
    )
    return FileReply(path, row.size_bytes, headers)


# -- removing ------------------------------------------------------------------------------


def deleted(tx: Tx, call: Call[None]) -> Reply:
    """DELETE /artifacts/{id}: the row; its content goes with the sweep when no other has it."""
    row = _delete(tx, call.path["id"])
    return json_reply({"message": "Artifact deleted", "artifact": wire(row)})


def _delete(tx: Tx, ref: str) -> Artifact:
    row = artifacts.delete(tx, ref)
    if row.task is not None:
        task = task_sql.by_id(tx, tx.company, row.task)
        tx.about(task=row.task, trace=None if task is None else task.trace)
    return row


def _purged(tx: Tx, ref: str) -> Reply:
    row = _delete(tx, ref)
    body: dict[str, Any] = {"success": True, "sha256": row.sha256 if row.stored else None}
    return json_reply(body)


async def purged(stream: Stream, call: Call[None]) -> Reply:
    """DELETE /artifacts/{id}/delete: the row, then the bytes unless `purgeStorage=false`."""
    reply = await stream.write(
        _purged, call.path["id"], digest=digest([call.path["id"], dict(call.query)])
    )
    sha256 = msgspec.json.decode(reply.body)["sha256"]
    if sha256 and call.query.get("purgeStorage", "true").lower() != "false":
        await sweep.purge(stream.store, stream.blobs, sha256)
    return reply


# -- tables --------------------------------------------------------------------------------


def frame_created(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = artifacts.by_id(rx, company, event.subject)
    return [] if row is None else [{"type": "artifact_created", "artifact": wire(row)}]


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
    StreamRoute(
        method="GET", path="/artifacts/{id}/download", capability="read", handler=downloaded,
        kind="read", summary="Download an artifact's content", keyed="ignored", tags=TAGS,
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
)  # fmt: skip
FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "artifact_created": frame_created,
    "artifact_deleted": frame_deleted,
}
