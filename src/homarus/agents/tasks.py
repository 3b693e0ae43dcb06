"""Tasks done by turns of a model: who takes them out of the queue, and how such a turn ends.

The taker claims for agents whose executor is `llm`; each claim is a turn (`flows/task_turns.py`),
which the runner takes up like any other. Nothing is claimed for an agent without a model, so that
its tasks stay in the queue for others.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from homarus.agents.choice import NO_MODEL, Resolve, no_model
from homarus.agents.cut import CutOff
from homarus.agents.scripted import NAME as SCRIPTED
from homarus.base.action import Action
from homarus.base.errors import Conflict, HomarusError, Refused
from homarus.base.failpoint import failpoint
from homarus.base.waking import REST_S, Wake
from homarus.company.agents import Agent
from homarus.flows import taking, task_turns, thinking, turn_ends, turn_inbound
from homarus.kernel import preflights
from homarus.kernel.preflights import Preflight
from homarus.store.port import Rx, Store

if TYPE_CHECKING:
    from homarus.agents.run import Run

log = structlog.get_logger("tasks")

WORKER: Final = "runner"
"""The same as of the turns: a lease belongs to whoever claimed it."""
LOOK_S: Final = 20.0
"""Commits wake the taker; a head start that is over does not."""


class Taker:
    """One a daemon. `run` is its only task."""

    def __init__(self, store: Store, resolve: Resolve, limit: Callable[[], int]) -> None:
        """`limit`: tasks under way at one time, of all agents; 0: none is taken."""
        self._store = store
        self._resolve = resolve
        self._limit = limit
        self._wake = Wake(REST_S)
        self._closing = False
        self._without: dict[str, str] = {}

    def look(self) -> None:
        """Look for tasks now: there may be room for more."""
        self._wake.set()

    def leave(self) -> None:
        """Take nothing more."""
        self._closing = True

    async def run(self) -> None:
        """Until cancelled."""
        undo = self._store.listen(self._wake.set)
        try:
            while not self._closing:
                try:
                    await self._offer()
                except HomarusError as error:
                    log.warning("tasks_not_taken", code=error.code)
                await self._wake.wait(LOOK_S)
        finally:
            undo()

    async def _offer(self) -> None:
        """One task for each agent that may hold more; its commit brings the next look."""
        for agent in await self._store.read(taking.ready, turn_inbound.LLM):
            if self._closing or await self._store.read(task_turns.under_way) >= self._limit():
                return
            if not await self._has_model(agent):
                continue
            action = Action(agent.company, "task.claim", "task:", acting=agent.id, system=WORKER)
            try:
                await self._store.write(action, task_turns.take, agent.id)
            except Refused as refusal:
                log.info("claim_refused", agent=agent.id, code=refusal.code)
                continue
            failpoint("task.taken")

    async def _has_model(self, agent: Agent) -> bool:
        """The scripted one is none: it only talks, and must not say that something was done."""
        try:
            choice = await self._resolve(agent.company, agent, task_turns.expected(agent))
            if choice.provider == SCRIPTED:
                raise no_model(agent.name)
        except HomarusError as error:
            if self._without.get(agent.id) != error.code:
                self._without[agent.id] = error.code
                log.warning("agent_takes_no_tasks", agent=agent.name, code=error.code)
            return False
        self._without.pop(agent.id, None)
        return True


# -- ends of a turn that does a task -------------------------------------------------------


async def finish(run: "Run", text: str, outcome: dict[str, Any]) -> None:
    """The answer is the result. Raises CutOff at a STOP, and what keeps a result from counting."""
    turn = run.started.turn
    await run.write(_report(run), task_turns.finish, turn.id, turn.token, text, outcome)


async def fail(run: "Run", error: HomarusError) -> None:
    """The task hears what went wrong: it failed, waits for money, or stays open for others."""
    turn = run.started.turn
    told = (turn.id, turn.token, error.code, error.message[:2_000], error.remedy[:2_000])
    if isinstance(error, Refused) and error.rule == task_turns.BUDGET:
        await put_by(run, task_turns.BUDGET)
        return
    try:
        if error.code == NO_MODEL:
            await run.write(_report(run, "task.note"), task_turns.hand_off, *told)
        else:
            await run.write(_report(run), task_turns.fail, *told)
    except CutOff as off:
        await run.leave(off.why)
    except HomarusError as refusal:
        log.info("task_given_back", turn=turn.id, why=error.code, code=refusal.code)
        try:
            await run.loop.store.write(run.own(), turn_ends.fail, *told)
        except Conflict as lost:
            log.info("turn_left", turn=turn.id, why=error.code, code=lost.code)


async def put_by(run: "Run", reason: str) -> None:
    """The turn goes on when its task is claimed again."""
    turn = run.started.turn
    await run.loop.store.write(
        run.own(), task_turns.put_by, turn.id, turn.token, run.loop.tools.harmless, reason
    )


def _report(run: "Run", capability: str = "task.result") -> Action:
    work = run.started.turn.work
    return run.action(capability, f"task:{work}", task=work, preflight=None)


# -- what a turn may do of its task --------------------------------------------------------


async def preflight_for(run: "Run", work: str, capability: str, target: str) -> str | None:
    """The preflight for an act of a task's turn; None: the one of its claim, or none is needed.

    What the claim does not cover is thought about first, as an agent elsewhere has to by itself:
    the newest preflight of this task, else a new one. Raises `R6.outside` where that does not cover
    it either; the model hears it, and nothing is held against the agent.
    """
    turn = run.started.turn
    found = await run.loop.store.read(_covering, turn.company, turn.agent, work, capability, target)
    if isinstance(found, Preflight):
        return found.id
    if found:
        return None
    made = await run.write(
        run.action("preflight.create", "preflight:new", task=work, preflight=None),
        thinking.preflight, turn.agent, f"{capability} on {target}"[:500], work,
    )  # fmt: skip
    if preflights.covers(made.scope, capability, target):
        return str(made.id)
    raise Refused(
        "R6.outside", f"no preflight of this task covers {capability} on {target[:200]}",
        "Do without, or give it to an agent that may: `query_capabilities` says who.", rule="R6",
    )  # fmt: skip


def _covering(
    rx: Rx, company: str, agent: str, work: str, capability: str, target: str
) -> Preflight | bool:
    """True: the claim's own. A row: a thought one, which still holds. False: none."""
    row = rx.one("select token from task where id=?", (work,))
    claim = None
    if row is not None:
        claim = preflights.by_id(rx, company, preflights.claim_id(work, int(row[0])))
    if claim is not None and preflights.covers(claim.scope, capability, target):
        return True
    thought = preflights.latest(rx, company, agent, work)
    if thought is None or not thought.live(rx.now_ms, None):
        return False
    return thought if preflights.covers(thought.scope, capability, target) else False
