"""`homarus` as tests run it: in this process, or as people do in one of its own; a real daemon."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from homarus.cli.app import cli
from homarus.client.http import Client
from homarus.demo.children import Daemon, environment

COMMAND_TIMEOUT_S = 60
OWNER = "ho_0123"
NO_ENVIRONMENT = dict.fromkeys(
    ("HOMARUS_HOME", "HOMARUS_URL", "HOMARUS_TOKEN", "HOMARUS_COMPANY"), None
)


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The code of the error that it ended with."""
        return self.err.partition(":")[0]


@dataclass(frozen=True)
class Terminal:
    """Runs `homarus --home HOME ...` in this process."""

    home: Path

    def __call__(
        self, *arguments: str, env: Mapping[str, str | None] | None = None, typed: str | None = None
    ) -> Ran:
        found = CliRunner().invoke(
            cli, ["--home", str(self.home), *arguments], env={**NO_ENVIRONMENT, **(env or {})},
            input=typed,
        )  # fmt: skip
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Ran(found.exit_code, found.stdout, found.stderr)

    def json(self, *arguments: str) -> Any:
        """The document of a command that must succeed."""
        done = self("--json", *arguments)
        assert done.code == 0, f"{arguments}: {done.err}"
        return done.json

    def runs(self, url: str) -> None:
        """As if a daemon had become ready at `url`."""
        run = self.home / "run"
        run.mkdir(exist_ok=True)
        (run / "daemon.json").write_text(json.dumps({"url": url, "pid": 1}))
        (run / "owner.token").write_text(OWNER + "\n")
        (run / "owner.token").chmod(0o600)


@dataclass(frozen=True)
class Running(Terminal):
    """A terminal on the home of a real daemon."""

    daemon: Daemon

    @property
    def owner(self) -> str:
        return (self.home / "run" / "owner.token").read_text().strip()

    def client(self, token: str | None = None, company: str | None = None) -> Client:
        return Client(self.daemon.ready.url, token or self.owner, company)


def homarus(home: Path, *arguments: str) -> Ran:
    """A command in a process of its own."""
    argv = [sys.executable, "-m", "homarus.cli.main", "--home", str(home), *arguments]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=environment(), timeout=COMMAND_TIMEOUT_S
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One daemon for the tests of a module; each test founds what it needs."""
    place = tmp_path_factory.mktemp("running")
    daemon = Daemon(place / "home", place / "log")
    yield Running(place / "home", daemon)
    daemon.stop()
