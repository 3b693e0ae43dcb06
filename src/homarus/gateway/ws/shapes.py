"""Rows as this wire has them (gateway contract, 2.6, 6 to 9)."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from homarus.base.errors import HomarusError
from homarus.company import agents, models
from homarus.company.agents import Agent
from homarus.conversations import keys, turns
from homarus.conversations.sessions import Session
from homarus.conversations.turns import State
from homarus.flows import chatting
from homarus.kernel import devices, setup_codes, surfaces, tokens
from homarus.kernel.approval_rows import Approval, Status
from homarus.kernel.devices import Device, Pairing
from homarus.kernel.invokes import EXEC_COMMAND
from homarus.kernel.scopes import ADMIN, PAIRING, WRITE
from homarus.kernel.setup_codes import SetupCode
from homarus.store.port import Rx
from homarus.tasks.model import Spec
from homarus.tasks.model import State as Task
from homarus.tasks.model import Task as TaskRow

Doc = dict[str, Any]
_STATUS: Final = {State.DONE: "done", State.FAILED: "failed", State.ABORTED: "killed"}


def without_none(found: Doc) -> Doc:
    return {name: value for name, value in found.items() if value is not None}


# -- sessions ------------------------------------------------------------------------------


def session(rx: Rx, row: Session) -> Doc:
    return sessions(rx, [row])[0]


def sessions(rx: Rx, rows: Sequence[Session]) -> list[Doc]:
    lately = turns.lately(rx, [row.id for row in rows])
    return [_session(row, lately.get(row.id, turns.Lately())) for row in rows]


def _session(row: Session, lately: turns.Lately) -> Doc:
    last, running = lately
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
        "archived": row.archived or row.ended_ms is not None,
        "pinned": row.pinned,
        "unread": row.unread,
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


# -- tasks ---------------------------------------------------------------------------------

_TASK_STATUS: Final = {
    Task.INBOX: "queued", Task.QUEUED: "queued", Task.BLOCKED: "queued",
    Task.IN_PROGRESS: "running", Task.REVIEW: "running", Task.DONE: "completed",
    Task.FAILED: "failed", Task.DEAD_LETTER: "failed", Task.ARCHIVED: "cancelled",
}  # fmt: skip
"""State -> this wire's word."""
_OVER: Final = ("completed", "failed", "cancelled")
MAX_TITLE: Final = 200


def task(rx: Rx, row: TaskRow, spec: Spec) -> Doc:
    agent = None if row.agent is None else agents.by_id(rx, row.company, row.agent)
    status = _TASK_STATUS[row.state]
    given = spec.input
    title = given.get("title") or given.get("goal") or given.get("description") or spec.type
    return without_none(
        {
            "id": row.id, "taskId": row.number, "kind": spec.kind, "runtime": "cli",
            "status": status, "title": str(title)[:MAX_TITLE],
            "agentId": None if agent is None else keys.slug(agent.name),
            "createdAt": row.created_ms, "updatedAt": row.updated_ms,
            "startedAt": row.started_ms, "endedAt": row.updated_ms if status in _OVER else None,
            "error": row.reason if status == "failed" else None,
            "progressSummary": row.reason if status == "queued" else None,
        }
    )  # fmt: skip


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


def access(profile: str) -> str:
    """What clients call it: the original's `full` is never given."""
    return profile if profile == devices.NODE else setup_codes.LIMITED


def setup_completion(row: SetupCode) -> Doc | None:
    """Who was paired with a code; None: nobody yet."""
    if row.used_ms is None:
        return None
    return without_none(
        {
            "setupId": row.id, "deviceId": row.device, "deviceName": row.device_name,
            "access": access(row.profile), "ts": row.used_ms,
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


def node_request(rx: Rx, row: surfaces.Request, denied: Collection[str] = ()) -> Doc:
    """What a node wants to be approved for."""
    wants = row.surface.without(denied)
    scope = ADMIN if surfaces.needs_admin(wants) else WRITE
    known = surfaces.by_id(rx, row.company, row.device)
    return _machine(rx, row.company, row.device) | {
        "requestId": row.id, "caps": list(wants.caps),
        "commands": list(wants.commands),
        "permissions": dict.fromkeys(wants.permissions, True),
        "requiredApproveScopes": [PAIRING, scope], "silent": False,
        "isRepair": known is not None and known.approved is not None,
        "ts": row.created_ms, "expiresAtMs": row.expires_ms,
    }  # fmt: skip


def node(rx: Rx, row: surfaces.Node, denied: Collection[str]) -> Doc:
    """`commands`: those that it may be asked for now."""
    offers = row.offers(denied)
    waiting = surfaces.waiting(rx, row.company, row.device)
    asked: Doc = {}
    if waiting is not None and waiting.open(rx.now_ms):
        wants = waiting.surface.without(denied)
        asked = {
            "pendingRequestId": waiting.id, "pendingDeclaredCaps": list(wants.caps),
            "pendingDeclaredCommands": list(wants.commands),
        }  # fmt: skip
    found = {
        "version": row.version, "caps": list(offers.caps),
        "commands": list(offers.commands),
        "permissions": dict.fromkeys(offers.permissions, True),
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
    """A question of the kernel's, in the words of exec approvals. `host`: where it would run."""
    kind, _, node = row.target.partition(":")
    on_node = row.capability == EXEC_COMMAND and kind == devices.NODE
    request = without_none(
        {
            "command": row.what, "host": devices.NODE if on_node else "gateway",
            "nodeId": node if on_node else None, "agentId": row.agent,
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
    return row.status is not Status.PENDING or now_ms >= row.expires_ms


# -- agents, jobs --------------------------------------------------------------------------


def agent(rx: Rx, row: Agent) -> Doc:
    found: Doc = {"id": keys.slug(row.name), "name": row.name, "identity": {"name": row.name}}
    model = _model_of(rx, row)
    if model is not None:
        found["model"] = {"primary": model, "fallbacks": []}
    return found


def _model_of(rx: Rx, row: Agent) -> str | None:
    """`name/model`; None: none is configured for it. One that is not a row is told as it stands."""
    try:
        found = models.named(rx, row.company, row.llm_model)
    except HomarusError:
        return row.llm_model
    return f"{found.name}/{found.model}"


def defaults(rx: Rx, company: str) -> Doc:
    """What a session runs on when nothing else is said."""
    model = models.by_name(rx, company, models.DEFAULT)
    return {
        "modelProvider": None if model is None else model.name,
        "model": None if model is None else model.model,
        "contextTokens": None if model is None else model.context_tokens,
    }
