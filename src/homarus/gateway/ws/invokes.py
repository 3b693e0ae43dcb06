"""Invokes under way (gateway contract, 11): who waits, for which node, until when.

In memory, beside the rows of `kernel/invokes.py`: whatever ends without an answer (time is up, the
node left, an earlier daemon died) is settled as a row first, and then told to who waits. Lives on
the loop; the worker `run` belongs to the gateway.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.errors import HomarusError
from homarus.kernel import invokes
from homarus.kernel.invokes import Invoke
from homarus.store.port import Store

log = structlog.get_logger("gateway")

SWEEP_S: Final = 30.0
SWEEP_ROWS: Final = 100
TIME_IS_UP: Final = "the node did not answer in time"
LEFT: Final = "the node left before it answered"
ENDED: Final = "the daemon ended before the node answered"


class Answer(msgspec.Struct, frozen=True):
    """`state` as the row has it; `said`: `{payload}` or `{error}`, whatever its size."""

    state: str
    said: dict[str, Any] | None = None
    reason: str | None = None


class _Open(msgspec.Struct):
    company: str
    peer: str
    answer: asyncio.Future[Answer]
    timer: asyncio.TimerHandle


class Invokes:
    """`boot` names this run of the daemon; `cancel(peer, id)` tells a node to stop."""

    def __init__(self, store: Store, boot: str, cancel: Callable[[str, str], None]) -> None:
        self._store = store
        self._boot = boot
        self._cancel = cancel
        self._open: dict[str, _Open] = {}
        self._over: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        """`(company, invoke, reason)`; at most one entry for each that is open or swept."""

    def __len__(self) -> int:
        return len(self._open)

    def open(self, row: Invoke, peer: str, wait_s: float) -> asyncio.Future[Answer]:
        """Wait for what was sent to this connection."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(wait_s, self._time_is_up, row.id)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._open[row.id] = _Open(row.company, peer, answer, timer)
        return answer

    def waiting(self, invoke: str) -> asyncio.Future[Answer] | None:
        """Of one that is under way here."""
        found = self._open.get(invoke)
        return None if found is None else found.answer

    def end(self, invoke: str, answer: Answer) -> None:
        """Its row says so already."""
        found = self._open.pop(invoke, None)
        if found is not None:
            found.timer.cancel()
            if not found.answer.done():
                found.answer.set_result(answer)

    def left(self, peer: str) -> None:
        """A node's connection is gone."""
        for invoke, found in self._open.items():
            if found.peer == peer:
                self._over.put_nowait((found.company, invoke, LEFT))

    def _time_is_up(self, invoke: str) -> None:
        found = self._open.get(invoke)
        if found is not None:
            self._over.put_nowait((found.company, invoke, TIME_IS_UP))
            self._cancel(found.peer, invoke)

    # -- the worker ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        await self._supervised(self._sweep, self._store.url == "sqlite")
        while True:
            try:
                async with asyncio.timeout(SWEEP_S):
                    company, invoke, reason = await self._over.get()
            except TimeoutError:
                await self._supervised(self._sweep, False)
                continue
            await self._supervised(self._settle, company, invoke, reason)

    async def _supervised(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        try:
            await work(*args)
        except HomarusError as error:
            log.warning("invoke_unsettled", code=error.code)

    async def _sweep(self, alone: bool) -> None:
        found = SWEEP_ROWS
        while found == SWEEP_ROWS:
            rows = await self._store.read(invokes.lost, self._boot, alone, SWEEP_ROWS)
            for company, invoke in rows:
                await self._settle(company, invoke, ENDED)
            found = len(rows)

    async def _settle(self, company: str, invoke: str, reason: str) -> None:
        action = Action(company, "node.settle", f"invoke:{invoke}", system="nodes")
        answer = Answer(invokes.UNKNOWN, reason=reason)
        try:
            row = await self._store.write(action, invokes.settle, invoke, reason)
            if row is not None:
                answer = Answer(row.state, row.reply, row.reason)
        finally:
            self.end(invoke, answer)
