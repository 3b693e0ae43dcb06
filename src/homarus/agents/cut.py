"""How a running turn is cut off from outside: one `Cut` a turn, held by the runner and the loop.

why      stop (a STOP covers it), abort, shutdown, lost (its lease is somebody else's), fence (the
         claim of its task is over: it goes on with the next one), timeout (it takes longer than it
         was given)
please   asked to leave at the next boundary, between two steps
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

STOP: Final = "stop"
ABORT: Final = "abort"
SHUTDOWN: Final = "shutdown"
LOST: Final = "lost"
FENCE: Final = "fence"
TIMEOUT: Final = "timeout"


class Stoppable(Protocol):
    def stop(self) -> None: ...


class CutOff(Exception):
    """The turn was cut off while it waited. `why`: one of the words above."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Cut:
    """`cut` ends what the turn waits for at once: a stream, a process, a pause."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.asked: str | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._handle: Stoppable | None = None

    def stop(self) -> None:
        """As `dispatch.halting` calls it when a STOP covers the turn."""
        self.cut(STOP)

    def cut(self, why: str) -> None:
        self.why = self.why or why
        if self._handle is not None:
            self._handle.stop()
        if self._waiting is not None:
            self._waiting.cancel()

    def please(self, why: str) -> None:
        self.asked = self.asked or why

    def check(self) -> None:
        """Between two steps. Raises CutOff."""
        why = self.why or self.asked
        if why is not None:
            raise CutOff(why)

    def started(self, handle: Stoppable) -> None:
        """A process (or the like) that a tool runs; it is stopped when the turn is cut off."""
        self._handle = handle
        if self.why is not None:
            handle.stop()

    def ended(self) -> None:
        self._handle = None

    def _reason(self) -> str | None:
        return self.why

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result; or CutOff, as soon as the turn is cut off. `work` is over when this returns,
        however it returns. Never used for writes: a unit is not taken back by cancelling."""
        if self.why is not None:
            work.close()
            raise CutOff(self.why)
        task = asyncio.ensure_future(work)
        self._waiting = task
        try:
            return await task
        except asyncio.CancelledError:
            why = self._reason()
            if why is not None and not _cancelled_ourselves():
                raise CutOff(why) from None
            raise
        finally:
            self._waiting = None
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def _cancelled_ourselves() -> bool:
    """Whether it is the turn's own task that is being cancelled, not only what it waited for."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
