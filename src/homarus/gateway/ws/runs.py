"""Runs: turns told as they happen, as `agent` and `chat` events (gateway contract, 5.1, 5.2).

Each turn has one follower, however many connections listen. `Story` is the pure part: steps of a
turn in, events out; exactly one terminal `chat` state a run. Text between two deltas is put
together, so that a fast model costs a slow client nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from homarus.agents.live import Live, Piece, Still
from homarus.base.errors import Busy, HomarusError
from homarus.base.recent import Recent
from homarus.conversations import keys
from homarus.conversations.turns import State, Turn
from homarus.flows import chatting
from homarus.flows.answering import Answer
from homarus.flows.turn_views import ToolView, TurnView
from homarus.gateway.http.progress import Progress, Said, Settled, Step, Waiting

log = structlog.get_logger("gateway")

MAX_FOLLOWED: Final = 500
MAX_KNOWN: Final = 2_000
"""Runs whose name is remembered after they ended."""
DELTA_S: Final = 0.05
"""Text of a run is sent at most this often."""
MAX_RESULT_CHARS: Final = 8_000

Doc = dict[str, Any]
Told = tuple[str, Doc]
"""Name and payload of an event."""


class Run(msgspec.Struct):
    """A turn under its client's name. `seq` counts its `agent` events, from 1."""

    id: str
    turn: str
    company: str
    session_key: str
    session_id: str
    agent: str
    created_ms: int
    seq: int = 0

    def agent_event(self, stream: str, data: Doc, at_ms: int) -> Told:
        self.seq += 1
        return "agent", {
            "runId": self.id, "sessionKey": self.session_key, "sessionId": self.session_id,
            "agentId": self.agent, "stream": stream, "data": data, "seq": self.seq, "ts": at_ms,
        }  # fmt: skip

    def chat_event(self, state: str, **more: Any) -> Told:
        return "chat", {
            "runId": self.id, "sessionKey": self.session_key, "agentId": self.agent,
            "seq": self.seq, "state": state, **more,
        }  # fmt: skip


