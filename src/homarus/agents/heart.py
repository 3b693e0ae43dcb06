"""The heart: wakes agents when their heartbeat is due and there is news (`flows/heartbeats.py`).

It sleeps until the next one is due, or until a commit may have changed when that is. Several
daemons on one store may all wake: the row's own time, read in the unit, lets one of them act.
"""

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Final

import structlog

from homarus.agents.tools.space import Space, of_agent
from homarus.base.action import Action
from homarus.base.clock import Clock
from homarus.base.errors import HomarusError
from homarus.base.failpoint import failpoint
from homarus.base.waking import Wake
from homarus.company import heartbeats as rows
from homarus.flows import heartbeats
from homarus.flows.heartbeats import Seen
from homarus.store.port import Rx, Store

log = structlog.get_logger("heart")

WORKER: Final = "heartbeat"
FILE: Final = "HEARTBEAT.md"
MAX_DUE: Final = 500
"""Agents that one round looks at; more follow at once."""
MAX_SLEEP_S: Final = 3_600.0
RETRY_S: Final = 1.0
"""Where one is still due after a round: it failed, or came due just now."""
GAP_S: Final = 0.2
"""Commits that come close together are one reason to look at the clock."""


class Heart:
    """One a daemon. `run` until cancelled; `beat` does what is due now."""

    def __init__(self, store: Store, clock: Clock, home: Path) -> None:
        self._store = store
        self._clock = clock
        self._home = home
        self._wake = Wake(GAP_S)

    async def run(self) -> None:
        """A failure is logged and tried again: it never ends the daemon."""
        undo = self._store.listen(self._wake.set)
        try:
            while True:
                wait_s: float | None = RETRY_S
                try:
                    await self.beat()
                    wait_s = await self._rest_s()
                except HomarusError as error:
                    log.warning("heartbeat_failed", code=error.code)
                await self._wake.wait(wait_s)
        finally:
            undo()

    async def beat(self) -> list[str]:
        """Look at every agent whose time has come; the turns that follow."""
        turns: list[str] = []
        while True:
            due = await self._store.read(_due)
            by_company: dict[str, list[str]] = defaultdict(list)
            for company, agent in due:
                by_company[company].append(agent)
            failed = False
            for company, agents in by_company.items():
                try:
                    turns += await self._look(company, agents)
                except HomarusError as error:  # of one company; the others' are looked at
                    failed = True
                    log.warning("heartbeat_failed", company=company, code=error.code)
            if failed or len(due) < MAX_DUE:
                return turns

    async def _look(self, company: str, agents: list[str]) -> list[str]:
        seen = await asyncio.to_thread(self._orders, agents)
        turns: list[str] = []
        action = Action(company, "heartbeat.run", f"company:{company}", system=WORKER)
        for first in range(0, len(seen), heartbeats.AGENTS_A_UNIT):
            some = tuple(seen[first : first + heartbeats.AGENTS_A_UNIT])
            turns += await self._store.write(action, heartbeats.look, some)
            failpoint("heartbeat.looked")
        return turns

    def _orders(self, agents: list[str]) -> list[Seen]:
        return [seen(of_agent(self._home, agent), agent) for agent in agents]

    async def _rest_s(self) -> float | None:
        """Until the next one is due; None: none is."""
        at_ms = await self._store.read(rows.next_ms)
        if at_ms is None:
            return None
        left_ms = at_ms - self._clock.now_ms()
        return min(MAX_SLEEP_S, left_ms / 1000) if left_ms > 0 else RETRY_S


def _due(rx: Rx) -> list[tuple[str, str]]:
    return rows.due(rx, rx.now_ms, MAX_DUE)


def seen(workspace: Path, agent: str) -> Seen:
    """An agent's orders as they stand in its workspace; what cannot be read is none."""
    if not workspace.is_dir():
        return Seen(agent)
    try:
        text = Space(workspace).read(FILE, heartbeats.MAX_ORDERS).data.decode("utf-8", "replace")
        return Seen(agent, text, (workspace / FILE).stat().st_mtime_ns // 1_000_000)
    except (HomarusError, OSError):
        return Seen(agent)
