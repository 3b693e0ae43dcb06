"""Dispatch between agents: spawn is a child task and a note, send a message and a note.

Each function is one unit, admitted with its routing note (`kernel/dispatching.py`); the note and
what the callee gets are in `tx.admitted.context`. An operator needs none (governance contract, 4).
"""

from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.errors import Conflict, Invalid
from homarus.company import agents
from homarus.conversations import rules as talk_rules
from homarus.conversations import service as talk
from homarus.conversations.model import Draft, Message, SenderType
from homarus.flows import creating, hearing, parking
from homarus.kernel import contexts, routing
from homarus.kernel.contexts import Position
from homarus.kernel.routing import Context, Perm
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import State, Task

TASK_TYPE: Final = "spawned_task"


class Spawn(msgspec.Struct, frozen=True):
    """Who is to do what. `task` names the task it is spawned from: an agent's is the one of its
    note; an operator may give it, or a `project` alone. `wait`: that task goes back to its queue,
    kept for its agent and blocked until the child is done."""

    target: str
    spec: dict[str, Any]
    type: str = TASK_TYPE
    task: str | None = None
    project: str | None = None
    priority: int | None = None
    wait: bool = False


class Spawned(msgspec.Struct, frozen=True):
    """`parent` as it is afterwards; None: an operator named none. `note`: the text passed on."""

    claim: creating.Claim
    position: Position
    parent: Task | None
    note: str | None


def spawn(tx: Tx, want: Spawn) -> Spawned:
    """Give a child task to another agent, on the trace of its parent.

    Raises `agent.unknown`, `spawn.project`, `spawn.wait`, and what a create raises.
    """
    context: Context | None = tx.admitted.context
    callee = agents.need(tx, tx.company, want.target)
    parent = _parent(tx, want, context)
    project = want.project or (None if parent is None else parent.project)
    if project is None:
        raise Invalid("spawn.project", "nothing says in which project", "Give `projectId`.")
    if want.wait:
        _check_waits(tx, parent)
    claim = creating.create(
        tx,
        creating.NewTask(
            project=project,
            type=want.type,
            spec=want.spec,
            allow_underspecified=True,
            priority=_priority(want, parent),
            agent=callee.id,
            trace=None if parent is None else parent.trace,
        ),
    )
    position = _position(tx, claim.task, parent, callee)
    contexts.put(tx, position)
    if want.wait and parent is not None:
        parent = _wait(tx, parent, claim.task)
    tx.emit(
        "task_spawned",
        claim.task.id,
        {"parent": position.parent, "agent": callee.id, "perm": position.perm.value,
         "depth": position.depth},
    )  # fmt: skip
    tx.about(task=claim.task.id, trace=claim.task.trace)
    return Spawned(claim, position, parent, None if context is None else context.text)


def _parent(tx: Tx, want: Spawn, context: Context | None) -> Task | None:
    if context is not None and context.task is not None:
        return sql.need(tx, tx.company, context.task.id)
    return None if want.task is None else sql.need(tx, tx.company, want.task)


def _priority(want: Spawn, parent: Task | None) -> int:
    if want.priority is not None:
        return want.priority
    return 0 if parent is None else parent.priority


def _position(tx: Tx, child: Task, parent: Task | None, callee: agents.Agent) -> Position:
    context: Context | None = tx.admitted.context
    if context is not None:
        above = (*context.above, tx.actor.id)
        perm, depth, nonce = context.perm, context.depth + 1, context.note.nonce
    else:
        before = None if parent is None else contexts.of_task(tx, parent.id)
        above = () if before is None else (*before.above, before.callee)
        most = Perm.GOVERN if before is None else before.perm
        perm = routing.meet(most, routing.own_perm(callee.role))
        depth, nonce = (0 if before is None else before.depth) + 1, None
    return Position(
        task=child.id,
        trace=child.trace,
        parent=None if parent is None else parent.id,
        caller=tx.actor.key,
        callee=callee.id,
        perm=perm,
        depth=depth,
        above=above,
        nonce=nonce,
        created_ms=tx.now_ms,
    )


def _check_waits(tx: Tx, parent: Task | None) -> None:
    holds = parent is not None and parent.agent == tx.actor.id
    if parent is None or not holds or parent.state is not State.IN_PROGRESS:
        raise Conflict(
            "spawn.wait",
            "only the agent that works on a task can let it wait",
            "Leave `wait` out, or claim the task first.",
        )


def _wait(tx: Tx, parent: Task, child: Task) -> Task:
    """The parent's agent lets go of it until the child is done; it stays that agent's."""
    spec = sql.spec_of(tx, parent.id)
    blockers = service.check_blockers(tx, parent.project, [*spec.blockers, child.id], parent.id)
    unfinished = service.link(tx, parent.id, blockers)
    sql.set_blockers(tx, parent.id, blockers)
    tx.run("update task set blocked=? where id=?", (unfinished, parent.id))
    waiting = sql.need(tx, tx.company, parent.id)
    after = service.leave(
        tx, waiting, State.QUEUED, keep_agent=True, reason=f"waits for {child.number}",
        retries=parent.retries,
    )  # fmt: skip
    parking.let_go(tx, parent)
    service.emit(tx, "task_inbox", after)
    return after


class Send(msgspec.Struct, frozen=True):
    """`root`: the turn that led to it in the end, where its agent runs here."""

    target: str
    text: str
    root: str | None = None


def send(tx: Tx, want: Send) -> Message:
    """A message into the callee's direct conversation, and a notification. Raises `agent.unknown`,
    `message.text`, `send.many`."""
    context: Context | None = tx.admitted.context
    callee = agents.need(tx, tx.company, want.target)
    claimed = None if tx.actor.kind is ActorKind.AGENT else SenderType.HUMAN
    who = talk_rules.sender(tx.actor, claimed, None, SenderType.AGENT)
    draft = Draft(
        sender=who,
        text=want.text,
        target_agent=callee.id,
        metadata=talk_rules.metadata(None, who),
    )
    place = talk.direct(tx, callee.id)
    message, _ = talk.post(tx, place, draft)
    hearing.sent(tx, place, message, want.root)
    task = None if context is None or context.task is None else context.task.id
    trace = None if context is None else context.trace
    text = routing.with_note(f"{tx.actor.name} sent you a message", context)
    sql.notify(tx, callee.id, "message", task, text, trace)
    return message
