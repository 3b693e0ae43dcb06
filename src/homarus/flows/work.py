"""The life of a task over tasks, agents and projects: create, claim, result, release, expire.

Each function is one unit. The actor is the one the kernel resolved (`tx.actor`).
"""

from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind, Proof
from homarus.base.errors import Conflict, Internal, Invalid, Refused
from homarus.company import agents, projects
from homarus.flows import (
    accepting,
    done,
    gating,
    going,
    head_start,
    lineage,
    parking,
    pipelining,
    regating,
    standing,
    stopping,
)
from homarus.flows.parking import let_go as let_go
from homarus.kernel import budgets, preflights, routing, stop, trust
from homarus.kernel.facts import AgentFacts
from homarus.kernel.trust_rules import NORMAL
from homarus.pipelines.model import STAGE_KIND
from homarus.records import incidents
from homarus.store.port import Tx
from homarus.tasks import lanes, rules, service, sql
from homarus.tasks.model import (
    LEASE_MS,
    LEASE_MS_LEAST,
    LEASE_MS_MOST,
    MAX_RETRIES,
    WAITING,
    Mover,
    Result,
    Spec,
    State,
    Task,
    may_move,
)

MAX_PRIORITY: Final = 1_000_000
MAX_PUT_ASIDE: Final = 20
"""Stopped tasks that one claim blocks before it answers that nothing fits."""

RENEW_MS: Final = LEASE_MS // 10
"""A heartbeat rewrites a lease only when this much of it has passed."""


class NewTask(msgspec.Struct, frozen=True):
    """What a create says, parsed. `spec` is the merged inputJson; ids as the caller gave them."""

    project: str
    type: str
    spec: dict[str, Any]
    allow_underspecified: bool = False
    priority: int = 0
    kind: str = "standard"
    agent: str | None = None
    member: str | None = None
    blockers: tuple[Any, ...] = ()
    skills: tuple[str, ...] = ()
    capability: str | None = None
    proof_required: bool = False
    approval_required: bool | None = None
    proof_types: Any = ()
    max_retries: int = MAX_RETRIES
    sla_due_ms: int | None = None
    recurring: str | None = None
    trace: str | None = None


class Claim(msgspec.Struct, frozen=True):
    task: Task
    spec: Spec


# -- create --------------------------------------------------------------------------------


def create(tx: Tx, new: NewTask) -> Claim:
    """A new task, as the gates let it in. Raises `project.*`, `task.*`, `agent.unknown`."""
    project = projects.need(tx, tx.company, new.project)
    if project.status not in ("active", "paused"):
        raise Conflict(
            "project.closed", f"the project is {project.status}", "Use an active project."
        )
    if not -MAX_PRIORITY <= new.priority <= MAX_PRIORITY:
        raise Invalid("task.priority", "priority is out of range", f"±{MAX_PRIORITY}.")
    if not 0 <= new.max_retries <= 100:
        raise Invalid("task.retries", "maxRetries is out of range", "0 to 100.")
    stored = rules.stored_input(new.type, new.spec, new.allow_underspecified)
    agent = agents.need(tx, tx.company, new.agent).id if new.agent is not None else None
    task_id, made_from = tx.new_id(), lineage.origin(tx)
    trace = new.trace or tx.action.trace or (made_from.trace if made_from else tx.new_id())
    spec = Spec(
        task=task_id,
        type=new.type,
        kind=new.kind,
        role=rules.owner_role(stored),
        skills=agents.normal_skills(list(new.skills)),
        input=stored,
        capability=new.capability,
        max_retries=new.max_retries,
        proof_required=new.proof_required,
        approval_required=project.require_approval_for_done
        if new.approval_required is None
        else new.approval_required,
        proof_types=new.proof_types,
        sla_due_ms=new.sla_due_ms,
        recurring=new.recurring,
        blockers=service.check_blockers(tx, project.id, list(new.blockers), None),
    )
    task = Task(
        id=task_id,
        seq=tx.number("task"),
        company=tx.company,
        project=project.id,
        state=State.QUEUED,
        lane=None,
        priority=new.priority,
        blocked=0,
        agent=agent,
        member=new.member,
        reviewer=None,
        token=0,
        lease_until_ms=None,
        lease_proof=None,
        lease_owner=None,
        started_ms=None,
        retries=0,
        reason=None,
        trace=trace,
        created_ms=tx.now_ms,
        updated_ms=tx.now_ms,
    )
    items = rules.done_items(stored.get("definitionOfDone"))
    entered = gating.enter(tx, task, spec)
    spec = entered.spec
    task = service.create(tx, entered.task, spec, items, project.max_active_agents)
    _keep_closed(tx, project)
    service.emit(tx, "task_generated", task)
    lineage.inherit(tx, made_from, task)
    gating.told(tx, entered, service.emit)
    if entered.start is not None:
        regating.begin(tx, entered, entered.start)
    if task.agent is not None:
        notify_assigned(tx, task, task.agent)
    return Claim(task, spec)


