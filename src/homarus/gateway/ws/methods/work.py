"""Tasks, what was spent, tools called by hand (gateway contract, 8)."""

import asyncio
from typing import Any, Final, Literal

from homarus.agents.port import ToolSpec
from homarus.conversations import keys
from homarus.conversations.turns import State as Turn
from homarus.flows import answering, chatting
from homarus.gateway.http import faults, tools
from homarus.gateway.http.asking import Envelope
from homarus.gateway.http.progress import Progress
from homarus.gateway.ws import days, frames, shapes
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, Desk, Nothing, read, work
from homarus.kernel import budgets
from homarus.kernel.scopes import READ, WRITE
from homarus.store.port import Rx, Tx
from homarus.tasks import sql
from homarus.tasks.model import State

LIMIT: Final = 100
MAX_WAIT_S: Final = 3_600.0
"""For a tool: it may wait behind others, or for an approval."""
MAX_LIMIT: Final = 500
DAYS: Final = 30
MAX_DAYS: Final = 366
RANGES: Final = {"7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": MAX_DAYS}
MILLION: Final = 1_000_000
Doc = dict[str, Any]
Status = Literal["queued", "running", "completed", "failed", "cancelled", "timed_out"]
STATES: Final[dict[str, tuple[State, ...]]] = {
    "queued": (State.INBOX, State.QUEUED, State.BLOCKED),
    "running": (State.IN_PROGRESS, State.REVIEW),
    "completed": (State.DONE,),
    "failed": (State.FAILED, State.DEAD_LETTER),
    "cancelled": (State.ARCHIVED,),
    "timed_out": (),
}
"""What this wire calls a state."""


class TasksList(Params):
    status: Status | tuple[Status, ...] = ()
    agent_id: str | None = None
    session_key: str | None = None
    metadata: dict[str, Any] | None = None
    limit: int = LIMIT
    cursor: str | None = None


class OfTask(Params):
    task_id: str


class Cost(Params):
    days: int | None = None
    start_date: str | None = None
    end_date: str | None = None
    mode: str | None = None
    utc_offset: str | None = None
    range: str | None = None
    agent_id: str | None = None
    agent_scope: str | None = None


class Invoke(Params):
    name: str
    args: dict[str, Any] | None = None
    session_key: str | None = None
    agent_id: str | None = None
    confirm: bool = False
    idempotency_key: str | None = None
    conversation_read_origin: Literal["direct-operator"] | None = None


class OfSession(Params):
    session_key: str
    agent_id: str | None = None


# -- tasks ---------------------------------------------------------------------------------


def listed(rx: Rx, ask: Ask) -> Doc:
    """Newest first. Tasks belong to no session and have no metadata: whoever asks for those of one
    is given none."""
    params: TasksList = ask.params
    wanted = (params.status,) if isinstance(params.status, str) else params.status
    states = tuple(state for word in wanted for state in STATES[word])
    if params.session_key is not None or params.metadata or (wanted and not states):
        return {"tasks": []}
    limit = max(1, min(params.limit, MAX_LIMIT))
    agent = None
    if params.agent_id is not None:
        agent = answering.target(rx, ask.company, params.agent_id).id
    rows = sql.listed(
        rx, ask.company, limit=limit, states=states, agent=agent, before=_cursor(params.cursor)
    )
    more = {"nextCursor": str(rows[-1][0].seq)} if len(rows) == limit else {}
    return {"tasks": [shapes.task(rx, task, spec) for task, spec in rows]} | more


def _cursor(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise frames.bad_params("tasks.list", "at cursor: must be a cursor that was given")
    return int(text)


def one(rx: Rx, ask: Ask) -> Doc:
    task, spec = sql.with_spec(rx, ask.company, sql.need(rx, ask.company, ask.params.task_id).id)
    return {"task": shapes.task(rx, task, spec)}


# -- money ---------------------------------------------------------------------------------


def usage(rx: Rx, ask: Ask) -> Doc:
    """No provider is asked what is left there."""
    _ = ask
    return {"updatedAt": rx.now_ms, "providers": []}


def cost(rx: Rx, ask: Ask) -> Doc:
    """What the company, or one agent, spent a day, oldest first; days are UTC's."""
    params: Cost = ask.params
    first_s, last_s = _days(params, rx.now_ms)
    subject = ask.company
    if params.agent_id is not None and params.agent_scope != "all":
        subject = answering.target(rx, ask.company, params.agent_id).id
    rows = budgets.by_day(rx, ask.company, subject, days.of(first_s), days.of(last_s))
    daily = [{"date": row.key} | _totals([row]) for row in rows]
    return {"updatedAt": rx.now_ms, "days": days.count(first_s, last_s), "daily": daily,
            "totals": _totals(rows)}  # fmt: skip


def _days(params: Cost, now_ms: int) -> tuple[int, int]:
    """When the first and the last day begin. Raises Fault."""
    if params.start_date is not None and params.end_date is not None:
        first_s = days.start_s(params.start_date, "usage.cost", "startDate")
        last_s = days.start_s(params.end_date, "usage.cost", "endDate")
        if 1 <= days.count(first_s, last_s) <= MAX_DAYS:
            return first_s, last_s
        raise frames.bad_params("usage.cost", f"at endDate: at most {MAX_DAYS} days later")
    count = RANGES.get(params.range or "") or max(1, min(params.days or DAYS, MAX_DAYS))
    today_s = now_ms // 1000
    return today_s - (count - 1) * days.DAY_S, today_s


def _totals(rows: list[budgets.Spend]) -> Doc:
    """Tokens are counted together; prices are those that were configured then."""
    money = sum(row.spent.money for row in rows) / MILLION
    tokens = sum(row.spent.tokens for row in rows)
    none = dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "inputCost", "outputCost",
                          "cacheReadCost", "cacheWriteCost", "missingCostEntries"), 0)  # fmt: skip
    return none | {"totalTokens": tokens, "totalCost": money}


