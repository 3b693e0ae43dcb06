"""The life of a turn, as units: accepted, started, asked, answered, acted, finished (design, 6, 7).

    accept          the inbound message is a row; the same key again is the same turn
    start           a worker has it: fence, preflight of the conversation, the person's line
    ask -> answer   intent and outcome of a request to a model; the answer's tool calls are rows
    begin -> end    intent and outcome of one tool call; `apply` is both, for what the store does
    absorb          lines that came meanwhile and are to steer this turn
    compact         the outcome of a request that summed up the older part of the transcript
    finish, fail, park, abort, hand_back

Each unit stands alone: after a crash `recover` queues what was running again, and the transcript
says how far it came (`agents/steps.py`). What has no outcome then is `unknown`, said so to the
model, and run again only where that does no harm.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind, Effect, Outcome
from homarus.base.errors import Busy, Conflict, Invalid, TooLarge
from homarus.company import agents
from homarus.conversations import keys, sessions, transcript, turns
from homarus.conversations import service as talk
from homarus.conversations.model import Conversation, Draft, Sender, SenderType
from homarus.conversations.sessions import Session
from homarus.conversations.turns import State, Turn
from homarus.flows import spending
from homarus.kernel import approvals, preflights, receipts, reservations
from homarus.kernel.capabilities import role_reaches
from homarus.kernel.preflights import Preflight, Scope
from homarus.records import incidents
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks
from homarus.tasks.model import Spec, Task
from homarus.tasks.model import State as TaskState

MAX_TEXT: Final = 100_000
MAX_OPTIONS: Final = 262_144
MAX_CALLS: Final = 50
"""Requests to models in one turn; the next one ends it."""
TURN_MS: Final = 3_600_000
"""How long the preflight of a start holds."""
STANDING_KIND: Final = "conversation"
COMMAND: Final = "command"
"""Option of a turn that is no message: `compact`, `callTool`."""
CALL_TOOL: Final = "callTool"
"""Command, and option with its `tool` and `arguments`."""
GIVEN: Final = "given"
ONCE: Final = "once"
"""Option of a turn whose session ends with it: nobody comes back to it."""
MAX_GIVEN: Final = 1_800_000
"""Characters of what a message holds besides its text, as JSON: pictures are most of it."""
HANDED_OUT: Final = "handed_out"
"""State of a tool call that ended its turn: whoever asked does it, and comes back with a result."""
NEAR: Final = 200
"""Calls that were handed out are among so many of the newest lines: they belong to the last answer,
which no more than its other results follow."""
LLM: Final = "llm"
DEFAULT_MODE: Final = "followup"
"""Each message has an answer of its own, unless its session says otherwise."""

UNKNOWN_TEXT: Final = (
    "The daemon ended while this ran. Whether it took effect is not known: look before you try "
    "again."
)
NO_RESULT: Final = "Whoever was to do this came back without a result."


class Inbound(msgspec.Struct, frozen=True):
    """A message for an agent. `agent` by id or name; `session` its full key, None: the agent's own;
    `mode`: "" for the session's own; `message`: the row where it stands already, "" for none;
    `key`: idempotency key of the asker."""

    agent: str
    text: str
    key: str
    session: str | None = None
    kind: str = sessions.DIRECT
    origin: str = "chat"
    mode: str = ""
    message: str | None = None
    options: dict[str, Any] = {}
    given: "Given | None" = None


class Given(msgspec.Struct, frozen=True):
    """What a message holds besides its text, in the transcript's form. `content`: the parts of its
    line, the text among them; `source` in a part: whose word it is, when it is not the asker's.
    `results`: `{"call", "content"}` for tool calls that the last turn handed out."""

    content: tuple[dict[str, Any], ...] = ()
    results: tuple[dict[str, Any], ...] = ()


class Started(msgspec.Struct, frozen=True):
    """What a worker needs to go on with a turn, wherever it stands."""

    turn: Turn
    session: Session
    agent: agents.Agent
    task: Task


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


# -- sessions ------------------------------------------------------------------------------


def open_session(tx: Tx, agent: agents.Agent, key: str | None, kind: str) -> Session:
    """The live session of this key, made with its conversation and standing task when first
    needed. The agent's own is its direct conversation. Raises `session.key`."""
    full = keys.main_of(agent.name) if key is None else keys.resolve(key, agent.name)
    found = sessions.by_key(tx, tx.company, full)
    if found is not None:
        return found
    if full == keys.main_of(agent.name):
        place = talk.direct(tx, agent.id)
    else:
        place = talk.create(tx, "session", title=full)
    row = Session(
        id=tx.new_id(), company=tx.company, agent=agent.id, key=full, kind=kind,
        conversation=place.id, task=_standing(tx, agent, full).id, label=None, model=None,
        thinking=None, queue_mode=None, entries=0, first_kept=1, compactions=0, input_tokens=0,
        output_tokens=0, context_tokens=0, created_ms=tx.now_ms, updated_ms=tx.now_ms,
        interaction_ms=tx.now_ms, ended_ms=None,
    )  # fmt: skip
    sessions.insert(tx, row)
    return row


