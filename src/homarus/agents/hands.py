"""What a tool acts with: each way in is one judged unit of the turn's agent.

conversation      under the turn's preflight; what its contract covers
real work         a task that the turn made and claimed, when the kernel diverts (design, 6)
a task's turn     under its claim, and under preflights of that task alone
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from homarus.agents import results, tasks
from homarus.agents.cut import Cut
from homarus.base.action import Action, Effect
from homarus.base.canonical import canonical
from homarus.base.errors import Conflict, Refused
from homarus.base.failpoint import failpoint
from homarus.flows import claiming, turn_tools, turn_waits, turn_work, turning
from homarus.flows.turn_tools import Result, ToolCall
from homarus.flows.turning import Started
from homarus.kernel import preflights
from homarus.kernel.capabilities import BUILTIN
from homarus.kernel.preflighting import JUDGED
from homarus.store.port import Store, Ts, Tx

if TYPE_CHECKING:
    from homarus.agents.run import Run
    from homarus.agents.toolbox import Tools

DIVERTED: Final = "divert.create_task"
MAX_WHAT: Final = 2_000
MAX_TOOL_S: Final = 900.0
"""Longest that one call may take."""


class TurnHands:
    """For one call. `recorded`: its result stands already."""

    def __init__(self, run: "Run", work: str | None, call: ToolCall) -> None:
        self._run = run
        self._work = work
        self._digest = hashlib.sha256(canonical([call.tool, call.arguments])).digest()
        self.store: Store = run.loop.store
        self.started: Started = run.started
        self.cut: Cut = run.cut
        self.call = call
        self.recorded = False
        self._wanted = ""

    @property
    def _of_task(self) -> bool:
        """Whether the turn does a task of the queue, and not what a conversation asked for."""
        return self.started.turn.work_token is not None

    @property
    def work(self) -> str | None:
        return self._work

    async def run(self, tools: "Tools", arguments: dict[str, Any]) -> Result:
        """The call to its result, within its time. Where the kernel says that this is real work, a
        task is made for it, claimed, and the call done under it."""

        async def done() -> Result:
            async with asyncio.timeout(MAX_TOOL_S):
                return await tools.run(self.call, arguments, self)

        await self._heed_answer()
        gone = await self._hold_again()
        try:
            return await self.cut.guard(done())
        except Refused as refusal:
            if refusal.code == DIVERTED and gone is not None:
                raise gone from None
            if refusal.code != DIVERTED or self._work is not None or not await self._may_work():
                raise
            why = refusal.message
        self._work = await self._make_work(why)
        await self._take(self._work)
        return await self.cut.guard(done())

    async def apply(
        self, capability: str, fn: Callable[[Tx, *Ts], Result], *args: *Ts,
        target: str = "company:", callee: str | None = None, note: str | None = None,
    ) -> Result:  # fmt: skip
        turn = self.started.turn
        action = self._action(capability, target, callee=callee, routing_note=note)
        result: Result = await self._run.write(
            action, turn_tools.apply, turn.id, turn.token, self.call.id, _within, (fn, *args)
        )
        self.recorded = True
        failpoint("turn.tool_began")
        return result

    async def begin(
        self, capability: str, *, target: str = "company:", effect: Effect = Effect.EXEC,
        what: str = "",
    ) -> None:  # fmt: skip
        turn = self.started.turn
        action = self._action(capability, target, effect=effect, what=what[:MAX_WHAT])
        built_in = BUILTIN.get(capability)
        judged = (effect if built_in is None else built_in.effect) in JUDGED
        if self._of_task and self._work is not None and judged:
            thought = await tasks.preflight_for(self._run, self._work, capability, target)
            action = msgspec.structs.replace(action, preflight=thought)
        await self._run.write(action, turn_tools.begin, turn.id, turn.token, self.call.id)
        failpoint("turn.tool_began")

    def _action(self, capability: str, target: str, **more: Any) -> Action:
        self._wanted = capability
        covered = preflights.covers(turning.contract(self.started.session), capability, target)
        if self._work is not None and (self._of_task or not covered):
            more |= {"task": self._work, "preflight": None}
        return self._run.action(capability, target, arguments=self._digest, **more)

    # -- approvals and real work -------------------------------------------------------------

    async def parked(self, refusal: Refused) -> bool:
        """Whether the refusal is one to wait for: the turn then waits for its approval's answer."""
        approval = refusal.details.get("approval")
        if refusal.code == DIVERTED:
            approval = await self._ask_for_work(refusal)
        elif refusal.rule != "approval" or refusal.code == "approval.rejected":
            return False
        if not approval:
            return False
        turn = self.started.turn
        await self._run.write(
            self._run.action("turn.run"),
            turn_waits.park,
            turn.id,
            turn.token,
            self.call.id,
            approval,
        )
        return True

    async def _heed_answer(self) -> None:
        """When what the call waited for was answered no, it is not done, nor asked for again.
        Raises `approval.rejected`, `approval.expired`."""
        if self.call.approval is not None:
            company = self.started.turn.company
            no = await self.store.read(turn_work.answered_no, company, self.call.approval)
            if no is not None:
                raise no

    async def _may_work(self) -> bool:
        """A person of the company asked, or an approval for it was given."""
        if self.started.turn.person:
            return True
        company = self.started.turn.company
        return await self.store.read(turn_work.approved, company, self.call.approval)

    async def _ask_for_work(self, refusal: Refused) -> str | None:
        """Somebody else asked, so a person decides whether it becomes work. None: the answer was
        no."""
        turn = self.started.turn
        return await self._run.write(
            self._run.action("approval.request"), turn_work.ask, turn.id, turn.token, self.call.id,
            self._digest, refusal.message,
        )  # fmt: skip

    async def _make_work(self, why: str) -> str:
        turn = self.started.turn
        return await self._run.write(
            self._run.action("task.create", "task:new"), turn_work.make, turn.id, turn.token,
            f"{self.call.tool}: {turn.text}"[:200], why, self._wanted,
        )  # fmt: skip

    async def _hold_again(self) -> Conflict | None:
        """Why the turn's real task is not its agent's any more (a no blocked it, say). What needs
        the task then hears so; all else is done without it."""
        if self._work is None:
            return None
        try:
            await self._take(self._work)
        except Conflict as gone:
            self._work = None
            return gone
        return None

    async def _take(self, work: str) -> None:
        """Hold the task, again where the answer to an approval queued it. Raises what a claim
        raises."""
        company, agent = self.started.turn.company, self.started.agent.id
        if await self.store.read(turn_work.held, company, work, agent):
            return
        request = claiming.ClaimRequest(owner=agent, task=work)
        action = self._run.action("task.claim", f"task:{work}", task=work, preflight=None)
        try:
            await self._run.write(action, claiming.claim, request)
        except Conflict:  # a worker may have claimed it for this very agent in between
            if not await self.store.read(turn_work.held, company, work, agent):
                raise


def _within(tx: Tx, fn: Callable[[Tx, *Ts], Result], *args: *Ts) -> Result:
    return results.bounded(fn(tx, *args))
