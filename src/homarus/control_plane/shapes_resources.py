"""Scoped resources as JSON (control-plane contract, 11). A secret has no JSON form."""

from typing import Any

from homarus.base.clock import iso_ms
from homarus.company.resources import Resource
from homarus.control_plane.shapes_work import ts


def resource(row: Resource) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "scopeType": row.scope_type,
        "scopeId": row.scope,
        "provider": row.provider,
        "resourceType": row.type,
        "name": row.name,
        "displayName": row.display_name,
        "path": row.path,
        "configText": row.config,
        "secretConfigured": row.secret_configured,
        "status": row.status,
        "isShared": row.is_shared,
        "ownership": row.ownership,
        "lastUsedAt": ts(row.last_used_ms),
        "lastFailureAt": ts(row.last_failure_ms),
        "lastFailureReason": row.last_failure_reason,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def folder(path: str, count: int) -> dict[str, Any]:
    parent, _, name = path.rpartition("/")
    return {"path": path, "name": name, "parentPath": parent or None, "resourceCount": count}
