"""A model that tests write: replies as data, requests recorded, faults and hanging on demand.

    model = ScriptedModel("Hello", Say("", (("task_create", {"title": "x"}),)), failure(Fault.BUSY))
    async with running(home, turns=model.turns()) as daemon: ...

Replies are used up one a request; the last one stands for all that follow. A function is asked
each time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from homarus.agents.choice import Choice, Limits, Resolve
from homarus.agents.failing import Retry
from homarus.agents.port import Delta, Event, Fault, ModelFailure, ModelRequest, Usage
from homarus.agents.scripted import Say, spoken
from homarus.agents.toolbox import BASIC, Tool, Toolbox
from homarus.app import Turns
from homarus.company.agents import Agent
from homarus.conversations.sessions import Session

NAME: Final = "scripted"
AT_ONCE: Final = Retry(first_s=0.0)
"""Tries as often as ever, and does not wait in between."""
CAN_FAIL: Final = frozenset(Fault)


class Hang(msgspec.Struct, frozen=True):
    """Say this, then nothing until the test lets go (`release`) or the stream is closed."""

    text: str = ""


class Broken(msgspec.Struct, frozen=True):
    """Say this, then fail."""

    text: str
    failure: ModelFailure


Scripted = str | Say | Hang | Broken | ModelFailure
Reply = Scripted | Callable[[ModelRequest], Scripted]


def failure(fault: Fault, retry_after_s: float | None = None) -> ModelFailure:
    used = Usage(10, 0) if fault is Fault.MALFORMED else None
    return ModelFailure(
        fault, f"scripted to fail: {fault.value}", "Nothing to do.", retry_after_s=retry_after_s,
        usage=used,
    )  # fmt: skip


class ScriptedModel:
    """A `ModelPort`. `requests`: all that it was asked; `hanging`: set while it hangs; `closed`:
    streams that were left before their end."""

    def __init__(self, *replies: Reply, name: str = NAME) -> None:
        self.name = name
        self.requests: list[ModelRequest] = []
        self.hanging = asyncio.Event()
        self.closed = 0
        self._replies = list(replies) or ["Yes."]
        self._free = asyncio.Event()

    def release(self) -> None:
        self._free.set()

    def then(self, *replies: Reply) -> None:
        """From now on it says this."""
        self._replies = list(replies)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Event]:
        self.requests.append(request)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        said = reply(request) if callable(reply) else reply
        over = False
        try:
            match said:
                case ModelFailure():
                    over = True
                    raise said
                case Broken(text=text, failure=error):
                    yield Delta(text)
                    over = True
                    raise error
                case Hang(text=text):
                    if text:
                        yield Delta(text)
                    self.hanging.set()
                    await self._free.wait()
                    over = True
                    yield spoken(Say(text or "Released."), request)[-1]
                    return
                case str():
                    said = Say(said)
                case Say():
                    pass
            for event in spoken(said, request):
                over = True
                yield event
        finally:
            self.hanging.clear()
            self.closed += not over

    async def close(self) -> None:
        self.release()

    # -- in a daemon -------------------------------------------------------------------------

    def choice(self, *fallbacks: "ScriptedModel", window: int = 128_000) -> Choice:
        others = tuple(other.choice(window=window) for other in fallbacks)
        return Choice(self, self.name, Limits(window, 1_000), others, provider="test")

    def resolve(self, *fallbacks: "ScriptedModel", window: int = 128_000) -> Resolve:
        choice = self.choice(*fallbacks, window=window)

        async def resolved(company: str, agent: Agent, session: Session) -> Choice:
            _ = company, agent, session
            return choice

        return resolved

    def turns(
        self, *fallbacks: "ScriptedModel", window: int = 128_000, tools: tuple[Tool, ...] = BASIC
    ) -> Turns:
        """What `app.build` and `testing.daemon.running` take."""
        return Turns(self.resolve(*fallbacks, window=window), Toolbox(tools), AT_ONCE)
