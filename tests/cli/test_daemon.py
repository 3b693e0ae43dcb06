"""`homarus up`: what it says, what it leaves, how it refuses."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from homarus.cli.context import Context
from homarus.client.errors import Unreachable
from homarus.client.http import Client
from homarus.client.retry import NEVER
from homarus.demo.children import Daemon
from tests.support.commands import Running, Terminal, homarus


def test_the_ready_line(running: Running) -> None:
    ready = running.daemon.ready
    assert ready.pid == running.daemon.pid
    assert ready.token.startswith("ec_")
    assert 0 < ready.ready_ms < 30_000
    with running.client(ready.token) as api:
        assert api.get("/runtime/health")["ok"] is True


def test_where_it_can_be_found(running: Running) -> None:
    found = json.loads((running.home / "run" / "daemon.json").read_text())
    assert found == {"url": running.daemon.ready.url, "pid": running.daemon.pid}
    assert running("token", "show").out.strip() == running.owner


def test_a_second_daemon_names_the_first(running: Running) -> None:
    done = homarus(running.home, "up", "--port", "0", "--json")
    assert done.code != 0
    error = json.loads(done.err)
    assert error["code"] == "store.locked"
    assert str(running.daemon.pid) in error["error"]
    assert running("status").code == 0


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["--port", "99999"], "cli.usage"),
        (["--host", "0.0.0.0"], "settings.bind"),
        (["--store", "mongodb://x"], "settings.value"),
        (["--home", "/proc/nowhere"], "home.unwritable"),
    ],
)
def test_what_up_refuses(tmp_path: Path, arguments: list[str], code: str) -> None:
    done = homarus(tmp_path / "home", "up", *arguments, "--json")
    assert done.code != 0
    assert json.loads(done.err)["code"] == code


@pytest.mark.parametrize("place", ["file", "file/home", "home"])
def test_a_file_where_the_home_should_be_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a home")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "blobs").write_text("not a folder")
    done = Terminal(tmp_path / place)("up", "--port", "0")
    wrong = tmp_path / ("home/blobs" if place == "home" else "file")
    assert (done.error, done.code) == ("home.file", 2)
    assert f"{wrong} is a file" in done.err
    if place != "home":
        assert Terminal(tmp_path / place)("status").error == "home.file"


@pytest.mark.parametrize(
    ("pid", "waits_s", "code"),
    [
        (os.getppid, 0.0, "daemon.restarting"),
        (lambda: 2**22 + 1, 60.0, "daemon.not_running"),  # it died while it restarted
        (os.getpid, 60.0, "daemon.not_running"),  # it is this process that takes its place
    ],
    ids=["another", "died", "this"],
)
def test_who_asks_a_daemon_that_restarts(
    tmp_path: Path, pid: Callable[[], int], waits_s: float, code: str
) -> None:
    (tmp_path / "run").mkdir()
    facts = {"url": "http://127.0.0.1:1", "pid": pid(), "restarting": True}
    (tmp_path / "run" / "daemon.json").write_text(json.dumps(facts))
    asks = Context()
    asks.given_home = tmp_path
    with pytest.raises(Unreachable) as refused:
        asks.daemon_url(waits_s)
    assert refused.value.code == code


def test_a_restart_keeps_tokens_and_work(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = Daemon(home, tmp_path / "log")
    assert homarus(home, "agent", "create", "pm").code == 0
    first.kill()
    second = Daemon(home, tmp_path / "log", first.ready.port)
    try:
        assert second.ready.token == first.ready.token
        assert second.ready.url == first.ready.url
        agents = homarus(home, "agent", "list", "--json").json["agents"]
        assert [agent["name"] for agent in agents] == ["pm"]
    finally:
        second.stop()
    assert second.exit_code == 0
    assert not (home / "run" / "daemon.json").exists()
    assert homarus(home, "status").code == 6


def test_a_stopped_daemon_answers_nobody(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "home", tmp_path / "log")
    daemon.stop()
    with Client(daemon.ready.url, "t", retry=NEVER) as api, pytest.raises(Unreachable):
        api.get("/status")
    assert daemon.exit_code == 0
    with pytest.raises(ProcessLookupError):
        os.kill(daemon.pid, 0)
