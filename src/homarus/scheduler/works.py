"""What a claimed run does: a command, an agent's turn, a task's creation, housekeeping.

Whatever it is, it is a row before it begins and its outcome is a unit of its own. A fault of ours
leaves the run to its lease.
"""

import asyncio
import hashlib
import shlex
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from homarus.backends import cgroups
from homarus.backends.metered import Meter
from homarus.base.action import Action, Effect
from homarus.base.canonical import canonical
from homarus.base.errors import HomarusError, Refused
from homarus.base.failpoint import failpoint
from homarus.base.redact import redact_text
from homarus.dispatch import commands
from homarus.dispatch.halting import LiveRun
from homarus.egress.proxy import Egress
from homarus.flows import firing, firing_ends
from homarus.flows.firing import HOUR_MS, Taken
from homarus.flows.firing_ends import Ended
from homarus.flows.reaching import Run as Reach
from homarus.jobs.model import COMMAND, MAINTENANCE, TURN, Job, Run
from homarus.kernel.redlines import CRON
from homarus.scheduler.command import CommandEnd, Quota, run_command
from homarus.store.port import Store

WORKER: Final = CRON
GRACE_MS: Final = 60_000
"""After the longest that a command may run, before another daemon takes its run for lost."""
DUTY_MS: Final = 6 * HOUR_MS
"""The longest that a piece of housekeeping may take."""

Duty = Callable[[], Awaitable[str | None]]
"""One kind of housekeeping; what it has to say."""


def system(company: str, capability: str, target: str) -> Action:
    return Action(company, capability, target, system=WORKER)


class Works:
    """`duties`: housekeeping by name, for jobs of kind maintenance."""

    def __init__(
        self, store: Store, home: Path, egress: Egress | None, duties: Mapping[str, Duty]
    ) -> None:
        self._store = store
        self._home = home
        self._runner = commands.Runner(egress)
        self._meter = Meter(cgroups.delegated())
        self._duties = duties
        self.leaving = False
        """The daemon stops: what is ended from now on is ended for that."""

    def live(self, taken: Taken) -> LiveRun:
        """What a STOP ends."""
        job = taken.job
        return LiveRun(job.company, {"agent": job.agent, "project": job.project})

    async def do(self, taken: Taken, live: LiveRun) -> Run | None:
        """A claimed run to its end, or to where its turn ends it; the row as it is then, None: it
        is no longer ours."""
        run, job = taken.run, taken.job
        try:
            match job.what:
                case what if what == COMMAND:
                    ended = await self._command(taken, live)
                case what if what == MAINTENANCE:
                    ended = await self._maintain(run, job)
                case what if what == TURN:
                    return await self._store.write(self._firing(job), firing.say, run.id, run.token)
                case _:
                    return await self._store.write(
                        self._firing(job), firing.spawn, run.id, run.token
                    )
        except HomarusError as error:
            if isinstance(error, Refused) and firing_ends.not_now(error.code, run.what):
                return await self._store.write(
                    self._settling(job), firing_ends.hand_back, run.id, run.token, error.code
                )
            ended = Ended(False, reason=error.code, error=str(error))
        if ended is None:
            return await self._store.write(
                self._settling(job), firing_ends.cut, run.id, run.token, self.leaving
            )
        return await self._store.write(
            self._settling(job), firing_ends.settle, run.id, run.token, ended
        )

    async def _command(self, taken: Taken, live: LiveRun) -> Ended | None:
        """None: it was ended from outside."""
        run, job = taken.run, taken.job
        capability = await self._store.read(firing.ready, job.company, job.id)
        agent = job.agent or ""
        workspace = commands.workspace_of(self._home, agent, job.number)
        command = await asyncio.to_thread(
            commands.prepare, capability, job.does.get("arguments") or {}, workspace, self._home
        )
        intent = Action(
            job.company, capability.id, firing_ends.target_of(job), Effect(capability.effect),
            acting=agent, preflight=taken.preflight, system=WORKER,
            what=redact_text(shlex.join(command.argv)),
            arguments=hashlib.sha256(canonical(list(command.argv))).digest(),
        )  # fmt: skip
        wall_ms = command.limits.wall_s * 1_000 + GRACE_MS
        await self._store.write(intent, firing.start, run.id, run.token, wall_ms)
        failpoint("cron.started")
        reach = Reach(run.id, job.company, agent, capability.id)
        quota = Quota(job.cpu_s, job.memory_mb)
        end: CommandEnd = await run_command(
            self._runner, self._meter, capability, command, live, reach, quota
        )
        failpoint("cron.ran")
        return None if end.cancelled else end.ended()

    async def _maintain(self, run: Run, job: Job) -> Ended:
        name = str(job.does.get("duty", ""))
        duty = self._duties.get(name)
        if duty is None:
            known = ", ".join(sorted(self._duties))
            return Ended(False, "job.duty", f"no duty {name[:40]!r}; there are {known}")
        wall_ms = DUTY_MS + GRACE_MS
        await self._store.write(self._firing(job), firing.begun, run.id, run.token, wall_ms)
        try:
            async with asyncio.timeout(DUTY_MS / 1_000):
                return Ended(True, output=await duty())
        except TimeoutError:
            return Ended(False, "job.slow", f"it took longer than {DUTY_MS // HOUR_MS} hours")
        except OSError as error:
            return Ended(False, "job.disk", str(error))

    def _firing(self, job: Job) -> Action:
        return system(job.company, "job.fire", f"job:{job.id}")

    def _settling(self, job: Job) -> Action:
        return system(job.company, "job.settle", f"job:{job.id}")