def _standing(tx: Tx, agent: agents.Agent, key: str) -> Task:
    """The task that a session's turns are about. Archived from the start, so that it is in no list
    and nobody moves it; rules, budgets and STOP find it all the same. It has no project."""
    row = Task(
        id=tx.new_id(), seq=tx.number("task"), company=tx.company, project="",
        state=TaskState.ARCHIVED, lane=None, priority=0, blocked=0, agent=agent.id, member=None,
        reviewer=None, token=0, lease_until_ms=None, lease_proof=None, lease_owner=None,
        started_ms=None, retries=0, reason=None, trace=tx.new_id(),
        created_ms=tx.now_ms, updated_ms=tx.now_ms,
    )  # fmt: skip
    spec = Spec(
        task=row.id, type=STANDING_KIND, kind=STANDING_KIND,
        input={"title": f"Conversation {key}"},
    )  # fmt: skip
    tasks.insert(tx, row, spec)
    return row


# -- a turn begins -------------------------------------------------------------------------


def accept(tx: Tx, new: Inbound) -> Turn:
    """Keep an inbound message as a turn that waits. Raises `turn.*`, `agent.*`, `session.key`."""
    known = turns.by_key(tx, tx.company, new.key)
    if known is not None:
        return known
    _check(new)
    agent = agents.need(tx, tx.company, new.agent)
    if agent.executor != LLM:
        raise Conflict(
            "agent.not_run_here",
            f"{agent.name} is not run by this daemon (executor {agent.executor})",
            f"Let it be: `homarus agent update {agent.name} --executor llm`.",
        )
    session = open_session(tx, agent, new.session, new.kind)
    mode = new.mode or session.queue_mode or DEFAULT_MODE
    if mode == "interrupt":
        for other in turns.open_of(tx, session.id):
            if other.state is not State.QUEUED:
                abort(tx, other.id)
    if sum(row.state is State.QUEUED for row in turns.open_of(tx, session.id)) >= turns.MAX_QUEUED:
        raise Busy(
            "turn.many",
            f"{turns.MAX_QUEUED} messages wait in {session.key} already",
            "Wait until some are answered, or abort: `homarus session abort`.",
        )
    person = tx.actor.kind is ActorKind.OPERATOR and role_reaches(tx.actor.role, "operator")
    message = new.message
    if message is None:
        place = talk.need(tx, tx.company, session.conversation)
        message = _inbound_message(tx, place, new.text)
    row = Turn(
        id=tx.new_id(), no=tx.number("turn"), company=tx.company, session=session.id,
        agent=agent.id, key=new.key, origin=new.origin, asked_by=tx.actor.key, person=person,
        mode=mode, text=new.text, message=message or None, options=_options(new),
        state=State.QUEUED,
        token=0, until_ms=None, attempts=0, calls=0, preflight=None, reply=None, outcome=None,
        created_ms=tx.now_ms, started_ms=None, ended_ms=None,
    )  # fmt: skip
    turns.insert(tx, row)
    sessions.change(tx, session.id, interaction_ms=tx.now_ms)
    standing = tasks.need(tx, tx.company, session.task, archived=True)
    tx.about(task=standing.id, trace=standing.trace)
    tx.emit("turn_queued", row.id, {"session": session.id, "agent": agent.id})
    return row


def _options(new: Inbound) -> dict[str, Any]:
    if new.given is None:
        return new.options
    return new.options | {GIVEN: msgspec.to_builtins(new.given)}


