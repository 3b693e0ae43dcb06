"""A turn under a test's hand: the model's calls are data, their tools the real ones.

    bench = await open_bench(shop, "ada", tools)
    result = await bench.call("read", path="notes/a.md")        done as the turn loop does it
    assert bench.parked                                         an approval is awaited

`BenchHands` does what the loop's hands do, without a model: each way in is a unit that the kernel
judges, a diverted act gets its real task where a person asked, a refusal is a result.
"""

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from homarus.agents.results import failed
from homarus.agents.tools.hands import WORKER
from homarus.agents.tools.space import of_agent
from homarus.base.action import Action, Effect, Estimate
from homarus.base.errors import HomarusError, Refused
from homarus.company import agents
from homarus.conversations import turns
from homarus.flows import (
    claiming,
    creating,
    turn_ends,
    turn_inbound,
    turn_models,
    turn_tools,
    turn_waits,
    turning,
)
from homarus.flows.turn_inbound import Inbound
from homarus.flows.turn_models import Said
from homarus.flows.turn_tools import Result, ToolCall
from homarus.kernel import approval_queries, preflights
from homarus.kernel.approval_rows import Status
from homarus.store.port import Store, Ts, Tx
from homarus.tasks import sql as tasks
from homarus.tasks.model import State
from homarus.testing.shop import Shop

LATER_MS: Final = 3_600_000


class Runs(Protocol):
    async def run(self, call: ToolCall, arguments: dict[str, Any], hands: Any) -> Result: ...


class BenchHands:
    def __init__(self, store: Store, started: turning.Started, call: ToolCall, work: str | None):
        self.store = store
        self.started = started
        self.call = call
        self.work = work
        self.wanted: str | None = None
        """The capability of the last act."""

    def action(self, capability: str, target: str, **more: Any) -> Action:
        task, turn = self.started.task, self.started.turn
        covered = preflights.covers(turning.contract(self.started.session), capability, target)
        work = None if covered else self.work
        digest = hashlib.sha256(f"{capability} {target} {self.call.arguments}".encode()).digest()
        return Action(
            turn.company, capability, target, system=WORKER, acting=turn.agent,
            task=work or task.id, trace=task.trace, arguments=digest,
            preflight=None if work else turn.preflight, **more,
        )  # fmt: skip

    async def apply(
        self, capability: str, fn: Callable[[Tx, *Ts], Result], *args: *Ts,
        target: str = "company:", callee: str | None = None, note: str | None = None,
    ) -> Result:  # fmt: skip
        self.wanted = capability
        turn = self.started.turn
        action = self.action(capability, target, callee=callee, routing_note=note)
        return await self.store.write(
            action, turn_tools.apply, turn.id, turn.token, self.call.id, fn, args
        )

    async def begin(
        self, capability: str, *, target: str = "company:", effect: Effect = Effect.EXEC,
        what: str = "",
    ) -> None:  # fmt: skip
        self.wanted = capability
        turn = self.started.turn
        action = self.action(capability, target, effect=effect, what=what)
        await self.store.write(action, turn_tools.begin, turn.id, turn.token, self.call.id)


def run_here(tx: Tx, name: str) -> None:
    agent = agents.need(tx, tx.company, name)
    agents.update(tx, agent.id, agents.AgentChange(executor="llm"))


