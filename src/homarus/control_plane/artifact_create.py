"""Recording artifacts: a reference, or a content uploaded to disk before its row.

See `artifacts.py` for the routes.
"""

import asyncio
import contextlib
from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.canonical import digest
from homarus.base.clock import iso_ms
from homarus.base.errors import Busy, HomarusError, Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.company import customers, projects
from homarus.control_plane import upload
from homarus.control_plane.route import Call, Stream, json_reply
from homarus.records import artifacts, rules, sweep
from homarus.records.artifacts import Artifact, NewArtifact
from homarus.records.blobs import MAX_DRAFTS
from homarus.store.port import Reply, Tx
from homarus.tasks import sql as task_sql

DEFAULT_TYPE: Final = "application/octet-stream"
UPLOAD_FIELDS: Final = (
    "file*", "kind*", "projectId", "taskId", "customerId", "agentId", "title", "artifactClass",
    "importance", "contentType", "metadataJson", "visibility", "retentionPolicy", "checksum",
    "folderId",
)  # fmt: skip


class ReferenceBody(msgspec.Struct, frozen=True, rename="camel"):
    """POST /artifacts: metadata, and where the content is kept."""

    kind: str
    content_type: str
    project_id: str | None = None
    task_id: str | None = None
    customer_id: str | None = None
    agent_id: str | None = None
    title: str | None = None
    artifact_class: str = "working_file"
    importance: str | None = None
    original_filename: str | None = None
    sha256: str | None = None
    size_bytes: int = 0
    storage_url: str | None = None
    source_kind: str | None = None
    source_ref: str | None = None
    visibility: str = "private"
    is_canonical: bool = False
    metadata_json: dict[str, Any] | None = None
    retention_policy: str | None = None
    content_text: str | None = None


def wire(row: Artifact) -> dict[str, Any]:
    """The row as clients know it."""
    kind, _, by = row.created_by.partition(":")
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "projectId": row.project,
        "taskId": row.task,
        "folderId": None,
        "customerId": row.customer,
        "agentId": row.agent,
        "title": row.title,
        "kind": row.kind,
        "artifactClass": row.artifact_class,
        "importance": row.importance,
        "contentType": row.content_type,
        "contentText": None,
        "previewText": None,
        "storageUrl": row.storage_url,
        "storageProvider": "local" if row.stored else None,
        "storageKey": row.sha256 if row.stored else None,
        "originalFilename": row.filename,
        "sourceKind": row.source_kind,
        "sourceRef": row.source_ref,
        "sha256": row.sha256,
        "sizeBytes": row.size_bytes,
        "createdByType": "human" if kind == "operator" else kind,
        "createdById": by,
        "visibility": row.visibility,
        "isCanonical": row.is_canonical,
        "metadataJson": row.metadata,
        "retentionPolicy": row.retention_policy,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


# -- recording -----------------------------------------------------------------------------


def checked_id(value: str | None, field: str) -> str | None:
    if value is None or value == "":
        return None
    if not is_uuid(value.lower()):
        raise Invalid("request.bad_id", f"{field} {value[:80]!r} is not an id", "Give the UUID.")
    return value.lower()


def linked(tx: Tx, new: NewArtifact) -> NewArtifact:
    """The links resolved: they exist in this company, and a task brings its project.

    Raises `task.unknown`, `project.unknown`, `customer.unknown`, `artifact.project`.
    """
    agent = tx.actor.id if tx.actor.kind is ActorKind.AGENT else None
    project = new.project
    if new.task is not None:
        task = task_sql.need(tx, tx.company, new.task)
        tx.about(task=task.id, trace=task.trace)
        if project not in (None, task.project):
            raise Invalid(
                "artifact.project",
                f"{task.number} belongs to another project",
                "Leave projectId out, or give the task's own.",
            )
        project = task.project
    if project is not None:
        projects.need(tx, tx.company, project)
    if new.customer is not None and customers.by_id(tx, tx.company, new.customer) is None:
        raise NotFound("customer.unknown", f"no customer {new.customer}", "See GET /customers.")
    return msgspec.structs.replace(new, project=project, agent=agent or new.agent)


