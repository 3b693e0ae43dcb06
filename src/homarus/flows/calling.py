"""Calls of registered capabilities by agents: intent, work, outcome (design, 2; contract, 6).

The intent is one unit, judged as the capability itself; a worker takes it up in another and records
the outcome in a third. A daemon that died in between leaves a call that is `running`: what may be
run again is, anything else is `unknown` and an operator hears of it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind, Effect, Outcome
from homarus.base.canonical import digest
from homarus.base.errors import Busy, Invalid, NotFound, NotOffered
from homarus.flows import reporting
from homarus.kernel import receipts, registry, schemas, stop, targets
from homarus.kernel.facts import AgentFacts
from homarus.records import incidents
from homarus.store.port import Row, Rx, Tx
from homarus.tasks import service, sql
from homarus.tasks.model import Task

MAX_OPEN: Final = 1_000
MAX_ARGUMENTS: Final = 65_536
MAX_REASON: Final = 500
MAX_ATTEMPTS: Final = 3
"""Starts of one call, when each time its daemon died under it."""

WORKED: Final = (registry.COMMAND,)
"""Kinds that this daemon has a worker for."""

_COLUMNS: Final = (
    "id, company, task, agent, token, capability, version, effect, target, arguments, state, "
    "attempts, receipt_seq, reason, output, created_ms, started_ms, until_ms, ended_ms"
)


class Call(msgspec.Struct, frozen=True):
    """A row. `token`: the lease's fence; `version`: of the capability when it was called;
    `receipt_seq`: the receipt of the intent; `until_ms`: a living worker has ended it by then."""

    id: str
    company: str
    task: str
    agent: str
    token: int
    capability: str
    version: int
    effect: int
    target: str
    arguments: dict[str, Any]
    state: str
    attempts: int
    receipt_seq: int
    reason: str | None
    output: dict[str, Any] | None
    created_ms: int
    started_ms: int | None
    until_ms: int | None
    ended_ms: int | None


class NewCall(msgspec.Struct, frozen=True):
    """`target` as it was judged; `digest` of capability, target and arguments, as approvals bind
    to it; `lease_token` is checked when it is sent."""

    capability: str
    task: str
    target: str
    arguments: dict[str, Any]
    digest: bytes
    lease_token: int | None = None
    tool_call: str | None = None


class Started(msgspec.Struct, frozen=True):
    call: Call
    capability: registry.Capability
    task: Task


def _call(row: Row) -> Call:
    values = list(row)
    values[9] = json.loads(values[9])
    values[14] = None if values[14] is None else json.loads(values[14])
    return Call(*values)


def need(rx: Rx, company: str, call: str) -> Call:
    """Raises `call.unknown`."""
    row = rx.one(f"select {_COLUMNS} from call where id=? and company=?", (call, company))  # noqa: S608
    if row is None:
        raise _unknown(call)
    return _call(row)


def _unknown(call: str) -> NotFound:
    return NotFound("call.unknown", f"no call {call[:80]}", "See `GET /calls?taskId=…`.")


def of_task(rx: Rx, task: str, limit: int) -> list[Call]:
    """Newest first."""
    rows = rx.all(
        f"select {_COLUMNS} from call where task=? order by id desc limit ?",  # noqa: S608
        (task, limit),
    )
    return [_call(row) for row in rows]


def of_tool_call(rx: Rx, company: str, tool_call: str) -> Call | None:
    """What a tool call asked for already."""
    row = rx.one(
        f"select {_COLUMNS} from call where tool_call=? and company=?",  # noqa: S608
        (tool_call, company),
    )
    return None if row is None else _call(row)


def digest_of(capability: str, target: str, arguments: Mapping[str, Any]) -> bytes:
    """What an approval of a call binds to."""
    return digest({"capability": capability, "target": target, "arguments": arguments})


def check(rx: Rx, company: str, capability: str, arguments: dict[str, Any]) -> registry.Capability:
    """The capability, when it has a worker and takes these arguments.

    Raises `capability.unknown`, `call.no_worker`, `call.arguments`.
    """
    row = registry.need(rx, company, capability)
    if row.kind not in WORKED:
        raise NotOffered(
            "call.no_worker",
            f"{row.id} is a {row.kind}, and this daemon has no worker that calls one",
            "Read a skill and follow it; call tools where they are connected. Commands run here.",
        )
    check_arguments(row, arguments)
    return row


def check_arguments(row: registry.Capability, arguments: Mapping[str, Any]) -> None:
    """Whether they fit the capability's input schema. Raises `call.arguments`."""
    if len(json.dumps(arguments).encode()) > MAX_ARGUMENTS:
        raise Invalid("call.arguments", "the arguments are too large", f"{MAX_ARGUMENTS} bytes.")
    wrong = [] if row.input is None else schemas.faults(row.input, arguments)
    if wrong:
        raise Invalid(
            "call.arguments",
            f"the arguments do not fit {row.id}: {wrong[0]}",
            f"See `homarus capability show {row.id}`.",
            faults=wrong,
        )


