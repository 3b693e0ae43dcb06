"""A turn as it happens, in order and without a gap: what a stream tells its client.

    Said       more of what the model says in one request
    Settled    that request's text is whole; `broken`: it was broken off, and another one follows
    Waiting    nothing new for a while; the turn goes on
    Answer     the turn, ended; always the last one

Text as it comes is in memory, and may be missed in part; what is missing is filled in from rows.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import msgspec

from homarus.agents.live import Live, Piece, Still
from homarus.base.errors import Unavailable
from homarus.conversations import turns
from homarus.conversations.turns import State
from homarus.flows import answering
from homarus.flows.answering import Answer, Words
from homarus.flows.turn_views import TurnView

AFTER_ALL: Final = 1_000_000
"""Above the number of any request of a turn."""


class Said(msgspec.Struct, frozen=True):
    call: int
    text: str


class Settled(msgspec.Struct, frozen=True):
    call: int
    text: str
    broken: bool = False


class Waiting(msgspec.Struct, frozen=True):
    """`approvals`: numbers of those that it waits for."""

    approvals: tuple[str, ...] = ()


Step = Said | Settled | Waiting | Answer
Read = Callable[..., Awaitable[Any]]


class Progress:
    """Of one turn, for one client. Iterate once."""

    def __init__(self, live: Live, read: Read, company: str, turn: str) -> None:
        self._live = live
        self._read = read
        self._company = company
        self._turn = turn
        self._call = 0  # the request whose text is being told; 0: none
        self._told = ""
        self._settled = 0  # requests up to this one are over

    async def steps(self) -> AsyncIterator[Step]:
        """Raises `stop.*` when a STOP holds the turn up, `turn.daemon_stops`, `turn.watchers`."""
        state = State.QUEUED
        following = self._live.follow(self._company, self._turn)
        async with aclosing(following) as events:  # type: ignore[type-var]
            async for event in events:
                match event:
                    case Piece(thinking=True):
                        continue
                    case Piece(call=call, text=text):
                        async for step in self._piece(call, text):
                            yield step
                    case Still():
                        await self._check_stop(state)
                        yield Waiting()
                    case TurnView():
                        state = event.turn.state
                        if state not in turns.OPEN:
                            async for step in self._end():
                                yield step
                            return
                        await self._check_stop(state)
                        if event.waits_for:
                            yield Waiting(event.waits_for)
        raise Unavailable(
            "turn.daemon_stops", "the daemon stops before the turn was answered",
            "Ask again once it runs; with the same Idempotency-Key, if you gave one.",
        )  # fmt: skip

    async def _check_stop(self, state: State) -> None:
        if state is State.QUEUED:
            found = await self._read(answering.stop_over, self._company, self._turn)
            if found is not None:
                raise answering.stopped(found)

    async def _piece(self, call: int, text: str) -> AsyncIterator[Step]:
        if call <= self._settled:
            return
        if call != self._call and (self._call or call > self._settled + 1):
            answer = await self._read(answering.answer, self._company, self._turn)
            for step in self._settle(answer.said, call):
                yield step
        if call != self._call:
            self._call, self._told = call, ""
        self._told += text
        yield Said(call, text)

    async def _end(self) -> AsyncIterator[Step]:
        answer: Answer = await self._read(answering.answer, self._company, self._turn)
        for step in self._settle(answer.said, AFTER_ALL):
            yield step
        yield answer

    def _settle(self, said: tuple[Words, ...], before: int) -> list[Step]:
        """What is known by now of requests before this one."""
        steps: list[Step] = []
        rows = {row.call: row.text for row in said if self._settled < row.call < before}
        if self._call and self._call not in rows:
            steps.append(Settled(self._call, self._told, broken=True))
        for call, text in sorted(rows.items()):
            told = self._told if call == self._call else ""
            rest = text.removeprefix(told) if text.startswith(told) else ""
            if rest:
                steps.append(Said(call, rest))
            steps.append(Settled(call, text))
        self._settled = max(self._settled, before - 1)
        self._call, self._told = 0, ""
        return steps