def _check(new: Inbound) -> None:
    if not 0 < len(new.key) <= turns.MAX_KEY:
        raise Invalid("turn.key", "unusable idempotency key", f"1 to {turns.MAX_KEY} characters.")
    if not new.text.strip() or len(new.text) > MAX_TEXT:
        raise Invalid("turn.text", "the message is empty or too long", f"1 to {MAX_TEXT}.")
    if new.mode and new.mode not in turns.MODES:
        raise Invalid("turn.mode", f"no mode {new.mode[:40]!r}", f"One of {list(turns.MODES)}.")
    if new.origin not in turns.ORIGINS:
        raise Invalid("turn.origin", f"no origin {new.origin[:40]!r}", "")
    if len(msgspec.json.encode(new.options)) > MAX_OPTIONS:
        raise Invalid("turn.options", "the options are too large", f"At most {MAX_OPTIONS}.")
    if new.given is not None and len(msgspec.json.encode(new.given)) > MAX_GIVEN:
        raise TooLarge(
            "turn.given", f"the message is larger than {MAX_GIVEN} characters with its pictures",
            "Send smaller pictures, or less of the conversation so far.",
        )  # fmt: skip


def _inbound_message(tx: Tx, place: Conversation, text: str) -> str:
    """The message row of what somebody said to the agent: as whom the kernel knows the asker."""
    actor = tx.actor
    if actor.kind is ActorKind.OPERATOR:
        about = {"senderName": actor.name, "senderRole": actor.role}
        who = Sender(SenderType.HUMAN, actor.id, about)
    elif actor.kind is ActorKind.AGENT:
        who = Sender(SenderType.AGENT, actor.id)
    elif actor.kind is ActorKind.SYSTEM:
        who = Sender(SenderType.SYSTEM, actor.id)
    else:
        who = Sender(SenderType.HUMAN, None, {"relayed": True})
    return talk.post(tx, place, Draft(who, text))[0].id


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
    session, agent, task = _around(tx, row)
    if row.attempts >= turns.MAX_ATTEMPTS:
        _give_up(tx, row, session, f"{row.attempts} starts, and each time the daemon ended")
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
    if first and COMMAND not in row.options:
        row = _take_in(tx, session, row)
    if first:
        for other in others:
            if row.mode == other.mode == "collect":
                _merge(tx, session, row, other)
    _show_typing(tx, session, agent.id, on=True)
    tx.about(task=task.id, trace=task.trace)
    return Started(row, _session(tx, row), agent, task)


def _around(rx: Rx, row: Turn) -> tuple[Session, agents.Agent, Task]:
    session = _session(rx, row)
    agent = agents.need(rx, row.company, row.agent)
    return session, agent, tasks.need(rx, row.company, session.task, archived=True)


def _session(rx: Rx, row: Turn) -> Session:
    return sessions.need(rx, row.company, row.session)


def _person_line(
    tx: Tx, session: Session, row: Turn, turn: str, content: list[dict[str, Any]] | None = None
) -> None:
    message = {"role": "user", "content": content or row.text, "timestamp": row.created_ms,
               "idempotencyKey": f"{row.key}:user"}  # fmt: skip
    transcript.append(tx, session, transcript.MESSAGE, {"message": message}, turn)


def _take_in(tx: Tx, session: Session, row: Turn) -> Turn:
    """What the turn is about becomes lines: results of handed-out calls first, then the message. A
    call that nobody came back for has a result that says so, or the next request would be
    malformed; a result that came too late for its call is part of the message."""
    given = msgspec.convert(row.options.get(GIVEN) or {}, Given)
    brought = {str(one["call"]): one["content"] for one in given.results}
    for call in handed_out(tx, session):
        content = brought.pop(call.ref, None)
        missing = text_result(NO_RESULT, is_error=True)
        _result(tx, row, call, missing if content is None else Result(tuple(content)))
    late = [part for content in brought.values() for part in content]
    if GIVEN not in row.options:
        _person_line(tx, session, row, row.id)
        return row
    content = [*late, *given.content]
    if content:
        _person_line(tx, session, row, row.id, content)
    options = {name: value for name, value in row.options.items() if name != GIVEN}
    tx.run("update turn set options=? where id=?", (msgspec.json.encode(options).decode(), row.id))
    return msgspec.structs.replace(row, options=options)


def handed_out(rx: Rx, session: Session) -> list["ToolCall"]:
    """Calls that ended the session's last turn, in order, for which nobody brought a result."""
    rows = rx.all(
        f"select {_CALL} from tool_call where session=? and seq>? and state=? "  # noqa: S608
        "and ended_seq is null order by seq, n",
        (session.id, session.entries - NEAR, HANDED_OUT),
    )
    return [ToolCall(*row) for row in rows]


