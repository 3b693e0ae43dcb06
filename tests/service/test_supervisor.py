"""The test's own service manager does what the unit says, told by systemd.service(5)."""

import signal
import sys
from pathlib import Path

import pytest

from homarus.testing.supervisor import Supervisor, comes_again, parse

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the supervisor waits on a pidfd")

TERM, KILL = -signal.SIGTERM, -signal.SIGKILL


def unit(script: str, **rows: object) -> str:
    escaped = script.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    lines = {"Type": "notify", "ExecStart": f':{sys.executable} -c "{escaped}"'} | rows
    return "[Service]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())


@pytest.mark.parametrize(
    ("policy", "code", "watchdog", "again"),
    [
        ("no", 1, False, False),
        ("no", KILL, False, False),
        ("always", 0, False, True),
        ("always", TERM, False, True),
        ("always", KILL, False, True),
        ("always", -signal.SIGABRT, True, True),
        ("always", 78, False, False),
        ("on-success", 0, False, True),
        ("on-success", TERM, False, True),
        ("on-success", 1, False, False),
        ("on-failure", 0, False, False),
        ("on-failure", TERM, False, False),
        ("on-failure", 143, False, False),
        ("on-failure", 1, False, True),
        ("on-failure", KILL, False, True),
        ("on-failure", 78, False, False),
        ("on-abnormal", 1, False, False),
        ("on-abnormal", KILL, False, True),
        ("on-abort", KILL, False, True),
        ("on-abort", -signal.SIGABRT, True, False),
        ("on-watchdog", KILL, False, False),
        ("on-watchdog", -signal.SIGABRT, True, True),
    ],
)
def test_what_is_started_again(policy: str, code: int, watchdog: bool, again: bool) -> None:
    rules = parse(
        unit("", Restart=policy, RestartPreventExitStatus="78", SuccessExitStatus="0 143"), {}
    )
    assert comes_again(rules, code, watchdog=watchdog) is again


def test_a_program_that_keeps_failing_is_given_up(tmp_path: Path) -> None:
    rules = parse(
        unit("raise SystemExit(3)", Restart="always", RestartSec="1ms", StartLimitBurst=3,
             StartLimitIntervalSec=60), {},
    )  # fmt: skip
    with Supervisor(rules, tmp_path / "log") as supervisor:
        assert supervisor.wait_for("failed") == "start-limit-hit"
        assert supervisor.all("ended") == [3, 3, 3]


def test_a_start_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    rules = parse(unit("import signal; signal.pause()", TimeoutStartSec="50ms"), {})
    with Supervisor(rules, tmp_path / "log") as supervisor:
        assert supervisor.wait_for("ended") == TERM


STRANGER = """
import os, signal, socket
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text, os.environ['NOTIFY_SOCKET'])
child = os.fork()
if child == 0:
    say(b'READY=1\\nSTATUS=a lie')
    os._exit(0)
os.waitpid(child, 0)
say(b'READY=1\\nSTATUS=true')
signal.pause()
"""


@pytest.mark.parametrize(
    ("access", "status"), [("main", ["true"]), ("all", ["a lie", "true"]), ("none", [])]
)
def test_whom_it_listens_to(tmp_path: Path, access: str, status: list[str]) -> None:
    script = tmp_path / "stranger.py"
    script.write_text(STRANGER)
    command = f":{sys.executable} {script}"
    rules = parse(unit("", ExecStart=command, NotifyAccess=access), {})
    with Supervisor(rules, tmp_path / "log") as supervisor:
        if access == "none":
            supervisor.wait_for("ignored", 2)
        else:
            supervisor.wait_for("ready", len(status))
        assert supervisor.all("status") == status
        assert len(supervisor.all("ignored")) == 2 - len(status)
