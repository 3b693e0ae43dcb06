"""A preflight at 1,000 capabilities: what thinking before acting costs an agent.

Who, how, where, whether: read and ranked outside the writer, as the surface does it, then kept.
"""

import asyncio
import time
from statistics import median

from bench import office
from bench.aims import Outcome
from bench.office import Office
from bench.scratch import scratch
from homarus.base.action import Action
from homarus.flows import thinking
from homarus.kernel import registry
from homarus.store.port import Rx, Tx

CAPABILITIES = 1_000
A_UNIT = 20
ROUNDS, QUICK_ROUNDS = 200, 40
VERBS = ("count", "publish", "modify", "inspect", "archive", "translate", "deploy", "measure")
THINGS = ("words", "invoice", "handbook", "server", "calendar", "picture", "release", "contract")
INTENT = "count the words of the handbook"


def measure(quick: bool) -> Outcome:
    with scratch() as folder:
        seed = office.found(folder / "home", 10, 2)
        took_ms = asyncio.run(_thought(seed, QUICK_ROUNDS if quick else ROUNDS))
    return Outcome({"preflight": median(took_ms)}, [f"{CAPABILITIES} capabilities, 10 agents"])


async def _thought(seed: Office, rounds: int) -> list[float]:
    opened = office.store(seed.home)
    await opened.start()
    try:
        registering = office.system(seed.company, "company.create")
        for start in range(0, CAPABILITIES, A_UNIT):
            await opened.write(registering, _register, start)
        worker = seed.workers[0]
        keeping = Action(seed.company, "preflight.create", "preflight:new", credential=worker.token)
        took_ms = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            thought = await opened.read(_think, seed.company, worker.agent)
            await opened.write(keeping, thinking.keep, worker.agent, thought)
            took_ms.append((time.perf_counter() - began) * 1_000)
        return took_ms[1:]
    finally:
        await opened.stop()


def _register(tx: Tx, start: int) -> None:
    for n in range(start, start + A_UNIT):
        verb, thing = VERBS[n % len(VERBS)], THINGS[n // len(VERBS) % len(THINGS)]
        new = registry.NewCapability(
            f"{thing}.{verb}-{n}", f"{verb} the {thing} number {n}", ("true",),
            grants=(f"role:{office.ROLE}",),
        )  # fmt: skip
        registry.register(tx, new)


def _think(rx: Rx, company: str, agent: str) -> thinking.Thought:
    return thinking.think(rx, company, thinking.of_agent(rx, company, agent), INTENT, None)
