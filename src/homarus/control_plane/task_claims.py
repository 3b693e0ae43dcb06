"""Who has a task: claims, and what a repeated claim answers (control-plane contract, 3.3 and 6)."""

import msgspec

from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.route import Call, json_reply
from homarus.flows import by_hand, claiming
from homarus.store.port import Reply, Tx
from homarus.tasks import sql
from homarus.tasks.model import LEASE_MS, State, Task

_encode = msgspec.json.Encoder().encode


class Claim(msgspec.Struct, rename="camel"):
    """POST /tasks/claim. `leaseSeconds`, `readopt` and `review` are ours."""

    agent_id: str
    strict_owner_role: bool = True
    allowed_roles: list[str] | None = None
    lease_seconds: int = LEASE_MS // 1000
    readopt: bool = False
    review: bool = False


def _claim(tx: Tx, request: claiming.ClaimRequest) -> Reply:
    """A stored claim is the task's id and fence; "no task" is never stored (3.3)."""
    claimed = claiming.claim(tx, request)
    if claimed is None:
        return Reply(200, b'{"message":"No task available","task":null}', keep=None)
    shape = shapes.claimed_task(claimed.task, claimed.spec)
    kept = f"{claimed.task.id}:{claimed.task.token}".encode()
    return Reply(200, _encode({"message": "Task claimed", "task": shape}), keep=kept)


def claim(tx: Tx, call: Call[Claim]) -> Reply:
    body = call.body
    return _claim(
        tx,
        claiming.ClaimRequest(
            owner=body.agent_id,
            strict_role=body.strict_owner_role,
            allowed_roles=tuple(body.allowed_roles or ()),
            lease_ms=body.lease_seconds * 1000,
            readopt=body.readopt,
            review=body.review,
        ),
    )


def _holder(task: Task) -> str | None:
    """The agent that has it in hand or in review."""
    return {State.IN_PROGRESS: task.agent, State.REVIEW: task.reviewer}.get(task.state)


def replay_claim(tx: Tx, kept: bytes) -> Reply | None:
    """The stored claim, while that very claim still holds; else None: claim afresh (3.3)."""
    task_id, _, token = kept.decode().partition(":")
    task = sql.by_id(tx, tx.company, task_id)
    holds = (
        task is not None
        and _holder(task) == tx.actor.id
        and task.token == int(token)
        and task.lease_until_ms is not None
        and task.lease_until_ms > tx.now_ms
    )
    if task is None or not holds:
        return None
    shape = shapes.claimed_task(task, sql.spec_of(tx, task.id))
    body = _encode({"message": "Task claimed", "task": shape})
    return Reply(200, body, keep=kept, replayed=True)


class ClaimThis(msgspec.Struct, rename="camel"):
    agent_id: str | None = None
    lease_seconds: int = LEASE_MS // 1000


def claim_this(tx: Tx, call: Call[ClaimThis]) -> Reply:
    """The shell helper's alias: claim that very task (contract 16)."""
    owner = call.body.agent_id or tx.actor.name
    return _claim(
        tx,
        claiming.ClaimRequest(
            owner=owner, task=call.path["id"], lease_ms=call.body.lease_seconds * 1000
        ),
    )


class Assign(msgspec.Struct, rename="camel"):
    agent_id: str
    mode: str = "assign"
    routing_note: str | None = None


def assign(tx: Tx, call: Call[Assign]) -> Reply:
    """Mode `claim` claims for the named agent, which must be the one acting."""
    if call.body.mode == "claim":
        request = claiming.ClaimRequest(owner=call.body.agent_id, task=call.path["id"])
        return _claim(tx, request)
    task = by_hand.assign(tx, call.path["id"], call.body.agent_id)
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Task assigned", "task": shape})
