"""Requests of a turn to a model, as units: `ask` is the intent; `answer`, `compact` or `unanswered`
the outcome, with what it cost. The tool calls of an answer are rows in the same unit."""

import json
from typing import Any, Final

import msgspec

from homarus.base.action import Effect, Outcome
from homarus.base.errors import Conflict
from homarus.conversations import sessions, transcript, turns
from homarus.flows import job_calls, spending, turn_tools
from homarus.flows.turn_rows import session_of
from homarus.kernel import receipts, reservations
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks

UNKNOWN: Final = "unknown"
MAX_CALLS: Final = 50
"""Requests to models in one turn; the next one ends it."""


class Asked(msgspec.Struct, frozen=True):
    """A request that may now be sent. `n` counts in the turn."""

    id: str
    n: int


class Said(msgspec.Struct, frozen=True):
    """What a model answered. `body`: the transcript's message; `calls`: `(ref, tool, arguments)`
    in order; `model` as the provider reports it."""

    body: dict[str, Any]
    calls: tuple[tuple[str, str, str], ...]
    model: str
    input_tokens: int
    output_tokens: int


def ask(tx: Tx, turn: str, token: int, model: str, prompt: bytes) -> Asked:
    """The intent of a request: admitted as `model.call`, its cost set aside by the kernel.

    Raises `turn.lost`, `turn.calls`, `quota.job`.
    """
    row = turns.held(tx, turn, token)
    job_calls.spend_of_turn(tx, row)
    if row.calls >= MAX_CALLS:
        raise Conflict(
            "turn.calls", f"{row.calls} requests to models in one turn", "It ends here; go on anew."
        )
    held = reservations.of_unit(tx)
    asked = Asked(tx.new_id(), row.calls + 1)
    tx.run(
        "insert into model_call(id, company, turn, n, model, prompt, reservation, receipt_seq, "
        "state, created_ms) values(?,?,?,?,?,?,?,?,'running',?)",
        (
            asked.id, tx.company, row.id, asked.n, model, prompt,
            None if held is None else held.id, tx.head.receipt_seq + 1, tx.now_ms,
        ),
    )  # fmt: skip
    tx.run("update turn set calls=? where id=?", (asked.n, row.id))
    task = tasks.need(tx, tx.company, session_of(tx, row).task, archived=True)
    tx.about(task=task.id, trace=task.trace)
    tx.emit("model_called", row.id, {"n": asked.n, "model": model})
    return asked


def answer(tx: Tx, turn: str, token: int, call: str, said: Said) -> int:
    """The outcome: what it cost, the assistant's line, its tool calls; the line's `seq`.

    A worker that was given up for dead meanwhile pays, and adds nothing. Raises `turn.lost`.
    """
    settle(tx, call, "done", said.input_tokens, said.output_tokens, None)
    row = turns.held(tx, turn, token)
    session = session_of(tx, row)
    line = {"message": said.body, "call": _number(tx, call)}
    seq = transcript.append(tx, session, transcript.MESSAGE, line, row.id)
    sessions.count_tokens(tx, session.id, said.input_tokens, said.output_tokens)
    for n, (ref, tool, arguments) in enumerate(said.calls):
        turn_tools.ask_for(tx, row, seq, n, ref, tool, arguments)
    return seq


def _number(rx: Rx, call: str) -> int:
    """Which request of its turn it was."""
    row = rx.one("select n from model_call where id=?", (call,))
    return 0 if row is None else int(row[0])


def compact(
    tx: Tx, turn: str, token: int, call: str, summary: str, first_kept: int, said: Said
) -> int:
    """The outcome of a request for a summary: lines before `first_kept` leave the model's context,
    none of them the transcript. The entry's `seq`. Raises `turn.lost`."""
    settle(tx, call, "done", said.input_tokens, said.output_tokens, None)
    row = turns.held(tx, turn, token)
    session = session_of(tx, row)
    (kept,) = transcript.since(tx, session.id, first_kept, 1)
    body = {"summary": summary, "firstKeptEntryId": kept.id, "tokensBefore": session.context_tokens}
    seq = transcript.append(tx, session, transcript.COMPACTION, body, row.id)
    sessions.change(
        tx, session.id, first_kept=first_kept, compactions=session.compactions + 1,
        context_tokens=0,
    )  # fmt: skip
    return seq


def unanswered(
    tx: Tx, call: str, error: str, input_tokens: int = 0, output_tokens: int = 0
) -> None:
    """The outcome of a request that failed; what it used all the same is paid."""
    settle(tx, call, "failed", input_tokens, output_tokens, error)


def _is_held(tx: Tx, reservation: str) -> bool:
    return reservations.need(tx, tx.company, reservation).state == reservations.HELD


def close_all(tx: Tx, turn: str, why: str) -> None:
    """Requests of a turn without an outcome: nobody knows what they cost. A worker that lives all
    the same may still say so (`settle`)."""
    for (call,) in tx.all("select id from model_call where turn=? and state='running'", (turn,)):
        settle(tx, call, UNKNOWN, 0, 0, why)


def settle(
    tx: Tx, call: str, state: str, inputs: int, outputs: int, error: str | None
) -> None:  # fmt: skip
    """What a request came to; said again, it changes nothing, but where it was unknown so far."""
    row = tx.one(
        "select turn, model, reservation, receipt_seq from model_call where id=? and company=? "
        "and (state='running' or (state=? and ?<>state))",
        (call, tx.company, UNKNOWN, state),
    )
    if row is None:
        return
    turn, model, reservation, receipt_seq = row
    usage = {"input": inputs, "output": outputs}
    tx.run(
        "update model_call set state=?, usage=?, error=?, ended_ms=? where id=?",
        (state, json.dumps(usage), error, tx.now_ms, call),
    )
    if reservation is not None:
        if inputs or outputs or state == "done":
            spending.settle(tx, reservation, spending.Actual(inputs, outputs))
        elif state == "failed" and _is_held(tx, reservation):
            spending.release(tx, reservation)
    outcome = {"done": Outcome.DONE, "failed": Outcome.FAILED}.get(state, Outcome.UNKNOWN)
    receipts.write_outcome(
        tx, receipt_seq, tx.actor, "model.call", f"model:{model}", outcome,
        effect=Effect.MODEL, reason=error,
    )  # fmt: skip
    tx.emit("model_answered", turn, {"state": state, **usage})