def created(tx: Tx, call: Call[ReferenceBody]) -> Reply:
    """POST /artifacts."""
    body = call.body
    if body.content_text:
        raise Invalid(
            "artifact.content_text",
            "contentText is not kept here",
            "Send the content to POST /artifacts/upload.",
        )
    if not (body.project_id or body.customer_id or body.task_id):
        raise Invalid(
            "artifact.about", "what does it belong to?", "Give projectId, taskId or customerId."
        )
    if body.storage_url and not (body.sha256 and body.size_bytes):
        raise Invalid(
            "artifact.reference",
            "a reference says what it refers to",
            "Give sha256 and sizeBytes with storageUrl.",
        )
    new = NewArtifact(
        kind=body.kind,
        content_type=body.content_type,
        project=checked_id(body.project_id, "projectId"),
        task=checked_id(body.task_id, "taskId"),
        customer=checked_id(body.customer_id, "customerId"),
        title=body.title,
        artifact_class=body.artifact_class,
        importance=body.importance,
        filename=body.original_filename,
        sha256=body.sha256,
        size_bytes=body.size_bytes,
        storage_url=body.storage_url,
        source_kind=body.source_kind,
        source_ref=body.source_ref,
        visibility=body.visibility,
        is_canonical=body.is_canonical,
        metadata=body.metadata_json or {},
        retention_policy=body.retention_policy,
    )
    return _created(tx, new)


def _created(tx: Tx, new: NewArtifact) -> Reply:
    row = artifacts.create(tx, linked(tx, new))
    return json_reply({"message": "Artifact created", "artifact": wire(row)}, 201)


async def uploaded(stream: Stream, call: Call[None]) -> Reply:
    """POST /artifacts/upload: content to disk, then the row that names it.

    Who may not, and what cannot fit, is refused before the body is read.
    """
    body = upload.Body(stream.chunks())
    try:
        await stream.read(
            artifacts.check_quota, call.company, upload.declared_least(stream.headers)
        )
        return await _received(stream, call, body)
    except HomarusError:
        await body.drain()
        raise


async def _received(stream: Stream, call: Call[None], body: upload.Body) -> Reply:
    draft = await asyncio.to_thread(stream.blobs.draft)
    if draft is None:
        raise Busy(
            "upload.busy", f"{MAX_DRAFTS} uploads are under way", "Try again in a few seconds."
        )
    try:
        form = await upload.receive(body, stream.headers, draft)
        new = _from_form(form, draft.sha256, draft.size)
        await stream.read(artifacts.check_quota, call.company, new.size_bytes)
        with stream.blobs.hold(draft.sha256):
            await asyncio.to_thread(draft.keep)
            return await stream.write(
                _created,
                new,
                digest=digest([sorted(form.fields.items()), form.file_name, draft.sha256]),
                acting=form.fields.get("agentId") or None,
                task=new.task,
            )
    except HomarusError:
        # Refused after all: the content goes again. If it cannot go now, the sweep takes it.
        with contextlib.suppress(HomarusError):
            await sweep.purge(stream.store, stream.blobs, draft.sha256)
        raise
    finally:
        await asyncio.to_thread(draft.discard)


def _from_form(form: upload.Form, sha256: str, size: int) -> NewArtifact:
    """What the fields say. Raises `artifact.*`, `request.bad_id`, `upload.malformed`."""
    fields = form.fields
    if "kind" not in fields:
        raise Invalid("artifact.kind", "the field `kind` is missing", "Send it.")
    wanted = fields.get("checksum")
    if wanted and rules.checksum(wanted) != sha256:
        raise Invalid(
            "artifact.checksum",
            f"the file's SHA-256 is {sha256}, not the checksum given; nothing was kept",
            "Send the file again, or correct the checksum.",
        )
    if fields.get("folderId"):
        raise NotFound("folder.unknown", "there are no folders here", "Leave folderId out.")
    return NewArtifact(
        kind=fields["kind"],
        content_type=rules.content_type(
            fields.get("contentType") or form.file_type or DEFAULT_TYPE
        ),
        project=checked_id(fields.get("projectId"), "projectId"),
        task=checked_id(fields.get("taskId"), "taskId"),
        customer=checked_id(fields.get("customerId"), "customerId"),
        title=fields.get("title") or None,
        artifact_class=fields.get("artifactClass") or "working_file",
        importance=fields.get("importance") or None,
        filename=rules.file_name(form.file_name),
        sha256=sha256,
        size_bytes=size,
        stored=True,
        visibility=fields.get("visibility") or "private",
        metadata=_metadata(fields.get("metadataJson")),
        retention_policy=fields.get("retentionPolicy") or None,
    )


def _metadata(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(
            "artifact.metadata", f"metadataJson is no JSON object: {error}", "Send {…}."
        ) from error
