"""The command line in this process, against a home that a test makes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from homarus.cli.app import cli

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


@dataclass(frozen=True)
class Terminal:
    """Runs `homarus --home HOME ...`."""

    home: Path

    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> Ran:
        found = CliRunner().invoke(
            cli, ["--home", str(self.home), *arguments], env={**NO_ENVIRONMENT, **(env or {})}
        )
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Ran(found.exit_code, found.stdout, found.stderr)

    def runs(self, url: str) -> None:
        """As if a daemon had become ready at `url`."""
        run = self.home / "run"
        run.mkdir(exist_ok=True)
        (run / "daemon.json").write_text(json.dumps({"url": url, "pid": 1}))
        (run / "owner.token").write_text(OWNER + "\n")


@pytest.fixture
def homarus(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)
