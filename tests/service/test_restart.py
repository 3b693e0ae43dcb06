"""Signals of a real daemon: read again, restart in place, close with the terminal."""

import asyncio
import json
import os
import pty
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from homarus.config import active
from homarus.config.active import Active
from homarus.config.problem import Rejected
from homarus.config.schema import Settings
from homarus.config.settings import source
from homarus.demo.children import Daemon, environment
from homarus.gateway_client.asking import Caller, ask
from homarus.service import restart
from homarus.testing.daemon import key
from homarus.testing.model_server import Hold, ModelServer, Say
from homarus.testing.waiting import seen
from tests.support.commands import homarus

LONG_S = 60.0


class Town:
    """A daemon process and its owner. `told`: what it last said of its configuration."""

    def __init__(self, home: Path, daemon: Daemon) -> None:
        self.home = home
        self.daemon = daemon
        self.file = home / "homarus.json"
        self.token = (home / "run" / "owner.token").read_text().strip()
        self.owner = httpx2.AsyncClient(
            base_url=daemon.ready.url, headers={"Authorization": f"Bearer {self.token}"},
            timeout=LONG_S,
        )  # fmt: skip

    @property
    def log(self) -> str:
        return (self.home / "logs" / "homarus.log").read_text()

    def signal(self, name: str) -> None:
        os.kill(self.daemon.pid, getattr(signal, name))

    async def until(self, condition: Callable[[], object]) -> None:
        await asyncio.to_thread(seen, condition, LONG_S)

    async def until_told(self, condition: Callable[[Active], object]) -> Active:
        def found() -> bool:
            said = active.read(self.home)
            return said is not None and bool(condition(said))

        await self.until(found)
        said = active.read(self.home)
        assert said is not None
        return said

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        reply = await self.owner.post(f"/api/v1{path}", json=body, headers=key())
        assert reply.is_success, reply.text
        return reply.json()

    async def asks(self, provider: ModelServer) -> str:
        """A turn of a new agent that has asked this model; its id."""
        model = {"dialect": "openai", "baseUrl": provider.base_url("openai"), "model": "m-1"}
        await self.post("/models", model | {"key": "sk"})
        await self.post("/agents", {"name": "ada", "executor": "llm"})
        turn = (await self.post("/turns", {"agentId": "ada", "text": "hello"}))["turn"]["id"]
        await self.until(lambda: provider.requests)
        return str(turn)

    def is_reached(self) -> bool:
        """Raises ConnectionRefusedError where nobody listens, not for a moment."""
        port = int(self.daemon.ready.port)
        socket.create_connection(("127.0.0.1", port), LONG_S).close()
        return True

    def starts(self) -> int:
        return self.log.count('"event":"ready"')


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "homarus.json").write_text("{gateway: {reload: {mode: 'hybrid'}}}")
    daemon = await asyncio.to_thread(Daemon, home, tmp_path / "log")
    made = Town(home, daemon)
    try:
        yield made
    finally:
        await made.owner.aclose()
        await asyncio.to_thread(daemon.stop)


async def test_a_restart_in_place_tells_sockets_and_goes_on_with_turns(town: Town) -> None:
    url = town.daemon.ready.url
    headers = {"Authorization": f"Bearer {town.token}"}
    with ModelServer(Hold(Say("unheard")), Say("back again"), key="sk") as provider:
        turn = await town.asks(provider)
        async with websockets.connect(
            f"ws{url.removeprefix('http')}/api/mcp/ws", additional_headers=headers
        ) as events:
            await events.recv()
            town.signal("SIGUSR2")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                async with asyncio.timeout(LONG_S):
                    while True:
                        await events.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
            1012, "the daemon restarts; connect again",
        )  # fmt: skip
        await town.until(lambda: town.is_reached() and town.starts() == 2)
        async with (
            asyncio.timeout(LONG_S),
            town.owner.stream("GET", f"/api/v1/turns/{turn}/events") as told,
        ):
            async for line in told.aiter_lines():
                if line.startswith("event: end"):
                    break
        row = (await town.owner.get(f"/api/v1/turns/{turn}")).json()["turn"]
    assert (row["state"], row["outcome"]["text"]) == ("done", "back again")
    assert town.daemon.exit_code is None
    assert json.loads((town.home / "run" / "daemon.json").read_text()) == {
        "url": url, "pid": town.daemon.pid,
    }  # fmt: skip


