"""The turn loop: one turn from wherever it stands to its end (design, 2, 7).

    gather -> next_step -> ask a model | do a tool call | reply        until it is over

Each step is intent row, act, outcome row (`flows/turning.py`); nothing that matters is in memory,
so that a turn which was cut anywhere goes on here as if nothing had been. What ends it early: a
STOP or a shutdown (it is queued again), an abort, a lost lease, a failure with a clear error.
"""

import json
import random
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from homarus.agents import (
    allowed,
    asking,
    compaction,
    context,
    estimate,
    lent,
    repeats,
    results,
    tasks,
)
from homarus.agents.asking import Silence
from homarus.agents.choice import Choice, Resolve
from homarus.agents.context import Background
from homarus.agents.cut import ABORT, FENCE, LOST, STOP, TIMEOUT, Cut, CutOff
from homarus.agents.failing import Retry
from homarus.agents.hands import MAX_TOOL_S, TurnHands
from homarus.agents.live import SILENT, Live
from homarus.agents.port import (
    Fault,
    ModelFailure,
    ModelRequest,
    ToolSpec,
)
from homarus.agents.run import Run
from homarus.agents.said import arguments_of, said_of
from homarus.agents.steps import Act, Ask, Reply
from homarus.agents.toolbox import Tools
from homarus.base.errors import Conflict, HomarusError, Refused, Unavailable
from homarus.base.failpoint import failpoint
from homarus.conversations import turns
from homarus.conversations.transcript import MESSAGE
from homarus.conversations.turns import Turn
from homarus.flows import turn_ends, turn_inbound, turn_models, turn_tools, turn_work, turning
from homarus.flows.turn_tools import ToolCall, text_result
from homarus.flows.turning import Started
from homarus.store.port import Store

log = structlog.get_logger("turns")

MAX_STEPS: Final = 500
"""Steps of one turn in one go. Requests are bounded by `turn_models.MAX_CALLS`, calls by the
port."""
REFUSED_TEXT: Final = "The model refused to answer."


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
        run = Run(self, started, cut)
        steps = _Steps(run)
        try:
            await steps.take()
        except CutOff as off:
            if off.why == TIMEOUT:
                await steps.fail(_too_long(started.turn))
            else:
                await run.leave(off.why)
        except HomarusError as error:
            await steps.fail(error)


