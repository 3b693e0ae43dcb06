"""Approvals on the wire (control-plane contract, 7), with scope, risk and deadline of our own.

PATCH is the original's way to answer; POST …/approve and …/reject say the same. An answer is never
changed, and who asked never answers: the two quirks of the original are not kept.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.canonical import canonical, digest
from homarus.base.clock import iso_ms
from homarus.base.errors import HomarusError, Invalid
from homarus.company import agents, projects
from homarus.control_plane import answers
from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import approving, parking
from homarus.kernel import approval_queries, approval_rules, approvals, registry
from homarus.kernel.approval_rows import Approval, Status
from homarus.store.port import Event, Reply, Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import Task

MAX_WHAT: Final = 2_000


def wire(row: Approval) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "kind": row.kind,
        "status": row.status.value,
        "actionType": "task_done" if row.kind == "task_done" else row.capability,
        "capability": row.capability,
        "target": row.target,
        "payloadHash": row.payload.hex(),
        "what": row.what,
        "requester": row.requester,
        "requesterAgentId": row.agent,
        "taskId": row.task,
        "projectId": row.project,
        "rationale": row.reason,
        "confidence": row.confidence,
        "cost": row.cost,
        "risk": row.risk,
        "scope": row.scope,
        "hours": row.hours,
        "uses": row.uses,
        "expiresAt": iso_ms(row.expires_ms),
        "resolverUserId": row.decided_by,
        "resolutionNote": row.note,
        "resolvedAt": shapes.ts(row.decided_ms),
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


def _with_links(rx: Rx, row: Approval) -> dict[str, Any]:
    return _all_with_links(rx, row.company, [row])[0]


def _all_with_links(rx: Rx, company: str, rows: list[Approval]) -> list[dict[str, Any]]:
    """Approvals with their projects' goals and their tasks: two queries for all."""
    goals = projects.goals(rx, company, {row.project for row in rows if row.project})
    tasks = approval_queries.tasks_of_all(rx, [row.id for row in rows])
    return [
        wire(row) | {"projectGoal": goals.get(row.project or ""), "taskIds": tasks.get(row.id, [])}
        for row in rows
    ]


def waiting(tx: Tx, task: Task) -> Reply:
    """409 of a result `done` that a person has to accept, with the approval (contract 6.6)."""
    row = parking.done_pending(tx, task.id)
    error = approvals_needed(task, row)
    body = msgspec.to_builtins(answers.error_body(error))
    return json_reply(body | {"approval": None if row is None else _with_links(tx, row)}, 409)


def approvals_needed(task: Task, row: Approval | None) -> HomarusError:
    number = "an approval" if row is None else row.number
    return HomarusError(
        "task.policy_approval",
        f"a person must accept {task.number} before it is done; {number} waits for an answer",
        "Your report is kept and you are free for other work: `homarus task claim`.",
        **({} if row is None else {"approval": row.id, "number": row.number}),
    )


# -- reading -------------------------------------------------------------------------------


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /approvals: newest first."""
    query, limit = call.query, call.limit()
    status = query.get("status") or None
    if status is not None and status not in set(Status):
        raise Invalid(
            "approval.status", f"unknown status {status[:40]!r}",
            f"One of {', '.join(Status)}.",
        )  # fmt: skip
    task, agent = query.get("taskId"), query.get("agentId")
    rows = approval_queries.listed(
        rx,
        call.company,
        limit=limit,
        before=call.cursor(),
        status=status,
        project=(query.get("projectId") or "").lower() or None,
        task=sql.need(rx, call.company, task).id if task else None,
        agent=agents.need(rx, call.company, agent).id if agent else None,
    )
    return json_reply({"approvals": _all_with_links(rx, call.company, rows)} | behind(rows, limit))


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /approvals/{id}: by id or number."""
    row = approval_queries.need(rx, call.company, call.path["id"])
    found = [sql.by_id(rx, call.company, task) for task in approval_queries.tasks_of(rx, row.id)]
    tasks = [shapes.task(task, sql.spec_of(rx, task.id)) for task in found if task is not None]
    return json_reply({"approval": _with_links(rx, row), "tasks": tasks})