async def test_hangup_reads_again_and_a_daemon_that_could_not_start_again_goes_on(
    town: Town,
) -> None:
    town.file.write_text("{gateway: {reload: {mode: 'off'}}, logging: {level: 'debug'}}")
    town.signal("SIGHUP")
    said = await town.until_told(lambda s: s.values["logging.level"].value == "debug")
    assert (said.pid, said.problems) == (town.daemon.pid, ())

    town.file.write_text("{gateway: {port: 'x'}}")
    town.signal("SIGHUP")
    said = await town.until_told(lambda s: s.problems)
    assert said.problems[0]["path"] == "gateway.port"
    assert said.values["logging.level"].value == "debug"
    town.signal("SIGUSR1")
    await town.until(lambda: "restart_refused" in town.log)
    assert (await town.owner.get("/ready")).status_code == 200
    assert town.starts() == 1

    town.file.write_text("{maintenance: {anchorSeconds: 5}}")
    town.signal("SIGHUP")
    await town.until(lambda: town.starts() == 2)
    await town.until_told(lambda s: s.values["maintenance.anchorSeconds"].value == 5)
    town.signal("SIGUSR1")
    await town.until(lambda: town.starts() == 3)
    assert (await town.owner.get("/ready")).status_code == 200
    assert town.daemon.exit_code is None


def test_a_daemon_ends_with_its_terminal(tmp_path: Path) -> None:
    """A closed window sends SIGHUP as well; nobody wants a daemon that outlives it unseen."""
    home, out = tmp_path / "home", tmp_path / "out"
    pid, terminal = pty.fork()
    if pid == 0:
        argv = [sys.executable, "-m", "homarus.cli.main", "--home", str(home), "up", "--port", "0"]
        fd = os.open(out, os.O_WRONLY | os.O_CREAT)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.execve(sys.executable, argv, environment())
    address = home / "run" / "daemon.json"
    seen(address.exists, LONG_S)
    seen(lambda: out.stat().st_size, LONG_S)
    os.close(terminal)
    ended, status = os.waitpid(pid, 0)
    assert (ended, os.waitstatus_to_exitcode(status)) == (pid, 0), out.read_text()
    assert not address.exists()


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({"port": 0}, True),
        ({"port": None}, True),
        ({"port": None, "host": "localhost"}, True),
        ({"port": 1}, False),
        ({"port": 0, "host": "127.0.0.2"}, False),
    ],
)
def test_the_listener_is_kept_where_the_address_stays(
    settings: dict[str, Any], taken: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        restart.keep(listener)
    assert restart.happened()
    if settings["port"] is None:
        settings = settings | {"port": port}
    kept = restart.kept(Settings(home=Path("/"), **settings))
    assert (kept is not None) is taken
    assert not restart.happened(), "it is handed on once"
    if kept is not None:
        assert kept.getsockname()[1] == port
        socket.create_connection(("127.0.0.1", port), LONG_S).close()
        kept.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), LONG_S)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        ("{gateway: {publicUrl: 'https://x.example'}, logging: {level: 'loud'}}", "logging.level"),
        ("{gateway: {", ""),
        (None, ""),
    ],
)
async def test_a_bad_edit_during_a_restart_is_one_like_any_other(
    town: Town, edit: str | None, problem: str
) -> None:
    """What was looked at before the restart is what the daemon comes back with."""
    town.file.write_text("{gateway: {publicUrl: 'https://x.example'}}")
    await town.until(lambda: '"event":"restarting"' in town.log)
    if edit is None:
        town.file.unlink()
    else:
        town.file.write_text(edit)
    await town.until(lambda: town.starts() == 2)
    said = await town.until_told(lambda s: s.problems)
    assert said.problems[0]["path"] == problem
    assert (said.pid, said.values["gateway.publicUrl"].value) == (
        town.daemon.pid, "https://x.example",
    )  # fmt: skip
    assert (await town.owner.get("/ready")).status_code == 200
    assert "config_rejected" in town.log and "config_kept" in town.log
    town.file.write_text("{gateway: {publicUrl: 'https://y.example'}}")
    await town.until(lambda: town.starts() == 3)
    await town.until_told(lambda s: s.values["gateway.publicUrl"].value == "https://y.example")
    assert town.daemon.exit_code is None


