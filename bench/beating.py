"""A heartbeat of an agent that owns 500 tasks: when no lease is old enough to be rewritten, as most
of the time, and when all are."""

import asyncio
import time
from statistics import median

import msgspec

from bench import office
from bench.aims import Outcome
from bench.office import Office
from bench.scratch import scratch
from bench.working import as_the_daemon_switches, claim, claiming
from homarus.base.action import Action
from homarus.control_plane import agents
from homarus.control_plane.agents import Heartbeat
from homarus.control_plane.route import Call
from homarus.kernel import tokens
from homarus.store.port import Reply, Tx
from homarus.store.sqlite.engine import SqliteStore
from homarus.tasks.model import LEASE_MS

OWNED, QUICK_OWNED = 500, 100
TIMES, QUICK_TIMES = 60, 20


class Beats(msgspec.Struct):
    """Milliseconds, by kind; `renewed` of the last one that renewed."""

    quiet: list[float]
    renewing: list[float]
    renewed: int


def measure(quick: bool) -> Outcome:
    owned, times = (QUICK_OWNED, QUICK_TIMES) if quick else (OWNED, TIMES)
    with scratch() as folder, as_the_daemon_switches():
        seed = office.found(folder / "home", 1, owned)
        found = asyncio.run(_measure(seed, owned, times))
    return Outcome(
        figures={"quiet": median(found.quiet), "renewing": median(found.renewing)},
        notes=[
            f"{owned} tasks in hand, {found.renewed} leases rewritten; slowest of {times}: quiet "
            f"{max(found.quiet):.1f} ms, renewing {max(found.renewing):.1f} ms"
        ],
        failures=owned - found.renewed,
    )


async def _measure(seed: Office, owned: int, times: int) -> Beats:
    opened = office.store(seed.home)
    await opened.start()
    worker = seed.workers[0]
    try:
        await opened.write(office.system(seed.company, "company.create"), _room, worker.agent)
        for _ in range(owned):
            await opened.write(claiming(seed.company, worker.token), claim, worker.agent)
        quiet = [(await _beat(opened, seed))[0] for _ in range(times)]
        renewing, renewed = [], 0
        for _ in range(times):
            await opened.write(office.system(seed.company, "company.create"), _age, worker.agent)
            took, renewed = await _beat(opened, seed)
            renewing.append(took)
        return Beats(quiet, renewing, renewed)
    finally:
        await opened.stop()


def _room(tx: Tx, agent: str) -> None:
    tx.run("update agent set concurrency_limit=? where id=?", (OWNED, agent))


def _age(tx: Tx, agent: str) -> None:
    """Half of each lease has passed."""
    tx.run(
        "update task set lease_until_ms=? where agent=? and state='in_progress'",
        (tx.now_ms + LEASE_MS // 2, agent),
    )


async def _beat(opened: SqliteStore, seed: Office) -> tuple[float, int]:
    """Milliseconds of one heartbeat, committed; how many leases it rewrote."""
    worker = seed.workers[0]
    token = await opened.read(tokens.by_id, worker.token)
    body = Heartbeat(agent_id=worker.agent, current_load=1.0)
    call: Call[Heartbeat] = Call(seed.company, token, {}, {}, body)
    action = Action(
        seed.company, "agent.heartbeat", "agent:self", credential=worker.token, acting=worker.agent
    )
    began = time.perf_counter()
    reply: Reply = await opened.write(action, agents.heartbeat, call)
    took_ms = 1000 * (time.perf_counter() - began)
    return took_ms, int(msgspec.json.decode(reply.body)["renewed"])
