"""Run rows: what the daemon's own executors started for a task, and how it ended."""

import json
from typing import Any, Final

import msgspec

from homarus.store.port import Row, Rx, Tx

_COLUMNS: Final = (
    "id, company, task, agent, token, capability, argv, state, receipt_seq, facts, started_ms, "
    "ended_ms, restartable"
)


class Run(msgspec.Struct, frozen=True, gc=False):
    """`token`: the lease's fence; `receipt_seq`: the receipt of the intent; `restartable`:
    it may simply be done again where nobody knows its outcome; times in Unix ms."""

    id: str
    company: str
    task: str
    agent: str
    token: int
    capability: str
    argv: tuple[str, ...]
    state: str
    receipt_seq: int
    facts: dict[str, Any] | None
    started_ms: int
    ended_ms: int | None
    restartable: bool = False


def _run(row: Row) -> Run:
    values = list(row)
    values[6] = tuple(json.loads(values[6]))
    values[9] = None if values[9] is None else json.loads(values[9])
    values[12] = bool(values[12])
    return Run(*values)


def start(
    tx: Tx, task: str, token: int, capability: str, argv: tuple[str, ...], restartable: bool = False
) -> Run:
    """Commit the intent. The unit's receipt is the one that follows in the ledger."""
    run = Run(
        tx.new_id(), tx.company, task, tx.actor.id, token, capability, argv, "running",
        tx.head.receipt_seq + 1, None, tx.now_ms, None, restartable,
    )  # fmt: skip
    tx.run(
        "insert into run(id, company, task, agent, token, capability, argv, state, receipt_seq, "
        "started_ms, restartable) values(?,?,?,?,?,?,?,?,?,?,?)",
        (
            run.id, run.company, task, run.agent, token, capability, json.dumps(argv), run.state,
            run.receipt_seq, run.started_ms, int(restartable),
        ),
    )  # fmt: skip
    tx.about(task=task)
    tx.emit("run_started", task, {"run": run.id, "capability": capability})
    return run


def end(tx: Tx, run: str, state: str, facts: dict[str, Any]) -> bool:
    """Record how a run ended; False: it was recorded before."""
    return bool(
        tx.run(
            "update run set state=?, facts=?, ended_ms=? where id=? and state='running'",
            (state, json.dumps(facts), tx.now_ms, run),
        )
    )


def unfinished(rx: Rx, company: str) -> list[Run]:
    rows = rx.all(
        f"select {_COLUMNS} from run where company=? and state='running' order by id",  # noqa: S608
        (company,),
    )
    return [_run(row) for row in rows]


def of_task(rx: Rx, task: str) -> list[Run]:
    rows = rx.all(f"select {_COLUMNS} from run where task=? order by id limit 500", (task,))  # noqa: S608
    return [_run(row) for row in rows]