# -- asking --------------------------------------------------------------------------------


class NewApproval(msgspec.Struct, frozen=True, rename="camel"):
    """The original's fields ask whether tasks are done. With `capability` it is about an act of the
    requester: `target` and `arguments` as it would give them to `POST /calls`, or `payloadHash`."""

    project_id: str | None = None
    task_ids: list[str] = []
    requester_agent_id: str | None = None
    rationale: str | None = None
    confidence: float | None = None
    action_type: str = "task_done"
    capability: str | None = None
    target: str | None = None
    arguments: Any = None
    payload_hash: str | None = None
    what: str | None = None
    scope: str = "once"
    hours: int | None = None
    risk: str = "medium"
    cost: int | None = None


def requested(tx: Tx, call: Call[NewApproval]) -> Reply:
    """POST /approvals."""
    body = call.body
    tasks = [sql.need(tx, tx.company, ref) for ref in body.task_ids[: approvals.MAX_TASKS + 1]]
    project = None if not body.project_id else projects.need(tx, tx.company, body.project_id).id
    agent = tx.actor.id if tx.admitted.agent is not None else None
    if body.capability is None and body.action_type == "task_done":
        row = _ask_done(tx, body, tasks, agent, project)
    else:
        row = _ask_act(tx, body, tasks, agent, project)
    if row.task is not None:
        tx.about(task=row.task)
    return json_reply({"message": "Approval requested", "approval": _with_links(tx, row)}, 201)


def _ask_done(
    tx: Tx, body: NewApproval, tasks: list[Task], agent: str | None, project: str | None
) -> Approval:
    if not tasks:
        raise Invalid("approval.tasks", "no task is named", "Give `taskIds`.")
    for task in tasks:
        waits = parking.still_asked(tx, task.id)
        if waits is not None:
            return waits
    first = tasks[0]
    return approvals.request(
        tx,
        capability=parking.DONE,
        target=f"task:{first.id}",
        payload=parking.done_payload(tx, [task.id for task in tasks]),
        task=first.id,
        agent=agent or first.agent,
        reason=body.rationale or "",
        kind="task_done",
        what=body.what or f"{', '.join(task.number for task in tasks)} done",
        risk=body.risk,
        project=project or first.project,
        tasks=tuple(task.id for task in tasks),
        confidence=body.confidence,
    )


def _ask_act(
    tx: Tx, body: NewApproval, tasks: list[Task], agent: str | None, project: str | None
) -> Approval:
    task = tasks[0] if tasks else None
    kind = "custom" if body.capability is None else "act"
    target = body.target or ("" if task is None else f"task:{task.id}")
    what, risk = _plainly(tx, body)
    return approvals.request(
        tx,
        capability=body.capability or body.action_type,
        target=target,
        payload=_payload(body, target),
        task=None if task is None else task.id,
        agent=agent,
        reason=body.rationale or "",
        scope=body.scope,
        hours=body.hours,
        kind=kind,
        what=what,
        risk=risk,
        cost=body.cost,
        project=project or (None if task is None else task.project),
        tasks=tuple(row.id for row in tasks),
        confidence=body.confidence,
    )


def _plainly(tx: Tx, body: NewApproval) -> tuple[str, str]:
    """What is asked, and its risk: of a registered capability its title and arguments come first,
    whatever the requester calls it, and its risk is the least."""
    if body.capability is None:
        return body.what or "", body.risk
    found = registry.by_id(tx, tx.company, body.capability)
    title = body.capability if found is None else f"{found.title} ({found.id})"
    shown = "arguments known by their hash alone"
    if body.payload_hash is None:
        shown = canonical(body.arguments or {}).decode()[:MAX_WHAT]
    risks = [body.risk, "low" if found is None else found.risk]
    if body.risk in approval_rules.RISKS:
        risks.sort(key=approval_rules.RISKS.index)
        risks.reverse()
    said = f" - in the requester's words: {body.what}" if body.what else ""
    return f"{title}: {shown}{said}", risks[0]