class _Steps:
    """Of one go at one turn."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._choice: Choice | None = None
        self._compacted = False

    # -- the steps ---------------------------------------------------------------------------

    async def take(self) -> None:
        for _ in range(MAX_STEPS):
            self.run.cut.check()
            seen = await self._gather()
            command = seen.turn.options.get(turn_inbound.COMMAND)
            if seen.steering and not seen.open_calls and command is None:
                await self.run.turn(turning.absorb)
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
        return await self.run.loop.store.read(context.gather, self.run.started)

    async def _finish(self, seen: Background, message: dict[str, Any]) -> None:
        text = "".join(p["text"] for p in message["content"] if p["type"] == "text")
        refused = bool(message.get("refusal"))
        said = text if text.strip() or not refused else REFUSED_TEXT
        if said.lstrip().startswith(SILENT):
            said = ""
        stop = "refusal" if refused else message.get("stopReason", "stop")
        outcome = {"stop": stop, "model": message.get("model")}
        if self.run.of_task:
            await tasks.finish(self.run, said, outcome)
        else:
            if seen.turn.work is not None:
                await self._end_work("done", said)
            await self.run.turn(turn_ends.finish, said, outcome)
        failpoint("turn.finished")

    async def _end_work(self, state: str, text: str) -> None:
        """Report on the real task that the turn did. What its rules then want (a reviewer,
        evidence) stays to be done there; the answer to the person does not wait for it."""
        work = await self.run.loop.store.read(turn_work.held_by_turn, self.run.started.turn)
        if work is None:
            return
        action = self.run.action("task.result", f"task:{work}", task=work, preflight=None)
        try:
            await self.run.loop.store.write(action, turn_work.report, work, state, text)
        except HomarusError as error:
            log.info("work_not_ended", task=work, code=error.code)

    # -- requests to models ------------------------------------------------------------------

    async def _choose(self) -> Choice:
        if self._choice is None:
            turn, session = self.run.started.turn, self.run.started.session
            wanted = turn.options.get(turn_inbound.MODEL)
            if wanted is not None:
                session = msgspec.structs.replace(session, model=wanted)
            self._choice = await self.run.loop.resolve(
                turn.company, self.run.started.agent, session
            )
        return self._choice

    async def _ask(self, seen: Background) -> None:
        choice = await self._choose()
        agent, session = self.run.started.agent, seen.session
        own = allowed.offered(await self.run.loop.tools.specs(agent, session), seen.turn)
        tools = lent.offered(own, seen.turn)
        asked = self._request(seen, choice, tools)
        full = seen.full or compaction.is_full(estimate.tokens_of(asked), choice.limits.window)
        if full and not self._compacted:
            self._compacted = True
            if await self._compact(seen, choice):
                return
        try:
            call, answered = await asking.answered(
                self.run, choice, lambda model: self._request(seen, model, tools), speaks=True
            )
        except ModelFailure as failure:
            if failure.fault is not Fault.OVERFLOW or self._compacted:
                raise
            self._compacted = True
            if not await self._compact(seen, choice):
                raise
            return
        await asking.keep(self.run, call, said_of(answered, choice), turn_models.answer)
        self._compacted = False
        failpoint("turn.answered")

    def _request(
        self, seen: Background, choice: Choice, tools: tuple[ToolSpec, ...]
    ) -> ModelRequest:
        return context.request_of(seen, choice.named, tools, choice.limits.output)

    # -- compaction --------------------------------------------------------------------------

    async def _compact(self, seen: Background, choice: Choice) -> bool:
        """Sum up the older part; False: there is none."""
        keep = compaction.keep_of(choice.limits.window)
        return await self._sum_up(seen, choice, min(keep, _size(seen) // 2) if seen.full else keep)

    async def _sum_up(self, seen: Background, choice: Choice, keep_tokens: int) -> bool:
        first = compaction.first_kept(seen.entries, keep_tokens)
        if first is None:
            return False
        call, answered = await asking.answered(
            self.run,
            choice,
            lambda model: compaction.summary_request(
                seen.entries, first, model.named, model.limits.window
            ),
            speaks=False,
        )
        said, summary = said_of(answered, choice), answered.message.text
        await asking.keep(self.run, call, said, turn_models.compact, summary, first)
        return True

    async def _compact_by_hand(self, seen: Background) -> None:
        """A turn that is only this: keep no more than the newest few lines."""
        choice = await self._choose()
        small = min(compaction.keep_of(choice.limits.window), _size(seen) // 2)
        done = await self._sum_up(seen, choice, small)
        await self.run.turn(turn_ends.finish, "", {"stop": "stop", "compacted": done})

    # -- tool calls --------------------------------------------------------------------------

    async def _act(self, seen: Background, calls: tuple[ToolCall, ...]) -> bool:
        """Do them in order; False: the turn was parked."""
        for call in calls:
            self.run.cut.check()
            if not await self._call(seen, call):
                return False
        return True

    async def _call(self, seen: Background, call: ToolCall) -> bool:
        hands = TurnHands(self.run, seen.turn.work, call)
        try:
            arguments = arguments_of(call)
            allowed.check(seen.turn, call.tool)
            repeats.check(seen.entries, call)
            result = await hands.run(self.run.loop.tools, arguments)
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
            await self.run.turn(turn_tools.end, call.id, results.bounded(result))
        return True

    async def _call_by_hand(self, seen: Background) -> bool:
        """A turn that is one tool call and nothing else, without a model. True: it is over."""
        if await self.run.loop.store.read(turn_tools.any_of, seen.turn.id):
            await self.run.turn(turn_ends.finish, "", {"stop": "stop"})
            return True
        call = seen.turn.options[turn_inbound.CALL_TOOL]
        await self.run.turn(turn_tools.call_tool, call["tool"], json.dumps(call["arguments"]))
        return False

    async def _hand_out(self, seen: Background) -> None:
        """What is left are calls of the asker's own tools: the turn ends with them."""
        message = next(e.message for e in reversed(seen.entries)
                       if e.kind == MESSAGE and e.message["role"] == "assistant")  # fmt: skip
        text = "".join(p["text"] for p in message["content"] if p["type"] == "text")
        if seen.turn.work is not None:
            await self._end_work("done", text)
        outcome = {"model": message.get("model"), "stop": "toolUse"}
        await self.run.turn(turn_ends.hand_out, text, outcome)

    # -- the end, and what every step needs --------------------------------------------------

    async def fail(self, error: HomarusError) -> None:
        """No answer comes, and the asker hears why. A turn that is somebody else's is let be."""
        turn = self.run.started.turn
        if error.code == "turn.lost":
            why = self.run.cut.why or (FENCE if self.run.of_task else LOST)
            await self.run.leave(why if why in (ABORT, FENCE) else LOST)
            return
        log.info("turn_failed", turn=turn.id, code=error.code, trace_id=self.run.started.task.trace)
        if self.run.of_task:
            await tasks.fail(self.run, error)
            return
        await self._end_work("failed", str(error))
        try:
            await self.run.loop.store.write(
                self.run.own(), turn_ends.fail, turn.id, turn.token, error.code,
                error.message[:2_000], error.remedy[:2_000],
            )  # fmt: skip
        except Conflict as lost:
            log.info("turn_left", turn=turn.id, why=error.code, code=lost.code)


def _too_long(turn: Turn) -> Unavailable:
    given_s = turn.options[turns.TIMEOUT_S]
    return Unavailable(
        "turn.timeout", f"the turn took longer than the {given_s:g} s that it was given",
        "Give it more time, or less to do.",
    )  # fmt: skip


def _size(seen: Background) -> int:
    return sum(len(json.dumps(e.body)) for e in seen.entries) // estimate.CHARS_PER_TOKEN
