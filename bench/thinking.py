"""A preflight at 1,000 capabilities: what thinking before acting costs an agent. And the search
alone, at 10,000.

Who, how, where, whether: read and ranked outside the writer, as the surface does it, then kept.
"""

import asyncio
import random
import time
from statistics import median

from bench import office
from bench.aims import Outcome
from bench.office import Office
from bench.scratch import scratch
from homarus.base.action import Action
from homarus.flows import thinking
from homarus.kernel import registry, search
from homarus.store.port import Rx, Tx

CAPABILITIES = 1_000
INDEXED = 10_000
INTENTS = 20
A_UNIT = 20
ROUNDS, QUICK_ROUNDS = 200, 40
VERBS = ("count", "publish", "modify", "inspect", "archive", "translate", "deploy", "measure")
THINGS = ("words", "invoice", "handbook", "server", "calendar", "picture", "release", "contract")
INTENT = "count the words of the handbook"


def measure(quick: bool) -> Outcome:
    with scratch() as folder:
        seed = office.found(folder / "home", 10, 2)
        took_ms = asyncio.run(_thought(seed, QUICK_ROUNDS if quick else ROUNDS))
    built_ms, ranked_ms = _searched()
    return Outcome(
        {"preflight": median(took_ms), "search": ranked_ms},
        [f"{CAPABILITIES} capabilities, 10 agents; an index of {INDEXED:,}: {built_ms:,.0f} ms"],
    )


def _searched() -> tuple[float, float]:
    """CPU in ms: for the index of INDEXED texts, and for one intent, median."""
    pick = random.Random(7)
    vocabulary = [f"word{n}" for n in range(2_000)]
    texts = [(f"c.{n}", " ".join(pick.choices(vocabulary, k=25))) for n in range(INDEXED)]
    began = time.process_time()
    index = search.build(texts)
    built = time.process_time()
    took_ms = []
    for _ in range(INTENTS):
        intent, began_one = " ".join(pick.choices(vocabulary, k=6)), time.process_time()
        search.rank(index, intent, limit=10, floor=1.0)
        took_ms.append((time.process_time() - began_one) * 1_000)
    return (built - began) * 1_000, median(took_ms)


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
