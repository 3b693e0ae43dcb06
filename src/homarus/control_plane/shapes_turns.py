"""Wire shapes of turns and of the sessions that they belong to."""

from typing import Any

from homarus.control_plane.shapes_work import ts
from homarus.conversations.sessions import Session
from homarus.conversations.transcript import COMPACTION, MESSAGE, Entry
from homarus.conversations.turns import Brief
from homarus.flows.turn_views import ToolView, TurnView


def turn(row: TurnView) -> dict[str, Any]:
    one = row.turn
    return {
        "id": one.id,
        "no": one.no,
        "sessionKey": row.session,
        "sessionId": one.session,
        "agentId": one.agent,
        "origin": one.origin,
        "mode": one.mode,
        "askedBy": one.asked_by,
        "text": one.text,
        "state": one.state.value,
        "attempts": one.attempts,
        "calls": one.calls,
        "messageId": one.message or None,
        "replyMessageId": one.reply,
        "taskId": one.work,
        "tools": [tool(each) for each in row.tools],
        "waitsFor": list(row.waits_for),
        "outcome": one.outcome,
        "changedBy": one.changed_by,
        "changedAt": ts(one.changed_ms),
        "createdAt": ts(one.created_ms),
        "startedAt": ts(one.started_ms),
        "endedAt": ts(one.ended_ms),
    }


def tool(row: ToolView) -> dict[str, Any]:
    return {
        "id": row.id, "tool": row.tool, "arguments": row.arguments, "state": row.state,
        "approval": row.approval,
    }  # fmt: skip


def session(row: Session, running: Brief | None = None) -> dict[str, Any]:
    return {
        "id": row.id,
        "key": row.key,
        "kind": row.kind,
        "agentId": row.agent,
        "threadId": row.conversation,
        "label": row.label,
        "model": row.model,
        "thinking": row.thinking,
        "queueMode": row.queue_mode,
        "entries": row.entries,
        "compactions": row.compactions,
        "inputTokens": row.input_tokens,
        "outputTokens": row.output_tokens,
        "contextTokens": row.context_tokens,
        "turnId": None if running is None else running.id,
        "createdAt": ts(row.created_ms),
        "updatedAt": ts(row.updated_ms),
        "lastInteractionAt": ts(row.interaction_ms or None),
        "endedAt": ts(row.ended_ms),
    }


def entry(row: Entry) -> dict[str, Any]:
    """`message` as in the gateway's transcripts; a compaction has its `summary` instead."""
    shown: dict[str, Any] = {
        "seq": row.seq, "id": row.id, "turnId": row.turn, "kind": row.kind,
        "at": ts(row.created_ms),
    }  # fmt: skip
    if row.kind == MESSAGE:
        shown["message"] = row.message
    elif row.kind == COMPACTION:
        shown["summary"] = row.body.get("summary")
    return shown
