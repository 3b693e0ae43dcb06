"""What a client is told of an accepted request: the answer when it is there, or as it comes.

The turn is the runner's; this follows it. A stateless request whose client goes away is aborted,
unless it has an Idempotency-Key: its client may come back for the answer.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import msgspec
import structlog

from homarus.agents.live import Live
from homarus.base.action import Action
from homarus.base.errors import HomarusError, NotOffered, Unavailable
from homarus.control_plane.answers import Receive, Send, send_reply
from homarus.control_plane.auth import Caller
from homarus.conversations.turns import State
from homarus.flows import answering
from homarus.flows.answering import Answer
from homarus.gateway.http import faults, tools
from homarus.gateway.http.asking import is_unmet
from homarus.gateway.http.faults import Fault
from homarus.gateway.http.progress import Progress
from homarus.gateway.http.table import Endpoint
from homarus.store.port import Reply, Store

log = structlog.get_logger("gateway")
T = TypeVar("T")

MAX_WAIT_S: Final = 3_600.0
"""Longest that a request waits for its answer; a turn's preflight holds no longer either."""
_encode = msgspec.json.Encoder().encode


class Accepted(msgspec.Struct, rename="camel"):
    """What accepting answers. `created_ms` of the turn."""

    turn: str = ""
    created_ms: int = 0


class Asked(msgspec.Struct, frozen=True):
    """An accepted request. `body` without what is large in it; `keyed`: its client can come back
    for the answer; `chosen`: the tool call that `tool_choice` demands."""

    endpoint: Endpoint
    caller: Caller
    body: Any
    accepted: Accepted
    replayed: bool
    keyed: bool
    stateless: bool
    chosen: str | None


class Teller:
    def __init__(self, store: Store, live: Live | None) -> None:
        self._store = store
        self._live = live

    def _progress(self, asked: Asked) -> Progress:
        if self._live is None:
            raise NotOffered("turn.events", "this daemon runs no turns", "Ask the one that does.")
        return Progress(self._live, self._store.read, asked.caller.company, asked.accepted.turn)

    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        """The answer as one document, when there is one."""
        progress = self._progress(asked)
        try:
            answer = await _until_gone(receive, _last(progress))
        except HomarusError as error:
            await self._let_go(asked, gone=False)
            await self._failed(asked, send, faults.of_error(error))
            return
        if answer is None:
            await self._let_go(asked, gone=True)
            return
        fault = _fault_of(asked, answer)
        if fault is not None:
            await self._failed(asked, send, fault)
            return
        wire: Any = asked.endpoint.wire
        body = _encode(wire.reply(asked.body, answer))
        reply = Reply(status=200, body=body, replayed=asked.replayed)
        await send_reply(send, reply, _about(asked))

    async def _failed(self, asked: Asked, send: Send, fault: Fault) -> None:
        wire: Any = asked.endpoint.wire
        one = asked.accepted
        document = wire.failure(asked.body, one.turn, one.created_ms, fault)
        reply = Reply(status=fault.status, body=_encode(document))
        await send_reply(send, reply, _about(asked) + faults.retry(fault))

    async def tell(self, asked: Asked, receive: Receive, send: Send) -> None:
        """The answer as it comes. The status line goes out first: what fails later is an event."""
        progress = self._progress(asked)
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *_about(asked),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        told = await _until_gone(receive, self._events(asked, progress, send))
        if told is None:
            await self._let_go(asked, gone=True)
            return
        await send({"type": "http.response.body", "body": b""})

    async def _events(self, asked: Asked, progress: Progress, send: Send) -> bool:
        wire: Any = asked.endpoint.wire
        stream = wire.Stream(asked.body, asked.accepted.turn, asked.accepted.created_ms)
        await _send_all(send, stream.begin())
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                async for step in progress.steps():
                    fault = _fault_of(asked, step) if isinstance(step, Answer) else None
                    await _send_all(
                        send, stream.step(step) if fault is None else stream.fail(fault)
                    )
        except TimeoutError:
            await self._let_go(asked, gone=False)
            await _send_all(send, stream.fail(faults.of_error(_too_long())))
        except HomarusError as error:
            await self._let_go(asked, gone=False)
            await _send_all(send, stream.fail(faults.of_error(error)))
        return True

    async def _let_go(self, asked: Asked, *, gone: bool) -> None:
        """End a turn for whose answer nobody can come back. `gone`: the client went by itself; its
        session then goes on and has the answer."""
        if asked.keyed or (gone and not asked.stateless):
            return
        turn = asked.accepted.turn
        action = Action(
            asked.caller.company, "turn.abort", f"turn:{turn}", credential=asked.caller.token.id
        )
        try:
            await self._store.write(action, answering.let_go, turn)
        except HomarusError as error:
            log.info("turn_not_aborted", turn=turn, code=error.code)


def _fault_of(asked: Asked, answer: Answer) -> Fault | None:
    """Why this is no answer; None: it is one."""
    turn = answer.turn
    if turn.state is not State.DONE:
        return faults.of_outcome(turn.outcome or {})
    if isinstance(asked.body, tools.Body):
        return tools.fault_of(answer)
    if is_unmet(asked.chosen, [call["name"] for call in answer.calls]):
        return Fault(502, "api_error", "tool_choice.unmet",
                     "the model did not call the tool that `tool_choice` demands")  # fmt: skip
    return None


def _about(asked: Asked) -> list[tuple[bytes, bytes]]:
    return [(b"x-request-id", asked.accepted.turn.encode())]


def _too_long() -> Unavailable:
    return Unavailable("turn.too_long", f"no answer came within {MAX_WAIT_S:g} s",
                       "Give the agent less to do at one time.")  # fmt: skip


async def _last(progress: Progress) -> Answer:
    """Raises what `Progress.steps` raises, and `turn.too_long`."""
    try:
        async with asyncio.timeout(MAX_WAIT_S):
            async for step in progress.steps():
                if isinstance(step, Answer):
                    return step
    except TimeoutError:
        raise _too_long() from None
    raise AssertionError("a turn's progress ends with its answer")


async def _until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives; None when the client goes away first, and the work is then cancelled."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _send_all(send: Send, events: list[bytes]) -> None:
    if events:
        body = b"".join(events)
        await send({"type": "http.response.body", "body": body, "more_body": True})
