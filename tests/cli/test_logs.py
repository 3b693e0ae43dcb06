"""`homarus logs`: the last lines, in words or as JSON, and what comes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from homarus.demo.children import environment
from tests.support.commands import Terminal

LINES = (
    '{"event":"ready","url":"http://127.0.0.1:1","logger":"serve","level":"info",'
    '"at":"2026-11-28T09:12:00.5Z"}',
    '{"event":"failed","logger":"unit","level":"error","at":"2026-11-28T09:12:01Z",'
    '"trace":"Traceback\\n  line"}',
    "no JSON \x1b[2J",
)
WORDS = (
    "2026-11-28 09:12:00Z info serve ready url=http://127.0.0.1:1",
    "2026-11-28 09:12:01Z error unit failed\nTraceback\n  line",
    "no JSON \\x1b[2J",
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "logs" / "homarus.log"
    path.parent.mkdir()
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


@pytest.mark.parametrize("command", [["logs"], ["service", "logs"]])
def test_in_words(homarus: Terminal, log: Path, command: list[str]) -> None:
    assert homarus(*command).out == "".join(f"{line}\n" for line in WORDS)
    assert homarus(*command, "--lines", "1").out == f"{WORDS[-1]}\n"
    assert homarus(*command, "-n", "0").out == ""


def test_as_json_lines(homarus: Terminal, log: Path) -> None:
    shown = homarus("--json", "logs").out
    assert shown.isascii()
    first, second, third = map(json.loads, shown.splitlines())
    assert (first["event"], first["url"]) == ("ready", "http://127.0.0.1:1")
    assert second["trace"] == "Traceback\n  line"
    assert third == {"event": "no JSON \x1b[2J"}


def test_before_the_first_start(homarus: Terminal) -> None:
    ran = homarus("logs")
    assert (ran.code, ran.error) == (3, "logs.none")


@pytest.mark.parametrize("lines", ["-1", "100001", "x"])
def test_a_number_of_lines_that_is_none(homarus: Terminal, lines: str) -> None:
    assert homarus("logs", "-n", lines).code == 2


FOLLOW = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from homarus.cli.main import main
main()
"""
"""The command where SIGINT counts, also when whoever started the tests has it ignored."""


def test_follow_over_a_rotation_until_interrupted(tmp_path: Path, log: Path) -> None:
    argv = [sys.executable, "-c", FOLLOW, "--home", str(tmp_path), "logs", "-f", "-n1"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as reader:
        try:
            assert reader.stdout is not None
            assert reader.stdout.readline() == f"{WORDS[-1]}\n"
            log.rename(log.with_name("homarus.log.1"))
            log.write_text('{"event":"after"}\n')
            assert reader.stdout.readline() == "after\n"
            reader.send_signal(signal.SIGINT)
            assert reader.wait(20) == 130
        finally:
            reader.kill()
