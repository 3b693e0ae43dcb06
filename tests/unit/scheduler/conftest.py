"""A company whose jobs are fired by a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from homarus.backends.local import interpreter
from homarus.flows import firing, firing_ends, scheduling
from homarus.jobs import runs, service
from homarus.jobs.model import CRON, Job, JobChange, Run
from homarus.kernel import registry
from homarus.scheduler.log import CronLog
from homarus.scheduler.ticker import Ticker
from homarus.scheduler.works import Works
from homarus.testing.ground import ManualClock, ground
from homarus.testing.shop import OWNER, SYSTEM, Shop, open_shop

PYTHON = interpreter().python
MIN = 60_000
HOUR = 60 * MIN
DAY = 24 * HOUR


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


class Cron:
    """`tick` has everything done that is due now, and what it starts ended."""

    def __init__(self, shop: Shop, clock: ManualClock) -> None:
        self.shop, self.clock = shop, clock
        self.ground = shop.ground
        self.duties: dict[str, Any] = {}
        self.lines = CronLog(self.ground.home / "logs", clock)
        self.ticker = self.daemon()

    def daemon(self) -> Ticker:
        """A ticker as a daemon has it that just started."""
        g = self.ground
        return Ticker(g.store, self.clock, Works(g.store, g.home, None, self.duties), self.lines)

    async def register(self, name: str, code: str, **more: Any) -> None:
        new = registry.NewCapability(
            id=name, title=name, argv=(PYTHON, "-c", code), trusted=True, grants=("*",), **more
        )
        await self.shop.do("capability.register", OWNER, registry.register, new)

    async def define(self, as_: str = OWNER, **fields: Any) -> Job:
        change = JobChange(**({"name": "job", "agent": "ada"} | fields))
        job: Job = await self.shop.do("job.create", as_, scheduling.define, CRON, change)
        return job

    async def command(self, capability: str = "a.run", **fields: Any) -> Job:
        return await self.define(what="command", does={"capability": capability}, **fields)

    async def job(self, job: Job) -> Job:
        found: Job = await self.ground.read(service.by_id, self.ground.company, job.id)
        return found

    async def tick(self, at: str | int | None = None) -> None:
        if at is not None:
            self.clock.at_ms = ms(at) if isinstance(at, str) else at
        async with asyncio.TaskGroup() as group:
            await self.ticker.tick(group)

    async def run_by_hand(self, job: Job) -> Run:
        run: Run = await self.shop.do("job.run", OWNER, firing.by_hand, job)
        return run

    async def runs(self, job: Job | None = None) -> list[Run]:
        """Oldest first."""
        found = await self.ground.read(
            lambda rx: runs.listed(
                rx, self.ground.company, limit=10_000, job=None if job is None else job.id
            )
        )
        return list(reversed(found))

    async def states(self, job: Job | None = None) -> list[str]:
        return [run.state.value for run in await self.runs(job)]

    async def fire(self) -> None:
        """Rows alone: as if the daemon died before it took any."""
        while (await self.shop.do("job.fire", SYSTEM, firing.fire)).more:
            pass

    async def take(self, limit: int = 100) -> list[firing.Taken]:
        taken: list[firing.Taken] = await self.shop.do("job.fire", SYSTEM, firing.take, limit)
        return taken

    async def settle(self, run: Run, ended: firing_ends.Ended) -> Run | None:
        found: Run | None = await self.shop.do(
            "job.settle", SYSTEM, firing_ends.settle, run.id, run.token, ended
        )
        return found


@pytest.fixture
async def cron(tmp_path: Path) -> AsyncIterator[Cron]:
    clock = ManualClock(ms("2026-03-28T00:00:00Z"))
    async with ground(tmp_path / "home", clock) as g:
        (g.home / "logs").mkdir(exist_ok=True)
        shop = await open_shop(g)
        await shop.agent("ada", role="coder")
        await shop.agent("bob", role="coder")
        made = Cron(shop, clock)
        await made.register("a.run", "print('it ran')")
        yield made
        made.lines.close()
