"""What the dispatcher runs: what an executor has prepared for a claimed task.

    prepare(company, agent, claimed) -> Prepared    raises what keeps it from being done here
    prepared.do(reach, live) -> Ended               between the intent's row and the outcome's

An executor touches nothing before the intent stands; `do` heeds `live`, by which a STOP ends it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import msgspec

from homarus.base.action import Effect
from homarus.dispatch.halting import LiveRun
from homarus.flows.creating import Claim
from homarus.flows.reaching import Run
from homarus.flows.running import Ended

Do = Callable[[Run, LiveRun], Awaitable[Ended]]


class Prepared(msgspec.Struct, frozen=True):
    """`capability`: what it is judged as; `argv`: as the run's row keeps it; `what`: for people;
    `restartable`: it may simply be done again when a crash hides how it ended."""

    capability: str
    argv: tuple[str, ...]
    what: str
    do: Do
    effect: Effect = Effect.EXEC
    restartable: bool = False


class Executor(Protocol):
    async def prepare(self, company: str, agent: str, claimed: Claim) -> Prepared: ...


class Stoppable:
    """Work that a STOP ends by cancelling it; `first` is called before, for what cannot wait."""

    def __init__(self, first: Callable[[], None] | None = None) -> None:
        self.first = first
        self.stopped = False
        self._task: asyncio.Task[Ended] | None = None

    def stop(self) -> None:
        self.stopped = True
        if self.first is not None:
            self.first()
        if self._task is not None:
            self._task.cancel()

    async def run(self, work: Coroutine[Any, Any, Ended], live: LiveRun) -> Ended | None:
        """Its end; None: a STOP came. The work is over when this returns, however it returns."""
        task = asyncio.ensure_future(work)
        self._task = task
        live.started(self)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self.stopped and (current is None or not current.cancelling()):
                return None
            raise
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
