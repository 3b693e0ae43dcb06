"""What the daemon tells its service manager, and that a loop which is stuck is found."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from homarus.service import notify
from homarus.testing.supervisor import Supervisor, parse

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="abstract sockets, and the supervisor"
)

SOON_S = 20.0


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"\0{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name)
        listening.settimeout(SOON_S)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        yield listening


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4_096).decode().splitlines()


def test_what_is_said(manager: socket.socket) -> None:
    notify.ready("http://127.0.0.1:1")
    assert heard(manager) == ["READY=1", "STATUS=http://127.0.0.1:1", f"MAINPID={os.getpid()}"]
    notify.stopping(10.5)
    assert heard(manager) == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=40500000", "STATUS=draining"]
    notify.reloading("restarting\nREADY=1")
    reloading, at, status = heard(manager)
    assert (reloading, status) == ("RELOADING=1", "STATUS=restarting READY=1")
    assert int(at.removeprefix("MONOTONIC_USEC=")) > 0


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/notify", "@nobody-there"])
def test_without_a_manager_nothing_happens(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify.say("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "period_s"),
    [
        ("30000000", None, 30.0),
        ("500000", "own", 0.5),
        ("500000", "1", None),
        ("0", None, None),
        ("-5", None, None),
        ("x", None, None),
        (None, None, None),
    ],
)
def test_the_period_of_the_watchdog(
    usec: str | None, pid: str | None, period_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"WATCHDOG_USEC": usec, "WATCHDOG_PID": str(os.getpid()) if pid == "own" else pid}
    for name, value in values.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert notify.watchdog_s() == period_s


async def test_the_loop_pings_by_itself(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with notify.watchdog(asyncio.get_running_loop()):
        for _ in range(4):
            assert await asyncio.to_thread(heard, manager) == ["WATCHDOG=1"]


STUCK = """
import asyncio, signal
from homarus.service import notify
async def a_loop_that_is_stuck():
    with notify.watchdog(asyncio.get_running_loop()):
        notify.ready('up')
        signal.pause()
asyncio.run(a_loop_that_is_stuck())
"""


def test_a_loop_that_is_stuck_is_ended_and_says_where(tmp_path: Path) -> None:
    script = tmp_path / "stuck.py"
    script.write_text(STUCK)
    text = (
        f"[Service]\nType=notify\nExecStart=:{sys.executable} {script}\n"
        "Restart=on-watchdog\nRestartSec=1ms\nWatchdogSec=300ms\n"
    )
    log = tmp_path / "log"
    with Supervisor(parse(text, os.environ), log) as supervisor:
        first = supervisor.wait_for("ready")
        assert supervisor.wait_for("watchdog") == first
        assert supervisor.wait_for("ended") == -signal.SIGABRT
        assert supervisor.wait_for("ready", 2) != first
    assert "in a_loop_that_is_stuck" in log.read_text()
