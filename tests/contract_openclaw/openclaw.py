"""`openclaw` by others, fetched once: its command line as a remote client of a daemon of ours, and
its own gateway, to compare ours with.

Its version and hashes are in `npm/package-lock.json`; it needs Node 24 or newer, and several
hundred megabytes: `nox -s openclaw` gets both and names the node in HOMARUS_OPENCLAW_NODE.
"""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from homarus.testing.waiting import seen
from tests.support.npm import fetched

NODE = "HOMARUS_OPENCLAW_NODE"
HERE = Path(__file__).parent / "npm"
COMMAND_S = 240
READY_S = 240
"""Its own gateway loads for a minute and more where others work beside it."""
TOKEN = "the-gateway-of-others"
MODEL = "scripted/scripted"
CONTEXT_TOKENS = 128_000
Program = tuple[str, str]


class Done(NamedTuple):
    code: int
    out: str

    @property
    def data(self) -> Any:
        """The JSON document in what was said."""
        return json.loads(self.out[self.out.index("{") :])


class OpenClaw:
    """`home`: where it keeps its own state, in `state`; `run("health", "--json")`; `address`:
    arguments that name the gateway it is pointed at."""

    def __init__(self, program: Program, home: Path) -> None:
        self._program = program
        self._home = home
        self.state = home / ".openclaw"
        self.url = self.token = ""

    @property
    def address(self) -> tuple[str, ...]:
        return ("--url", self.url, "--token", self.token)

    def point_at(self, url: str, token: str) -> None:
        """Make a daemon its remote gateway."""
        self.url, self.token = f"ws{url.removeprefix('http')}", token
        remote = {"url": self.url, "token": token}
        self.configure({"gateway": {"mode": "remote", "remote": remote}})

    def configure(self, config: dict[str, Any]) -> None:
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.state / "openclaw.json").write_text(json.dumps(config))

    def _environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""), "HOME": str(self._home), "NO_COLOR": "1",
            "OPENCLAW_STATE_DIR": str(self.state), "TMPDIR": str(self._home),
        }  # fmt: skip

    def run(self, *arguments: str) -> Done:
        done = subprocess.run(
            [*self._program, *arguments], env=self._environ(), cwd=self._home,
            capture_output=True, text=True, timeout=COMMAND_S,
        )  # fmt: skip
        return Done(done.returncode, done.stdout + done.stderr)

    @contextmanager
    def beside(self, secret: str, *arguments: str, log: Path | None = None) -> Iterator[int]:
        """A command that lives until this is left: its process id. `secret`: the gateway's; `log`:
        where it writes what it says."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (log or Path(os.devnull)).open("wb") as said:
            process = subprocess.Popen(
                [*self._program, *arguments], cwd=self._home, stdout=said, stderr=said,
                env=self._environ() | {"OPENCLAW_GATEWAY_TOKEN": secret},
            )  # fmt: skip
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(COMMAND_S)


class Real(NamedTuple):
    """A gateway of the package: `url` for HTTP, `token` its shared secret."""

    url: str
    token: str
    pid: int


def of_its_own(model_url: str, *agents: str, port: int = 18789) -> dict[str, Any]:
    """Configuration for a gateway of the package on loopback, whose only model is a scripted one.
    `model_url`: `ModelServer.base_url("openai")`."""
    model = {
        "id": "scripted", "name": "Scripted", "reasoning": False, "input": ["text"],
        "cost": dict.fromkeys(("input", "output", "cacheRead", "cacheWrite"), 0),
        "contextWindow": CONTEXT_TOKENS, "maxTokens": 4_096,
    }  # fmt: skip
    provider = {"baseUrl": model_url, "apiKey": "any", "api": "openai-completions",
                "models": [model]}  # fmt: skip
    served = {"chatCompletions": {"enabled": True}, "responses": {"enabled": True}}
    return {
        "gateway": {"mode": "local", "port": port, "bind": "loopback",
                    "auth": {"mode": "token", "token": TOKEN}, "http": {"endpoints": served}},
        "agents": {"defaults": {"model": {"primary": MODEL}, "heartbeat": {"every": "0m"}},
                   "entries": {name: {} for name in agents}},
        "models": {"mode": "replace", "providers": {"scripted": provider}},
        "update": {"checkOnStart": False},
    }  # fmt: skip


@contextmanager
def real_gateway(
    found: Program, home: Path, model_url: str, *agents: str, keep: bool = False
) -> Iterator[Real]:
    """The package's own gateway, ready, until this is left. `home`: of a folder of its own; `keep`:
    its state is there already, with a configuration that names no port of interest."""
    port = _free_port()
    gateway = OpenClaw(found, home)
    if not keep:
        gateway.configure(of_its_own(model_url, *(agents or ("main",)), port=port))
    log = home / "gateway.log"
    with gateway.beside(TOKEN, "gateway", "run", "--port", str(port), log=log) as pid:
        try:
            seen(lambda: b"[gateway] ready" in log.read_bytes(), READY_S)
        except TimeoutError as error:
            error.add_note(log.read_text(errors="replace")[-4_000:])
            raise
        yield Real(f"http://127.0.0.1:{port}", TOKEN, pid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program() -> Program:
    """`(node, script)`. Skips where they are not there or cannot be had."""
    node = os.environ.get(NODE)
    if not node:
        pytest.skip("a client of several hundred megabytes: `nox -s openclaw` fetches and runs it")
    return node, str(fetched(HERE, "openclaw") / "openclaw" / "openclaw.mjs")
