"""A real daemon in a process of its own, and `homarus` run as people run it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from homarus.client.http import Client
from homarus.demo.children import Daemon, environment

COMMAND_TIMEOUT_S = 60


@dataclass(frozen=True)
class Ended:
    """A command's end."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Running:
    """A daemon on `home`; calling it runs a command against that home."""

    home: Path
    daemon: Daemon

    def __call__(self, *arguments: str) -> Ended:
        return homarus(self.home, *arguments)

    def json(self, *arguments: str) -> Any:
        """The document of a command that must succeed."""
        done = self("--json", *arguments)
        assert done.code == 0, f"{arguments}: {done.err}"
        return done.json

    @property
    def owner(self) -> str:
        return (self.home / "run" / "owner.token").read_text().strip()

    def client(self, token: str | None = None, company: str | None = None) -> Client:
        return Client(self.daemon.ready.url, token or self.owner, company)


def homarus(home: Path, *arguments: str) -> Ended:
    argv = [sys.executable, "-m", "homarus.cli.main", "--home", str(home), *arguments]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=environment(), timeout=COMMAND_TIMEOUT_S
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One daemon for the tests of a module; each test founds what it needs."""
    place = tmp_path_factory.mktemp("running")
    daemon = Daemon(place / "home", place / "log")
    yield Running(place / "home", daemon)
    daemon.stop()
