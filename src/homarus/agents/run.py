"""One go at one turn: what each of its steps needs of it (`agents/loop.py`)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from homarus.agents import tasks
from homarus.agents.cut import ABORT, LOST, STOP, Cut, CutOff
from homarus.base.action import Action
from homarus.base.errors import Conflict, Refused
from homarus.flows import turn_ends, turning
from homarus.flows.turning import Started
from homarus.store.port import T, Ts, Tx

if TYPE_CHECKING:
    from homarus.agents.loop import Loop

log = structlog.get_logger("turns")

WORKER: Final = "runner"


class Run:
    """`partial`: what the model was saying when the turn was cut off."""

    def __init__(self, loop: "Loop", started: Started, cut: Cut) -> None:
        self.loop = loop
        self.started = started
        self.cut = cut
        self.partial = ""

    @property
    def of_task(self) -> bool:
        """Whether the turn does a task of the queue."""
        return self.started.turn.work_token is not None

    def payer(self) -> dict[str, Any]:
        """What a request is charged to besides agent and company: the task of a task's turn."""
        return {"task": self.started.turn.work, "preflight": None} if self.of_task else {}

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

    async def write(self, action: Action, fn: Callable[[Tx, *Ts], T], *args: *Ts) -> T:
        """Raises CutOff where STOP refused it."""
        try:
            return await self.loop.store.write(action, fn, *args)
        except Refused as refusal:
            if refusal.rule == STOP:
                raise CutOff(STOP) from None
            raise

    async def turn(self, fn: Callable[[Tx, str, int, *Ts], T], *args: *Ts) -> T:
        turn = self.started.turn
        return await self.write(self.action("turn.run"), fn, turn.id, turn.token, *args)

    async def leave(self, why: str) -> None:
        """The turn was cut off."""
        turn = self.started.turn
        try:
            if why == STOP and self.of_task:
                await tasks.put_by(self, STOP)
            elif why == ABORT:
                await self.loop.store.write(
                    self.own(), turn_ends.keep_partial, turn.id, turn.token, self.partial
                )
            elif why != LOST:
                harmless = self.loop.tools.harmless
                await self.loop.store.write(
                    self.own(), turning.hand_back, turn.id, turn.token, harmless
                )
        except Conflict as lost:
            log.info("turn_left", turn=turn.id, why=why, code=lost.code)
