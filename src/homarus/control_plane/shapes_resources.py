"""Scoped resources and what belongs to them as JSON (control-plane contract, 11). A secret has one
form only, in the reply of a lease, and it is not made here."""

from collections.abc import Sequence
from typing import Any

from homarus.base.clock import iso_ms
from homarus.company.context_sources import ContextPack, Packed
from homarus.company.note_rows import Backlink, Link, Version
from homarus.company.resources import Resource
from homarus.company.secret_leases import RESOURCE, SecretLease
from homarus.company.secrets import Access, Former
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
        "configTruncated": row.config is not None and len(row.config) < row.config_chars,
        "secretConfigured": row.secret_configured,
        "secretVersion": row.secret_version,
        "version": row.text_version,
        "status": row.status,
        "isShared": row.is_shared,
        "exclusive": row.is_exclusive,
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


def version(row: Version) -> dict[str, Any]:
    shape = {
        "version": row.version,
        "name": row.name,
        "author": row.author,
        "chars": row.chars,
        "createdAt": iso_ms(row.created_ms),
    }
    return shape if row.text is None else {**shape, "configText": row.text}


def former_secret(row: Former) -> dict[str, Any]:
    return {
        "version": row.version,
        "keyVersion": row.key_version,
        "replacedAt": iso_ms(row.replaced_ms),
    }


def link(row: Link) -> dict[str, Any]:
    return {"title": row.title, "resourceId": row.resource}


def backlink(row: Backlink) -> dict[str, Any]:
    return {
        "id": row.resource,
        "name": row.name,
        "displayName": row.display_name,
        "path": row.path,
        "title": row.title,
    }


def packed(row: Packed) -> dict[str, Any]:
    """A resource of a context pack with as much of its text as went in."""
    return {
        **source(row),
        "scopeId": row.resource.scope,
        "provider": row.resource.provider,
        "resourceType": row.resource.type,
        "isShared": row.resource.is_shared,
        "configText": row.text,
        "configTruncated": row.cut,
        "updatedAt": iso_ms(row.resource.updated_ms),
    }


def source(row: Packed) -> dict[str, Any]:
    """Where a part of a context pack comes from, and why it is in it."""
    return {
        "id": row.resource.id,
        "name": row.resource.name,
        "displayName": row.resource.display_name,
        "path": row.resource.path,
        "scopeType": row.resource.scope_type,
        "reason": row.reason.name.lower(),
        "chars": len(row.text),
    }


def lease(row: SecretLease, over: str | None = None) -> dict[str, Any]:
    """`over`: why it is over, where that is known before the row says so."""
    subject = "resourceId" if row.kind == RESOURCE else "integrationId"
    return {
        "id": row.id,
        "kind": row.kind,
        subject: row.subject,
        "agentId": row.agent,
        "sessionId": row.session,
        "taskId": row.task,
        "tokenId": row.credential,
        "exclusive": row.is_exclusive,
        "version": row.version,
        "keyVersion": row.key_version,
        "reason": row.reason,
        "createdAt": iso_ms(row.created_ms),
        "expiresAt": iso_ms(row.expires_ms),
        "endedAt": ts(row.ended_ms),
        "endReason": row.end_reason or over,
    }


def access(row: Access) -> dict[str, Any]:
    """An attempt to get a secret; `agentId`, `sessionId`, `taskId` as the caller named them."""
    return {
        "id": row.id,
        "outcome": row.outcome,
        "code": row.code,
        "actor": row.actor,
        "tokenId": row.credential,
        "agentId": row.agent,
        "sessionId": row.session,
        "taskId": row.task,
        "leaseId": row.lease,
        "reason": row.reason,
        "attempts": row.repeats,
        "at": iso_ms(row.at_ms),
        "lastAt": iso_ms(row.last_ms),
    }


def context_pack(made: ContextPack, tags: Sequence[str]) -> dict[str, Any]:
    """A pack as every route answers it (contract, 11)."""
    return {
        "resources": [packed(part) for part in made.parts],
        "sources": [source(part) for part in made.parts],
        "totalResources": made.total,
        "usedChars": made.used_chars,
        "maxChars": made.max_chars,
        "tagFilters": list(tags),
    }
