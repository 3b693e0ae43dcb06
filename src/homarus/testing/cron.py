"""A daemon in a process of its own with one job, until it is killed.

    python -m homarus.testing.cron HOME restartable|once

It makes (or takes up) the home with an agent `ada` and a job that fires once, a moment later, and
ends when that run has ended. Each time the command runs it adds a line to `ran.log` in its
workspace. `HOMARUS_FAILPOINT` says where the process dies (base/failpoint.py).
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import structlog

from homarus.app import App, build
from homarus.backends.local import interpreter
from homarus.base.action import Action
from homarus.company import agents
from homarus.config.settings import load
from homarus.flows import scheduling
from homarus.jobs import service
from homarus.jobs.model import COMMAND, CRON, JobChange
from homarus.kernel import registry
from homarus.store.port import Rx, Tx

NAME: Final = "cron.ada.mark"
RAN: Final = "ran.log"
SOON_MS: Final = 300
_MARK: Final = f"open({RAN!r}, 'a').write('ran\\n')"
_OVER: Final = "select 1 from job_run where ended_ms is not null"


def _settle_in(tx: Tx, restartable: bool) -> None:
    if service.find(tx, tx.company, NAME) is not None:
        return
    agents.create(tx, agents.AgentChange(name="ada"))
    registry.register(tx, registry.NewCapability(
        id="a.mark", title="Mark", argv=(interpreter().python, "-c", _MARK), trusted=True,
        grants=("*",), restartable=restartable,
    ))  # fmt: skip
    scheduling.define(tx, CRON, JobChange(
        name="mark", agent="ada", what=COMMAND, does={"capability": "a.mark"},
        at_ms=tx.now_ms + SOON_MS,
    ))  # fmt: skip


def _over(rx: Rx) -> bool:
    return rx.one(_OVER) is not None


async def until_over(app: App) -> None:
    changed = asyncio.Event()
    undo = app.store.listen(lambda _: changed.set())
    try:
        while not await app.store.read(_over):
            await changed.wait()
            changed.clear()
    finally:
        undo()


async def main(home: Path, restartable: bool) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    app = build(load(home, {}, port=0))
    await app.start()
    try:
        own = Action(app.home_facts.company, "company.create", "company:", system="tests")
        await app.store.write(own, _settle_in, restartable)
        await until_over(app)
    finally:
        await app.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] == "restartable"))
