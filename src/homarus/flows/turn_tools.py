"""Tool calls of a turn, as units: `begin` is the intent and `end` the outcome; `apply` is both, for
what the store does itself. Every call has a result in the end, or the next request to a model would
be malformed: what the daemon did not live to see is `unknown`, and said so to the model."""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.base.action import Effect, Outcome
from homarus.conversations import transcript, turns
from homarus.conversations.sessions import Session
from homarus.conversations.turns import Turn
from homarus.flows import job_calls
from homarus.flows.turn_rows import session_of
from homarus.kernel import receipts
from homarus.store.port import Rx, Ts, Tx

HANDED_OUT: Final = "handed_out"
"""State of a tool call that ended its turn: whoever asked does it, and comes back with a result."""
NEAR: Final = 200
"""Calls that were handed out are among so many of the newest lines: they belong to the last answer,
which no more than its other results follow."""
UNKNOWN_TEXT: Final = (
    "The daemon ended while this ran. Whether it took effect is not known: look before you try "
    "again."
)
NO_RESULT: Final = "Whoever was to do this came back without a result."

_CALL: Final = (
    "id, company, session, turn, seq, n, ref, tool, arguments, state, attempts, receipt_seq, "
    "approval, ended_seq"
)


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A row of `tool_call`."""

    id: str
    company: str
    session: str
    turn: str
    seq: int
    n: int
    ref: str
    tool: str
    arguments: str
    state: str
    attempts: int
    receipt_seq: int | None
    approval: str | None
    ended_seq: int | None


class Result(msgspec.Struct, frozen=True):
    """What a tool says to the model. `content` in the transcript's form."""

    content: tuple[dict[str, Any], ...]
    is_error: bool = False
    details: dict[str, Any] | None = None


def text_result(text: str, *, is_error: bool = False) -> Result:
    return Result(({"type": "text", "text": text},), is_error)


def handed_out(rx: Rx, session: Session) -> list[ToolCall]:
    """Calls that ended the session's last turn, in order, for which nobody brought a result."""
    rows = rx.all(
        f"select {_CALL} from tool_call where session=? and seq>? and state=? "  # noqa: S608
        "and ended_seq is null order by seq, n",
        (session.id, session.entries - NEAR, HANDED_OUT),
    )
    return [ToolCall(*row) for row in rows]


def ask_for(tx: Tx, row: Turn, seq: int, n: int, ref: str, tool: str, arguments: str) -> None:
    """The row of a tool call, before anything happened."""
    tx.run(
        "insert into tool_call(id, company, session, turn, seq, n, ref, tool, arguments, state,"
        " created_ms) values(?,?,?,?,?,?,?,?,?,'ready',?)",
        (tx.new_id(), tx.company, row.session, row.id, seq, n, ref, tool, arguments, tx.now_ms),
    )


def unfinished(rx: Rx, turn: str) -> list[ToolCall]:
    """Tool calls of a turn that have no result yet, in the order in which they were asked for."""
    rows = rx.all(
        f"select {_CALL} from tool_call where turn=? and ended_seq is null order by seq, n",  # noqa: S608
        (turn,),
    )
    return [ToolCall(*row) for row in rows]


def any_of(rx: Rx, turn: str) -> bool:
    """Whether a tool call was asked for in this turn, whatever became of it."""
    return rx.one("select 1 from tool_call where turn=? limit 1", (turn,)) is not None


def _tool_call(tx: Tx, turn: Turn, call: str) -> ToolCall:
    row = tx.one(
        f"select {_CALL} from tool_call where id=? and turn=? and ended_seq is null",  # noqa: S608
        (call, turn.id),
    )
    if row is None:
        raise turns.lost(turn)
    return ToolCall(*row)


def begin(tx: Tx, turn: str, token: int, call: str) -> ToolCall:
    """The intent of an act outside the store: admitted as the tool's own capability. Raises
    `turn.lost`, `quota.job`."""
    held = turns.held(tx, turn, token)
    job_calls.spend_of_turn(tx, held)
    row = _tool_call(tx, held, call)
    if row.state not in ("ready", "waiting"):
        raise turns.lost(held)
    tx.run(
        "update tool_call set state='running', attempts=attempts+1, receipt_seq=? where id=?",
        (tx.head.receipt_seq + 1, row.id),
    )
    tx.emit("tool_started", row.turn, {"call": row.id, "tool": row.tool})
    return _tool_call(tx, held, call)


def apply(
    tx: Tx, turn: str, token: int, call: str, fn: Callable[[Tx, *Ts], Result], args: tuple[*Ts]
) -> Result:
    """An act of the store itself, with its result, in one unit: it happens once or not at all.
    Raises `turn.lost`, `quota.job`."""
    held = turns.held(tx, turn, token)
    job_calls.spend_of_turn(tx, held)
    row = _tool_call(tx, held, call)
    result = fn(tx, *args)
    record(tx, held, row, result)
    return result


def end(tx: Tx, turn: str, token: int, call: str, result: Result) -> None:
    """The outcome: the result's line. Also for what was refused before it began."""
    held = turns.held(tx, turn, token)
    row = _tool_call(tx, held, call)
    write_outcome(tx, row, Outcome.FAILED if result.is_error else Outcome.DONE)
    record(tx, held, row, result)


def write_outcome(tx: Tx, row: ToolCall, outcome: Outcome) -> None:
    if row.receipt_seq is None or row.state != "running":
        return
    receipts.write_outcome(
        tx, row.receipt_seq, tx.actor, row.tool, f"turn:{row.turn}", outcome, effect=Effect.EXEC
    )


def record(tx: Tx, held: Turn, row: ToolCall, result: Result) -> None:
    message: dict[str, Any] = {
        "role": "toolResult", "toolCallId": row.ref, "toolName": row.tool,
        "content": list(result.content), "isError": result.is_error, "timestamp": tx.now_ms,
    }  # fmt: skip
    if result.details is not None:
        message["details"] = result.details
    seq = transcript.append(tx, session_of(tx, held), transcript.MESSAGE, {"message": message},
                            held.id)  # fmt: skip
    tx.run(
        "update tool_call set state=?, ended_seq=?, ended_ms=? where id=?",
        ("failed" if result.is_error else "done", seq, tx.now_ms, row.id),
    )
    tx.emit("tool_ended", held.id, {"call": row.id, "tool": row.tool, "error": result.is_error})


def call_tool(tx: Tx, turn: str, token: int, tool: str, arguments: str) -> None:
    """The call that a turn of command `callTool` is about, as if a model had asked for it."""
    row = turns.held(tx, turn, token)
    session = session_of(tx, row)
    ref = f"call_{row.id}"
    part = {"type": "toolCall", "id": ref, "name": tool, "arguments": json.loads(arguments)}
    body = {"role": "assistant", "content": [part], "stopReason": "toolUse",
            "timestamp": tx.now_ms}  # fmt: skip
    seq = transcript.append(tx, session, transcript.MESSAGE, {"message": body}, row.id)
    ask_for(tx, row, seq, 0, ref, tool, arguments)


def close_all(tx: Tx, row: Turn, why: str) -> None:
    """Every call has a result, or the next request would be malformed."""
    for call in unfinished(tx, row.id):
        write_outcome(tx, call, Outcome.UNKNOWN)
        record(tx, row, call, text_result(why, is_error=True))