def _merge(tx: Tx, session: Session, into: Turn, other: Turn) -> None:
    _person_line(tx, session, other, into.id)
    turns.move(tx, other, "merge", outcome={"into": into.id})


def absorb(tx: Tx, turn: str, token: int) -> int:
    """Lines that came meanwhile and are to steer this turn; how many."""
    row = turns.held(tx, turn, token)
    session = _session(tx, row)
    waiting = [
        o for o in turns.open_of(tx, session.id) if o.state is State.QUEUED and o.mode == "steer"
    ]
    for other in waiting:
        _merge(tx, session, row, other)
    return len(waiting)


def has_steering(rx: Rx, session: str) -> bool:
    """Whether lines wait that are to steer the turn that runs."""
    return rx.one(
        "select 1 from turn where session=? and state='queued' and mode='steer' limit 1", (session,)
    ) is not None  # fmt: skip


def current(rx: Rx, row: Turn) -> Turn:
    """The turn as it stands now, while its worker's fence does. Raises `turn.lost`."""
    now = turns.need(rx, row.company, row.id)
    if now.state is not State.RUNNING or now.token != row.token:
        raise turns.lost(now)
    return now


# -- models --------------------------------------------------------------------------------


def ask(tx: Tx, turn: str, token: int, model: str, prompt: bytes) -> Asked:
    """The intent of a request: admitted as `model.call`, its cost set aside by the kernel.

    Raises `turn.lost`, `turn.calls`.
    """
    row = turns.held(tx, turn, token)
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
    task = tasks.need(tx, tx.company, _session(tx, row).task, archived=True)
    tx.about(task=task.id, trace=task.trace)
    tx.emit("model_called", row.id, {"n": asked.n, "model": model})
    return asked


def answer(tx: Tx, turn: str, token: int, call: str, said: Said) -> int:
    """The outcome: what it cost, the assistant's line, its tool calls; the line's `seq`.

    A worker that was given up for dead meanwhile pays, and adds nothing. Raises `turn.lost`.
    """
    _settle(tx, call, "done", said.input_tokens, said.output_tokens, None)
    row = turns.held(tx, turn, token)
    session = _session(tx, row)
    line = {"message": said.body, "call": _number(tx, call)}
    seq = transcript.append(tx, session, transcript.MESSAGE, line, row.id)
    sessions.count_tokens(tx, session.id, said.input_tokens, said.output_tokens)
    for n, (ref, tool, arguments) in enumerate(said.calls):
        _ask_for(tx, row, seq, n, ref, tool, arguments)
    return seq


def _ask_for(tx: Tx, row: Turn, seq: int, n: int, ref: str, tool: str, arguments: str) -> None:
    """The row of a tool call, before anything happened."""
    tx.run(
        "insert into tool_call(id, company, session, turn, seq, n, ref, tool, arguments, state,"
        " created_ms) values(?,?,?,?,?,?,?,?,?,'ready',?)",
        (tx.new_id(), tx.company, row.session, row.id, seq, n, ref, tool, arguments, tx.now_ms),
    )


def _number(rx: Rx, call: str) -> int:
    """Which request of its turn it was."""
    row = rx.one("select n from model_call where id=?", (call,))
    return 0 if row is None else int(row[0])


def compact(
    tx: Tx, turn: str, token: int, call: str, summary: str, first_kept: int, said: Said
) -> int:
    """The outcome of a request for a summary: lines before `first_kept` leave the model's context,
    none of them the transcript. The entry's `seq`. Raises `turn.lost`."""
    _settle(tx, call, "done", said.input_tokens, said.output_tokens, None)
    row = turns.held(tx, turn, token)
    session = _session(tx, row)
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
    _settle(tx, call, "failed", input_tokens, output_tokens, error)


