"""A daemon with a scripted model, and a company of its own for each test."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from homarus.demo.children import environment
from homarus.testing.daemon import beside
from homarus.testing.scripted_model import ScriptedModel
from tests.support.commands import COMMAND_TIMEOUT_S, Ran, Terminal

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Office:
    """`homarus` in one company. `model` answers all of its agents."""

    home: Path
    company: str
    model: ScriptedModel

    def __call__(self, *arguments: str, typed: str | None = None) -> Ran:
        env = {"HOMARUS_COMPANY": self.company}
        return Terminal(self.home)(*arguments, env=env, typed=typed)

    def json(self, *arguments: str) -> Any:
        done = self("--json", *arguments)
        assert done.code == 0, f"{arguments}: {done.err}"
        return done.json

    def take(self, root: Path, *more: str) -> Any:
        """Import it; the report."""
        return self.json("import", "openclaw", str(root), "--yes", *more)

    def look(self, root: Path, *more: str) -> Any:
        """The report of a dry run."""
        return self.json("import", "openclaw", str(root), "--dry-run", *more)

    def dies(self, point: str, *arguments: str) -> int:
        """A command in a process of its own that is killed at a failpoint; its exit code."""
        argv = [sys.executable, "-m", "homarus.cli.main", "--home", str(self.home), *arguments]
        env = environment() | {"HOMARUS_FAILPOINT": point, "HOMARUS_COMPANY": self.company,
                               "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip
        return subprocess.run(
            argv, env=env, capture_output=True, timeout=COMMAND_TIMEOUT_S
        ).returncode

    def history(self, session: str) -> list[dict[str, Any]]:
        return list(self.json("session", "history", session, "--limit", "5000")["entries"])

    def workspace(self, agent: str) -> Path:
        rows = self.json("agent", "list")["agents"]
        id = next(row["id"] for row in rows if row["name"] == agent)
        return self.home / "agents" / id / "workspace"


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ScriptedModel]]:
    home = tmp_path_factory.mktemp("importing") / "home"
    model = ScriptedModel("Petrel.")
    home.parent.mkdir(exist_ok=True)
    before = structlog.get_config()
    structlog.reset_defaults()  # whole, whatever a test before has left
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory((home.parent / "log").open("w"))
    )
    with beside(home, turns=model.turns()) as daemon:
        address = {"url": daemon.url, "pid": os.getpid()}
        (home / "run" / "daemon.json").write_text(json.dumps(address))
        yield home, model
    structlog.configure(**before)


@pytest.fixture
def office(desk: tuple[Path, ScriptedModel]) -> Office:
    home, model = desk
    company = f"port-{next(_numbers)}"
    made = Terminal(home)("company", "create", company, "--template", "solo")
    assert made.code == 0, made.err
    return Office(home, company, model)
