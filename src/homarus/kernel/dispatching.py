"""R5: every dispatch between agents carries a routing note (governance contract, 3 and 4).

    given  -> parse, verify, compare with who acts, on what, with which permission
    none   -> spawn and send need one; where a wire has no place for it, the kernel mints one

An allowed dispatch leaves `Case.context`: the complete, signed note and what the callee gets.
"""

import os
from typing import Final

import msgspec

from homarus.base.action import Effect
from homarus.base.ids import new_id
from homarus.kernel import contexts, routing
from homarus.kernel.case import Case, Judgement
from homarus.kernel.facts import AgentFacts, TaskFacts
from homarus.kernel.halted import stop_on
from homarus.kernel.routing import Context, Malformed, Note, Perm

RULE: Final = "R5"
SPAWN: Final = "session.spawn"
NEEDS_NOTE: Final = frozenset({SPAWN, "session.send"})
NAMES_ITS_TASK: Final = frozenset({"task.assign"})
"""Dispatches of a task that the caller need not hold."""

SKEW_MS: Final = 60_000
"""How far ahead of the daemon's clock a note's time may be."""

NONCE_BYTES: Final = 8
_NARROWED: Final = frozenset({Effect.EXEC, Effect.EXTERNAL_WRITE, Effect.GOVERNED_WRITE})


class Standing(msgspec.Struct, frozen=True):
    """Where the caller stands: its task and trace, what it may, how deep, under whom."""

    task: TaskFacts | None
    trace: str
    perm: Perm
    depth: int = 0
    above: tuple[str, ...] = ()


def r5_kernel_injection(case: Case) -> Judgement:
    """R5: a dispatch between agents carries a note that is the caller's own, valid, unused and no
    wider than the caller's permission. Who was spawned with `read` only reads."""
    agent = case.agent
    if agent is None:
        return None
    effect = case.effect
    if effect is Effect.DISPATCH:
        return _dispatch(case, agent)
    return _narrowed(case, agent) if effect in _NARROWED else None


def _dispatch(case: Case, agent: AgentFacts) -> Judgement:
    action = case.action
    if case.note_key is None:
        raise AssertionError("a dispatch is judged without the company's note key")
    if action.routing_note is not None:
        return _given(case, agent, action.routing_note, case.note_key(action.company))
    if action.capability in NEEDS_NOTE:
        return case.refuse(
            "R5.missing",
            RULE,
            f"`{action.capability}` needs a routing note, and none is given",
            f"Give `routingNote`: {_example(agent)}.",
        )
    if action.callee in (None, agent.id, agent.name):
        return None
    task = case.held() or (case.task() if action.capability in NAMES_ITS_TASK else None)
    standing = _standing(case, agent, task)
    stopped = None if task is None else stop_on(case, task)
    if stopped is not None:
        return stopped
    note = Note(
        routing.label(agent),
        routing.NO_TASK if task is None else task.id,
        standing.trace,
        standing.perm,
    )
    _accept(case, agent, _completed(case, note), standing)
    return None


def _given(case: Case, agent: AgentFacts, text: str, key: bytes) -> Judgement:
    note = routing.parse(text)
    if isinstance(note, Malformed):
        return case.refuse(
            "R5.malformed",
            RULE,
            f"the routing note's {note.key} is unusable: {note.why}",
            f"Write it as {_example(agent)}.",
            details={"key": note.key},
        )
    wrong = _signed(case, agent, note, key) or _not_callers(case, agent, note)
    if wrong is not None:
        return wrong
    standing = _task_of(case, agent, note)
    if not isinstance(standing, Standing):
        return standing
    wrong = (
        (None if standing.task is None else stop_on(case, standing.task))
        or _widened(case, note, standing)
        or _spawn(case, agent, standing)
    )
    if wrong is None:
        _accept(case, agent, note if not note.short else _completed(case, note), standing)
    return wrong


def _signed(case: Case, agent: AgentFacts, note: Note, key: bytes) -> Judgement:
    """A long note: ours, and of these minutes."""
    if note.ts is None:
        return None
    if not routing.verified(note, key):
        return case.refuse(
            "R5.forged",
            RULE,
            "the routing note's sig is not this company's signature of it",
            f"Repeat a note exactly as you got it, or write the short form: {_example(agent)}.",
        )
    at_ms = routing.ts_ms(note.ts) or 0
    valid_s = case.setting("routing.note_s")
    late = case.rx.now_ms - at_ms > valid_s * 1000
    if late or at_ms - case.rx.now_ms > SKEW_MS:
        return case.refuse(
            "R5.expired",
            RULE,
            f"the routing note is of {note.ts} and valid for {valid_s} s"
            if late
            else f"the routing note's time {note.ts} is yet to come",
            f"Write a fresh one: {_example(agent)}.",
            once=True,
        )
    return None


def _not_callers(case: Case, agent: AgentFacts, note: Note) -> Judgement:
    if note.caller not in (agent.name, agent.id):
        return case.refuse(
            "R5.wrong_caller",
            RULE,
            f"the routing note is {note.caller}'s, and {agent.name} acts",
            f"Write your own: {_example(agent)}.",
        )
    if note.nonce is not None and contexts.is_used(case.rx, case.action.company, note.nonce):
        return case.refuse(
            "R5.replayed",
            RULE,
            f"the routing note {note.nonce} has opened its one dispatch already",
            f"Write a new one for each dispatch: {_example(agent)}.",
            once=True,
        )
    return None