def _settle(
    tx: Tx, call: str, state: str, inputs: int, outputs: int, error: str | None
) -> None:  # fmt: skip
    row = tx.one(
        "select turn, model, reservation, receipt_seq from model_call where id=? and company=? "
        "and state='running'",
        (call, tx.company),
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
        elif state == "failed":
            spending.release(tx, reservation)
    outcome = {"done": Outcome.DONE, "failed": Outcome.FAILED}.get(state, Outcome.UNKNOWN)
    receipts.write_outcome(
        tx, receipt_seq, tx.actor, "model.call", f"model:{model}", outcome,
        effect=Effect.MODEL, reason=error,
    )  # fmt: skip
    tx.emit("model_answered", turn, {"state": state, **usage})


# -- tools ---------------------------------------------------------------------------------

_CALL: Final = (
    "id, company, session, turn, seq, n, ref, tool, arguments, state, attempts, receipt_seq, "
    "approval, ended_seq"
)


def unfinished(rx: Rx, turn: str) -> list[ToolCall]:
    """Tool calls of a turn that have no result yet, in the order in which they were asked for."""
    rows = rx.all(
        f"select {_CALL} from tool_call where turn=? and ended_seq is null order by seq, n",  # noqa: S608
        (turn,),
    )
    return [ToolCall(*row) for row in rows]


def _tool_call(tx: Tx, turn: Turn, call: str) -> ToolCall:
    row = tx.one(
        f"select {_CALL} from tool_call where id=? and turn=? and ended_seq is null",  # noqa: S608
        (call, turn.id),
    )
    if row is None:
        raise turns.lost(turn)
    return ToolCall(*row)


def begin(tx: Tx, turn: str, token: int, call: str) -> ToolCall:
    """The intent of an act outside the store: admitted as the tool's own capability."""
    held = turns.held(tx, turn, token)
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
    tx: Tx, turn: str, token: int, call: str, fn: Callable[..., Result], args: Sequence[Any]
) -> Result:
    """An act of the store itself, with its result, in one unit: it happens once or not at all."""
    held = turns.held(tx, turn, token)
    row = _tool_call(tx, held, call)
    result = fn(tx, *args)
    _result(tx, held, row, result)
    return result


def end(tx: Tx, turn: str, token: int, call: str, result: Result) -> None:
    """The outcome: the result's line. Also for what was refused before it began."""
    held = turns.held(tx, turn, token)
    row = _tool_call(tx, held, call)
    _outcome(tx, row, Outcome.FAILED if result.is_error else Outcome.DONE)
    _result(tx, held, row, result)


def _outcome(tx: Tx, row: ToolCall, outcome: Outcome) -> None:
    if row.receipt_seq is None or row.state != "running":
        return
    receipts.write_outcome(
        tx, row.receipt_seq, tx.actor, row.tool, f"turn:{row.turn}", outcome, effect=Effect.EXEC
    )


def _result(tx: Tx, held: Turn, row: ToolCall, result: Result) -> None:
    message: dict[str, Any] = {
        "role": "toolResult", "toolCallId": row.ref, "toolName": row.tool,
        "content": list(result.content), "isError": result.is_error, "timestamp": tx.now_ms,
    }  # fmt: skip
    if result.details is not None:
        message["details"] = result.details
    seq = transcript.append(tx, _session(tx, held), transcript.MESSAGE, {"message": message},
                            held.id)  # fmt: skip
    tx.run(
        "update tool_call set state=?, ended_seq=?, ended_ms=? where id=?",
        ("failed" if result.is_error else "done", seq, tx.now_ms, row.id),
    )
    tx.emit("tool_ended", held.id, {"call": row.id, "tool": row.tool, "error": result.is_error})


# -- a turn ends ---------------------------------------------------------------------------


def finish(tx: Tx, turn: str, token: int, text: str, outcome: dict[str, Any]) -> Turn:
    """The reply is a message, and the turn is over. An empty text says nothing to anybody.

    `outcome`: `stop`, `model`; what the turn used is added, and the text.
    """
    row = turns.held(tx, turn, token)
    session, agent, task = _around(tx, row)
    reply = None
    if text.strip():
        place = talk.need(tx, tx.company, session.conversation)
        said = Draft(Sender(SenderType.AGENT, agent.id), text[:MAX_TEXT])
        reply = talk.post(tx, place, said)[0].id
    told = {"text": text, **outcome, "usage": _used(tx, row)}
    row = turns.move(tx, row, "finish", reply=reply, outcome=told)
    _over(tx, row, session)
    _show_typing(tx, session, agent.id, on=False)
    tx.about(task=task.id, trace=task.trace)
    return row


