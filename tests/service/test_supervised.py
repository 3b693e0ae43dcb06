"""A real daemon under the rules of the unit that `homarus service install` writes."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from homarus.demo.children import environment
from homarus.testing.daemon import key
from homarus.testing.model_server import Echo, Hold, ModelServer
from homarus.testing.supervisor import Supervisor, parse
from tests.support.commands import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the supervisor waits on a pidfd")

AGENTS = ("ada", "bob", "cy")
LONG_S = 60.0
PACE = 0.1


class Watched:
    """A home whose daemon a supervisor looks after, and its owner."""

    def __init__(self, home: Path, supervisor: Supervisor) -> None:
        self.home = home
        self.supervisor = supervisor

    @asynccontextmanager
    async def owner(self, start: int) -> AsyncIterator[httpx2.AsyncClient]:
        """A client of the daemon that became ready as the `start`th."""
        await asyncio.to_thread(self.supervisor.wait_for, "ready", start)
        urls = [s for s in self.supervisor.all("status") if s.startswith("http")]
        token = (self.home / "run" / "owner.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(base_url=urls[-1], headers=headers, timeout=LONG_S) as client:
            yield client


def unit_of(home: Path) -> str:
    home.mkdir(exist_ok=True)
    (home / "homarus.json").write_text("{gateway: {port: 0}}")
    return str(Terminal(home)("service", "install", "--print", "--manager", "systemd").out)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "a home"


@pytest.fixture
def provider() -> Iterator[ModelServer]:
    with ModelServer(key="sk") as server:
        yield server


@pytest.fixture
def watched(home: Path, tmp_path: Path) -> Iterator[Watched]:
    unit = parse(unit_of(home), environment())
    with Supervisor(unit, tmp_path / "log", pace=PACE) as supervisor:
        yield Watched(home, supervisor)
    assert supervisor.events[-1][0] == "stopped"


async def post(owner: httpx2.AsyncClient, path: str, body: dict[str, Any], **headers: str) -> Any:
    reply = await owner.post(f"/api/v1{path}", json=body, headers=headers or key())
    assert reply.is_success, reply.text
    return reply.json()


async def staffed(owner: httpx2.AsyncClient, provider: ModelServer) -> None:
    """Agents that a scripted model answers; each has said something already."""
    await post(
        owner, "/models",
        {"dialect": "openai", "baseUrl": provider.base_url("openai"), "model": "m-1", "key": "sk"},
    )  # fmt: skip
    provider.add(*(Echo() for _ in AGENTS))
    for name in AGENTS:
        await post(owner, "/agents", {"name": name, "executor": "llm"})
        await done(owner, await said(owner, name, f"before {name}"))


async def said(owner: httpx2.AsyncClient, agent: str, text: str) -> str:
    """The turn; saying it again under the same key is the same turn."""
    body = {"agentId": agent, "text": text}
    reply = await post(owner, "/turns", body, **{"Idempotency-Key": f"{agent}-{text}"})
    return str(reply["turn"]["id"])


async def done(owner: httpx2.AsyncClient, turn: str) -> str:
    """What the turn answered, when it is over."""
    async with asyncio.timeout(LONG_S), owner.stream("GET", f"/api/v1/turns/{turn}/events") as told:
        async for line in told.aiter_lines():
            if line.startswith("event: end"):
                break
    row = (await owner.get(f"/api/v1/turns/{turn}")).json()["turn"]
    assert row["state"] == "done", row
    return str(row["outcome"]["text"])


async def history(owner: httpx2.AsyncClient, agent: str) -> Any:
    reply = await owner.get(f"/api/v1/sessions/agent:{agent}:main/history")
    assert reply.is_success, reply.text
    return reply.json()


def texts(entries: list[dict[str, Any]]) -> list[str]:
    """What was said in a session: a person's words are text, a model's are parts."""
    found = [entry["message"]["content"] for entry in entries]
    return [c if isinstance(c, str) else "".join(part["text"] for part in c) for c in found]


async def sent(owner: httpx2.AsyncClient, thread: str) -> list[str]:
    reply = await owner.get(f"/api/v1/threads/{thread}/messages")
    assert reply.is_success, reply.text
    return sorted(message["text"] for message in reply.json()["messages"])


async def test_a_daemon_that_is_killed_goes_on_with_what_ran(
    watched: Watched, provider: ModelServer
) -> None:
    async with watched.owner(1) as owner:
        await staffed(owner, provider)
        asked = len(provider.requests)
        provider.add(*(Hold(Echo()) for _ in AGENTS))
        turns = {name: await said(owner, name, f"ask {name}") for name in AGENTS}
        await asyncio.to_thread(provider.wait, lambda s: len(s.requests) == asked + len(AGENTS))
        provider.add(*(Echo() for _ in AGENTS))
        first = watched.supervisor.pid
        watched.supervisor.kill(signal.SIGKILL)
    async with watched.owner(2) as owner:
        for name, turn in turns.items():
            assert await said(owner, name, f"ask {name}") == turn
            assert await done(owner, turn) == f"ask {name}"
            told = await history(owner, name)
            heard = [f"before {name}", f"before {name}", f"ask {name}", f"ask {name}"]
            assert texts(told["entries"]) == heard
            assert await sent(owner, told["session"]["threadId"]) == sorted(heard)
    again = provider.requests[asked + len(AGENTS) :]
    assert len(again) == len(AGENTS), "each was asked once more"
    assert all("before " in str(seen) for seen in again), "with what had been said before"
    assert watched.supervisor.pid != first
    assert watched.supervisor.all("ended") == [-signal.SIGKILL]
    assert watched.supervisor.all("ignored") == []


async def test_stopped_by_its_manager_it_drains_and_goes_on_at_the_next_start(
    home: Path, tmp_path: Path, provider: ModelServer
) -> None:
    unit = parse(unit_of(home), environment())
    with Supervisor(unit, tmp_path / "log", pace=PACE) as supervisor:
        async with Watched(home, supervisor).owner(1) as owner:
            await staffed(owner, provider)
            asked = len(provider.requests)
            provider.add(Hold(Echo()))
            turn = await said(owner, "ada", "go on")
            await asyncio.to_thread(provider.wait, lambda s: len(s.requests) == asked + 1)
            provider.add(Echo())
        await asyncio.to_thread(supervisor.stop)
        assert supervisor.all("ended") == [0]
        assert len(supervisor.all("stopping")) == 1
    with Supervisor(unit, tmp_path / "log", pace=PACE) as supervisor:
        async with Watched(home, supervisor).owner(1) as owner:
            assert await done(owner, turn) == "go on"


def test_a_daemon_that_hangs_is_ended_and_comes_again(home: Path, tmp_path: Path) -> None:
    text = unit_of(home).replace("WatchdogSec=30", "WatchdogSec=2\nTimeoutAbortSec=50ms")
    with Supervisor(parse(text, environment()), tmp_path / "log", pace=PACE) as supervisor:
        first = supervisor.wait_for("ready")
        supervisor.kill(signal.SIGSTOP)
        assert supervisor.wait_for("watchdog") == first
        assert supervisor.wait_for("ended") == -signal.SIGKILL, "a stopped process takes no other"
        assert supervisor.wait_for("ready", 2) != first


def test_a_configuration_with_mistakes_is_not_started_again(home: Path, tmp_path: Path) -> None:
    unit = parse(unit_of(home), environment())
    (home / "homarus.json").write_text("{gateway: {port: 'x'}}")
    with Supervisor(unit, tmp_path / "log", pace=PACE) as supervisor:
        assert supervisor.wait_for("failed") == 78
        assert supervisor.all("ended") == [78]
    assert "gateway.port" in (tmp_path / "log").read_text()


def test_variables_of_the_home_a_reload_and_a_restart_in_place(home: Path, tmp_path: Path) -> None:
    unit = parse(unit_of(home), environment())
    (home / "service.env").write_text("# of the service\nHOMARUS_LOG_LEVEL=debug\n")
    with Supervisor(unit, tmp_path / "log", pace=PACE) as supervisor:
        first = supervisor.wait_for("ready")
        supervisor.kill(signal.SIGHUP)
        assert supervisor.wait_for("ready", 2) == first
        supervisor.kill(signal.SIGUSR2)
        assert supervisor.wait_for("ready", 3) == first
        assert supervisor.all("reloading") == [first, first]
        assert supervisor.all("started") == [first]
        shown = Terminal(home)("config", "explain", "logging.level").out
    assert "debug" in shown
