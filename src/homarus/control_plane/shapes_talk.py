"""Threads and messages as JSON (control-plane contract, 8)."""

from typing import Any

from homarus.base.clock import iso_ms
from homarus.control_plane.shapes_work import ts
from homarus.conversations.model import Conversation, Message


def thread(row: Conversation) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "type": row.type,
        "title": row.title,
        "agentId": row.agent,
        "projectId": row.project,
        "taskId": row.task,
        "incidentId": row.incident,
        "createdByType": row.created_by_type,
        "createdById": row.created_by,
        "createdAt": iso_ms(row.created_ms),
        "archivedAt": ts(row.archived_ms),
    }


def message(row: Message) -> dict[str, Any]:
    """`seq`, `threadType` and `taskId` are additions that the original's clients ignore or want."""
    return {
        "id": row.id,
        "seq": row.seq,
        "threadId": row.conversation,
        "threadType": row.conversation_type,
        "taskId": row.task,
        "companyId": row.company,
        "senderType": row.sender_type,
        "senderId": row.sender,
        "targetAgentId": row.target_agent,
        "text": row.text,
        "metadataJson": row.metadata,
        "deliveryState": row.delivery_state,
        "platformMessageId": row.platform_message,
        "createdAt": iso_ms(row.created_ms),
    }
