"""Exec approvals as a face of the one approvals table (gateway contract, 9; design, 9).

`request` asks and waits; whoever may decide answers here, on the dashboard, or by a command. Who
asked never answers (governance contract), whatever its scopes are.
"""

import hashlib
import shlex
from typing import Any, Final

from homarus.base.canonical import canonical
from homarus.conversations import keys
from homarus.flows import answering, approving
from homarus.gateway.ws import frames, shapes
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, Desk, Later, Nothing, read, work
from homarus.gateway.ws.system_run import is_argv
from homarus.kernel import approval_queries, approvals, invokes, registry
from homarus.kernel.approval_rows import Approval
from homarus.kernel.devices import NODE
from homarus.kernel.scopes import ADMIN, APPROVALS, QUESTIONS
from homarus.store.port import Rx, Tx

LIMIT: Final = 200
WAIT_MS: Final = 120_000
MAX_WAIT_MS: Final = 3_600_000
DECISIONS: Final = ("allow-once", "allow-always", "deny")
COMMAND: Final = invokes.EXEC_COMMAND
MAX_COMMAND: Final = 4_000
Doc = dict[str, Any]


class NewRequest(Params):
    id: str | None = None
    command: str | None = None
    command_argv: list[str] | None = None
    cwd: str | None = None
    env: dict[str, str] | None = None
    host: str | None = None
    node_id: str | None = None
    security: str | None = None
    ask: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    resolved_path: str | None = None
    system_run_plan: dict[str, Any] | None = None
    timeout_ms: int = WAIT_MS
    two_phase: bool = False


class OfId(Params):
    id: str


class Resolve(Params):
    id: str
    decision: str


class Wait(Params):
    id: str
    timeout_ms: int | None = None


def ask_for(tx: Tx, params: NewRequest) -> Approval:
    """The question as a row, bound to the very command."""
    what, target, payload = _on_node(params) or _here(params)
    agent = None
    if params.agent_id is not None or params.session_key is not None:
        named = params.agent_id or keys.agent_of(params.session_key or "")
        agent = answering.target(tx, tx.company, named).id
    return approvals.request(
        tx, capability=COMMAND, target=target, payload=payload, task=None, agent=agent,
        reason="" if params.cwd is None else f"in {params.cwd}", kind="custom",
        what=what[:MAX_COMMAND], expires_ms=tx.now_ms + _timeout_ms(params.timeout_ms),
    )  # fmt: skip


def _on_node(params: NewRequest) -> tuple[str, str, bytes] | None:
    """What is asked in words, its target and payload, as `node.invoke` looks for them. The words
    are made of what will run: nobody approves one thing and lets another pass."""
    plan = params.system_run_plan
    given = plan or {}
    argv = given.get("argv") or params.command_argv
    if params.node_id is None or not isinstance(argv, list):
        return None
    words = tuple(str(word) for word in argv)
    cwd = given.get("cwd") or params.cwd
    payload = invokes.payload_of(params.node_id, words, cwd, params.env or {}, plan)
    return shlex.join(words), f"node:{params.node_id[:200]}", payload


def _here(params: NewRequest) -> tuple[str, str, bytes]:
    what = params.command or " ".join(params.command_argv or ())
    about = {
        "command": what, "argv": params.command_argv, "cwd": params.cwd, "host": params.host,
        "node": params.node_id, "plan": params.system_run_plan, "nonce": params.id,
    }  # fmt: skip
    host = params.node_id or params.host or "gateway"
    return what, f"host:{host[:200]}", hashlib.sha256(canonical(about)).digest()


def _timeout_ms(asked: int | None) -> int:
    return max(1_000, min(WAIT_MS if asked is None else asked, MAX_WAIT_MS))


async def request(desk: Desk, params: NewRequest) -> Any:
    if not params.command and not params.command_argv:
        raise frames.bad_params("exec.approval.request", "must have required property 'command'")
    if params.host == NODE:
        _check_plan(params)
    row: Approval = await desk.write(ask_for, params)

    async def rest() -> Doc:
        return await _decided(desk, row.id, _timeout_ms(params.timeout_ms))

    if params.two_phase:
        first = {"status": "accepted", "id": row.id, "createdAtMs": row.created_ms,
                 "expiresAtMs": row.expires_ms}  # fmt: skip
        return Later(first, rest)
    return await rest()


def _check_plan(params: NewRequest) -> None:
    """On a node it is a plan that is approved (contract, 9). Raises Fault."""
    plan = params.system_run_plan or {}
    if not is_argv(plan.get("argv")) or not isinstance(plan.get("cwd"), str | None):
        raise frames.bad_params(
            "exec.approval.request",
            "host=node requires systemRunPlan, with argv and cwd as system.run.prepare gives them",
        )
    if params.node_id is None:
        raise frames.bad_params("exec.approval.request", "host=node requires nodeId")


