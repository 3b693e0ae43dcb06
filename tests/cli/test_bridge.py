"""`homarus bridge` as a command: how it ends, and what it says."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from homarus.bridge.journal import STARTED, Journal
from homarus.demo.children import Child
from homarus.testing.waiting import seen
from tests.support.commands import Running, homarus, running

__all__ = ["running"]

NOWHERE = "http://127.0.0.1:9"
TOKEN = "ec_" + "0" * 48


@pytest.mark.parametrize(
    "arguments, code, error",
    [
        (["--url", NOWHERE, "--token", TOKEN, "--agent", "a", "--once"], 6, "client.unreachable"),
        (["--url", NOWHERE, "--token", TOKEN], 2, "bridge.agent_missing"),
        (["--url", NOWHERE, "--agent", "a"], 2, "bridge.no_token"),
        (["--agent", "a"], 2, "bridge.no_url"),
        (["--url", "x", "--token", TOKEN, "--agent", "a"], 2, "client.url"),
        (["--agent", "a", "--config", "nowhere.json"], 3, "bridge.config_missing"),
        (["--agent", "a", "word"], 2, "Usage"),
        (["--agent", "a", "--exec"], 2, "Usage"),
        (["--agent", "a", "--max-tasks", "0"], 2, "Usage"),
    ],
)
def test_how_it_ends_before_it_starts(
    tmp_path: Path, arguments: list[str], code: int, error: str
) -> None:
    path = str(tmp_path / "j.json")
    done = homarus(tmp_path / "home", "bridge", "--bridge-state-path", path, *arguments)
    assert (done.code, done.error.split(" ")[0]) == (code, error)


def at(running: Running, path: Path, *more: str) -> list[str]:
    return [
        "homarus.cli.main", "bridge", "--home", str(running.home), "--agent", "tally", "--json",
        "--bridge-state-path", str(path), *more,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change, code",
    [(["--token", TOKEN], 4), (["--agent-id", "nobody"], 3)],
)
def test_how_it_ends_at_its_start(
    running: Running, tmp_path: Path, change: list[str], code: int
) -> None:
    child = Child(at(running, tmp_path / "j.json", *change), tmp_path / "log", {})
    assert child.wait(30) == code, child.tail()


def test_two_cannot_share_a_journal(running: Running, tmp_path: Path) -> None:
    with Journal(tmp_path / "j.json"):
        child = Child(at(running, tmp_path / "j.json"), tmp_path / "log", {})
        assert child.wait(30) == 5
    assert "bridge.journal_locked" in child.tail()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_as_asked(running: Running, tmp_path: Path, number: signal.Signals) -> None:
    """It says what it did as JSON lines, none of which holds a token."""
    log = tmp_path / "log"
    child = Child(
        at(running, tmp_path / "j.json", "--reply", "--", sys.executable, "-c", ""), log, {}
    )
    seen(lambda: log.exists() and '"connected"' in log.read_text(), 30)
    os.kill(child.pid, number)
    assert child.wait(30) == 0, child.tail()
    told = lines(log)
    assert [line["event"] for line in told if line["event"] != "agent_created"] == [
        "started", "connected", "ending", "ended",
    ]  # fmt: skip
    assert all(line["at"].endswith("Z") for line in told)
    company = (running.home / "run" / "company.token").read_text().strip()
    assert company not in log.read_text()
    assert company not in (tmp_path / "j.json").read_text()


def test_a_second_interrupt_ends_it_at_once(running: Running, tmp_path: Path) -> None:
    """Its program ends with it; the task stays its own until the next life looks after it."""
    pid = tmp_path / "pid"
    code = (
        "import os, sys, time; sys.stdin.read(); "
        f"open({str(tmp_path / 'new')!r}, 'w').write(str(os.getpid())); "
        f"os.rename({str(tmp_path / 'new')!r}, {str(pid)!r}); time.sleep(60)"
    )
    with running.client() as api:
        project = api.post("/projects", {"goal": "g"})["project"]["id"]
        body = {"projectId": project, "taskType": "some_work", "title": "t"}
        task = api.post("/tasks", body | {"allowUnderspecified": True})["task"]["id"]
        log = tmp_path / "log"
        program = ("--drain", "600", "--exec", "--", sys.executable, "-c", code)
        child = Child(at(running, tmp_path / "j.json", *program), log, {})
        seen(pid.exists, 30)
        os.kill(child.pid, signal.SIGINT)
        seen(lambda: '"draining"' in log.read_text(), 30)
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(30) == 130, child.tail()
        assert not Path(f"/proc/{pid.read_text()}").exists()
        with Journal(tmp_path / "j.json") as journal:
            assert journal.own.tasks[task].phase == STARTED
        again = Child(at(running, tmp_path / "j.json", "--once"), log, {})
        assert again.wait(30) == 0, again.tail()
        assert api.get(f"/tasks/{task}")["task"]["canonicalState"] == "review"
