"""One judgement of the kernel: its rules alone, and with the facts that they read.

The acts of a working agent: claim, result, message to another, and a command under a preflight of
its own. `pure` answers every query from memory, so that what is left is the rules.
"""

import asyncio
import time
from statistics import median
from typing import Any

from bench import office
from bench.aims import Outcome
from bench.office import Office, Worker
from bench.scratch import scratch
from homarus.base.action import Action, Allow
from homarus.flows import claiming, thinking
from homarus.flows.facts import SqlFacts
from homarus.kernel import registry
from homarus.kernel.admit import judge
from homarus.store.port import Params, Row, Rx, Tx

COMMAND = "words.count"
ROUNDS, QUICK_ROUNDS = 4_000, 500


class Remembered:
    """An Rx that has asked each question once before."""

    def __init__(self, rx: Rx) -> None:
        self._rx = rx
        self._rows: dict[tuple[str, tuple[Any, ...]], list[Row]] = {}
        self.dialect = rx.dialect
        self.now_ms = rx.now_ms

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        asked = (sql, tuple(params))
        if asked not in self._rows:
            self._rows[asked] = self._rx.all(sql, params)
        return self._rows[asked]

    def one(self, sql: str, params: Params = ()) -> Row | None:
        rows = self.all(sql, params)
        return rows[0] if rows else None


def measure(quick: bool) -> Outcome:
    with scratch() as folder:
        seed = office.found(folder / "home", 1, 2)
        pure, facts = asyncio.run(_judged(seed, QUICK_ROUNDS if quick else ROUNDS))
    notes = [
        f"{name}: {pure[name]:.1f} us, with facts {facts[name]:.1f} us" for name in sorted(pure)
    ]
    return Outcome({"pure": max(pure.values()), "with_facts": max(facts.values())}, notes)


async def _judged(seed: Office, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    opened = office.store(seed.home)
    await opened.start()
    try:
        worker = seed.workers[0]
        await opened.write(office.system(seed.company, "company.create"), _register)
        claim = Action(seed.company, "task.claim", "task:", credential=worker.token)
        claimed = await opened.write(
            claim, claiming.claim, claiming.ClaimRequest(owner=worker.name)
        )
        asking = Action(seed.company, "preflight.create", "preflight:", credential=worker.token)
        thought = await opened.write(
            asking, thinking.preflight, worker.agent, "count words", claimed.task.id
        )
        key = office.kernel(seed.home).note_key
        acts = _acts(seed, worker, claimed.task.id, thought.id)
        return await opened.read(_rounds, acts, key, rounds)
    finally:
        await opened.stop()


def _register(tx: Tx) -> None:
    new = registry.NewCapability(COMMAND, "Count words", ("true",), grants=("role:coder",))
    registry.register(tx, new)


def _acts(seed: Office, worker: Worker, task: str, preflight: str) -> dict[str, Action]:
    def act(capability: str, target: str, **more: Any) -> Action:
        return Action(seed.company, capability, target, credential=worker.token, **more)

    return {
        "claim": act("task.claim", "task:"),
        "result": act("task.result", f"task:{task}", task=task),
        "message": act("message.send", "thread:", callee=worker.agent),
        "command": act(
            COMMAND, f"task:{task}", task=task, arguments=bytes(32), preflight=preflight
        ),
    }


def _rounds(
    rx: Rx, acts: dict[str, Action], key: Any, rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median microseconds of each act, from memory and from the store."""
    memory = Remembered(rx)
    return (
        {name: _median_us(memory, act, key, rounds) for name, act in acts.items()},
        {name: _median_us(rx, act, key, rounds) for name, act in acts.items()},
    )


def _median_us(rx: Any, action: Action, key: Any, rounds: int) -> float:
    facts = SqlFacts()
    verdict = judge(rx, action, facts, key)
    if not isinstance(verdict, Allow):
        raise AssertionError(f"{action.capability} is refused: {verdict}")
    took = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        judge(rx, action, facts, key)
        took.append(time.perf_counter_ns() - began)
    return median(took) / 1_000
