"""STOP ends what runs: TERM at once, KILL after 500 ms, nothing after it, lifted by an owner."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.backends.local import interpreter
from homarus.tasks import runs
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.waiting import seen
from tests.support.profile import Profile, chosen_profile

WAIT_S = 60.0
LIMIT_S = {"ci": 5.0, "full": 1.0}[chosen_profile().name]
"""From the command to the last effect: a second, measured on a machine with nothing else to do."""
AGENTS = 20
# Writes down each moment in which it still lives; `stubborn` ones do not heed TERM.
TICKER = """
import os, signal, sys, time
if sys.argv[1] == 'stubborn':
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open('ticks', 'ab', buffering=0) as file:
    while True:
        file.write(b'%020d\\n' % time.time_ns())
        time.sleep(0.01)
"""


class Busy:
    """A daemon whose agents run tickers until somebody stops them."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.project = ""
        self.tasks: dict[str, dict[str, Any]] = {}
        self.agents: dict[str, str] = {}

    async def set_up(self, count: int) -> None:
        daemon = self.daemon
        body = {
            "id": "test.tick", "title": "Tick", "trusted": True,
            "argv": [interpreter().python, "-S", "-c", TICKER, "{how}"], "slots": {"how": "text"},
        }  # fmt: skip
        reply = await daemon.owner.post("/api/v1/capabilities", json=body)
        assert reply.status_code == 201, reply.text
        self.project = await daemon.project(maxActiveAgents=100)
        for n in range(count):
            await self.employ(f"agent-{n}", "stubborn" if n % 2 else "meek")

    async def employ(self, name: str, how: str) -> None:
        await self.hire(name)
        await self.give(name, how)

    async def hire(self, name: str) -> None:
        agent = await self.daemon.agent(name, role=name)
        reply = await self.daemon.owner.patch(
            f"/api/v1/agents/{agent}", json={"executor": "command"}, headers=key()
        )
        assert reply.status_code == 200, reply.text
        self.agents[name] = agent

    async def give(self, name: str, how: str) -> None:
        asked = {
            "projectId": self.project, "taskType": "tick_on", "title": name, "ownerRole": name,
            "capability": "test.tick", "args": {"how": how}, "allowUnderspecified": True,
        }  # fmt: skip
        reply = await self.daemon.owner.post("/api/v1/tasks", json=asked, headers=key())
        assert reply.status_code == 201, reply.text
        self.tasks[name] = reply.json()["task"]

    def ticks(self, name: str) -> Path:
        home = self.daemon.app.settings.home / "agents" / self.agents[name]
        return home / "workspace" / self.tasks[name]["number"] / "ticks"

    def last_ns(self, name: str) -> int:
        """When its process last lived; 0 before the first time."""
        path = self.ticks(name)
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        return int(lines[-2]) if len(lines) > 1 else 0

    async def lives(self, name: str, since_ns: int) -> None:
        """A process tells nobody that it has written."""
        await asyncio.to_thread(seen, lambda: self.last_ns(name) > since_ns, WAIT_S)

    async def ticking(self, since_ns: int) -> None:
        """Wait until every agent's process has written after this moment."""
        for name in self.tasks:
            await self.lives(name, since_ns)

    async def rows(self, fits: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The tasks once they are as wanted; woken by commits."""
        changed = asyncio.Event()
        undo = self.daemon.app.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    changed.clear()
                    rows: list[dict[str, Any]] = (
                        await self.daemon.owner.get("/api/v1/tasks?limit=500")
                    ).json()["tasks"]
                    if fits(rows):
                        return rows
                    await changed.wait()
        finally:
            undo()

    async def stop(self, scope: str, subject: str = "") -> str:
        body = {"scope": scope, "subject": subject, "reason": "drill"}
        reply = await self.daemon.owner.post("/api/v1/stops", json=body)
        assert reply.status_code == 201, reply.text
        return str(reply.json()["stop"]["id"])

    async def lift(self, stop: str) -> None:
        reply = await self.daemon.owner.delete(f"/api/v1/stops/{stop}")
        assert reply.status_code == 200, reply.text


def aside(row: dict[str, Any]) -> bool:
    return (row["canonicalState"], row["blockedReason"]) == ("blocked", "stop")


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path, lease_watch_s=0.05) as made:
        yield made


@pytest.mark.parametrize("scope", ["company", "project", "agent", "task", "trace"])
async def test_stop_ends_the_processes_of_its_scope(daemon: Daemon, scope: str) -> None:
    busy = Busy(daemon)
    await busy.set_up(2)
    await busy.ticking(0)
    task = busy.tasks["agent-1"]
    subject = {
        "project": busy.project, "agent": busy.agents["agent-1"], "task": task["id"],
        "trace": task["traceId"],
    }.get(scope, "")  # fmt: skip
    hit = {"agent-1"} if scope in ("agent", "task", "trace") else {"agent-0", "agent-1"}
    asked_ns = time.time_ns()
    stop = await busy.stop(scope, subject)
    rows = await busy.rows(lambda rows: {r["title"] for r in rows if aside(r)} == hit)
    for row in rows:
        if row["title"] in hit:
            assert row["assignedAgentId"] == busy.agents[row["title"]]
            assert busy.last_ns(row["title"]) - asked_ns < LIMIT_S * 1e9
            [run] = await daemon.app.store.read(runs.of_task, row["id"])
            assert (run.state, run.facts["reason"]) == ("cancelled", "cancelled")
    kept = {name: busy.ticks(name).stat().st_size for name in hit}
    for name in {"agent-0", "agent-1"} - hit:
        await busy.lives(name, time.time_ns())
    assert {name: busy.ticks(name).stat().st_size for name in hit} == kept
    lifted_ns = time.time_ns()
    await busy.lift(stop)
    await busy.ticking(lifted_ns)
    await busy.stop("company")
    await busy.rows(lambda rows: all(aside(row) for row in rows))


@pytest.mark.parametrize("role, status", [("operator", 403), ("approver", 403), ("owner", 200)])
async def test_only_an_owner_lifts(daemon: Daemon, role: str, status: int) -> None:
    busy = Busy(daemon)
    stop = await busy.stop("company")
    _, secret = await daemon.token(kind="operator", role=role)
    reply = await daemon.client(secret).delete(f"/api/v1/stops/{stop}")
    assert reply.status_code == status


async def test_nothing_begins_under_stop(daemon: Daemon) -> None:
    busy = Busy(daemon)
    await busy.set_up(0)
    await busy.hire("agent-0")
    stop = await busy.stop("company")
    await busy.give("agent-0", "meek")
    reply = await daemon.company.post(
        "/api/v1/tasks/claim", json={"agentId": "agent-0"}, headers=key()
    )
    assert (reply.status_code, reply.json()["code"]) == (403, "stop.company")
    assert not busy.ticks("agent-0").exists()
    await busy.lift(stop)
    await busy.ticking(0)
    await busy.stop("company")
    await busy.rows(lambda rows: all(aside(row) for row in rows))


@pytest.mark.timeout(1_800)
async def test_from_the_command_to_the_last_effect(daemon: Daemon, profile: Profile) -> None:
    """Twenty busy agents, half of them deaf to TERM, stopped again and again."""
    rounds = profile.pick(ci=3, full=100)
    busy = Busy(daemon)
    await busy.set_up(AGENTS)
    since_ns, took_s = 0, []
    for _ in range(rounds):
        await busy.ticking(since_ns)
        asked_ns = time.time_ns()
        stop = await busy.stop("company")
        await busy.rows(lambda rows: all(aside(row) for row in rows))
        sizes = {name: busy.ticks(name).stat().st_size for name in busy.agents}
        took_s += [(busy.last_ns(name) - asked_ns) / 1e9 for name in busy.agents]
        await daemon.owner.get("/api/v1/status")
        assert {name: busy.ticks(name).stat().st_size for name in busy.agents} == sizes
        since_ns = time.time_ns()
        await busy.lift(stop)
    await busy.stop("company")
    took_s.sort()
    p99 = took_s[int(len(took_s) * 0.99)]
    print(f"{rounds} rounds: p50 {took_s[len(took_s) // 2]:.3f} s, p99 {p99:.3f} s")
    assert p99 < LIMIT_S