def request(tx: Tx, new: NewCall) -> Call:
    """The intent, of the acting agent within a task that it holds. Raises `call.*`, `task.*`,
    `capability.unknown`."""
    agent: AgentFacts | None = tx.admitted.agent
    if agent is None:
        raise Invalid("call.agent_missing", "only agents call capabilities",
                      "Name the agent (`agentId`).")  # fmt: skip
    targets.check_target(new.target)
    row = check(tx, tx.company, new.capability, new.arguments)
    task = sql.need(tx, tx.company, new.task)
    reporting.check_holder(tx, task, new.lease_token, reviewing=False)
    if task.lease_until_ms is None:
        raise service.lost(task)
    count = tx.one(
        "select count(*) from call where company=? and state in ('ready', 'running')",
        (tx.company,),
    )
    if count is not None and count[0] >= MAX_OPEN:
        raise Busy("call.many", f"{MAX_OPEN} calls wait already", "Try again when some have ended.")
    id_ = tx.new_id()
    tx.run(
        "insert into call(id, company, task, agent, token, capability, version, effect, target, "
        "arguments, digest, state, receipt_seq, created_ms, tool_call) "
        "values(?,?,?,?,?,?,?,?,?,?,?,'ready',?,?,?)",
        (
            id_, tx.company, task.id, agent.id, task.token, row.id, row.version, row.effect,
            new.target, json.dumps(new.arguments), new.digest, tx.head.receipt_seq + 1, tx.now_ms,
            new.tool_call,
        ),
    )  # fmt: skip
    tx.about(task=task.id, trace=task.trace)
    tx.emit("call_requested", task.id, {"call": id_, "capability": row.id})
    return need(tx, tx.company, id_)


def cancel(tx: Tx, call: str) -> Call:
    """Let a call end: at once where it has not begun, else its worker stops it.

    One that has ended stays as it is. Raises `call.unknown`, to an agent also for another agent's.
    """
    row = need(tx, tx.company, call)
    if tx.actor.kind is ActorKind.AGENT and row.agent != tx.actor.id:
        raise _unknown(call)
    if row.state == "ready":
        _end(tx, row, "failed", "it was withdrawn before it ran", None)
    elif row.state == "running":
        tx.run("update call set stopping_ms=? where id=? and stopping_ms is null",
               (tx.now_ms, row.id))  # fmt: skip
        tx.emit("call_stopping", row.task, {"call": row.id})
    return need(tx, tx.company, call)


def stopping(rx: Rx, limit: int) -> list[str]:
    """Calls that run and are to end."""
    rows = rx.all(
        "select id from call where stopping_ms is not null and ended_ms is null limit ?", (limit,)
    )
    return [row[0] for row in rows]


# -- the worker's units ----------------------------------------------------------------------


def ready(rx: Rx, limit: int) -> list[tuple[str, str]]:
    """`(company, call)` that wait, oldest first."""
    rows = rx.all("select company, id from call where state='ready' order by id limit ?", (limit,))
    return [(row[0], row[1]) for row in rows]


def start(tx: Tx, call: str, until_ms: int) -> Started | None:
    """Take it up; None: somebody else has, or it may no longer run and has ended so."""
    row = need(tx, tx.company, call)
    if row.state != "ready":
        return None
    task = sql.need(tx, tx.company, row.task, archived=True)
    capability = registry.by_id(tx, tx.company, row.capability)
    why = _forbids(tx, row, task, capability)
    if why is not None or capability is None:
        _end(tx, row, "failed", why, None)
        return None
    tx.run(
        "update call set state='running', attempts=attempts+1, started_ms=?, until_ms=? "
        "where id=? and state='ready'",
        (tx.now_ms, until_ms, row.id),
    )
    return Started(need(tx, tx.company, call), capability, task)


