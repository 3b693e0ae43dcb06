"""Recording artifacts: a reference, or a content uploaded to disk before its row.

See `artifacts.py` for the routes.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from homarus.base.action import ActorKind
from homarus.base.canonical import digest
from homarus.base.errors import Busy, HomarusError, Invalid
from homarus.base.ids import is_uuid
from homarus.company import customers, projects
from homarus.control_plane import shapes_files as shapes
from homarus.control_plane import upload
from homarus.control_plane.route import Call, Stream, json_reply
from homarus.records import artifacts, quota, rules, sweep
from homarus.records.artifact_fields import NewArtifact
from homarus.records.blobs import MAX_DRAFTS, Draft
from homarus.store.port import Reply, Tx
from homarus.tasks import sql as task_sql

T = TypeVar("T")

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
    folder_id: str | None = None
    content_text: str | None = None


# -- recording -----------------------------------------------------------------------------


def checked_id(value: str | None, field: str) -> str | None:
    if value is None or value == "":
        return None
    if not is_uuid(value.lower()):
        raise Invalid("request.bad_id", f"{field} {value[:80]!r} is not an id", "Give the UUID.")
    return value.lower()


def linked(tx: Tx, new: NewArtifact) -> NewArtifact:
    """The links resolved: they exist in this company, a task brings its project, and a project its
    customer.

    Raises `task.unknown`, `project.unknown`, `customer.unknown`, `artifact.project`,
    `artifact.customer`.
    """
    agent = tx.actor.id if tx.actor.kind is ActorKind.AGENT else None
    project, customer = new.project, new.customer
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
    if customer is not None:
        customers.need(tx, tx.company, customer)
    if project is not None:
        customer = customer_of(tx, project, customer)
    return msgspec.structs.replace(
        new, project=project, customer=customer, agent=agent or new.agent
    )


def customer_of(tx: Tx, project: str, customer: str | None) -> str | None:
    """The customer of what belongs to a project: the project's, where it has one.

    Raises `project.unknown`, `artifact.customer`.
    """
    row = projects.need(tx, tx.company, project)
    if row.customer is not None and customer not in (None, row.customer):
        raise Invalid(
            "artifact.customer",
            f"P-{row.no} is for another customer",
            "Leave customerId out, or give the project's own.",
        )
    return row.customer or customer


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
        folder=body.folder_id or None,
    )
    return _created(tx, new)


def _created(tx: Tx, new: NewArtifact) -> Reply:
    row = artifacts.create(tx, linked(tx, new))
    return json_reply({"message": "Artifact created", "artifact": shapes.artifact(tx, row)}, 201)


# -- uploading -----------------------------------------------------------------------------


async def uploaded(stream: Stream, call: Call[None]) -> Reply:
    """POST /artifacts/upload."""

    async def record(form: upload.Form, draft: Draft, new: NewArtifact) -> Reply:
        return await stream.write(
            _created,
            new,
            digest=form_digest(form, draft),
            acting=form.fields.get("agentId") or None,
            task=new.task,
        )

    return await received(stream, call, _from_form, record)


def form_digest(form: upload.Form, draft: Draft) -> bytes:
    """What stands for the body: its fields, the file's name and its content."""
    return digest([sorted(form.fields.items()), form.file_name, draft.sha256])


async def received(
    stream: Stream,
    call: Call[None],
    read: Callable[[upload.Form, Draft], T],
    record: Callable[[upload.Form, Draft, T], Awaitable[Reply]],
    freeing: Awaitable[int] | None = None,
) -> Reply:
    """One file from the body to disk, then the row that names it. `read` makes something of the
    form, or refuses it before its content is kept; `record` commits the row; `freeing`: how many
    bytes that will give back.

    Who may not, and what cannot fit, is refused before the body is read.
    """
    body = upload.Body(stream.chunks())
    try:
        freed = 0 if freeing is None else await freeing
        least = upload.declared_least(stream.headers)
        await stream.read(quota.check, call.company, least - freed)
        return await _received(stream, call, body, read, record, freed)
    except HomarusError:
        await body.drain(stream.headers)
        raise


async def _received(
    stream: Stream,
    call: Call[None],
    body: upload.Body,
    read: Callable[[upload.Form, Draft], T],
    record: Callable[[upload.Form, Draft, T], Awaitable[Reply]],
    freed: int,
) -> Reply:
    draft = await asyncio.to_thread(stream.blobs.draft)
    if draft is None:
        raise Busy(
            "upload.busy", f"{MAX_DRAFTS} uploads are under way", "Try again in a few seconds."
        )
    try:
        form = await upload.receive(body, stream.headers, draft)
        new = read(form, draft)
        await stream.read(quota.check, call.company, draft.size - freed)
        with stream.blobs.hold(draft.sha256):
            await asyncio.to_thread(draft.keep)
            return await record(form, draft, new)
    except HomarusError:
        # Refused after all: the content goes again. If it cannot go now, the sweep takes it.
        with contextlib.suppress(HomarusError):
            await sweep.purge(stream.store, stream.blobs, draft.sha256)
        raise
    finally:
        await asyncio.to_thread(draft.discard)


def content_type_of(form: upload.Form) -> str:
    """The type that the sender declares; the bytes are not asked, and never served as a page."""
    return rules.content_type(form.fields.get("contentType") or form.file_type or DEFAULT_TYPE)


def check_sum(form: upload.Form, draft: Draft) -> None:
    """Raises `artifact.checksum` when the content is not the one that the sender meant."""
    wanted = form.fields.get("checksum")
    if wanted and rules.checksum(wanted) != draft.sha256:
        raise Invalid(
            "artifact.checksum",
            f"the file's SHA-256 is {draft.sha256}, not the checksum given; nothing was kept",
            "Send the file again, or correct the checksum.",
        )


def _from_form(form: upload.Form, draft: Draft) -> NewArtifact:
    """What the fields say. Raises `artifact.*`, `request.bad_id`, `upload.malformed`."""
    fields = form.fields
    if "kind" not in fields:
        raise Invalid("artifact.kind", "the field `kind` is missing", "Send it.")
    check_sum(form, draft)
    content_type = content_type_of(form)
    return NewArtifact(
        kind=fields["kind"],
        content_type=content_type,
        project=checked_id(fields.get("projectId"), "projectId"),
        task=checked_id(fields.get("taskId"), "taskId"),
        customer=checked_id(fields.get("customerId"), "customerId"),
        title=fields.get("title") or None,
        artifact_class=fields.get("artifactClass") or "working_file",
        importance=fields.get("importance") or None,
        filename=rules.file_name(form.file_name),
        sha256=draft.sha256,
        size_bytes=draft.size,
        stored=True,
        source_kind="upload",
        visibility=fields.get("visibility") or "private",
        metadata=_metadata(fields.get("metadataJson")),
        retention_policy=fields.get("retentionPolicy") or None,
        folder=fields.get("folderId") or None,
        preview=rules.preview(content_type, draft.head),
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
