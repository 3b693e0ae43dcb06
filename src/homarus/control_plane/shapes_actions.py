"""Execution logs as JSON (control-plane contract, 7)."""

from typing import Any

from homarus.base.clock import iso_ms
from homarus.company.actions import ActionRun, ActionStep
from homarus.control_plane.shapes_work import ts


def run(row: ActionRun) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "agentId": row.agent,
        "sessionId": row.session,
        "projectId": row.project,
        "taskId": row.task,
        "kind": row.kind,
        "status": row.status,
        "summary": row.summary,
        "metadataJson": row.metadata,
        "startedAt": iso_ms(row.started_ms),
        "endedAt": ts(row.ended_ms),
        "createdAt": iso_ms(row.created_ms),
    }


def step(row: ActionStep, company: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": company,
        "actionRunId": row.run,
        "number": row.n,
        "stepType": row.type,
        "toolName": row.tool,
        "status": row.status,
        "target": row.target,
        "inputSummaryJson": row.input_summary,
        "outputSummaryJson": row.output_summary,
        "errorText": row.error,
        "startedAt": iso_ms(row.started_ms),
        "endedAt": ts(row.ended_ms),
        "createdAt": iso_ms(row.created_ms),
    }
