"""Runtime nodes, sessions, memory and integrations as JSON (control-plane contract, 4)."""

from typing import Any

from homarus.base.clock import iso_ms
from homarus.company.integrations import Integration
from homarus.company.memory import Entry, Snapshot
from homarus.company.runtimes import RuntimeNode
from homarus.company.sessions import Session
from homarus.control_plane.shapes_work import ts


def runtime_node(row: RuntimeNode) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "runtimeId": row.runtime,
        "name": row.name,
        "hostname": row.hostname,
        "gatewayVersion": row.gateway_version,
        "capabilitiesJson": row.capabilities,
        "status": row.status,
        "lastSeenAt": iso_ms(row.last_seen_ms),
        "startedAt": ts(row.started_ms),
        "createdAt": iso_ms(row.created_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def session(row: Session) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "agentId": row.agent,
        "runtimeNodeId": row.runtime_node,
        "openclawSessionId": row.openclaw_session,
        "sessionType": row.type,
        "channel": row.channel,
        "checkpointJson": row.checkpoint,
        "syncStatus": row.sync_status,
        "startedAt": iso_ms(row.started_ms),
        "lastCheckpointAt": ts(row.last_checkpoint_ms),
        "lastHeartbeatAt": ts(row.last_heartbeat_ms),
        "checkinDeadlineAt": ts(row.checkin_deadline_ms),
        "lastWakeAt": ts(row.last_wake_ms),
        "wakeAttempts": row.wake_attempts,
        "maxWakeAttempts": row.max_wake_attempts,
        "lifecycleGeneration": row.generation,
        "lastProvisionError": row.last_provision_error,
        "endedAt": ts(row.ended_ms),
        "status": row.status,
        "summary": row.summary,
        "createdAt": iso_ms(row.created_ms),
    }


def entry(row: Entry) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "agentId": row.agent,
        "sessionId": row.session,
        "projectId": row.project,
        "taskId": row.task,
        "kind": row.kind,
        "content": row.content,
        "summary": row.summary,
        "metadataJson": row.metadata,
        "createdAt": iso_ms(row.created_ms),
    }


def snapshot(row: Snapshot | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "id": row.id,
        "companyId": row.company,
        "agentId": row.agent,
        "entryId": row.entry,
        "content": row.content,
        "createdAt": iso_ms(row.created_ms),
    }


def integration(row: Integration) -> dict[str, Any]:
    """Of its secret only whether there is one."""
    return {
        "id": row.id,
        "companyId": row.company,
        "agentId": row.agent,
        "provider": row.provider,
        "name": row.name,
        "ownership": row.ownership,
        "configJson": row.config,
        "status": row.status,
        "lastUsedAt": ts(row.last_used_ms),
        "lastFailureAt": ts(row.last_failure_ms),
        "lastFailureReason": row.last_failure_reason,
        "compatMode": row.compat_mode,
        "secretConfigured": row.secret_configured,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }
