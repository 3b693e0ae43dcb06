"""The life of a turn, as units: accepted, started, asked, answered, acted, finished (design, 6, 7).

    turn_inbound.accept            the inbound message is a row; the same key is the same turn
    start                          a worker has it: fence, preflight, the person's line
    turn_models.ask -> answer      intent and outcome of a request to a model
    turn_tools.begin -> end        intent and outcome of one tool call
    absorb                         lines that came meanwhile and are to steer this turn
    turn_waits.park -> resume      it waits for an approval, and holds nothing meanwhile
    turn_ends.finish, fail, abort  it is over
    hand_back, recover             it goes on later, or with another worker

Each unit stands alone: after a crash `recover` queues what was running again, and the transcript
says how far it came (`agents/steps.py`). What has no outcome then is `unknown`, said so to the
model, and run again only where that does no harm.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import Outcome
from homarus.company import agents
from homarus.conversations import transcript, turns
from homarus.conversations.model import DeliveryState
from homarus.conversations.sessions import Session
from homarus.conversations.turns import State, Turn
from homarus.flows import delivering, turn_ends, turn_inbound, turn_models, turn_tools
from homarus.flows.turn_inbound import Given
from homarus.flows.turn_rows import around, heard, session_of, show_typing
from homarus.flows.turn_tools import UNKNOWN_TEXT, Result, text_result
from homarus.kernel import preflights
from homarus.kernel.preflights import Preflight, Scope
from homarus.store.port import Rx, Tx
from homarus.tasks.model import Task

TURN_MS: Final = 3_600_000
"""How long the preflight of a start holds."""


class Started(msgspec.Struct, frozen=True):
    """What a worker needs to go on with a turn, wherever it stands."""

    turn: Turn
    session: Session
    agent: agents.Agent
    task: Task


def contract(session: Session) -> Scope:
    """What a conversation may do by itself (design, 6); all else becomes a task."""
    return (
        ("memory.write", "*"),
        ("task.create", "*"),
        ("session.send", "*"),
        ("message.send", f"thread:{session.conversation}"),
    )


def start(tx: Tx, turn: str, until_ms: int) -> Started | None:
    """Take a waiting turn up; None: its session is busy, or somebody else has it."""
    row = turns.need(tx, tx.company, turn)
    others = [o for o in turns.open_of(tx, row.session) if o.id != row.id]
    if row.state is not State.QUEUED or any(o.state is not State.QUEUED for o in others):
        return None
    session, agent, task = around(tx, row)
    if row.attempts >= turns.MAX_ATTEMPTS:
        why = f"{row.attempts} starts, and each time the daemon ended"
        turn_ends.give_up(tx, row, session, why)
        return None
    thought = Preflight(
        id=tx.new_id(), company=tx.company, agent=agent.id, task=task.id, kind=preflights.TURN,
        intent=row.text[:1_000], verdict=None, evidence={}, scope=contract(session),
        perm=preflights.READ_WRITE, route_level=0, capability=None, token=None,
        created_ms=tx.now_ms, expires_ms=tx.now_ms + TURN_MS,
    )  # fmt: skip
    preflights.put(tx, thought)
    first = row.started_ms is None
    row = turns.move(
        tx, row, "start", token=row.token + 1, until_ms=until_ms, attempts=row.attempts + 1,
        preflight=thought.id, started_ms=tx.now_ms if first else row.started_ms,
    )  # fmt: skip
    if first and turn_inbound.COMMAND not in row.options:
        row = _take_in(tx, session, row, row)
    if first:
        for other in others:
            if row.mode == other.mode == "collect" and _joins(tx, row, other):
                _merge(tx, session, row, other)
    show_typing(tx, session, row, on=True)
    tx.about(task=task.id, trace=task.trace)
    return Started(row, session_of(tx, row), agent, task)


def _person_line(
    tx: Tx, session: Session, row: Turn, turn: str, content: list[dict[str, Any]] | None = None
) -> None:
    message = {"role": "user", "content": content or row.text, "timestamp": row.created_ms,
               "idempotencyKey": f"{row.key}:user"}  # fmt: skip
    transcript.append(tx, session, transcript.MESSAGE, {"message": message}, turn)


def _take_in(tx: Tx, session: Session, row: Turn, into: Turn) -> Turn:
    """What the turn is about becomes lines of `into`: results of handed-out calls first, then the
    message. A call that nobody came back for has a result that says so, or the next request would
    be malformed; a result that came too late for its call is part of the message."""
    given = msgspec.convert(row.options.get(turn_inbound.GIVEN) or {}, Given)
    brought = {str(one["call"]): one["content"] for one in given.results}
    for call in turn_tools.handed_out(tx, session):
        content = brought.pop(call.ref, None)
        missing = text_result(turn_tools.NO_RESULT, is_error=True)
        turn_tools.record(tx, into, call, missing if content is None else Result(tuple(content)))
    late = [part for content in brought.values() for part in content]
    if turn_inbound.GIVEN not in row.options:
        _person_line(tx, session, row, into.id)
        return row
    content = [*late, *given.content]
    if content:
        _person_line(tx, session, row, into.id, content)
    options = {name: value for name, value in row.options.items() if name != turn_inbound.GIVEN}
    tx.run("update turn set options=? where id=?", (msgspec.json.encode(options).decode(), row.id))
    return msgspec.structs.replace(row, options=options)


def _merge(tx: Tx, session: Session, into: Turn, other: Turn) -> None:
    _take_in(tx, session, other, into)
    turns.move(tx, other, "merge", outcome={"into": into.id})
    heard(tx, other, DeliveryState.RESOLVED)


def absorb(tx: Tx, turn: str, token: int) -> int:
    """Lines that came meanwhile and are to steer this turn; how many."""
    row = turns.held(tx, turn, token)
    session = session_of(tx, row)
    waiting = _steering(tx, row)
    for other in waiting:
        _merge(tx, session, row, other)
    return len(waiting)


def has_steering(rx: Rx, row: Turn) -> bool:
    """Whether lines wait that are to steer the turn that runs."""
    found = rx.one(
        "select 1 from turn where session=? and state='queued' and mode='steer' limit 1",
        (row.session,),
    )
    return found is not None and bool(_steering(rx, row))


def _steering(rx: Rx, row: Turn) -> list[Turn]:
    return [
        o
        for o in turns.open_of(rx, row.session)
        if o.state is State.QUEUED and o.mode == "steer" and _joins(rx, row, o)
    ]


def _joins(rx: Rx, row: Turn, other: Turn) -> bool:
    """Whether `other` may become part of the turn: a message, and no command. Its text then counts
    as the word of the turn's asker, with their rights: only their own does. Who writes from
    elsewhere has an answer there."""
    if turn_inbound.COMMAND in row.options or turn_inbound.COMMAND in other.options:
        return False
    return turns.same_asker(row, other) and delivering.same_way(rx, row, other)


def current(rx: Rx, row: Turn) -> Turn:
    """The turn as it stands now, while its worker's fence does. Raises `turn.lost`."""
    now = turns.need(rx, row.company, row.id)
    if now.state is not State.RUNNING or now.token != row.token:
        raise turns.lost(now)
    return now


