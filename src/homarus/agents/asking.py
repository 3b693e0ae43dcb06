"""Asking models on behalf of a turn: intent row, stream, outcome row; tries, and models that stand
in for one another."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import structlog

from homarus.agents import metering
from homarus.agents.choice import Choice
from homarus.agents.cut import CutOff
from homarus.agents.estimate import tokens_of_text
from homarus.agents.failing import next_model_helps, pause_s
from homarus.agents.live import Voice
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
    Usage,
)
from homarus.agents.run import Run
from homarus.base.errors import HomarusError
from homarus.base.failpoint import failpoint
from homarus.flows import turn_models
from homarus.flows.turn_models import Asked, Said
from homarus.store.port import Ts, Tx

log = structlog.get_logger("turns")

_encode = msgspec.json.Encoder().encode


class Silence(msgspec.Struct, frozen=True):
    """How long a stream may be silent, before its first event and between two."""

    first_s: float = FIRST_EVENT_S
    next_s: float = NEXT_EVENT_S


async def answered(
    run: Run, first: Choice, make: Callable[[Choice], ModelRequest], *, speaks: bool
) -> tuple[Asked, Answered]:
    """The first model that answers, each with its tries. Raises ModelFailure of the last."""
    failure: ModelFailure | None = None
    for choice in first.in_order():
        failed = 0
        while True:
            try:
                return await _once(run, choice, make(choice), speaks)
            except ModelFailure as error:
                failure, failed = error, failed + 1
                log.info("model_failed", turn=run.started.turn.id, model=choice.model,
                         code=error.code, failed=failed)  # fmt: skip
            wait_s = pause_s(
                failure.fault, failed, failure.retry_after_s, run.loop.retry,
                run.loop.chance(),
            )  # fmt: skip
            if wait_s is None:
                break
            await run.cut.guard(asyncio.sleep(wait_s))
        if not next_model_helps(failure.fault):
            break
    if failure is None:
        raise AssertionError("a choice without a model")
    raise failure


async def keep(
    run: Run, asked: Asked, said: Said, fn: Callable[[Tx, str, int, str, *Ts, Said], Any],
    *args: *Ts,
) -> None:  # fmt: skip
    """The outcome of an answer: `fn` keeps it. Where it cannot be kept (the turn is lost, its agent
    suspended, the answer too large) it is paid for all the same."""
    try:
        await run.turn(fn, asked.id, *args, said)
    except (HomarusError, CutOff) as error:
        used = Usage(said.input_tokens, said.output_tokens)
        await _unanswered(run, asked, f"not kept: {error}", used)
        raise


async def _once(
    run: Run, choice: Choice, request: ModelRequest, speaks: bool
) -> tuple[Asked, Answered]:
    """Intent, stream; the outcome of what failed. That of an answer is its caller's."""
    estimate = msgspec.structs.replace(metering.estimate(request), model=choice.model)
    prompt = hashlib.sha256(_encode(request)).digest()
    asked: Asked = await run.write(
        run.action("model.call", f"model:{choice.model}", estimate=estimate, arguments=prompt,
                    **run.payer()),
        turn_models.ask, run.started.turn.id, run.started.turn.token, choice.model, prompt,
    )  # fmt: skip
    failpoint("turn.asked")
    turn = run.started.turn.id
    voice = run.loop.live.speak(turn, asked.n) if speaks else Voice(run.loop.live, turn, 0)
    try:
        answered = await run.cut.guard(_stream(run, choice, request, voice))
        _checked(answered)
        return asked, msgspec.structs.replace(answered, usage=metering.used(request, answered))
    except ModelFailure as error:
        used = error.usage or Usage()
        await _unanswered(run, asked, str(error), used)
        raise
    except CutOff as off:
        run.partial = voice.text if speaks else ""
        await _unanswered(run, asked, f"cut off: {off.why}", _at_most(request, voice))
        raise
    except Exception as error:
        why = f"it broke inside: {type(error).__name__}"
        await _unanswered(run, asked, why, _at_most(request, voice))
        raise
    finally:
        if speaks:
            run.loop.live.hush(turn)


def _at_most(request: ModelRequest, voice: Voice) -> Usage:
    """What a request has used that ended before its provider counted."""
    return Usage(metering.input_tokens(request), tokens_of_text(voice.text + voice.thinking))


async def _unanswered(run: Run, asked: Asked, why: str, used: Usage) -> None:
    await run.loop.store.write(
        run.own(), turn_models.unanswered, asked.id, why[:1_000], used.input, used.output
    )


async def _stream(run: Run, choice: Choice, request: ModelRequest, voice: Voice) -> Answered:
    stream = choice.port.stream(request)
    silence = run.loop.silence
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
