"""Who gets which task: the best one that fits an agent, a named one, one to review.

One unit. Filters are SQL and the lanes' (design, 6); nobody claims what another holds.
"""

from typing import Final

import msgspec

from homarus.base.errors import Conflict, Internal, Invalid
from homarus.company import agents, projects
from homarus.flows import accepting, going, head_start, stopping
from homarus.flows.creating import Claim
from homarus.kernel import budgets, preflights
from homarus.kernel.facts import AgentFacts
from homarus.kernel.trust_rules import NORMAL
from homarus.store.port import Tx
from homarus.tasks import lanes, service, sql
from homarus.tasks.model import LEASE_MS, LEASE_MS_LEAST, LEASE_MS_MOST, Spec, State, Task

MAX_PUT_ASIDE: Final = 20
"""Stopped tasks that one claim blocks, and L3 tasks of others' that it passes over, before it
answers that nothing fits."""


class ClaimRequest(msgspec.Struct, frozen=True):
    """`owner`: the agent as the caller named it. `task`: that very task, else the best one."""

    owner: str
    strict_role: bool = True
    allowed_roles: tuple[str, ...] = ()
    lease_ms: int = LEASE_MS
    readopt: bool = False
    review: bool = False
    task: str | None = None


def claim(tx: Tx, request: ClaimRequest) -> Claim | None:
    """The best claimable task for the acting agent; None: nothing fits now.

    Raises `claim.lease`, `claim.agent_missing`; for a named task also `task.unknown`,
    `task.not_claimable`.
    """
    if not LEASE_MS_LEAST <= request.lease_ms <= LEASE_MS_MOST:
        raise Invalid(
            "claim.lease",
            "the lease length is out of range",
            f"{LEASE_MS_LEAST // 1000} to {LEASE_MS_MOST // 1000} seconds.",
        )
    agent: AgentFacts | None = tx.admitted.agent
    if agent is None:
        raise Invalid(
            "claim.agent_missing",
            f"{tx.actor.kind} {tx.actor.name or tx.actor.id} is no agent, and only agents claim",
            "Name the agent that is to have the task (`agentId`).",
        )
    lease = service.Lease(agent.id, tx.actor.credential, request.owner, request.lease_ms)
    if request.readopt:
        own = service.readopt(tx, lease, stopping.held(tx))
        if own is not None:
            return _claimed(tx, own, sql.spec_of(tx, own.id), agent)
    if request.allowed_roles and agent.role not in request.allowed_roles:
        return None
    if agent.limited and (stopped := budgets.used_up(tx, tx.company, agent.id)) is not None:
        if request.task is not None:
            raise _not_claimable(f"the {stopped.scope}'s budget of {stopped.unit} is used up")
        return None
    if request.review:
        return _claim_review(tx, agent, lease)
    found = _wanted(tx, agent, request)
    if found is None:
        return None
    task, spec, cap = found
    if not agents.take_slot(tx, agent.id):
        if request.task is not None:
            raise _not_claimable(f"{agent.name} holds as many tasks as it may")
        return None
    taken = service.take(tx, task, lease)
    if taken is None:
        raise Internal("claim.race", "a claim lost a race inside its own transaction")
    if cap is not None:
        lanes.occupy(tx, task.project, agent.id)
    if spec.level == 3:
        going.implementing(tx, taken, agent.id)
    return _claimed(tx, taken, spec, agent)


def _wanted(
    tx: Tx, agent: AgentFacts, request: ClaimRequest
) -> tuple[Task, Spec, int | None] | None:
    """The task that the claim is for, and its project's cap. L3 tasks that this agent may not
    implement are passed over; behind MAX_PUT_ASIDE of them, their lanes are."""
    if request.task is not None:
        task_id, cap = _named(tx, agent, request)
        task, spec = sql.with_spec(tx, tx.company, task_id)
        refusal = None
        if spec.level == 3:
            refusal = going.claim_refusal(tx, tx.company, task, agent.id)
        if refusal is not None:
            raise refusal
        return task, spec, cap
    beside: dict[str, int] = {}
    for look in range(MAX_PUT_ASIDE + 1):
        left = frozenset(beside.values()) if look == MAX_PUT_ASIDE else frozenset()
        head = _best(tx, agent, request, left, beside)
        if head is None:
            return None
        task, spec = sql.with_spec(tx, tx.company, head.task)
        if spec.level < 3 or going.claim_refusal(tx, tx.company, task, agent.id) is None:
            return task, spec, head.cap
        beside[head.task] = head.lane
    return None