class Bench:
    """`parked`: the approval that the turn waits for. `work`: the real task that it got."""

    def __init__(self, shop: Shop, agent: str, tools: Runs) -> None:
        self.shop = shop
        self.agent = agent
        self.tools = tools
        self.parked: str | None = None
        self.work: str | None = None
        self.tasks: list[str] = []
        self._keys = itertools.count(1)
        self._started: turning.Started | None = None

    @property
    def started(self) -> turning.Started:
        if self._started is None:
            raise AssertionError("no turn has begun")
        return self._started

    @property
    def store(self) -> Store:
        return self.shop.ground.store

    @property
    def workspace(self) -> Path:
        folder = of_agent(self.shop.ground.home, self.shop.agents[self.agent])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def runner(self, capability: str = "turn.run", **more: Any) -> Action:
        company = self.shop.ground.company
        return Action(company, capability, "turn:", system=WORKER, acting=self.agent, **more)

    async def begin(self, as_: str = "owner", text: str = "Do it.") -> None:
        """A turn that somebody asked for; an operator's may have real work done."""
        await self.finish()
        inbound = Inbound(agent=self.agent, text=text, key=f"{self.agent}-{next(self._keys)}")
        turn = await self.shop.do("turn.accept", as_, turn_inbound.accept, inbound)
        await self.start(turn.id)

    async def start(self, turn: str) -> None:
        until = self.shop.ground.clock.now_ms() + LATER_MS
        self._started = await self.store.write(self.runner(), turning.start, turn, until)
        self.parked = None
        if self._started is None:
            raise AssertionError(f"turn {turn} did not start")

    async def finish(self) -> None:
        if self._started is None or self.parked is not None:
            return
        turn, self._started = self._started.turn, None
        await self.store.write(
            self.runner(), turn_ends.finish, turn.id, turn.token, "", {"stop": "stop"}
        )
        self.work = None

    async def ask_for(self, tool: str, arguments: dict[str, Any]) -> ToolCall:
        """The row of a call that a model wants; it is not done yet."""
        started, text = self.started, json.dumps(arguments)
        estimate = Estimate(tokens=10, output_tokens=5, model="scripted")
        action = self.runner("model.call", task=started.task.id, estimate=estimate)
        turn = started.turn
        asked = await self.store.write(
            action, turn_models.ask, turn.id, turn.token, "scripted", b"\0" * 32
        )
        ref = f"c{next(self._keys)}"
        part = {"type": "toolCall", "id": ref, "name": tool, "arguments": text}
        body = {"role": "assistant", "content": [part]}
        said = Said(body, ((ref, tool, text),), "scripted", 5, 5)
        await self.store.write(
            self.runner(), turn_models.answer, turn.id, turn.token, asked.id, said
        )
        return (await self.store.read(turn_tools.unfinished, turn.id))[-1]

    async def call(self, tool: str, /, **arguments: Any) -> Result:
        """One call to its result. Begins a turn of the owner's where none runs."""
        if self._started is None:
            await self.begin()
        return await self.do(await self.ask_for(tool, arguments))

    async def do(self, call: ToolCall) -> Result:
        turn = self.started.turn
        hands = BenchHands(self.store, self.started, call, self.work)
        try:
            result = await self._run(call, hands)
        except HomarusError as error:
            approval = error.details.get("approval")
            if isinstance(error, Refused) and error.rule == "approval" and approval:
                await self.store.write(
                    self.runner(), turn_waits.park, turn.id, turn.token, call.id, approval
                )
                self.parked = str(approval)
                return failed(error)
            result = failed(error)
        if any(c.id == call.id for c in await self.store.read(turn_tools.unfinished, turn.id)):
            own = Action(turn.company, "turn.run", f"turn:{turn.id}", system=WORKER)
            await self.store.write(own, turn_tools.end, turn.id, turn.token, call.id, result)
        return result

    async def _run(self, call: ToolCall, hands: BenchHands) -> Result:
        arguments = json.loads(call.arguments)
        await self._heed(call)
        try:
            return await self.tools.run(call, arguments, hands)
        except Refused as refusal:
            if refusal.code != "divert.create_task" or not self.started.turn.person:
                raise
        hands.work = self.work = await self._real_task()
        return await self.tools.run(call, arguments, hands)

    async def _heed(self, call: ToolCall) -> None:
        """A call whose question was answered no is not done, nor asked for again."""
        company = self.shop.ground.company
        named = call.approval
        row = (
            None if named is None else await self.store.read(approval_queries.find, company, named)
        )
        if row is None or row.status in (Status.PENDING, Status.APPROVED, Status.USED):
            return
        word = "rejected" if row.status is Status.REJECTED else "expired"
        raise Refused(f"approval.{word}", f"{row.number} was {row.status.value}: {row.note}",
                      "Do it differently.", rule="approval")  # fmt: skip

    async def _real_task(self) -> str:
        new = creating.NewTask(
            project=self.shop.project_id, type="chat_task", spec={"title": "asked for in chat"},
            allow_underspecified=True, agent=self.agent,
        )  # fmt: skip
        made = await self.store.write(self.runner("task.create"), creating.create, new)
        await self._claim(made.task.id)
        self.tasks.append(made.task.id)
        return str(made.task.id)

    async def _claim(self, task: str) -> None:
        request = claiming.ClaimRequest(owner=self.agent, task=task)
        await self.store.write(self.runner("task.claim"), claiming.claim, request)

    async def resume(self) -> None:
        """Go on with the parked turn once its question is answered; after a yes its task is held
        again."""
        turn = await self.store.read(turns.need, self.shop.ground.company, self.started.turn.id)
        await self.start(turn.id)
        if self.work is not None:
            task = await self.store.read(tasks.need, self.shop.ground.company, self.work)
            if task.state is State.QUEUED:
                await self._claim(self.work)


async def open_bench(shop: Shop, agent: str, tools: Runs, **more: Any) -> Bench:
    """An agent of this name that the daemon runs, and a turn to come."""
    await shop.agent(agent, **more)
    await shop.do("agent.update", "owner", run_here, agent)
    return Bench(shop, agent, tools)


def text_of(result: Result) -> str:
    return "\n".join(part.get("text", "") for part in result.content)


def code_of(result: Result) -> str | None:
    """The code of the error that a result is; None: it is none."""
    return result.details.get("error") if result.is_error and result.details else None
