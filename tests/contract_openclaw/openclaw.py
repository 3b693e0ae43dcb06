"""The command line `openclaw` by others, fetched once, as a remote client of a daemon of ours.

Its version and hashes are in `npm/package-lock.json`; it needs Node 24 or newer, and several
hundred megabytes: `nox -s openclaw` gets both and names the node in HOMARUS_OPENCLAW_NODE.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.npm import fetched

NODE = "HOMARUS_OPENCLAW_NODE"
HERE = Path(__file__).parent / "npm"
COMMAND_S = 120


class Done(NamedTuple):
    code: int
    out: str

    @property
    def data(self) -> Any:
        """The JSON document in what was said."""
        return json.loads(self.out[self.out.index("{") :])


class OpenClaw:
    """`home`: where it keeps its own state; `run("health", "--json")`."""

    def __init__(self, program: tuple[str, str], home: Path) -> None:
        self._program = program
        self._home = home
        self._state = home / ".openclaw"
        self.url = ""

    def point_at(self, url: str, token: str) -> None:
        """Make a daemon its remote gateway."""
        self._state.mkdir(parents=True, exist_ok=True)
        self.url = f"ws{url.removeprefix('http')}"
        remote = {"url": self.url, "token": token}
        config = {"gateway": {"mode": "remote", "remote": remote}}
        (self._state / "openclaw.json").write_text(json.dumps(config))

    def _environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""), "HOME": str(self._home), "NO_COLOR": "1",
            "OPENCLAW_STATE_DIR": str(self._state), "TMPDIR": str(self._home),
        }  # fmt: skip

    def run(self, *arguments: str) -> Done:
        done = subprocess.run(
            [*self._program, *arguments], env=self._environ(), cwd=self._home,
            capture_output=True, text=True, timeout=COMMAND_S,
        )  # fmt: skip
        return Done(done.returncode, done.stdout + done.stderr)

    @contextmanager
    def beside(self, secret: str, *arguments: str) -> Iterator[None]:
        """A command that lives until this is left; `secret`: the gateway's."""
        self._state.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [*self._program, *arguments], cwd=self._home, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=self._environ() | {"OPENCLAW_GATEWAY_TOKEN": secret},
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(COMMAND_S)


def program() -> tuple[str, str]:
    """`(node, script)`. Skips where they are not there or cannot be had."""
    node = os.environ.get(NODE)
    if not node:
        pytest.skip("a client of several hundred megabytes: `nox -s openclaw` fetches and runs it")
    return node, str(fetched(HERE, "openclaw") / "openclaw" / "openclaw.mjs")