def assistant(text: str, at_ms: int) -> Doc:
    return {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": at_ms}


class Story:
    """The events of one run, in order."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._call = 0
        self._told = ""
        self._started = False
        self._tools: dict[str, str] = {}

    def begin(self, at_ms: int) -> list[Told]:
        if self._started:
            return []
        self._started = True
        return [self.run.agent_event("lifecycle", {"phase": "start", "startedAt": at_ms}, at_ms)]

    def said(self, step: Said, at_ms: int) -> list[Told]:
        """More text. The first of another request begins anew."""
        fresh, first = step.call != self._call, self._call == 0
        if fresh:
            self._call, self._told = step.call, ""
        self._told += step.text
        again: Doc = {"replace": True} if fresh and not first else {}
        data = {"text": self._told, "delta": step.text, "itemId": f"msg-{step.call}", **again}
        return [
            *self.begin(at_ms),
            self.run.agent_event("assistant", data, at_ms),
            self.run.chat_event("delta", deltaText=step.text,
                                message=assistant(self._told, at_ms), **again),
        ]  # fmt: skip

    def tools(self, rows: tuple[ToolView, ...], at_ms: int) -> list[Told]:
        """What became of tool calls: `item` for everybody, `tool` for those who asked for it."""
        events: list[Told] = []
        for row in rows:
            before = self._tools.get(row.id)
            if before == row.state or row.state == "ready":
                continue
            self._tools[row.id] = row.state
            if before is None:
                events += self._tool(row, "start", at_ms)
            if row.state in ("done", "failed", "unknown"):
                events += self._tool(row, "end", at_ms)
        return events

    def _tool(self, row: ToolView, phase: str, at_ms: int) -> list[Told]:
        about: Doc = {"name": row.tool, "toolCallId": row.id}
        failed = row.state != "done"
        data = about | (
            {"phase": "start", "args": _arguments(row.arguments)}
            if phase == "start"
            else {"phase": "result", "isError": failed}
        )
        status = "running" if phase == "start" else ("failed" if failed else "completed")
        item = {"itemId": f"tool:{row.id}", "kind": "tool", "phase": phase, "title": row.tool,
                "status": status, **about}  # fmt: skip
        return [
            *self.begin(at_ms),
            self.run.agent_event("tool", data, at_ms),
            self.run.agent_event("item", item, at_ms),
        ]

    def waits(self, step: Waiting, at_ms: int) -> list[Told]:
        if not step.approvals:
            return []
        told = {"phase": "waiting_approval", "approvals": list(step.approvals)}
        return [*self.begin(at_ms), self.run.agent_event("run_status", told, at_ms)]

    def ends(self, answer: Answer, at_ms: int) -> list[Told]:
        """The terminal events."""
        turn = answer.turn
        outcome = turn.outcome or {}
        text = str(outcome.get("text") or "")
        span = {"startedAt": turn.started_ms or turn.created_ms,
                "endedAt": turn.ended_ms or at_ms}  # fmt: skip
        began = self.begin(at_ms)
        match turn.state:
            case State.DONE:
                stop = stop_reason(answer)
                reply = {"disposition": "text" if text else "silent", "text": text}
                end = {"phase": "end", **span, "aborted": False, "stopReason": stop,
                       "executionSettled": True, "terminalReply": reply}  # fmt: skip
                message = {"message": assistant(text, at_ms)} if text else {}
                chat = self.run.chat_event
                return [
                    *began,
                    self.run.agent_event("lifecycle", end, at_ms),
                    chat("final", stopReason=stop, usage=usage(answer), **message),
                ]
            case State.ABORTED:
                end = {"phase": "end", **span, "aborted": True, "stopReason": "rpc"}
                message = {"message": assistant(text, at_ms)} if text else {}
                return [
                    *began,
                    self.run.agent_event("lifecycle", end, at_ms),
                    self.run.chat_event("aborted", stopReason="rpc", **message),
                ]
            case State.MERGED:
                return [self.run.chat_event("final")]
            case _:
                why = error_text(turn)
                end = {"phase": "error", **span, "error": why}
                kind = error_kind(outcome)
                return [
                    *began,
                    self.run.agent_event("lifecycle", end, at_ms),
                    self.run.chat_event("error", errorMessage=why, errorKind=kind),
                ]


def _arguments(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"raw": text[:MAX_RESULT_CHARS]}


def stop_reason(answer: Answer) -> str:
    return {"toolUse": "toolUse", "length": "length"}.get(answer.stop, "stop")


def usage(answer: Answer) -> Doc:
    given, made = answer.input_tokens, answer.output_tokens
    cached = answer.cached_tokens
    return {"input": max(0, given - cached), "output": made, "cacheRead": cached,
            "cacheWrite": 0, "totalTokens": given + made}  # fmt: skip


def error_text(turn: Turn) -> str:
    outcome = turn.outcome or {}
    if turn.state is State.ABORTED:
        return "aborted"
    return " ".join(str(outcome.get(k) or "") for k in ("text", "remedy")).strip() or "it failed"


_KINDS: Final = (
    ("refus", "refusal"), ("stalled", "timeout"), ("timeout", "timeout"), ("busy", "rate_limit"),
    ("overflow", "context_length"),
)  # fmt: skip


def error_kind(outcome: Doc) -> str:
    code = str(outcome.get("error") or "")
    return next((kind for word, kind in _KINDS if word in code), "unknown")


class _Ear:
    """`Live` as `Progress` wants it; what it does not tell, the states of tools, is told here."""

    def __init__(self, live: Live, heard: Callable[[TurnView], None]) -> None:
        self._live = live
        self._heard = heard

    async def follow(self, company: str, turn: str) -> AsyncIterator[Piece | TurnView | Still]:
        following = self._live.follow(company, turn)
        try:
            async for event in following:
                if isinstance(event, TurnView):
                    self._heard(event)
                yield event
        finally:
            await following.aclose()  # type: ignore[attr-defined]


Tell = Callable[[Run, list[Told]], None]


class Runs:
    """The followers. `tell(run, events)` is called for each step; `start` gives them an owner."""

    def __init__(
        self, live: Live, read: Callable[..., Awaitable[Any]], now_ms: Callable[[], int], tell: Tell
    ) -> None:
        self._live = live
        self._read = read
        self._now_ms = now_ms
        self._tell = tell
        self._group: asyncio.TaskGroup | None = None
        self._runs: Recent[str, Run] = Recent(MAX_KNOWN)
        self._ends: dict[str, asyncio.Future[Answer]] = {}

    def start(self, group: asyncio.TaskGroup | None) -> None:
        self._group = group

    def turn_of(self, company: str, run: str) -> str | None:
        """The turn of a run that was followed lately, whoever asked for it."""
        for known in reversed(self._runs.values()):
            if known.id == run and known.company == company:
                return known.turn
        return None

    def knows(self, turn: str) -> bool:
        """Whether a turn is followed, or was lately."""
        return turn in self._runs

    def active(self, company: str) -> list[Run]:
        return [run for turn, run in self._runs.items()
                if turn in self._ends and run.company == company]  # fmt: skip

    def follow(self, turn: Turn, session_key: str) -> "asyncio.Future[Answer]":
        """Begin to follow a turn, unless it is; its end. Raises `turn.watchers`."""
        end = self._ends.get(turn.id)
        if end is not None:
            return end
        if self._group is None or len(self._ends) >= MAX_FOLLOWED:
            raise Busy("turn.watchers", f"{MAX_FOLLOWED} runs are followed", "Try it later.")
        run = self._runs.pop(turn.id, None) or Run(
            id=chatting.run_of(turn), turn=turn.id, company=turn.company, session_key=session_key,
            session_id=turn.session, agent=keys.agent_of(session_key), created_ms=turn.created_ms,
        )  # fmt: skip
        self._runs[turn.id] = run
        end = self._ends[turn.id] = asyncio.get_running_loop().create_future()
        end.add_done_callback(_looked_at)
        self._group.create_task(self._followed(run, end))
        return end

    async def _followed(self, run: Run, end: "asyncio.Future[Answer]") -> None:
        """Supervises one follower: what fails in it ends it alone."""
        try:
            answer = await self._tells(run)
            if not end.done():
                end.set_result(answer)
        except Exception as error:  # goes to whoever waits for the answer
            if not isinstance(error, HomarusError):
                log.error("run_not_followed", turn=run.turn, exc_info=error)
            if not end.done():
                end.set_exception(error)
        finally:
            del self._ends[run.turn]
            if not end.done():
                end.cancel()

    async def _tells(self, run: Run) -> Answer:
        story = Story(run)

        def heard(view: TurnView) -> None:
            if view.turn.state is not State.QUEUED:
                self._tell(run, story.begin(self._now_ms()))
            self._tell(run, story.tools(view.tools, self._now_ms()))

        ear: Any = _Ear(self._live, heard)
        progress = Progress(ear, self._read, run.company, run.turn)
        said: Said | None = None
        async for step in _gathered(progress.steps()):
            now_ms = self._now_ms()
            match step:
                case Said():
                    said = step
                    self._tell(run, story.said(said, now_ms))
                case Waiting():
                    self._tell(run, story.waits(step, now_ms))
                case Answer():
                    self._tell(run, story.ends(step, now_ms))
                    return step
        raise AssertionError(f"the steps of turn {run.turn} ended without an answer")


def _looked_at(end: "asyncio.Future[Answer]") -> None:
    """Nobody has to wait for an end; one that failed is no unheard exception then."""
    if not end.cancelled():
        end.exception()


async def _gathered(steps: AsyncIterator[Step]) -> AsyncIterator[Step]:
    """Pieces of one request that follow each other within DELTA_S become one. `Settled` says
    nothing that the answer does not."""
    loop = asyncio.get_running_loop()
    held: Said | None = None
    sent_at = 0.0
    coming = asyncio.ensure_future(anext(steps))
    try:
        while True:
            wait_s = None if held is None else max(0.0, sent_at + DELTA_S - loop.time())
            await asyncio.wait({coming}, timeout=wait_s)
            if held is not None and not coming.done():
                yield held
                held, sent_at = None, loop.time()
                continue
            try:
                step = coming.result()
            except StopAsyncIteration:
                return
            coming = asyncio.ensure_future(anext(steps))
            if isinstance(step, Settled):
                continue
            if held is not None and isinstance(step, Said) and step.call == held.call:
                held = Said(step.call, held.text + step.text)
                continue
            if held is not None:
                yield held
                held, sent_at = None, loop.time()
            if isinstance(step, Said):
                held = step
            else:
                yield step
    finally:
        coming.cancel()
