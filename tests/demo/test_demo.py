"""`homarus demo` from end to end, as somebody runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homarus.demo.catalog import JOBS
from homarus.demo.children import environment
from tests.demo.conftest import state

DEMO_TIMEOUT_S = 110


def demo(*arguments: str, place: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "homarus.cli.main", "demo", *arguments]
    env = {**environment(), "TMPDIR": str(place), "HOMARUS_TOKEN": "must not reach the children"}
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=DEMO_TIMEOUT_S)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where scratch homes go."""
    path = tmp_path / "place"
    path.mkdir()
    return path


def test_the_company_does_its_work(tree: Path, place: Path) -> None:
    before = state(tree)
    done = demo(str(tree), "--json", place=place)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)

    assert outcome["ok"]
    assert outcome["tasks"] == len(JOBS) >= 11
    assert {check["name"]: check["ok"] for check in outcome["checks"]} == dict.fromkeys(
        (
            "every task is done",
            "every task was done once",
            "every task has one artifact",
            "the ledger verifies",
        ),
        True,
    )
    assert outcome["receipts"] == outcome["audit"]["receipts"] >= 6 * len(JOBS)
    assert outcome["sandbox"] in ("bwrap", "none")
    assert state(tree) == before, "nothing in PATH is changed"

    report = Path(outcome["report"]).read_text()
    assert f"{len(JOBS) - 1} of {len(JOBS) - 1} pieces of work gave a result" in report
    assert "1 group of equal files with 2 files" in report
    assert "big.bin" in report


def test_plain_lines_say_what_happens(tree: Path, place: Path) -> None:
    home = place / "kept-home"
    done = demo(str(tree), "--home", str(home), place=place)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "sandbox: " in said
    assert "T-1   in_progress  scoder" in said
    assert "ok    the ledger verifies" in said
    assert f"homarus up --home {home}" in said
    assert "\x1b" not in said
    assert (home / "local-ssot" / "ssot.db").exists()


def test_keep_leaves_the_daemon(tree: Path, place: Path) -> None:
    done = demo(str(tree), "--keep", "--json", place=place)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)
    pid = outcome["pid"]
    try:
        argv = [sys.executable, "-m", "homarus.cli.main", "--home", outcome["home"], "--json"]
        listed = subprocess.run(
            [*argv, "--company", "demo", "task", "list", "--state", "done"],
            capture_output=True, env=environment(), check=True,
        )  # fmt: skip
        assert len(json.loads(listed.stdout)["tasks"]) == len(JOBS)
    finally:
        os.kill(pid, signal.SIGTERM)


@pytest.mark.parametrize("path", ["nowhere", "README.md"])
def test_a_path_that_is_no_directory(tree: Path, place: Path, path: str) -> None:
    done = demo(str(tree / path), "--json", place=place)
    assert done.returncode == 2
    assert json.loads(done.stderr)["code"] == "cli.usage"
    assert list(place.iterdir()) == []