def hand_out(tx: Tx, turn: str, token: int, text: str, outcome: dict[str, Any]) -> Turn:
    """The turn is over, and whoever asked has the rest of its tool calls to do. They are in
    `outcome.calls`; the next turn of the session brings their results (`Given.results`)."""
    row = turns.held(tx, turn, token)
    calls = unfinished(tx, row.id)
    tx.run("update tool_call set state=? where turn=? and ended_seq is null", (HANDED_OUT, row.id))
    told = [{"id": call.ref, "name": call.tool, "arguments": call.arguments} for call in calls]
    return finish(tx, turn, token, text, outcome | {"calls": told})


def call_tool(tx: Tx, turn: str, token: int, tool: str, arguments: str) -> None:
    """The call that a turn of command `callTool` is about, as if a model had asked for it."""
    row = turns.held(tx, turn, token)
    session = _session(tx, row)
    ref = f"call_{row.id}"
    part = {"type": "toolCall", "id": ref, "name": tool, "arguments": json.loads(arguments)}
    body = {"role": "assistant", "content": [part], "stopReason": "toolUse",
            "timestamp": tx.now_ms}  # fmt: skip
    seq = transcript.append(tx, session, transcript.MESSAGE, {"message": body}, row.id)
    _ask_for(tx, row, seq, 0, ref, tool, arguments)


def _over(tx: Tx, row: Turn, session: Session) -> None:
    if row.options.get(ONCE) and session.ended_ms is None:
        sessions.end(tx, session)


def _used(rx: Rx, row: Turn) -> dict[str, int]:
    rows = rx.all("select usage from model_call where turn=? and usage is not null", (row.id,))
    used = [json.loads(usage) for (usage,) in rows]
    return {name: sum(one[name] for one in used) for name in ("input", "output")}


def fail(tx: Tx, turn: str, token: int, error: str, why: str, remedy: str) -> Turn:
    """No answer comes. What was done until then stays in the transcript. `error` a stable code."""
    row = turns.held(tx, turn, token)
    session, agent, task = _around(tx, row)
    _close_calls(tx, row, "The turn ended before this was done.")
    row = turns.move(tx, row, "fail", outcome={"error": error, "stop": "error", "text": why,
                                               "remedy": remedy})  # fmt: skip
    _over(tx, row, session)
    _show_typing(tx, session, agent.id, on=False)
    tx.about(task=task.id, trace=task.trace)
    return row


def park(tx: Tx, turn: str, token: int, call: str, approval: str) -> Turn:
    """A tool call waits for an approval; the worker is let go. One that was answered meanwhile is
    not waited for: the turn is queued again at once."""
    row = turns.held(tx, turn, token)
    tx.run(
        "update tool_call set state='waiting', approval=? where id=? and turn=?",
        (approval, call, row.id),
    )
    session = _session(tx, row)
    _show_typing(tx, session, row.agent, on=False)
    parked = turns.move(tx, row, "park")
    known = approvals.find(tx, tx.company, approval)
    if known is not None and known.status is not approvals.Status.PENDING:
        return turns.move(tx, parked, "resume", attempts=0)
    return parked


def companies_to_wake(rx: Rx) -> list[str]:
    """Companies with parked turns whose approval is no longer open (it was voided, say)."""
    rows = rx.all(
        "select distinct c.company from tool_call c join approval a on a.id=c.approval "
        "join turn t on t.id=c.turn "
        "where c.state='waiting' and a.status<>'pending' and t.state='parked'"
    )
    return [row[0] for row in rows]


def wake(tx: Tx, limit: int) -> int:
    """Queue this company's parked turns again whose approval is no longer open; how many."""
    rows = tx.all(
        "select distinct c.approval from tool_call c join approval a on a.id=c.approval "
        "join turn t on t.id=c.turn where c.company=? and c.state='waiting' "
        "and a.status<>'pending' and t.state='parked' limit ?",
        (tx.company, limit),
    )
    return sum(resume(tx, row[0]) for row in rows)


def resume(tx: Tx, approval: str) -> int:
    """An approval was answered: the turns that wait for it are queued again; how many."""
    rows = tx.all(
        "select distinct turn from tool_call where company=? and approval=? and state='waiting'",
        (tx.company, approval),
    )
    waiting = [turns.need(tx, tx.company, row[0]) for row in rows]
    for row in waiting:
        if row.state is State.PARKED:
            turns.move(tx, row, "resume", attempts=0)
    return len(waiting)