def _forbids(tx: Tx, row: Call, task: Task, capability: registry.Capability | None) -> str | None:
    """Between the intent and now: a STOP, a lost lease, a capability that changed."""
    if capability is None or not capability.enabled:
        return f"{row.capability} was disabled before it ran"
    if capability.version != row.version:
        return f"{row.capability} was registered anew before it ran"
    until = task.lease_until_ms
    if task.token != row.token or until is None or until <= tx.now_ms:
        return f"the lease on {task.number} ended before it ran"
    subjects = {
        "company": tx.company, "agent": row.agent, "task": task.id, "trace": task.trace,
        "project": task.project,
    }  # fmt: skip
    for each in stop.active(tx, tx.company):
        if subjects[each.scope] == each.subject:
            return f"STOP is in force on this {each.scope}"
    return None


def end(tx: Tx, call: str, attempt: int, ok: bool, reason: str, output: dict[str, Any]) -> bool:
    """The outcome of the attempt; False: it was settled before. A success is evidence for
    `check:<capability>` while its task is still held."""
    row = need(tx, tx.company, call)
    if row.state != "running" or row.attempts != attempt:
        return False
    _end(tx, row, "done" if ok else "failed", reason, output)
    task = sql.need(tx, tx.company, row.task, archived=True)
    if ok and task.token == row.token and task.lease_until_ms is not None:
        sql.meet(tx, task.id, "check", row.capability, row.id)
    return True


_OUTCOMES: Final = {
    "done": Outcome.DONE,
    "failed": Outcome.FAILED,
    "unknown": Outcome.UNKNOWN,
}


def _end(tx: Tx, row: Call, state: str, reason: str | None, output: dict[str, Any] | None) -> None:
    said = None if reason is None else reason[:MAX_REASON]
    tx.run(
        "update call set state=?, reason=?, output=?, ended_ms=? where id=?",
        (state, said, None if output is None else json.dumps(output), tx.now_ms, row.id),
    )
    task = sql.need(tx, tx.company, row.task, archived=True)
    tx.about(task=task.id, trace=task.trace)
    receipts.write_outcome(
        tx, row.receipt_seq, tx.actor, row.capability, row.target, _OUTCOMES[state],
        effect=Effect(row.effect), reason=said, task=task.id, trace=task.trace,
    )  # fmt: skip
    tx.emit("call_ended", task.id, {"call": row.id, "state": state})


def companies_with_lost(rx: Rx, alone: bool) -> list[str]:
    """Companies with calls that nobody will end. `alone`: no other daemon works on this store."""
    rows = rx.all(
        "select distinct company from call where state='running' and (until_ms<? or ?=1)",
        (rx.now_ms, int(alone)),
    )
    return [row[0] for row in rows]


def recover(tx: Tx, limit: int, alone: bool) -> int:
    """Settle this company's calls whose worker died; how many."""
    rows = tx.all(
        f"select {_COLUMNS} from call where company=? and state='running' "  # noqa: S608
        "and (until_ms<? or ?=1) order by id limit ?",
        (tx.company, tx.now_ms, int(alone), limit),
    )
    for row in map(_call, rows):
        capability = registry.by_id(tx, tx.company, row.capability)
        again = capability is not None and capability.restartable and row.attempts < MAX_ATTEMPTS
        if again:
            tx.run("update call set state='ready', until_ms=null where id=?", (row.id,))
            tx.emit("call_requested", row.task, {"call": row.id, "capability": row.capability})
            continue
        _end(tx, row, "unknown", "the daemon ended before the call did", None)
        task = sql.need(tx, tx.company, row.task, archived=True)
        incidents.open_incident(
            tx,
            severity="medium",
            reason_code="call_unknown",
            summary=f"{task.number}: {row.capability} was running when the daemon ended; "
            "look whether it took effect",
            project=task.project,
            task=task.id,
        )
    return len(rows)