def _keep_closed(tx: Tx, project: projects.Project) -> None:
    """The first lane of a project does not know that it is paused or stopped."""
    if project.status != "active" or stop.covers(tx, tx.company, "project", project.id):
        lanes.set_project(tx, project.id, is_open=False, cap=project.max_active_agents)


# -- claim ---------------------------------------------------------------------------------


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
    """The task that the claim is for, and its project's cap. Lanes whose head is an L3 task that
    this agent may not implement are passed over."""
    if request.task is not None:
        task_id, cap = _named(tx, agent, request)
        task, spec = sql.with_spec(tx, tx.company, task_id)
        refusal = None
        if spec.level == 3:
            refusal = going.claim_refusal(tx, tx.company, task, agent.id)
        if refusal is not None:
            raise refusal
        return task, spec, cap
    without: frozenset[int] = frozenset()
    for _ in range(MAX_PUT_ASIDE):
        head = _best(tx, agent, request, without)
        if head is None:
            return None
        task, spec = sql.with_spec(tx, tx.company, head.task)
        if spec.level < 3 or going.claim_refusal(tx, tx.company, task, agent.id) is None:
            return task, spec, head.cap
        without |= {head.lane}
    return None


def _best(
    tx: Tx, agent: AgentFacts, request: ClaimRequest, left: frozenset[int]
) -> lanes.Head | None:
    """The head of the agent's lanes; stopped tasks are put aside on the way, fresh ones left to
    better-trusted agents. `left`: lanes that are passed over."""
    held: frozenset[str] | None = None
    for _ in range(MAX_PUT_ASIDE):
        head = lanes.best_head(
            tx,
            agent=agent.id,
            role=agent.role,
            skills=agent.skills,
            strict_role=request.strict_role,
            without=left,
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


# -- result --------------------------------------------------------------------------------


class ResultRequest(msgspec.Struct, frozen=True):
    """`lease_token` is checked whenever it is sent (governance contract, 1)."""

    task: str
    state: str
    output: Any = None
    comment: str | None = None
    lease_token: int | None = None


def result(tx: Tx, request: ResultRequest) -> Task:
    """Report on a task that the acting agent holds.

    A repeated terminal result with the same content succeeds. A `done` that a person has to accept
    asks for an approval and lets the worker go: see `parking.awaits_done`. Raises `task.state`,
    `task.unknown`, `task.lease_lost`, `task.illegal_move`, `task.policy_*`, `task.dod_unmet`,
    `divert.wild_task`, `trust.acceptance`.
    """
    target = rules.target_state(request.state)
    found = standing.need(tx, tx.company, request.task)
    task = found.task
    digest = rules.result_digest(target, request.output, request.comment)
    if task.state is target and target in (State.DONE, State.FAILED):
        before = sql.result_of(tx, task.id)
        if before is not None and before.digest == digest and before.agent == tx.actor.id:
            return task
    asked = target
    if target is State.DONE and _told_already(tx, task, digest):
        return task
    reviewing = task.state is State.REVIEW and task.reviewer == tx.actor.id
    check_holder(tx, task, request.lease_token, reviewing)
    if target is State.IN_PROGRESS:
        return _progress(tx, task, request, digest)
    if not may_move(task.state, target, Mover.HOLDER):
        raise _illegal(task, target)
    if found.level >= 2:
        target = going.result_target(tx, task, found.level, target, reviewing=reviewing)
    policy = rules.Policy(
        requires_approval=found.project_approval,
        requires_review=found.project_review,
        comment_for_review=found.comment_for_review,
        only_lead=found.only_lead,
        is_lead=found.lead == tx.actor.id,
        reviewing=reviewing,
    )
    if found.pending_blocks:
        parking.forbid_while_pending(tx, task, target)
    refusal = rules.policy_refusal(task, policy, target, request.comment)
    if refusal is not None:
        raise refusal
    if found.has_items and (target is State.DONE or target is not asked):
        done.require(tx, task, tx.actor, reviewing=reviewing, reviews=target is asked)
    if target is State.DONE and found.has_assets:
        going.require_written_back(tx, task)
    asks = rules.wants_approval(found.approval_required, policy, target)
    lands = target if asks else accepting.landing(tx, task, target, reviewing=reviewing)
    report = Result(task.id, request.output, request.comment, digest, tx.actor.id, tx.now_ms)
    sql.put_result(tx, report, reviewing=reviewing)
    if asks:
        return parking.ask_done(tx, found, request.comment, digest)
    keep = target is not State.QUEUED
    after = service.leave(
        tx, task, lands, keep_agent=keep, retries=task.retries,
        has_dependents=found.has_dependents,
        reason=accepting.REASON if lands is not asked else None,
    )  # fmt: skip
    let_go(tx, task, capped=found.cap is not None)
    if lands is State.DONE and found.kind == STAGE_KIND:
        pipelining.finished(tx, after)
    _announce_result(tx, after, lands, request.comment)
    if reviewing:
        accepting.reviewed(tx, task, target)
    elif target is State.FAILED:
        trust.event(tx, tx.actor.id, "failed", task=task.id, note=task.number)
    return after


def _told_already(tx: Tx, task: Task, digest: bytes) -> bool:
    """Whether this agent has said done, and the task waits for somebody else's word on it."""
    if accepting.told_already(tx, task, digest):
        return True
    return task.agent == tx.actor.id and parking.awaits_done(tx, task)


_RESULT_EVENT: Final = {
    State.REVIEW: "task_review",
    State.DONE: "task_done",
    State.FAILED: "task_failed",
    State.QUEUED: "task_inbox",
}


def _announce_result(tx: Tx, task: Task, target: State, comment: str | None) -> None:
    service.emit(tx, _RESULT_EVENT[target], task, **({"c": comment} if comment else {}))


def _progress(tx: Tx, task: Task, request: ResultRequest, digest: bytes) -> Task:
    """`in_progress` again: partial output is kept, and the lease starts afresh."""
    if task.state is not State.IN_PROGRESS:
        raise _illegal(task, State.IN_PROGRESS)
    sql.put_result(
        tx, Result(task.id, request.output, request.comment, digest, tx.actor.id, tx.now_ms)
    )
    tx.run(
        "update task set lease_until_ms=?, updated_ms=? where id=? and token=?",
        (tx.now_ms + LEASE_MS, tx.now_ms, task.id, task.token),
    )
    after = sql.need(tx, tx.company, task.id)
    service.emit(tx, "task_in_progress", after)
    return after


def check_holder(tx: Tx, task: Task, lease_token: int | None, reviewing: bool) -> None:
    """Whether the acting agent holds this task now. Raises `task.lease_lost`.

    With a lease token: agent and token. Without: task, agent, access token. Either way the lease
    must not have run out. A task in review needs no lease of its agent (design, 6).
    """
    holder = task.reviewer if reviewing else task.agent
    if holder != tx.actor.id:
        raise accepting.not_yours(tx, task)
    if lease_token is not None and lease_token != task.token:
        raise service.lost(task)
    if task.state is State.REVIEW and not reviewing:
        if task.lease_until_ms is not None:
            raise service.lost(task)
        return
    if task.lease_until_ms is None:
        if task.state is State.IN_PROGRESS:
            raise service.lost(task)
        return
    if lease_token is None and task.lease_proof != tx.actor.credential:
        raise service.lost(task)
    if task.lease_until_ms <= tx.now_ms:
        raise service.lost(task)


def _illegal(task: Task, target: State) -> Conflict:
    return Conflict(
        "task.illegal_move",
        f"{task.number} is {task.state.value} and cannot become {target.value} this way",
        "See docs/reference/tasks.md for the legal moves; an operator can move it by hand.",
        task=task.id,
    )


def finished(tx: Tx, task: Task) -> None:
    """A task was made done by hand or by its acceptance: the pipeline that it belongs to moves."""
    if sql.spec_of(tx, task.id).kind == STAGE_KIND:
        pipelining.finished(tx, task)


def written_back(tx: Tx, task: Task) -> None:
    """Gate 7, however a task becomes done. Raises `gate-7.not_written_back`."""
    if standing.need(tx, tx.company, task.id).has_assets:
        going.require_written_back(tx, task)


def release(tx: Tx, task_ref: str, lease_token: int | None, reason: str | None) -> Task:
    """Hand a claimed task back to the queue before its lease ends."""
    return result(tx, ResultRequest(task_ref, "inbox", comment=reason, lease_token=lease_token))


# -- leases --------------------------------------------------------------------------------


def renew(tx: Tx, agent: str, task: str | None = None) -> int:
    """Renew what this agent holds by this access token, in hand or in review; how many leases
    were rewritten."""
    until = tx.now_ms + LEASE_MS
    where, params = ("", ()) if task is None else (" and id=?", (task,))
    return sum(
        tx.run(
            f"update task set lease_until_ms=? where {holds} "  # noqa: S608
            f"and lease_proof=? and lease_until_ms>? and lease_until_ms<?{where}",
            (until, agent, tx.actor.credential, tx.now_ms, until - RENEW_MS, *params),
        )
        for holds in ("agent=? and state='in_progress'", "reviewer=? and state='review'")
    )


def expire_due(tx: Tx, limit: int) -> int:
    """Take back this company's leases that have run out, re-checking each; how many."""
    rows = tx.all(
        "select id from task where company=? and lease_until_ms is not null "
        "and lease_until_ms<=? order by lease_until_ms limit ?",
        (tx.company, tx.now_ms, limit),
    )
    for (task_id,) in rows:
        _expire(tx, sql.need(tx, tx.company, task_id))
    return len(rows)


def _expire(tx: Tx, task: Task) -> None:
    if task.state is State.REVIEW:
        after = service.leave(
            tx, task, State.REVIEW, keep_agent=True, reason=task.reason, retries=task.retries
        )
        service.emit(tx, "task_review", after, expired=True)
        return
    accepting.no_write_back(tx, task)
    spec = sql.spec_of(tx, task.id)
    if task.retries < spec.max_retries:
        after = service.leave(tx, task, State.QUEUED, keep_agent=False, retries=task.retries + 1)
        let_go(tx, task)
        service.emit(tx, "lease_expired_retry", after, held=task.agent)
        return
    reason = f"its lease ran out {task.retries + 1} times"
    after = service.leave(
        tx, task, State.DEAD_LETTER, keep_agent=True, reason=reason, retries=task.retries
    )
    let_go(tx, task)
    service.emit(tx, "dead_lettered", after)
    incidents.open_incident(
        tx,
        severity="high",
        reason_code="max_retries_exceeded",
        summary=f"{task.number}: {reason}",
        project=task.project,
        task=task.id,
    )


# -- by hand -------------------------------------------------------------------------------


def assign(tx: Tx, task_ref: str, agent_ref: str) -> Task:
    """Say who shall do a task that nobody works on. Raises `task.claimed`, `agent.unknown`."""
    agent = agents.need(tx, tx.company, agent_ref)
    task = sql.need(tx, tx.company, task_ref)
    if task.state is State.IN_PROGRESS and task.agent == agent.id:
        return task
    if task.state not in WAITING:
        raise Conflict(
            "task.claimed",
            f"{task.number} is {task.state.value}; it cannot be assigned now",
            "Wait for its lease or move it back: `homarus task move`.",
        )
    after = regating.changed(tx, reassign(tx, task, agent=agent.id, member=None), assigned=True)
    kind = "task_reassigned" if task.agent not in (None, agent.id) else "task_assigned"
    service.emit(tx, kind, after)
    notify_assigned(tx, after, agent.id)
    return after


def notify_assigned(tx: Tx, task: Task, agent: str) -> None:
    """Tell an agent that a task is its own, with the routing note of the dispatch."""
    text = routing.with_note(f"{task.number} is yours", tx.admitted.context)
    sql.notify(tx, agent, "task_assigned", task.id, text, task.trace)


def reassign(tx: Tx, task: Task, *, agent: str | None, member: str | None) -> Task:
    """Change whom a waiting task is for, and its lane with it."""
    tx.run(
        "update task set agent=?, member=?, updated_ms=? where id=?",
        (agent, member, tx.now_ms, task.id),
    )
    project = projects.by_id(tx, tx.company, task.project)
    after = sql.need(tx, tx.company, task.id)
    cap = service.cap_of(tx, task.project) if project is None else project.max_active_agents
    after = service.into_lane(tx, after, cap)
    if project is not None:
        _keep_closed(tx, project)
    return after


def move(tx: Tx, task_ref: str, to: State, reason: str | None) -> Task:
    """An operator's move by hand: retry, reopen, accept, take back, archive."""
    task = sql.need(tx, tx.company, task_ref)
    if task.state is to:
        return task
    if not may_move(task.state, to, Mover.OPERATOR):
        raise _illegal(task, to)
    _by_the_route(tx, task, to)
    keep = to is not State.QUEUED or task.state in WAITING
    retries = 0 if to is State.QUEUED else task.retries
    after = service.leave(tx, task, to, keep_agent=keep, reason=reason, retries=retries)
    let_go(tx, task)
    accepting.reviewed(tx, task, to)
    if task.state is State.DONE:
        sql.unmeet(tx, task.id)
        pipelining.reopened(tx, after)
    if to is State.DONE:
        finished(tx, after)
    kind = _RESULT_EVENT.get(to, "task_updated")
    service.emit(tx, "task_archived" if to is State.ARCHIVED else kind, after, by="operator")
    return after


def _by_the_route(tx: Tx, task: Task, to: State) -> None:
    """A hand spares no level L3 task its three identities, and no governance asset gate 7."""
    if to is State.DONE:
        found = standing.need(tx, tx.company, task.id)
        if found.level == 3 and going.enforced(tx, tx.company):
            raise going.acceptance_due(task)
        if found.has_assets:
            going.require_written_back(tx, task)
    if to is State.QUEUED and gating.by_gate(task):
        gating.no_longer(tx, task.id)


def archive(tx: Tx, task_ref: str) -> Task:
    """DELETE. A task in progress is refused: release it first."""
    task = sql.need(tx, tx.company, task_ref)
    if task.state is State.IN_PROGRESS:
        raise Conflict(
            "task.claimed",
            f"{task.number} is being worked on",
            "Wait for its result, or move it back: `homarus task move T-… queued`.",
        )
    after = service.leave(tx, task, State.ARCHIVED, keep_agent=True, retries=task.retries)
    service.emit(tx, "task_archived", after)
    return after


def only_operators(tx: Tx, what: str) -> None:
    """Some fields of open routes are a person's to change. Raises `permission.operator`."""
    if tx.actor.kind is not ActorKind.OPERATOR and tx.actor.proof is not Proof.SYSTEM:
        raise Refused(
            "permission.operator",
            f"only an operator may {what}",
            "Ask an operator, or report a result instead (POST …/result).",
            rule="permission",
        )