def _task_of(case: Case, agent: AgentFacts, note: Note) -> Standing | Judgement:
    action = case.action
    ref = routing.task_ref(note.task_id)
    task = case.facts.task(case.rx, action.company, ref)
    named = case.task()
    if task is None or not _may_name(case, agent, task):
        return case.refuse(
            "R5.wrong_task",
            RULE,
            f"{agent.name} does not hold the routing note's task {note.task_id}",
            "Name the task that you have claimed and work on now.",
            once=True,
        )
    if action.capability in NEEDS_NOTE and action.task and (named is None or named.id != task.id):
        return case.refuse(
            "R5.wrong_task",
            RULE,
            f"the routing note is about {note.task_id}, the request about {action.task[:60]}",
            "Name the same task in both.",
        )
    if note.trace_id.lower() != task.trace:
        return case.refuse(
            "R5.wrong_trace",
            RULE,
            f"{note.trace_id} is not the trace of {note.task_id}",
            f"Its trace_id is {task.trace}.",
        )
    return _standing(case, agent, task)


def _may_name(case: Case, agent: AgentFacts, task: TaskFacts) -> bool:
    if task.held_by(agent.id, case.rx.now_ms):
        return True
    named = case.task() if case.action.capability in NAMES_ITS_TASK else None
    return named is not None and named.id == task.id


def _standing(case: Case, agent: AgentFacts, task: TaskFacts | None) -> Standing:
    own = routing.own_perm(agent.role)
    if task is None:
        return Standing(None, case.action.trace or new_id(case.rx.now_ms), own)
    found = contexts.position(case.rx, task.id, task.trace, agent.id)
    if found is None:
        return Standing(task, task.trace, own)
    perm = routing.meet(own, found.perm)
    return Standing(task, task.trace, perm, found.depth, found.above)


def _widened(case: Case, note: Note, standing: Standing) -> Judgement:
    if note.perm.rank <= standing.perm.rank:
        return None
    return case.refuse(
        "R5.widened",
        RULE,
        f"the routing note passes on {note.perm}, and the caller itself has {standing.perm}",
        f"Write perm={standing.perm} or less.",
    )


def _spawn(case: Case, agent: AgentFacts, standing: Standing) -> Judgement:
    """How deep, and in no circle. A message going back up is no cycle."""
    if case.action.capability != SPAWN:
        return None
    most = case.setting("routing.depth")
    if standing.depth + 1 > most:
        return case.refuse(
            "R5.depth",
            RULE,
            f"this spawn would stand {standing.depth + 1} deep on its trace; {most} is the limit",
            "Do it yourself, or report back to whoever gave you the task.",
        )
    many = case.setting("routing.tasks")
    if contexts.spawned(case.rx, standing.trace, many) >= many:
        return case.refuse(
            "R5.breadth",
            RULE,
            f"{many} tasks were spawned on this trace already, and that is the limit",
            "Wait for those that are open, or do it yourself.",
            once=True,
        )
    callee = case.callee()
    if callee is not None and callee.id in (*standing.above, agent.id):
        return case.refuse(
            "R5.cycle",
            RULE,
            f"{callee.name} stands above this task on its trace and would wait for itself",
            "Report the result, or send a message: POST /sends.",
        )
    return None


def _accept(case: Case, agent: AgentFacts, note: Note, standing: Standing) -> None:
    callee = case.callee()
    perm = note.perm
    if callee is not None:
        perm = routing.meet(perm, routing.own_perm(callee.role))
    case.context = Context(
        note, standing.task, standing.trace, callee, perm, standing.depth, standing.above
    )
    case.then(
        "note.use",
        note.nonce or "",
        capability=case.action.capability,
        caller=agent.id,
        callee=None if callee is None else callee.id,
        task=None if standing.task is None else standing.task.id,
        trace=standing.trace,
        perm=perm.value,
        depth=standing.depth,
        ts_ms=routing.ts_ms(note.ts or "") or 0,
    )


def _completed(case: Case, note: Note) -> Note:
    if case.note_key is None:
        raise AssertionError("a note is signed without the company's note key")
    key = case.note_key(case.action.company)
    return routing.complete(note, key, now_ms=case.rx.now_ms, nonce=os.urandom(NONCE_BYTES))


def _narrowed(case: Case, agent: AgentFacts) -> Judgement:
    """An agent whose task came with `read` changes nothing outside it."""
    task = case.held()
    if task is None or _standing(case, agent, task).perm is not Perm.READ:
        return None
    return case.refuse(
        "permission.narrowed",
        "permission",
        f"{agent.name} was given this task with perm=read",
        "Report what you found; whoever gave you the task can act, or give it with read_write.",
    )


def _example(agent: AgentFacts) -> str:
    return (
        f"{routing.CONTEXT} caller={routing.label(agent)}, task_id=<your task>, "
        "trace_id=<its trace>, perm=read_write"
    )
