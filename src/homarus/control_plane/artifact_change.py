"""Changing artifacts: fields, place, content. What is replaced stays readable for a while.

See `artifacts.py` for the routes.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from homarus.base.errors import Invalid
from homarus.control_plane import shapes_files as shapes
from homarus.control_plane import upload
from homarus.control_plane.artifact_create import (
    check_sum,
    content_type_of,
    form_digest,
    received,
)
from homarus.control_plane.route import Call, Stream, json_reply
from homarus.records import artifacts, rules, versions
from homarus.records.artifact_fields import ArtifactChange, Content
from homarus.records.artifacts import Artifact
from homarus.records.blobs import Draft
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks import sql as task_sql

REPLACE_FIELDS: Final = ("file*", "contentType", "checksum", "agentId")


class ArtifactBody(msgspec.Struct, frozen=True, rename="camel"):
    """PATCH /artifacts/{id}. Whose it is (`projectId`, `taskId`, `customerId`) and what it contains
    do not change here; naming them as they are is fine."""

    title: str | UnsetType | None = UNSET
    kind: str | UnsetType = UNSET
    artifact_class: str | UnsetType = UNSET
    importance: str | UnsetType | None = UNSET
    content_type: str | UnsetType = UNSET
    original_filename: str | UnsetType = UNSET
    visibility: str | UnsetType = UNSET
    is_canonical: bool | UnsetType = UNSET
    metadata_json: dict[str, Any] | UnsetType | None = UNSET
    retention_policy: str | UnsetType | None = UNSET
    folder_id: str | UnsetType | None = UNSET
    project_id: str | UnsetType | None = UNSET
    task_id: str | UnsetType | None = UNSET
    customer_id: str | UnsetType | None = UNSET


class MoveBody(msgspec.Struct, frozen=True, rename="camel"):
    """PATCH /artifacts/{id}/move. `folderId` null: out of its folder."""

    folder_id: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET


def about(tx: Tx, row: Artifact) -> None:
    """Say which task it concerns, for the receipt."""
    if row.task is not None:
        task = task_sql.by_id(tx, tx.company, row.task)
        tx.about(task=row.task, trace=None if task is None else task.trace)


def changed(tx: Tx, call: Call[ArtifactBody]) -> Reply:
    """PATCH /artifacts/{id}."""
    body = call.body
    row = artifacts.need(tx, call.company, call.path["id"])
    for name, given, have in (
        ("projectId", body.project_id, row.project),
        ("taskId", body.task_id, row.task),
        ("customerId", body.customer_id, row.customer),
    ):
        if given is not UNSET and (given or None) != have:
            raise Invalid(
                "artifact.scope", f"{name} of {row.number} cannot change", "Upload it anew there."
            )
    change = ArtifactChange(
        title=body.title,
        kind=body.kind,
        artifact_class=body.artifact_class,
        importance=body.importance,
        content_type=body.content_type,
        filename=body.original_filename,
        visibility=body.visibility,
        is_canonical=body.is_canonical,
        metadata={} if body.metadata_json is None else body.metadata_json,
        retention_policy=body.retention_policy,
        folder=folder_ref(body.folder_id),
    )
    return _changed(tx, row, change)


def moved(tx: Tx, call: Call[MoveBody]) -> Reply:
    """PATCH /artifacts/{id}/move: into another folder, under another name, or both."""
    body = call.body
    row = artifacts.need(tx, call.company, call.path["id"])
    return _changed(
        tx,
        row,
        ArtifactChange(
            folder=folder_ref(body.folder_id), filename=UNSET if body.name is None else body.name
        ),
    )


def folder_ref(given: str | UnsetType | None) -> str | UnsetType | None:
    """A folder as clients name it: "" and `root` are none, as null is."""
    return None if given in ("", "root") else given


def _changed(tx: Tx, row: Artifact, change: ArtifactChange) -> Reply:
    about(tx, row)
    return json_reply({"artifact": shapes.artifact(tx, artifacts.update(tx, row.id, change))})


# -- content -------------------------------------------------------------------------------


async def replaced(stream: Stream, call: Call[None]) -> Reply:
    """PATCH /artifacts/{id}/replace: another content for the same artifact."""
    ref = call.path["id"]
    freeing = stream.read(_freed, call.company, ref)

    async def record(form: upload.Form, draft: Draft, content: Content) -> Reply:
        return await stream.write(
            _replaced,
            ref,
            content,
            digest=form_digest(form, draft),
            acting=form.fields.get("agentId") or None,
        )

    return await received(stream, call, _content, record, freeing)


def _freed(rx: Rx, company: str, ref: str) -> int:
    row = artifacts.need(rx, company, ref)
    return sum(version.size_bytes for version in versions.outgoing(rx, row.id))


def _content(form: upload.Form, draft: Draft) -> Content:
    check_sum(form, draft)
    content_type = content_type_of(form)
    return Content(
        sha256=draft.sha256,
        size_bytes=draft.size,
        content_type=content_type,
        filename=rules.file_name(form.file_name),
        preview=rules.preview(content_type, draft.head),
    )


def _replaced(tx: Tx, ref: str, content: Content) -> Reply:
    row = artifacts.replace(tx, ref, content)
    about(tx, row)
    return json_reply({"artifact": shapes.artifact(tx, row)})


def versions_listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /artifacts/{id}/versions: earlier contents that are kept, newest first."""
    row = artifacts.need(rx, call.company, call.path["id"])
    found = [shapes.version(version) for version in versions.of(rx, row.id)]
    return json_reply({"artifactId": row.id, "version": row.version, "versions": found})
