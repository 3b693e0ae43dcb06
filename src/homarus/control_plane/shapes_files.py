"""Wire shapes of artifacts and folders (control-plane contract, 10)."""

from collections.abc import Sequence
from typing import Any, Final

from homarus.base.clock import iso_ms
from homarus.company import projects
from homarus.records import artifacts, folders
from homarus.records.artifacts import Artifact
from homarus.records.folders import Folder
from homarus.records.versions import Version
from homarus.store.port import Rx
from homarus.tasks import sql as task_sql

_BY: Final = {"operator": "human"}


def artifact(rx: Rx, row: Artifact) -> dict[str, Any]:
    """The whole row as clients know it."""
    preview, search = artifacts.texts(rx, row.id)
    path = folders.paths(rx, row.company, [row.folder]).get(row.folder)
    return _artifact(row, path) | {
        "contentText": None,
        "previewText": preview,
        "searchText": search or None,
        "metadataJson": row.metadata,
    }


def artifact_list(rx: Rx, rows: Sequence[Artifact]) -> list[dict[str, Any]]:
    """Rows of a list: without texts and metadata, with the project's goal and the task's type."""
    if not rows:
        return []
    company = rows[0].company
    paths = folders.paths(rx, company, {row.folder for row in rows})
    named = {it: projects.by_id(rx, company, it) for it in {row.project for row in rows} if it}
    types = {it: task_sql.spec_of(rx, it).type for it in {row.task for row in rows} if it}
    shown = []
    for row in rows:
        project = named.get(row.project or "")
        shown.append(
            _artifact(row, paths.get(row.folder))
            | {
                "projectGoal": None if project is None else project.goal,
                "taskType": types.get(row.task or ""),
            }
        )
    return shown


def _artifact(row: Artifact, folder_path: str | None) -> dict[str, Any]:
    by_type, by_id = _who(row.created_by)
    name = row.filename or row.number
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "projectId": row.project,
        "taskId": row.task,
        "folderId": row.folder,
        "customerId": row.customer,
        "agentId": row.agent,
        "path": name if folder_path is None else f"{folder_path}/{name}",
        "title": row.title,
        "kind": row.kind,
        "artifactClass": row.artifact_class,
        "importance": row.importance,
        "contentType": row.content_type,
        "storageUrl": row.storage_url,
        "storageProvider": "local" if row.stored else None,
        "storageKey": row.sha256 if row.stored else None,
        "originalFilename": row.filename,
        "sourceKind": row.source_kind,
        "sourceRef": row.source_ref,
        "sha256": row.sha256,
        "sizeBytes": row.size_bytes,
        "version": row.version,
        "createdByType": by_type,
        "createdById": by_id,
        "visibility": row.visibility,
        "isCanonical": row.is_canonical,
        "promotedAt": _ts(row.promoted_ms),
        "retentionPolicy": row.retention_policy,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": _ts(row.deleted_ms),
    }


def version(row: Version) -> dict[str, Any]:
    by_type, by_id = _who(row.replaced_by)
    return {
        "version": row.version,
        "originalFilename": row.filename,
        "contentType": row.content_type,
        "sha256": row.sha256,
        "sizeBytes": row.size_bytes,
        "replacedByType": by_type,
        "replacedById": by_id,
        "replacedAt": iso_ms(row.replaced_ms),
    }


def folder(rx: Rx, row: Folder) -> dict[str, Any]:
    """A folder with its path; of a removed one the path is its name."""
    paths = folders.paths(rx, row.company, [row.id])
    return _folder(row, paths.get(row.id))


def folder_list(rx: Rx, company: str, rows: Sequence[Folder]) -> list[dict[str, Any]]:
    """Those that are still in the tree: what is being removed has no path any more."""
    paths = folders.paths(rx, company, [row.id for row in rows])
    return [_folder(row, paths[row.id]) for row in rows if row.id in paths]


def _folder(row: Folder, path: str | None) -> dict[str, Any]:
    by_type, by_id = _who(row.created_by)
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "parentFolderId": row.parent,
        "projectId": row.project,
        "customerId": row.customer,
        "agentId": row.agent,
        "kind": row.kind,
        "name": row.name,
        "path": path or row.name,
        "metadataJson": row.metadata,
        "createdByType": by_type,
        "createdById": by_id,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": _ts(row.deleted_ms),
    }


def _who(actor: str) -> tuple[str, str]:
    kind, _, by = actor.partition(":")
    return _BY.get(kind, kind), by


def _ts(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso_ms(at_ms)