def _payload(body: NewApproval, target: str) -> bytes:
    if body.payload_hash is not None:
        try:
            return bytes.fromhex(body.payload_hash)
        except ValueError:
            raise Invalid(
                "approval.payload", "payloadHash is not hexadecimal", "Give SHA-256: 64 digits."
            ) from None
    if body.capability is None:  # nothing but the question itself tells two of them apart
        return digest([body.what, body.rationale, body.arguments])
    arguments = body.arguments or {}
    return digest({"capability": body.capability, "target": target, "arguments": arguments})


# -- answering -----------------------------------------------------------------------------


class Resolution(msgspec.Struct, frozen=True, rename="camel"):
    """`resolverUserId` of the original is not believed: the answer is the caller's."""

    status: str
    resolver_user_id: str | None = None
    resolution_note: str | None = None


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    note: str | None = None


def _decided(tx: Tx, ref: str, approve: bool, note: str | None) -> Reply:
    row = approving.decide(tx, ref, approve=approve, note=note)
    return json_reply({"approval": _with_links(tx, row)})


def patched(tx: Tx, call: Call[Resolution]) -> Reply:
    """PATCH /approvals/{id}."""
    word = call.body.status
    if word not in ("approved", "rejected"):
        raise Invalid(
            "approval.status", f"cannot be set to {word[:40]!r}", "`approved` or `rejected`."
        )
    return _decided(tx, call.path["id"], word == "approved", call.body.resolution_note)


def approved(tx: Tx, call: Call[Answer]) -> Reply:
    return _decided(tx, call.path["id"], True, call.body.note)


def rejected(tx: Tx, call: Call[Answer]) -> Reply:
    return _decided(tx, call.path["id"], False, call.body.note)


def cancelled(tx: Tx, call: Call[Answer]) -> Reply:
    row = approving.cancel(tx, call.path["id"], call.body.note)
    return json_reply({"approval": _with_links(tx, row)})


# -- frames --------------------------------------------------------------------------------


def frame_created(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = approval_queries.by_id(rx, company, event.subject)
    if row is None:
        return []
    tasks = approval_queries.tasks_of(rx, row.id)
    return [{"type": "approval_created", "approval": wire(row), "taskIds": tasks}]


def frame_updated(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = approval_queries.by_id(rx, company, event.subject)
    if row is None:
        return []
    tasks = approval_queries.tasks_of(rx, row.id)
    return [{"type": "approval_updated", "approval": wire(row), "taskIds": tasks}]


def _requester(call: Call[NewApproval]) -> str | None:
    return call.body.requester_agent_id or None


def _task(call: Call[NewApproval]) -> str | None:
    return call.body.task_ids[0] if call.body.task_ids else None


def _answer_route(word: str, handler: Callable[..., Reply], capability: str, told: str) -> Route:
    return write_route(
        "POST", f"/approvals/{{id}}/{word}", capability, handler, told, body=Answer,
        target="approval:{id}", tags=TAGS,
    )  # fmt: skip


TAGS: Final = ("approvals",)
QUERY: Final = ("status", "projectId", "taskId", "agentId", "limit", "cursor")
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/approvals", listed, "List approvals", query=QUERY, tags=TAGS),
    write_route(
        "POST", "/approvals", "approval.request", requested, "Ask for an approval",
        body=NewApproval, acting=_requester, task=_task, status=201, target="approval:new",
        tags=TAGS,
    ),
    read_route("/approvals/{id}", read, "Read an approval and its tasks", tags=TAGS),
    write_route(
        "PATCH", "/approvals/{id}", "approval.decide", patched, "Approve or reject",
        body=Resolution, target="approval:{id}", tags=TAGS,
    ),
    _answer_route("approve", approved, "approval.decide", "Approve"),
    _answer_route("reject", rejected, "approval.decide", "Reject"),
    _answer_route("cancel", cancelled, "approval.cancel", "Withdraw a request"),
)  # fmt: skip
FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "approval_created": frame_created,
    "approval_updated": frame_updated,
}