def abort(tx: Tx, turn: str, partial: str = "") -> bool:
    """End a turn from outside; False: it had ended. `partial`: what the model had said so far,
    kept as its line. A worker that still has it finds its fence gone."""
    row = turns.need(tx, tx.company, turn)
    if row.state not in turns.OPEN:
        return False
    session = _session(tx, row)
    if partial.strip() and not unfinished(tx, row.id):
        body = {"role": "assistant", "content": [{"type": "text", "text": partial}],
                "stopReason": "aborted", "timestamp": tx.now_ms}  # fmt: skip
        transcript.append(tx, session, transcript.MESSAGE, {"message": body}, row.id)
    _close_calls(tx, row, "The turn was aborted before this was done.")
    turns.move(tx, row, "abort", outcome={"stop": "aborted", "text": partial})
    _over(tx, row, session)
    _show_typing(tx, session, row.agent, on=False)
    tx.about(task=session.task)
    return True


def keep_partial(tx: Tx, turn: str, token: int, text: str) -> None:
    """What a model had said when its turn was aborted becomes its line, unless others follow."""
    row = turns.need(tx, tx.company, turn)
    if row.state is not State.ABORTED or row.token != token or not text.strip():
        return
    session = _session(tx, row)
    last = transcript.newest(tx, session.id, 1)
    if not last or last[0].turn != row.id:
        return
    body = {"role": "assistant", "content": [{"type": "text", "text": text}],
            "stopReason": "aborted", "timestamp": tx.now_ms}  # fmt: skip
    transcript.append(tx, session, transcript.MESSAGE, {"message": body}, row.id)
    outcome = (row.outcome or {}) | {"text": text}
    tx.run("update turn set outcome=? where id=?", (json.dumps(outcome), row.id))
    tx.emit("turn_aborted", row.id, {"session": row.session, "agent": row.agent})


def _close_calls(tx: Tx, row: Turn, why: str) -> None:
    """Every call has a result, or the next request would be malformed."""
    for call in unfinished(tx, row.id):
        _outcome(tx, call, Outcome.UNKNOWN)
        _result(tx, row, call, text_result(why, is_error=True))


def _give_up(tx: Tx, row: Turn, session: Session, why: str) -> None:
    _close_calls(tx, row, UNKNOWN_TEXT)
    turns.move(tx, row, "fail", outcome={"error": "turn.attempts", "stop": "error", "text": why,
                                         "remedy": "See the daemon's log."})  # fmt: skip
    _over(tx, row, session)
    incidents.open_incident(
        tx,
        severity="high",
        reason_code="turn_failed",
        summary=f"A turn in {session.key} was given up: {why}",
        task=session.task,
    )


def _show_typing(tx: Tx, session: Session, agent: str, *, on: bool) -> None:
    place = talk.need(tx, tx.company, session.conversation)
    talk.report(tx, place, agent, typing=on, read=on, explicit=None if on else "resolved")


def hand_back(tx: Tx, turn: str, token: int, harmless: frozenset[str]) -> Turn:
    """A living worker lets go of a turn that is to go on later: the daemon stops, or a STOP holds.
    It does not count as a start that failed. `harmless` as for `recover`."""
    row = turns.held(tx, turn, token)
    session = _session(tx, row)
    _settle_open(tx, row, harmless, "the turn was put aside before the answer")
    _show_typing(tx, session, row.agent, on=False)
    tx.about(task=session.task)
    return turns.move(tx, row, "hand_back", attempts=row.attempts - 1)


def refuse(tx: Tx, turn: str, error: str, why: str, remedy: str) -> None:
    """A turn that waits cannot be taken up (its agent is suspended, say): its asker hears why."""
    row = turns.need(tx, tx.company, turn)
    if row.state is not State.QUEUED:
        return
    session = _session(tx, row)
    tx.about(task=session.task)
    _close_calls(tx, row, "The turn ended before this was done.")
    turns.move(tx, row, "fail", outcome={"error": error, "stop": "error", "text": why,
                                         "remedy": remedy})  # fmt: skip
    _over(tx, row, session)


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
    for model_call in tx.all(
        "select id from model_call where turn=? and state='running'", (row.id,)
    ):
        _settle(tx, model_call[0], "unknown", 0, 0, why)
    for call in unfinished(tx, row.id):
        if call.state != "running":
            continue
        if call.tool in harmless:
            tx.run("update tool_call set state='ready' where id=?", (call.id,))
            continue
        _outcome(tx, call, Outcome.UNKNOWN)
        _result(tx, row, call, text_result(UNKNOWN_TEXT, is_error=True))