async def _decided(desk: Desk, id_: str, timeout_ms: int) -> Doc:
    """When somebody has decided, or nobody can any more: `decision` null."""
    company = desk.peer.company

    async def over() -> Approval | None:
        row: Approval = await desk.read(_need, company, id_)
        return row if shapes.is_over(row, desk.hub.now_ms()) else None

    found: Approval | None = await desk.until(over, timeout_ms / 1000 + 1)
    row = await desk.read(_need, company, id_) if found is None else found
    return {"id": row.id, "decision": shapes.decision(row), "createdAtMs": row.created_ms,
            "expiresAtMs": row.expires_ms}  # fmt: skip


def _need(rx: Rx, company: str, ref: str) -> Approval:
    """By id, by number, or by the beginning of an id as the original's clients shorten it.

    Raises Fault as the contract has it.
    """
    found = approval_queries.find(rx, company, ref)
    if found is None:
        details = {"reason": "APPROVAL_NOT_FOUND", "code": "approval.unknown"}
        raise Fault(frames.INVALID_REQUEST, "unknown or expired approval id", details)
    return found


async def wait(desk: Desk, params: Wait) -> Doc:
    row: Approval = await desk.read(_need, desk.peer.company, params.id)
    left_ms = max(0, row.expires_ms - desk.hub.now_ms())
    most = left_ms if params.timeout_ms is None else min(left_ms, params.timeout_ms)
    return await _decided(desk, row.id, max(0, min(most, MAX_WAIT_MS)))


def listed(rx: Rx, ask: Ask) -> list[Doc]:
    rows = approval_queries.listed(rx, ask.company, limit=LIMIT, status="pending")
    return [shapes.approval(row) for row in rows if row.open(rx.now_ms)]


def one(rx: Rx, ask: Ask) -> Doc:
    row = _need(rx, ask.company, ask.params.id)
    return shapes.approval(row) | {"status": row.status.value, "decision": shapes.decision(row)}


def decide(tx: Tx, id_: str, approve: bool) -> None:
    approving.decide(tx, _need(tx, tx.company, id_).id, approve=approve)


async def resolve(desk: Desk, params: Resolve) -> Doc:
    if params.decision not in DECISIONS:
        raise frames.bad_params("exec.approval.resolve", f"at decision: one of {DECISIONS}")
    row: Approval = await desk.read(_need, desk.peer.company, params.id)
    if params.decision == "allow-always" and row.scope == "once":
        raise Fault(
            frames.INVALID_REQUEST, f"{row.number} asks for one act; answer allow-once or deny",
            {"code": "approval.scope"},
        )  # fmt: skip
    approve = params.decision != "deny"
    await desk.write(decide, row.id, approve, target=f"approval:{row.id}")
    return {"ok": True}


def policy(rx: Rx, ask: Ask) -> Doc:
    """What the original keeps in a file is rows here: capabilities, their grants, what needs an
    approval. Shown in its shape; nothing of it is a file."""
    rows = registry.listed(rx, ask.company, limit=LIMIT)
    allowed = [
        {"id": row.id, "pattern": row.id}
        for row in rows
        if row.enabled and row.kind == "command" and not row.approval
    ]
    file = {
        "version": 1,
        "defaults": {"security": "allowlist", "ask": "on-miss", "askFallback": "deny",
                     "autoAllowSkills": False},
        "agents": {"*": {"allowlist": allowed}},
    }  # fmt: skip
    digest = hashlib.sha256(canonical(file)).hexdigest()
    return {"path": "(the registry)", "exists": False, "hash": digest, "file": file}


def none_waiting(rx: Rx, ask: Ask) -> list[Doc]:
    """Nothing here asks by that name: all that needs a yes is an approval."""
    _ = rx, ask
    return []


def no_questions(rx: Rx, ask: Ask) -> Doc:
    """An agent that wants to know something says so in the chat."""
    _ = rx, ask
    return {"questions": []}


METHODS: Final = (
    work("exec.approval.request", APPROVALS, NewRequest, request, "Ask, and wait for the answer",
         "id, decision", capability="approval.request", target="approval:new", waits=True),
    read("exec.approval.list", APPROVALS, Nothing, listed, "Questions that wait", "list"),
    read("exec.approval.get", APPROVALS, OfId, one, "One question", "id, request, decision"),
    work("exec.approval.resolve", APPROVALS, Resolve, resolve, "Answer a question", "ok",
         capability="approval.decide", target="approval:"),
    work("exec.approval.waitDecision", APPROVALS, Wait, wait, "Wait for an answer",
         "id, decision", waits=True),
    read("plugin.approval.list", APPROVALS, Nothing, none_waiting,
         "Questions of plugins, of which there are none", "list"),
    read("openclaw.approval.list", APPROVALS, Nothing, none_waiting,
         "Questions of the gateway's own agent, of which there are none", "list"),
    read("question.list", QUESTIONS, Nothing, no_questions,
         "What agents ask people beside the chat: nothing", "questions"),
    read("exec.approvals.get", ADMIN, Nothing, policy, "What may run without being asked for",
         "file, hash"),
)  # fmt: skip
