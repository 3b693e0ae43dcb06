"""Rows as this wire has them (gateway contract, 2.6, 6 to 9)."""

from typing import Any, Final

from homarus.base.clock import iso_ms
from homarus.company.agents import Agent
from homarus.conversations import keys, turns
from homarus.conversations.sessions import Session
from homarus.conversations.transcript import COMPACTION, MESSAGE, Entry
from homarus.conversations.turns import State
from homarus.flows import chatting
from homarus.jobs.model import Job
from homarus.kernel import approvals, devices, surfaces, tokens
from homarus.kernel.approvals import Approval, Status
from homarus.kernel.devices import Device, Pairing
from homarus.kernel.scopes import ADMIN, PAIRING, WRITE
from homarus.store.port import Rx

Doc = dict[str, Any]
_STATUS: Final = {State.DONE: "done", State.FAILED: "failed", State.ABORTED: "killed"}


def without_none(found: Doc) -> Doc:
    return {name: value for name, value in found.items() if value is not None}


# -- sessions ------------------------------------------------------------------------------


def session(rx: Rx, row: Session) -> Doc:
    recent = turns.listed(rx, row.company, limit=1, session=row.id)
    running = [t for t in turns.open_of(rx, row.id) if t.state is not State.QUEUED]
    last = recent[0] if recent else None
    status = "running" if running else _STATUS.get(last.state) if last is not None else None
    found = {
        "key": row.key,
        "kind": "group" if ":group:" in row.key or ":channel:" in row.key else "direct",
        "agentId": keys.agent_of(row.key),
        "sessionId": row.id,
        "updatedAt": row.updated_ms,
        "createdAt": row.created_ms,
        "lastInteractionAt": row.interaction_ms,
        "label": row.label,
        "displayName": row.label,
        "chatType": "direct",
        "archived": row.ended_ms is not None,
        "pinned": False,
        "unread": False,
        "status": status,
        "startedAt": None if last is None else last.started_ms,
        "endedAt": None if last is None or running else last.ended_ms,
        "hasActiveRun": bool(running),
        "activeRunIds": [chatting.run_of(turn) for turn in running],
        "inputTokens": row.input_tokens,
        "outputTokens": row.output_tokens,
        "totalTokens": row.context_tokens,
        "model": row.model,
        "thinkingLevel": row.thinking,
        "queueMode": row.queue_mode,
        "compactionCount": row.compactions,
        "abortedLastRun": last is not None and last.state is State.ABORTED,
    }
    return without_none(found)


def message(row: Entry) -> Doc:
    """A line of a transcript with what history adds to it."""
    about = without_none(
        {"id": row.id, "seq": row.seq, "runId": row.turn, "recordTimestampMs": row.created_ms}
    )
    if row.kind == MESSAGE:
        return row.message | {"__openclaw": about}
    text = str(row.body.get("summary") or "")
    kind = "compaction" if row.kind == COMPACTION else row.kind
    return {
        "role": "system", "content": [{"type": "text", "text": text}],
        "timestamp": row.created_ms, "__openclaw": about | {"kind": kind},
    }  # fmt: skip


def text_of(row: Entry) -> str:
    """What a message says; "" for anything else."""
    if row.kind != MESSAGE:
        return ""
    content = row.message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(
        str(part.get("text") or "") for part in content or () if part.get("type") == "text"
    )


# -- devices -------------------------------------------------------------------------------


def pairing(rx: Rx, row: Pairing) -> Doc:
    repair = devices.by_id(rx, row.company, row.device) is not None
    return without_none(
        {
            "requestId": row.id, "deviceId": row.device, "publicKey": row.public_key,
            "displayName": row.name, "platform": row.platform, "deviceFamily": row.family,
            "clientId": row.client_id, "clientMode": row.client_mode, "role": row.role,
            "roles": [row.role], "scopes": list(row.scopes), "remoteIp": row.remote_ip,
            "reason": row.reason, "silent": False, "isRepair": repair, "ts": row.created_ms,
        }
    )  # fmt: skip


def device(rx: Rx, row: Device, connected: bool) -> Doc:
    """Token values are never listed: nobody has them."""
    grants = devices.grants_of(rx, row.company, row.id)
    live = [grant for grant in grants if grant.revoked_ms is None]
    used = [tokens.by_id(rx, grant.token) for grant in live if grant.token is not None]
    seen = max((t.last_used_ms or t.created_ms for t in used if t is not None), default=None)
    scopes = sorted({scope for grant in live for scope in grant.scopes})
    return without_none(
        {
            "deviceId": row.id, "publicKey": row.public_key, "displayName": row.name,
            "operatorLabel": row.label, "platform": row.platform, "deviceFamily": row.family,
            "clientId": row.client_id, "clientMode": row.client_mode,
            "role": live[0].role if live else devices.OPERATOR,
            "roles": [grant.role for grant in live], "scopes": scopes,
            "remoteIp": row.remote_ip, "approvedVia": row.approved_via,
            "createdAtMs": row.created_ms, "approvedAtMs": row.approved_ms, "lastSeenAtMs": seen,
            "connected": connected,
            "tokens": [
                without_none(
                    {
                        "role": grant.role, "scopes": list(grant.scopes),
                        "createdAtMs": grant.created_ms, "rotatedAtMs": grant.rotated_ms,
                        "revokedAtMs": grant.revoked_ms,
                    }
                )
                for grant in grants
            ],
        }
    )  # fmt: skip