# -- tools ---------------------------------------------------------------------------------


async def invoke(desk: Desk, params: Invoke) -> Doc:
    """As `POST /tools/invoke`: a turn of its own, judged, diverted or parked as a model's call is.
    What the tool or the rules said no to is no error of the call."""
    key = "" if params.idempotency_key is None else (
        chatting.turn_key(desk.peer.token.id, f"tool:{params.idempotency_key}")
    )  # fmt: skip
    body = tools.Body(name=params.name, args=params.args, session_key=params.session_key,
                      agent_id=params.agent_id)  # fmt: skip
    request = tools.request(body, Envelope(key=key))
    refused = desk.hub.refuses_tool(body.called)
    if refused is not None:
        raise refused
    turn: str = await desk.write(accept, request, target="turn:new", what=request.text[:500])
    answer = await _answered(desk, turn)
    fault = tools.fault_of(answer)
    if answer.turn.state is not Turn.DONE:
        fault = faults.of_outcome(answer.turn.outcome or {})
    if fault is not None:
        error = {"code": fault.code, "message": fault.message}
        return {"ok": False, "toolName": body.called, "error": error}
    return {"ok": True, "toolName": body.called, "output": tools.reply(body, answer)["result"]}


def accept(tx: Tx, request: answering.Request) -> str:
    return answering.accept(tx, request).id


async def _answered(desk: Desk, turn: str) -> answering.Answer:
    means = desk.hub.means
    if means.live is None:
        raise AssertionError("the gateway tells of turns: it needs `live`")
    try:
        async with asyncio.timeout(MAX_WAIT_S):
            async for step in Progress(
                means.live, means.store.read, desk.peer.company, turn
            ).steps():
                if isinstance(step, answering.Answer):
                    return step
    except TimeoutError:
        why = f"no answer came within {MAX_WAIT_S:g} s; the turn goes on"
        raise Fault(frames.UNAVAILABLE, why, {"code": "turn.too_long"}) from None
    raise AssertionError("a turn's progress ends with its answer")


async def effective(desk: Desk, params: OfSession) -> Doc:
    """What the agent of a session is offered in it."""
    at: chatting.Place = await desk.read(
        chatting.place, desk.peer.company, params.agent_id, params.session_key
    )
    offered = desk.hub.tools
    if at.session is None:
        raise Fault(frames.INVALID_REQUEST, f"No session found: {params.session_key[:80]}")
    specs = () if offered is None else await offered.specs(at.agent, at.session)
    group = {"id": "core", "label": "Tools", "source": "core", "tools": [_tool(s) for s in specs]}
    return {"agentId": keys.slug(at.agent.name), "profile": "full", "groups": [group]}


def _tool(spec: ToolSpec) -> Doc:
    return {"id": spec.name, "label": spec.name, "description": spec.description,
            "rawDescription": spec.description, "source": "core"}  # fmt: skip


# -- what there is none of -----------------------------------------------------------------


def wake_words(rx: Rx, ask: Ask) -> Doc:
    _ = rx, ask
    return {"triggers": []}


def speech(rx: Rx, ask: Ask) -> Doc:
    _ = rx, ask
    return {"enabled": False, "auto": "off", "provider": None, "fallbackProvider": None,
            "fallbackProviders": [], "prefsPath": None, "providerStates": []}  # fmt: skip


METHODS: Final = (
    read("tasks.list", READ, TasksList, listed, "Tasks, newest first", "tasks, nextCursor"),
    read("tasks.get", READ, OfTask, one, "One task, by id or number", "task"),
    read("usage.status", READ, Nothing, usage, "What providers say is left: none is asked",
         "providers"),
    read("usage.cost", READ, Cost, cost, "What was spent a day", "days, daily, totals"),
    work("tools.invoke", WRITE, Invoke, invoke, "Call a tool of an agent, without a model",
         "ok, toolName, output, error", capability="turn.accept", target="turn:new",
         waits=True),
    work("tools.effective", READ, OfSession, effective, "Tools that a session's agent is offered",
         "agentId, groups"),
    read("voicewake.get", READ, Nothing, wake_words, "Words that wake by voice: there are none",
         "triggers"),
    read("tts.status", READ, Nothing, speech, "Speech: there is none", "enabled"),
)  # fmt: skip
