"""The turn loop: one turn from wherever it stands to its end (design, 2, 7).

    gather -> next_step -> ask a model | do a tool call | reply        until it is over

Each step is intent row, act, outcome row (`flows/turning.py`); nothing that matters is in memory,
so that a turn which was cut anywhere goes on here as if nothing had been. What ends it early: a
STOP or a shutdown (it is queued again), an abort, a lost lease, a failure with a clear error.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

import msgspec
import structlog

from homarus.agents import context, lent, metering, repeats, results, tasks
from homarus.agents.choice import Choice, Resolve
from homarus.agents.context import Background
from homarus.agents.cut import ABORT, FENCE, LOST, STOP, Cut, CutOff
from homarus.agents.failing import Retry, next_model_helps, pause_s
from homarus.agents.hands import MAX_TOOL_S, TurnHands
from homarus.agents.live import SILENT, Live, Voice
from homarus.agents.port import (
    FIRST_EVENT_S,
    NEXT_EVENT_S,
    Answered,
    Delta,
    Event,
    Fault,
    ModelFailure,
    ModelRequest,
    Stop,
    Text,
    Thinking,
    ToolSpec,
    Usage,
)
from homarus.agents.steps import Act, Ask, Reply
from homarus.agents.toolbox import Tools
from homarus.base.action import Action
from homarus.base.errors import Conflict, HomarusError, Invalid, Refused
from homarus.base.failpoint import failpoint
from homarus.conversations.transcript import MESSAGE
from homarus.flows import turn_ends, turn_inbound, turn_models, turn_tools, turn_work, turning
from homarus.flows.turn_models import Asked, Said
from homarus.flows.turn_tools import ToolCall, text_result
from homarus.flows.turning import Started
from homarus.store.port import Store

log = structlog.get_logger("turns")

WORKER: Final = "runner"
MAX_STEPS: Final = 500
"""Steps of one turn in one go. Requests are bounded by `turn_models.MAX_CALLS`, calls by the
port."""
REFUSED_TEXT: Final = "The model refused to answer."
_encode = msgspec.json.Encoder().encode


class Silence(msgspec.Struct, frozen=True):
    """How long a stream may be silent, before its first event and between two."""

    first_s: float = FIRST_EVENT_S
    next_s: float = NEXT_EVENT_S


class Loop:
    """Runs turns; holds nothing of any. `chance()`: 0 to 1, for jitter."""

    def __init__(
        self,
        store: Store,
        resolve: Resolve,
        tools: Tools,
        live: Live,
        *,
        retry: Retry = Retry(),  # noqa: B008
        silence: Silence = Silence(),  # noqa: B008
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.resolve = resolve
        self.tools = tools
        self.live = live
        self.retry = retry
        self.silence = silence
        self.chance = chance

    async def run(self, started: Started, cut: Cut) -> None:
        """To its end, or to where it is handed back. Raises only what no turn can cause."""
        run = _Run(self, started, cut)
        try:
            await run.steps()
        except CutOff as off:
            await run.leave(off.why)
        except HomarusError as error:
            await run.fail(error)


class _Run:
    """One go at one turn. `partial`: what the model was saying when it was cut off."""

    def __init__(self, loop: Loop, started: Started, cut: Cut) -> None:
        self.loop = loop
        self.started = started
        self.cut = cut
        self.partial = ""
        self._choice: Choice | None = None
        self._compacted = False

    # -- the steps ---------------------------------------------------------------------------

    async def steps(self) -> None:
        for _ in range(MAX_STEPS):
            self.cut.check()
            seen = await self._gather()
            command = seen.turn.options.get(turn_inbound.COMMAND)
            if seen.steering and not seen.open_calls and command is None:
                await self._turn(turning.absorb)
                continue
            if command == "compact":
                await self._compact_by_hand(seen)
                return
            if command == turn_inbound.CALL_TOOL and not seen.open_calls:
                if await self._call_by_hand(seen):
                    return
                continue
            match seen.step:
                case Ask():
                    await self._ask(seen)
                case Act(calls=calls):
                    ours, theirs = lent.split(seen.turn, calls)
                    if not ours and theirs:
                        await self._hand_out(seen)
                        return
                    if not await self._act(seen, ours):
                        return
                case Reply(message=message):
                    await self._finish(seen, message)
                    return
        raise Conflict(
            "turn.steps", f"the turn took {MAX_STEPS} steps", "It ends here; go on anew."
        )

    async def _gather(self) -> Background:
        return await self.loop.store.read(context.gather, self.started)

    async def _finish(self, seen: Background, message: dict[str, Any]) -> None:
        text = "".join(p["text"] for p in message["content"] if p["type"] == "text")
        refused = bool(message.get("refusal"))
        said = text if text.strip() or not refused else REFUSED_TEXT
        if said.lstrip().startswith(SILENT):
            said = ""
        stop = "refusal" if refused else message.get("stopReason", "stop")
        outcome = {"stop": stop, "model": message.get("model")}
        if self._of_task:
            await tasks.finish(self, said, outcome)
        else:
            if seen.turn.work is not None:
                await self._end_work("done", said)
            await self._turn(turn_ends.finish, said, outcome)
        failpoint("turn.finished")

    async def _end_work(self, state: str, text: str) -> None:
        """Report on the real task that the turn did. What its rules then want (a reviewer,
        evidence) stays to be done there; the answer to the person does not wait for it."""
        work = await self.loop.store.read(turn_work.held_by_turn, self.started.turn)
        if work is None:
            return
        action = self.action("task.result", f"task:{work}", task=work, preflight=None)
        try:
            await self.loop.store.write(action, turn_work.report, work, state, text)
        except HomarusError as error:
            log.info("work_not_ended", task=work, code=error.code)

    # -- requests to models ------------------------------------------------------------------

    async def _choose(self) -> Choice:
        if self._choice is None:
            turn, session = self.started.turn, self.started.session
            self._choice = await self.loop.resolve(turn.company, self.started.agent, session)
        return self._choice

    async def _ask(self, seen: Background) -> None:
        choice = await self._choose()
        agent, session = self.started.agent, seen.session
        tools = lent.offered(await self.loop.tools.specs(agent, session), seen.turn)
        asked = self._request(seen, choice, tools)
        if context.is_full(context.tokens_of(asked), choice.limits.window) and not self._compacted:
            self._compacted = True
            if await self._compact(seen, choice):
                return
        try:
            call, answered = await self._answered(
                choice, lambda model: self._request(seen, model, tools), speaks=True
            )
        except ModelFailure as failure:
            if failure.fault is not Fault.OVERFLOW or self._compacted:
                raise
            self._compacted = True
            if not await self._compact(seen, choice):
                raise
            return
        await self._turn(turn_models.answer, call.id, _said(answered, choice))
        self._compacted = False
        failpoint("turn.answered")

    def _request(
        self, seen: Background, choice: Choice, tools: tuple[ToolSpec, ...]
    ) -> ModelRequest:
        return context.request_of(seen, choice.named, tools, choice.limits.output)

    async def _answered(
        self, first: Choice, make: Callable[[Choice], ModelRequest], *, speaks: bool
    ) -> tuple[Asked, Answered]:
        """The first model that answers, each with its tries. Raises ModelFailure of the last."""
        failure: ModelFailure | None = None
        for choice in first.in_order():
            failed = 0
            while True:
                try:
                    return await self._once(choice, make(choice), speaks)
                except ModelFailure as error:
                    failure, failed = error, failed + 1
                    log.info("model_failed", turn=self.started.turn.id, model=choice.model,
                             code=error.code, failed=failed)  # fmt: skip
                wait_s = pause_s(
                    failure.fault, failed, failure.retry_after_s, self.loop.retry,
                    self.loop.chance(),
                )  # fmt: skip
                if wait_s is None:
                    break
                await self.cut.guard(asyncio.sleep(wait_s))
            if not next_model_helps(failure.fault):
                break
        if failure is None:
            raise AssertionError("a choice without a model")
        raise failure

    async def _once(
        self, choice: Choice, request: ModelRequest, speaks: bool
    ) -> tuple[Asked, Answered]:
        """Intent, stream; the outcome of what failed. That of an answer is its caller's."""
        estimate = msgspec.structs.replace(metering.estimate(request), model=choice.model)
        prompt = hashlib.sha256(_encode(request)).digest()
        asked: Asked = await self.write(
            self.action("model.call", f"model:{choice.model}", estimate=estimate, arguments=prompt,
                        **self._payer()),
            turn_models.ask, self.started.turn.id, self.started.turn.token, choice.model, prompt,
        )  # fmt: skip
        failpoint("turn.asked")
        turn = self.started.turn.id
        voice = self.loop.live.speak(turn, asked.n) if speaks else Voice(self.loop.live, turn, 0)
        try:
            answered = await self.cut.guard(self._stream(choice, request, voice))
            _checked(answered)
            return asked, msgspec.structs.replace(answered, usage=metering.used(request, answered))
        except ModelFailure as error:
            used = error.usage or Usage()
            await self._unanswered(asked, str(error), used)
            raise
        except CutOff as off:
            self.partial = voice.text if speaks else ""
            said = context.tokens_of_text(voice.text + voice.thinking)
            sent = metering.input_tokens(request)
            await self._unanswered(asked, f"cut off: {off.why}", Usage(sent, said))
            raise
        finally:
            if speaks:
                self.loop.live.hush(turn)

    async def _unanswered(self, asked: Asked, why: str, used: Usage) -> None:
        await self.loop.store.write(
            self.own(), turn_models.unanswered, asked.id, why[:1_000], used.input, used.output
        )

    async def _stream(self, choice: Choice, request: ModelRequest, voice: Voice) -> Answered:
        stream = choice.port.stream(request)
        silence = self.loop.silence
        wait_s = silence.first_s
        async with aclosing(stream):  # type: ignore[type-var]
            while True:
                event = await _next(stream, wait_s)
                wait_s = silence.next_s
                match event:
                    case Delta(text=text, thinking=thinking):
                        voice.say(text, thinking)
                    case Answered():
                        return event

    # -- compaction --------------------------------------------------------------------------

    async def _compact(self, seen: Background, choice: Choice) -> bool:
        """Sum up the older part; False: there is none."""
        first = context.first_kept(seen.entries, context.keep_of(choice.limits.window))
        if first is None:
            return False
        call, answered = await self._answered(
            choice,
            lambda model: context.summary_request(
                seen.entries, first, model.named, model.limits.window
            ),
            speaks=False,
        )
        said = _said(answered, choice)
        await self._turn(turn_models.compact, call.id, answered.message.text, first, said)
        return True

    async def _compact_by_hand(self, seen: Background) -> None:
        """A turn that is only this: keep no more than the newest few lines."""
        choice = await self._choose()
        small = min(context.keep_of(choice.limits.window), _size(seen) // 2)
        first = context.first_kept(seen.entries, small)
        done = first is not None
        if first is not None:
            call, answered = await self._answered(
                choice,
                lambda model: context.summary_request(
                    seen.entries, first, model.named, model.limits.window
                ),
                speaks=False,
            )
            said = _said(answered, choice)
            await self._turn(turn_models.compact, call.id, answered.message.text, first, said)
        await self._turn(turn_ends.finish, "", {"stop": "stop", "compacted": done})

    # -- tool calls --------------------------------------------------------------------------

    async def _act(self, seen: Background, calls: tuple[ToolCall, ...]) -> bool:
        """Do them in order; False: the turn was parked."""
        for call in calls:
            self.cut.check()
            if not await self._call(seen, call):
                return False
        return True

    async def _call(self, seen: Background, call: ToolCall) -> bool:
        hands = TurnHands(self, seen.turn.work, call)
        try:
            arguments = _arguments(call)
            repeats.check(seen.entries, call)
            result = await hands.run(self.loop.tools, arguments)
        except Refused as refusal:
            if refusal.rule == STOP:
                raise CutOff(STOP) from None
            if await hands.parked(refusal):
                return False
            result = results.failed(refusal)
        except HomarusError as error:
            if error.code in ("turn.lost", repeats.ENDS):
                raise
            result = results.failed(error)
        except TimeoutError:
            why = f"{call.tool} took longer than {MAX_TOOL_S:g} s and was given up."
            result = text_result(why, is_error=True)
        except CutOff:
            raise
        except Exception as raised:
            log.error("tool_failed", tool=call.tool, turn=call.turn, exc_info=raised)
            why = f"{call.tool} failed inside ({type(raised).__name__}); it is a fault of ours."
            result = text_result(why, is_error=True)
        if not hands.recorded:
            await self._turn(turn_tools.end, call.id, results.bounded(result))
        return True

    async def _call_by_hand(self, seen: Background) -> bool:
        """A turn that is one tool call and nothing else, without a model. True: it is over."""
        last = seen.entries[-1] if seen.entries else None
        if last is not None and last.turn == seen.turn.id:
            await self._turn(turn_ends.finish, "", {"stop": "stop"})
            return True
        call = seen.turn.options[turn_inbound.CALL_TOOL]
        await self._turn(turn_tools.call_tool, call["tool"], json.dumps(call["arguments"]))
        return False

    async def _hand_out(self, seen: Background) -> None:
        """What is left are calls of the asker's own tools: the turn ends with them."""
        message = next(e.message for e in reversed(seen.entries)
                       if e.kind == MESSAGE and e.message["role"] == "assistant")  # fmt: skip
        text = "".join(p["text"] for p in message["content"] if p["type"] == "text")
        if seen.turn.work is not None:
            await self._end_work("done", text)
        outcome = {"model": message.get("model"), "stop": "toolUse"}
        await self._turn(turn_ends.hand_out, text, outcome)

    # -- the end, and what every step needs --------------------------------------------------

    async def leave(self, why: str) -> None:
        """The turn was cut off."""
        turn = self.started.turn
        try:
            if why == STOP and self._of_task:
                await tasks.put_by(self, STOP)
            elif why == ABORT:
                await self.loop.store.write(
                    self.own(), turn_ends.keep_partial, turn.id, turn.token, self.partial
                )
            elif why != LOST:
                await self.loop.store.write(
                    self.own(), turning.hand_back, turn.id, turn.token, self.loop.tools.harmless
                )
        except Conflict as lost:
            log.info("turn_left", turn=turn.id, why=why, code=lost.code)

    async def fail(self, error: HomarusError) -> None:
        """No answer comes, and the asker hears why. A turn that is somebody else's is let be."""
        turn = self.started.turn
        if error.code == "turn.lost":
            why = self.cut.why or (FENCE if self._of_task else LOST)
            await self.leave(why if why in (ABORT, FENCE) else LOST)
            return
        log.info("turn_failed", turn=turn.id, code=error.code, trace_id=self.started.task.trace)
        if self._of_task:
            await tasks.fail(self, error)
            return
        await self._end_work("failed", str(error))
        try:
            await self.loop.store.write(
                self.own(), turn_ends.fail, turn.id, turn.token, error.code, error.message[:2_000],
                error.remedy[:2_000],
            )  # fmt: skip
        except Conflict as lost:
            log.info("turn_left", turn=turn.id, why=error.code, code=lost.code)

    @property
    def _of_task(self) -> bool:
        """Whether the turn does a task of the queue."""
        return self.started.turn.work_token is not None

    def _payer(self) -> dict[str, Any]:
        """What a request is charged to besides agent and company: the task of a task's turn."""
        return {"task": self.started.turn.work, "preflight": None} if self._of_task else {}

    def action(self, capability: str, target: str = "", **more: Any) -> Action:
        """An act of the turn's agent, about its conversation."""
        started = self.started
        about: dict[str, Any] = {
            "task": started.task.id, "trace": started.task.trace,
            "preflight": started.turn.preflight, "acting": started.agent.id, "system": WORKER,
        }  # fmt: skip
        target = target or f"turn:{started.turn.id}"
        return Action(started.turn.company, capability, target, **(about | more))

    def own(self) -> Action:
        """The daemon's bookkeeping, which neither STOP nor a suspension holds up."""
        turn = self.started.turn
        return Action(turn.company, "turn.run", f"turn:{turn.id}", system=WORKER)

    async def write(self, action: Action, fn: Callable[..., Any], *args: Any) -> Any:
        """Raises CutOff where STOP refused it."""
        try:
            return await self.loop.store.write(action, fn, *args)
        except Refused as refusal:
            if refusal.rule == STOP:
                raise CutOff(STOP) from None
            raise

    async def _turn(self, fn: Callable[..., Any], *args: Any) -> Any:
        turn = self.started.turn
        return await self.write(self.action("turn.run"), fn, turn.id, turn.token, *args)


def _size(seen: Background) -> int:
    return sum(len(json.dumps(e.body)) for e in seen.entries) // context.CHARS_PER_TOKEN


async def _next(stream: AsyncIterator[Event], wait_s: float) -> Event:
    try:
        async with asyncio.timeout(wait_s):
            return await anext(stream)
    except TimeoutError:
        raise ModelFailure(
            Fault.STALLED, f"nothing came from the model for {wait_s:g} s",
            "Try again; see the provider's status.",
        ) from None  # fmt: skip
    except StopAsyncIteration:
        raise ModelFailure(
            Fault.SERVER, "the model's stream ended without an answer", "Try again."
        ) from None


def _checked(answered: Answered) -> Answered:
    """Raises ModelFailure for an answer that says nothing at all."""
    message = answered.message
    if message.text.strip() or message.calls or answered.stop is Stop.REFUSAL:
        return answered
    raise ModelFailure(
        Fault.MALFORMED, f"the model's answer is empty ({answered.stop.value})",
        "Try again, or choose another model.", usage=answered.usage,
    )  # fmt: skip


def _said(answered: Answered, choice: Choice) -> Said:
    """An answer in the transcript's form (gateway contract, 6)."""
    message, usage = answered.message, answered.usage
    content: list[dict[str, Any]] = []
    for part in message.content:
        match part:
            case Text(text=text):
                content.append({"type": "text", "text": text})
            case Thinking(thinking=thinking, signature=signature):
                more = {} if signature is None else {"thinkingSignature": signature}
                content.append({"type": "thinking", "thinking": thinking, **more})
            case _:
                arguments = _shown(part.arguments)
                content.append({"type": "toolCall", "id": part.id, "name": part.name,
                                "arguments": arguments})  # fmt: skip
    refusal = answered.stop is Stop.REFUSAL
    body: dict[str, Any] = {
        "role": "assistant", "content": content, "provider": choice.provider,
        "model": answered.model or choice.model,
        "usage": {"input": usage.input, "output": usage.output, "cacheRead": usage.cached,
                  "cacheWrite": 0, "totalTokens": usage.total},
        "stopReason": "stop" if refusal else answered.stop.value,
    }  # fmt: skip
    if refusal:
        body["refusal"] = True
    if answered.id:
        body["responseId"] = answered.id
    calls = tuple((c.id, c.name, c.arguments) for c in message.calls)
    return Said(body, calls, answered.model, usage.input, usage.output)


def _shown(arguments: str) -> Any:
    """Parsed where they are an object, else the text as it came."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments


def _arguments(call: ToolCall) -> dict[str, Any]:
    """Raises `tool.arguments`."""
    value = _shown(call.arguments or "{}")
    if not isinstance(value, dict):
        raise Invalid(
            "tool.arguments", f"the arguments of {call.tool} are no JSON object",
            "Send one object as the tool's schema says.",
        )  # fmt: skip
    return value
