"""Rows of dispatch: the context that a spawned task stands in, and the notes that were used."""

import json
from typing import Final

import msgspec

from homarus.base.action import Consequence
from homarus.kernel.routing import Perm
from homarus.store.port import Row, Rx, Tx

MAX_ROWS: Final = 1_000
"""Contexts and notes of one trace that its tree shows."""

_CONTEXT: Final = "task, trace, parent, caller, callee, perm, depth, above, nonce, created_ms"


class Position(msgspec.Struct, frozen=True):
    """A spawned task's context.

    `parent` the task it was spawned from; `caller` as `Actor.key`; `callee` the agent's id; `above`
    ids of the agents that stand above the callee on this trace, from the top.
    """

    task: str
    trace: str
    parent: str | None
    caller: str
    callee: str
    perm: Perm
    depth: int
    above: tuple[str, ...]
    nonce: str | None
    created_ms: int


class Used(msgspec.Struct, frozen=True):
    """A note that opened a dispatch. `task` the caller's; `callee` an agent's id or None."""

    nonce: str
    capability: str
    caller: str
    callee: str | None
    task: str | None
    trace: str
    perm: Perm
    depth: int
    ts_ms: int
    used_ms: int


def _used(row: Row) -> Used:
    values = list(row)
    values[6] = Perm(row[6])
    return Used(*values)


def _position(row: Row) -> Position:
    values = list(row)
    values[5], values[7] = Perm(row[5]), tuple(json.loads(row[7]))
    return Position(*values)


def of_task(rx: Rx, task: str) -> Position | None:
    row = rx.one(f"select {_CONTEXT} from task_context where task=?", (task,))  # noqa: S608
    return None if row is None else _position(row)


def position(rx: Rx, task: str, trace: str, agent: str) -> Position | None:
    """Where an agent stands when it works on a task: that task's context; else the deepest that it
    was spawned into on the same trace, so that a task of its own making is no way out."""
    found = of_task(rx, task)
    if found is not None:
        return found
    row = rx.one(
        f"select {_CONTEXT} from task_context where trace=? and callee=? "  # noqa: S608
        "order by depth desc, task limit 1",
        (trace, agent),
    )
    return None if row is None else _position(row)


def put(tx: Tx, context: Position) -> None:
    tx.run(
        f"insert into task_context(company, {_CONTEXT}) values(?,?,?,?,?,?,?,?,?,?,?)",
        (
            tx.company, context.task, context.trace, context.parent, context.caller,
            context.callee, context.perm.value, context.depth, json.dumps(context.above),
            context.nonce, context.created_ms,
        ),
    )  # fmt: skip


def is_used(rx: Rx, company: str, nonce: str) -> bool:
    row = rx.one("select 1 from routing_note where company=? and nonce=?", (company, nonce))
    return row is not None


def use(tx: Tx, consequence: Consequence) -> None:
    """The consequence `note.use`: this note has opened its one dispatch."""
    data = consequence.data
    tx.about(task=data["task"], trace=data["trace"])
    tx.run(
        "insert into routing_note(company, nonce, capability, caller, callee, task, trace, perm, "
        "depth, ts_ms, used_ms) values(?,?,?,?,?,?,?,?,?,?,?)",
        (
            tx.company, consequence.subject, data["capability"], data["caller"], data["callee"],
            data["task"], data["trace"], data["perm"], data["depth"], data["ts_ms"], tx.now_ms,
        ),
    )  # fmt: skip


def of_trace(rx: Rx, company: str, trace: str) -> list[Position]:
    """Contexts of a trace, oldest first."""
    rows = rx.all(
        f"select {_CONTEXT} from task_context where trace=? and company=? "  # noqa: S608
        "order by created_ms, task limit ?",
        (trace, company, MAX_ROWS),
    )
    return [_position(row) for row in rows]


def spawned(rx: Rx, trace: str, limit: int) -> int:
    """How many tasks were spawned on a trace, counted no further than `limit`."""
    sql = "select count(*) from (select 1 from task_context where trace=? limit ?) as counted"
    row = rx.one(sql, (trace, limit))
    return 0 if row is None else int(row[0])


def notes_of(rx: Rx, company: str, trace: str) -> list[Used]:
    """Notes used on a trace, oldest first."""
    rows = rx.all(
        "select nonce, capability, caller, callee, task, trace, perm, depth, ts_ms, used_ms "
        "from routing_note where trace=? and company=? order by used_ms, nonce limit ?",
        (trace, company, MAX_ROWS),
    )
    return [_used(row) for row in rows]


def forget(tx: Tx, before_ms: int, limit: int) -> int:
    """Remove notes used before a time; expiry alone refuses them by then. How many."""
    return tx.run(
        "delete from routing_note where company=? and nonce in (select nonce from routing_note "
        "where company=? and used_ms<? order by used_ms limit ?)",
        (tx.company, tx.company, before_ms, limit),
    )