async def test_commands_wait_for_a_daemon_that_restarts(town: Town) -> None:
    """A turn that is handed back gives time to ask."""
    address = town.home / "run" / "daemon.json"
    facts = {"url": town.daemon.ready.url, "pid": town.daemon.pid}
    with ModelServer(Hold(Say("unheard")), Say("back again"), key="sk") as provider:
        await town.asks(provider)
        town.signal("SIGUSR1")
        await town.until(lambda: json.loads(address.read_text()).get("restarting"))
        assert json.loads(address.read_text()) == facts | {"restarting": True}
        status, up = await asyncio.gather(
            asyncio.to_thread(homarus, town.home, "status", "--json"),
            asyncio.to_thread(homarus, town.home, "up", "--port", "0", "--json"),
        )
    assert (status.code, json.loads(up.err)["code"]) == (0, "store.locked")
    assert town.starts() == 2
    assert json.loads(address.read_text()) == facts


async def test_why_a_start_failed_is_in_the_log(town: Town) -> None:
    ran = homarus(town.home, "up", "--port", "0", "--json")
    assert json.loads(ran.err)["code"] == "store.locked"
    told = [json.loads(line) for line in town.log.splitlines()]
    assert [(t["code"], t["why"]) for t in told if t["event"] == "start_failed"] == [
        ("store.locked", json.loads(ran.err)["error"])
    ]
    assert json.loads((town.home / "run" / "daemon.json").read_text())["pid"] == town.daemon.pid


RICH = """{
  gateway: {
    port: 0, bind: "127.0.0.1", trustedProxies: ["10.0.0.0/8"], drainSeconds: 3,
    auth: {mode: "password", password: "${GATE}"},
  },
  store: {source: "file", id: "db.url"},
  session: {identityLinks: {ada: ["telegram:7", "irc:ada"]}},
  bindings: [{agentId: "ada", match: {channel: "telegram", peer: {kind: "group", id: 7}}}],
  channels: {telegram: {groups: {"-100": {requireMention: false}}}},
}"""


def test_settings_are_handed_on_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    file, secret = tmp_path / "homarus.json", tmp_path / "db.url"
    file.write_text(RICH)
    secret.write_text("postgresql://me:hunter2@db.example/homarus")
    secret.chmod(0o600)
    place = source(tmp_path, {"GATE": "a-long-gate-password"}, port=4321)
    before = restart.settings(place)
    assert not before.kept
    for change in ("{", None):
        monkeypatch.setenv(restart.SETTINGS, "-")
        restart.keep_settings(before)
        assert not any("hunter2" in value for value in os.environ.values())
        assert [at.name for at in (tmp_path / "run").iterdir()] == []
        if change is None:
            file.unlink()
        else:
            file.write_text(change)
        after = restart.settings(place)
        assert (after.settings, after.origins) == (before.settings, before.origins)
        assert (after.files, after.digest, after.kept) == (before.files, before.digest, True)
        assert restart.SETTINGS not in os.environ, "they are handed on once"
    file.write_text("{")
    with pytest.raises(Rejected):
        restart.settings(place)
    monkeypatch.setenv(restart.SETTINGS, "-")
    restart.keep_settings(before)
    file.write_text("{gateway: {drainSeconds: 5}}")
    assert restart.settings(place).settings.store == "sqlite", "an edit that is right counts"


def test_an_address_that_cannot_be_had_counts_no_more_than_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, place = tmp_path / "homarus.json", source(tmp_path, {})
    file.write_text("{gateway: {port: 0}}")
    monkeypatch.setenv(restart.SETTINGS, "-")
    with socket.create_server(("127.0.0.1", 0)) as other:
        restart.keep_settings(restart.settings(place))
        file.write_text(f"{{gateway: {{port: {other.getsockname()[1]}}}}}")
        found = restart.settings(place)
    assert (found.kept, found.settings.port) == (True, 0)


async def test_a_client_changes_a_setting_that_takes_a_restart(town: Town, tmp_path: Path) -> None:
    caller = Caller(town.daemon.ready.url, town.token, tmp_path / "device")
    before = await ask(caller, "config.get", {})
    patch = {"raw": "{maintenance: {anchorSeconds: 300}}", "baseHash": before["hash"]}
    done = await ask(caller, "config.patch", patch | {"restartDelayMs": 0, "note": "Anchors"})
    assert done["restart"]["pid"] == town.daemon.pid
    assert done["changedPaths"] == ["maintenance.anchorSeconds"]
    await town.until(lambda: town.starts() == 2)
    said = await town.until_told(lambda a: a.values["maintenance.anchorSeconds"].value == 300)
    assert (said.pid, said.digest, said.waiting) == (town.daemon.pid, done["hash"], ())
    sentinel = town.home / "run" / "restart-sentinel.json"
    await town.until(lambda: not sentinel.exists())
    await town.until(town.is_reached)
    status = await ask(caller, "update.status", {})
    assert status["sentinel"] == done["sentinel"]["payload"]
