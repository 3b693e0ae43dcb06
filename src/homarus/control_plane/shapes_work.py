"""Wire shapes of agents, customers, projects and tasks (control-plane contract, 4 to 6).

One function per entity: domain row in, JSON-encodable dict out. All but an agent's are pure.
"""

from typing import Any

from homarus.base.clock import iso_ms, raw_ms
from homarus.company.agents import Agent
from homarus.company.customers import Customer
from homarus.company.projects import Memory, Project
from homarus.flows import wallet
from homarus.flows.wallet import Wallet
from homarus.kernel.approval_queries import Summary
from homarus.store.port import Rx
from homarus.tasks import rules
from homarus.tasks.model import Note, Result, Spec, State, Task


def ts(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso_ms(at_ms)


def agents(rx: Rx, rows: list[Agent]) -> list[dict[str, Any]]:
    """Agents with what they spent: the one shape that takes more than its own row."""
    if not rows:
        return []
    purses = wallet.of_all(rx, rows[0].company, rows)
    return [_agent(row, purse) for row, purse in zip(rows, purses, strict=True)]


def agent(rx: Rx, row: Agent) -> dict[str, Any]:
    return agents(rx, [row])[0]


def _agent(row: Agent, purse: Wallet) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "name": row.name,
        "role": row.role,
        "avatarUrl": row.avatar_url,
        "skillsJson": row.skills_wire,
        "memory": row.memory,
        "modelPolicyJson": row.model_policy,
        "concurrencyLimit": row.concurrency_limit,
        "provider": "mcp",
        "deploymentMode": "remote",
        "llmProvider": row.llm_provider,
        "llmModel": row.llm_model,
        "containerId": None,
        "containerName": None,
        "doctrineJson": {},
        "monthlyBudgetCents": purse.budget_cents,
        "monthlyTokenUsage": purse.tokens,
        "monthlyCostCents": purse.cost_cents,
        "lastResetMonth": purse.month,
        "budgetStatus": purse.status,
        "status": row.status,
        "lastSeenAt": ts(row.last_seen_ms),
        "currentLoad": row.current_load,
        "activeTasks": row.active,
        "suspended": row.suspended,
        "executor": row.executor,
        "executorConfig": row.executor_config,
        "trust": row.trust,
        "createdAt": iso_ms(row.created_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def customer(row: Customer) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "name": row.name,
        "notes": row.notes,
        "createdAt": iso_ms(row.created_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def project(row: Project) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": f"P-{row.no}",
        "companyId": row.company,
        "customerId": row.customer,
        "goal": row.goal,
        "status": row.status,
        "leadAgentId": row.lead_agent,
        "requireApprovalForDone": row.require_approval_for_done,
        "requireReviewBeforeDone": row.require_review_before_done,
        "commentRequiredForReview": row.comment_required_for_review,
        "blockStatusChangesWithPendingApproval": row.block_status_changes_with_pending_approval,
        "onlyLeadCanChangeStatus": row.only_lead_can_change_status,
        "maxActiveAgents": row.max_active_agents,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def project_memory(row: Memory) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "projectId": row.project,
        "content": row.content,
        "tags": row.tags,
        "createdByAgentId": row.agent,
        "createdAt": iso_ms(row.created_ms),
    }


def blocked_reason(row: Task, spec: Spec) -> Any:
    if row.state in (State.BLOCKED, State.FAILED, State.DEAD_LETTER) and row.reason:
        return row.reason
    return spec.input.get("blockedReason")


def task(row: Task, spec: Spec, result: Result | None = None) -> dict[str, Any]:
    """The camelCase task object (6.1), with `number` and `leaseToken`'s absence: lists never
    carry the fence."""
    assignee = None
    if row.member is not None:
        assignee = {"type": "human", "id": row.member}
    elif row.agent is not None:
        assignee = {"type": "agent", "id": row.agent}
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "projectId": row.project,
        "recurringTaskDefinitionId": spec.recurring,
        "taskKind": spec.kind,
        "taskType": spec.type,
        "templateVersion": None,
        "contractVersion": None,
        "state": rules.to_wire(row.state),
        "canonicalState": row.state.value,
        "priority": row.priority,
        "processingStartedAt": ts(row.started_ms),
        "assignedAgentId": row.agent,
        "assignedMemberId": row.member,
        "assignee": assignee,
        "leaseOwner": row.lease_owner,
        "leaseUntil": ts(row.lease_until_ms),
        "retries": row.retries,
        "maxRetries": spec.max_retries,
        "slaDueAt": ts(spec.sla_due_ms),
        "proofRequired": spec.proof_required,
        "humanApprovalRequired": spec.approval_required,
        "proofTypesJson": spec.proof_types,
        "inputJson": spec.input,
        "outputJson": None if result is None else result.output,
        "blockedByTaskIds": spec.blockers,
        "blockedBy": row.blocked,
        "blockedReason": blocked_reason(row, spec),
        "skills": spec.skills,
        "capability": spec.capability,
        "traceId": row.trace,
        "title": spec.input.get("title"),
        "goal": spec.input.get("goal"),
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": ts(row.updated_ms) if row.state is State.ARCHIVED else None,
    }


def approval_summary(found: Summary | None) -> dict[str, Any]:
    if found is None:
        return {"total": 0, "pending": 0, "latestPendingApprovalId": None}
    return {
        "total": found.total,
        "pending": found.pending,
        "latestPendingApprovalId": found.latest_pending,
    }


def task_row(row: Task, spec: Spec, approvals: Summary | None = None) -> dict[str, Any]:
    """A task in a list."""
    return task(row, spec) | {"approvalSummary": approval_summary(approvals)}


def task_detail(
    row: Task,
    spec: Spec,
    result: Result | None,
    *,
    of_project: Project | None,
    of_customer: Customer | None,
    of_agent: dict[str, Any] | None,
    items: list[dict[str, Any]],
    approvals: Summary | None = None,
) -> dict[str, Any]:
    """The detail object (6.1)."""
    given = spec.input
    return task(row, spec, result) | {
        "approvalSummary": approval_summary(approvals),
        "shortCode": row.id[:8].upper(),
        "description": given.get("description"),
        "acceptanceCriteria": given.get("acceptanceCriteria") or [],
        "definitionOfDone": given.get("definitionOfDone"),
        "doneItems": items,
        "deliverables": given.get("deliverables") or [],
        "ownerRole": spec.role,
        "comment": None if result is None else result.comment,
        "project": None if of_project is None else project(of_project),
        "customer": None if of_customer is None else customer(of_customer),
        "assignedAgent": of_agent,
    }


def claimed_task(row: Task, spec: Spec) -> dict[str, Any]:
    """Both casings in one object, and the fencing token (6.3; governance contract, 1)."""
    camel = task(row, spec)
    raw = {
        "company_id": row.company,
        "project_id": row.project,
        "task_type": spec.type,
        "task_kind": spec.kind,
        "assigned_agent_id": row.agent,
        "assigned_member_id": row.member,
        "lease_owner": row.lease_owner,
        "lease_until": None if row.lease_until_ms is None else raw_ms(row.lease_until_ms),
        "processing_started_at": None if row.started_ms is None else raw_ms(row.started_ms),
        "max_retries": spec.max_retries,
        "proof_required": spec.proof_required,
        "human_approval_required": spec.approval_required,
        "proof_types_json": spec.proof_types,
        "input_json": spec.input,
        "output_json": None,
        "blocked_by_task_ids": spec.blockers,
        "created_at": raw_ms(row.created_ms),
        "updated_at": raw_ms(row.updated_ms),
        "lease_token": row.token,
        "leaseToken": row.token,
    }
    return camel | raw


def note(row: Note) -> dict[str, Any]:
    payload: dict[str, Any] = {"note": row.text, "noteId": row.id}
    if row.handoff is not None:
        payload["handoff"] = row.handoff
    return payload
