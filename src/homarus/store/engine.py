"""What both engines share: taking units in, settling their futures, telling listeners.

An engine adds `start`, `stop`, `read` and the threads that run units. Whatever happens to a thread,
every unit that was taken in is answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from homarus.base.action import Action
from homarus.base.errors import Busy, HomarusError, Unavailable
from homarus.store.port import Key, Listener, Reply, Ts, Tx
from homarus.store.unit import Unit

log = structlog.get_logger("store")
T = TypeVar("T")


class Engine:
    """Base of `SqliteStore` and `PostgresStore`. `_loop` is where listeners are called."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Listener] = []
        self._stopping = False
        self._closed = False
        self._fatal: HomarusError | None = None
        self._trouble: HomarusError | None = None
        self._checked = "pending"
        self.batches = 0
        self.units = 0

    def _put(self, unit: Unit) -> None:
        """Into the engine's queue. Raises `store.busy` when its bound is reached."""
        raise NotImplementedError

    def _take_left(self) -> list[Unit]:
        """Everything that still waits, out of the queue; from any thread."""
        raise NotImplementedError

    # -- taking in -------------------------------------------------------------------------

    def write(self, action: Action, fn: Callable[[Tx, *Ts], T], *args: *Ts) -> Awaitable[T]:
        return self._submit(Unit(action, fn, args, None))

    def write_once(
        self, action: Action, fn: Callable[[Tx, *Ts], Reply], *args: *Ts, key: Key
    ) -> Awaitable[Reply]:
        return self._submit(Unit(action, fn, args, key))

    def write_wait(self, action: Action, fn: Callable[[Tx, *Ts], T], *args: *Ts) -> T:
        """`write` for threads without a loop. Never call it on the loop."""
        unit = Unit(action, fn, args, None)
        unit.future = Future()
        self._enqueue(unit)
        result: T = unit.future.result()
        return result

    def _submit(self, unit: Unit) -> Awaitable[Any]:
        loop = asyncio.get_running_loop()
        unit.loop = loop
        unit.future = loop.create_future()
        self._enqueue(unit)
        result: Awaitable[Any] = unit.future
        return result

    def _enqueue(self, unit: Unit) -> None:
        if self._fatal is not None:
            raise copy_of(self._fatal)
        if self._stopping:
            raise stopping()
        self._put(unit)
        if self._closed:  # the threads ended between the look and the put
            self._fail_left()

    # -- settling --------------------------------------------------------------------------

    def _fail_left(self) -> None:
        """Answer what is left in the queue, so that nobody waits for ever."""
        self._fail(self._take_left(), self._fatal or stopping())

    def _fail(self, units: Iterable[Unit], error: HomarusError) -> None:
        failed = list(units)
        for unit in failed:
            unit.error = copy_of(error)
        self._settle(failed, {})

    def _settle(self, units: list[Unit], heads: dict[str, int]) -> None:
        """Answer a batch in one wake-up per loop; `heads` goes to the listeners."""
        loops: dict[Any, list[Unit]] = {}
        for unit in units:
            if unit.loop is None:
                _resolve(unit)
            else:
                loops.setdefault(unit.loop, []).append(unit)
        if heads and self._listeners and self._loop is not None:
            loops.setdefault(self._loop, [])
        for loop, mine in loops.items():
            told = heads if loop is self._loop else {}
            try:
                loop.call_soon_threadsafe(self._wake, mine, told)
            except RuntimeError:
                log.warning("loop_closed", units=len(mine))

    def _wake(self, units: list[Unit], heads: dict[str, int]) -> None:
        for unit in units:
            _resolve(unit)
        if heads:
            self._tell(heads)

    def _tell(self, heads: dict[str, int]) -> None:
        for listener in tuple(self._listeners):
            listener(heads)

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)

        def undo() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return undo

    def health(self) -> dict[str, Any]:
        """`{"state": "ok"|"red", "check": "pending"|"ok"|…, "error"?: code}`."""
        trouble = self._fatal or self._trouble
        facts: dict[str, Any] = {"state": "red" if trouble else "ok", "check": self._checked}
        if trouble is not None:
            facts |= {"error": trouble.code, "message": trouble.message, "remedy": trouble.remedy}
        return facts


def stopping() -> Unavailable:
    return Unavailable("store.stopping", "the daemon is stopping", "Repeat it after restart.")


def busy(what: str, bound: int) -> Busy:
    return Busy("store.busy", f"{bound} {what} are waiting", "Slow down, then repeat.")


def copy_of(error: HomarusError) -> HomarusError:
    """A fresh instance for each caller: raising one grows its traceback, which holds frames."""
    return type(error)(error.code, error.message, error.remedy, **error.details)


def _resolve(unit: Unit) -> None:
    future = unit.future
    if future is None or future.done():
        return
    if unit.error is not None:
        future.set_exception(unit.error)
        future.exception()
    else:
        future.set_result(unit.value)