# -- nodes ---------------------------------------------------------------------------------


def node_request(rx: Rx, row: surfaces.Request) -> Doc:
    """What a node wants to be approved for."""
    scope = ADMIN if surfaces.needs_admin(row.surface) else WRITE
    known = surfaces.by_id(rx, row.company, row.device)
    return _machine(rx, row.company, row.device) | {
        "requestId": row.id, "caps": list(row.surface.caps),
        "commands": list(row.surface.commands),
        "permissions": dict.fromkeys(row.surface.permissions, True),
        "requiredApproveScopes": [PAIRING, scope], "silent": False,
        "isRepair": known is not None and known.approved is not None,
        "ts": row.created_ms, "expiresAtMs": row.expires_ms,
    }  # fmt: skip


def node(rx: Rx, row: surfaces.Node) -> Doc:
    """`commands`: those that it may be asked for now."""
    waiting = surfaces.waiting(rx, row.company, row.device)
    asked: Doc = {}
    if waiting is not None and waiting.open(rx.now_ms):
        asked = {
            "pendingRequestId": waiting.id, "pendingDeclaredCaps": list(waiting.surface.caps),
            "pendingDeclaredCommands": list(waiting.surface.commands),
        }  # fmt: skip
    found = {
        "version": row.version, "caps": list(row.offers.caps),
        "commands": list(row.offers.commands),
        "permissions": dict.fromkeys(row.offers.permissions, True),
        "pathEnv": row.path_env,
        "approvalState": "pending-approval" if row.approved is None else "approved",
        "paired": row.approved is not None, "approvedAtMs": row.approved_ms,
        "lastSeenAtMs": row.connected_ms, "lastSeenReason": "connect",
    }  # fmt: skip
    return without_none(_machine(rx, row.company, row.device) | found | asked)


def _machine(rx: Rx, company: str, device: str) -> Doc:
    known = devices.by_id(rx, company, device)
    if known is None:
        return {"nodeId": device}
    return without_none(
        {
            "nodeId": device, "displayName": known.label or known.name,
            "platform": known.platform, "deviceFamily": known.family,
            "clientId": known.client_id, "clientMode": known.client_mode,
            "remoteIp": known.remote_ip,
        }
    )  # fmt: skip


# -- approvals -----------------------------------------------------------------------------


def approval(row: Approval) -> Doc:
    """A question of the kernel's, in the words of exec approvals."""
    request = without_none(
        {
            "command": row.what, "host": "gateway", "agentId": row.agent,
            "capability": row.capability, "target": row.target, "risk": row.risk,
            "reason": row.reason or None, "number": row.number, "taskId": row.task,
        }
    )  # fmt: skip
    return {"id": row.id, "request": request, "createdAtMs": row.created_ms,
            "expiresAtMs": row.expires_ms}  # fmt: skip


def decision(row: Approval) -> str | None:
    """None: nobody decided, and nobody can any more (or yet)."""
    if row.status in (Status.APPROVED, Status.USED):
        return "allow-once" if row.scope == "once" else "allow-always"
    return "deny" if row.status in (Status.REJECTED, Status.VOIDED, Status.CANCELLED) else None


def is_over(row: Approval, now_ms: int) -> bool:
    return row.status is not approvals.Status.PENDING or now_ms >= row.expires_ms


# -- agents, jobs --------------------------------------------------------------------------


def agent(row: Agent) -> Doc:
    found: Doc = {"id": keys.slug(row.name), "name": row.name, "identity": {"name": row.name}}
    if row.llm_model:
        found["model"] = {"primary": row.llm_model, "fallbacks": []}
    return found


def job(row: Job, agent_slug: str | None) -> Doc:
    """Work that comes again, as a cron job that lets its agent do a task."""
    schedule: Doc = (
        {"kind": "cron", "expr": row.cron, "tz": "UTC"}
        if row.cron is not None
        else {"kind": "at", "at": iso_ms(row.next_run_ms or row.created_ms)}
    )
    state = without_none({"nextRunAtMs": row.next_run_ms, "lastRunAtMs": row.last_run_ms,
                          "lastStatus": "ok" if row.last_run_ms else None})  # fmt: skip
    return without_none(
        {
            "id": row.id, "name": row.name, "agentId": agent_slug, "enabled": row.active,
            "createdAtMs": row.created_ms, "updatedAtMs": row.updated_ms, "schedule": schedule,
            "sessionTarget": "isolated", "wakeMode": "now",
            "payload": {"kind": "agentTurn",
                        "message": str(row.payload.get("title") or row.name)},
            "delivery": {"mode": "none"}, "state": state,
        }
    )  # fmt: skip