def hand_back(tx: Tx, turn: str, token: int, harmless: frozenset[str]) -> Turn:
    """A living worker lets go of a turn that is to go on later: the daemon stops, or a STOP holds.
    It does not count as a start that failed. `harmless` as for `recover`."""
    row = turns.held(tx, turn, token)
    session = session_of(tx, row)
    _settle_open(tx, row, harmless, "the turn was put aside before the answer")
    show_typing(tx, session, row, on=False)
    tx.about(task=session.task)
    return turns.move(tx, row, "hand_back", attempts=row.attempts - 1)


def recover(tx: Tx, limit: int, alone: bool, harmless: frozenset[str]) -> int:
    """Queue this company's turns again whose worker died; how many. `harmless`: tools whose call
    may simply be repeated; other calls without an outcome are told to the model as unknown."""
    rows = turns.lost_ones(tx, limit, alone)
    for row in rows:
        _settle_open(tx, row, harmless, "the daemon ended before the answer")
        turns.move(tx, row, "lost")
    return len(rows)


def _settle_open(tx: Tx, row: Turn, harmless: frozenset[str], why: str) -> None:
    """Requests and tool calls of a worker that is gone, without an outcome."""
    turn_models.close_all(tx, row.id, why)
    for call in turn_tools.unfinished(tx, row.id):
        if call.state != "running":
            continue
        if call.tool in harmless:
            tx.run("update tool_call set state='ready' where id=?", (call.id,))
            continue
        turn_tools.write_outcome(tx, call, Outcome.UNKNOWN)
        turn_tools.record(tx, row, call, text_result(UNKNOWN_TEXT, is_error=True))