def _best(
    tx: Tx, agent: AgentFacts, request: ClaimRequest, left: frozenset[int], beside: dict[str, int]
) -> lanes.Head | None:
    """The head of the agent's lanes; stopped tasks are put aside on the way, fresh ones left to
    better-trusted agents. `left`: lanes that are passed over; `beside`: tasks."""
    held: frozenset[str] | None = None
    for _ in range(MAX_PUT_ASIDE):
        head = lanes.best_head(
            tx,
            agent=agent.id,
            role=agent.role,
            skills=agent.skills,
            strict_role=request.strict_role,
            without=left,
            beside=beside,
        )
        if head is None:
            return None
        if head_start.is_early(tx, agent, head):
            left |= {head.lane}
            continue
        held = stopping.held(tx) if held is None else held
        task = sql.need(tx, tx.company, head.task) if held else None
        if task is None or held.isdisjoint((task.id, task.trace)):
            return head
        stopping.put_aside(tx, task)
    return None


def _claimed(tx: Tx, task: Task, spec: Spec, agent: AgentFacts) -> Claim:
    preflights.for_claim(
        tx, agent=agent.id, task=task.id, token=task.token, capability=spec.capability,
        level=spec.level,
    )  # fmt: skip
    service.emit(tx, "task_claimed", task)
    return Claim(task, spec)


def _not_claimable(why: str) -> Conflict:
    return Conflict("task.not_claimable", why, "Claim without naming a task to get one that fits.")


def _named(tx: Tx, agent: AgentFacts, request: ClaimRequest) -> tuple[str, int | None]:
    """A claim of one very task passes the same filters as any other. Its own agent may take it
    back out of review while nobody reviews it (design, 6)."""
    task = sql.need(tx, tx.company, request.task or "")
    spec = sql.spec_of(tx, task.id)
    project = projects.need(tx, tx.company, task.project)
    cap = project.max_active_agents
    back = task.state is State.REVIEW and task.agent == agent.id and task.lease_until_ms is None
    if task.state is not State.QUEUED and not back:
        raise _not_claimable(f"{task.number} is {task.state.value}")
    if task.member is not None or task.agent not in (None, agent.id):
        raise _not_claimable(f"{task.number} is assigned to somebody else")
    if task.blocked:
        raise _not_claimable(f"{task.number} waits for {task.blocked} unfinished task(s)")
    assigned = task.agent == agent.id
    if not assigned and request.strict_role and spec.role not in (None, agent.role):
        raise _not_claimable(f"{task.number} is for the role {spec.role}")
    if not assigned and not agent.skills.issuperset(spec.skills):
        raise _not_claimable(f"{task.number} needs the skills {', '.join(spec.skills)}")
    if project.status != "active":
        raise _not_claimable(f"the project is {project.status}")
    row = tx.one("select is_open from lane where id=?", (task.lane,))
    if row is not None and not row[0]:
        raise _not_claimable("the project is stopped")
    if lanes.is_full(tx, task.project, agent.id, cap):
        raise _not_claimable(f"the project has its {cap} agents at work")
    if not assigned and head_start.waits(
        tx, agent, task.created_ms, spec.role, frozenset(spec.skills)
    ):
        raise _not_claimable(f"{task.number} is fresh, and a better-trusted agent waits for work")
    return task.id, cap


def _claim_review(tx: Tx, agent: AgentFacts, lease: service.Lease) -> Claim | None:
    """A reviewer's claim takes a lease and leaves the state `review`; nobody reviews their own.
    What a low-trusted agent finished waits for a trusted agent of the task's role or a reviewer."""
    outside, subjects = sql.outside(stopping.held(tx), "t.")
    role = agent.role or ""
    row = tx.one(
        "select t.id from task t where t.company=? and t.state='review' "  # noqa: S608
        f"and t.lease_until_ms is null and coalesce(t.agent, '')<>?{outside} and (exists("
        "select 1 from task_done_item d where d.task=t.id and d.kind='review' and d.value=? "
        "and d.evidence is null) or (t.reason=? and ?>=? and exists(select 1 from task_spec s "
        "where s.task=t.id and s.route_level<3 and (s.role is null or s.role=? or ?=?)))) "
        "order by t.priority desc, t.seq limit 1",
        (
            tx.company, agent.id, *subjects, role, accepting.REASON, agent.trust, NORMAL, role,
            role, accepting.REVIEWER,
        ),
    )  # fmt: skip
    if row is None:
        return None
    tx.run(
        "update task set reviewer=?, token=token+1, lease_until_ms=?, lease_proof=?, "
        "lease_owner=?, updated_ms=? where id=? and state='review' and lease_until_ms is null",
        (
            agent.id, tx.now_ms + lease.length_ms, lease.proof, lease.owner, tx.now_ms, row[0],
        ),
    )  # fmt: skip
    return _claimed(tx, *sql.with_spec(tx, tx.company, row[0]), agent)
