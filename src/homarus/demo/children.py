"""The demo's child processes: the daemon and the agents, started, killed and ended."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from homarus.base.errors import Unavailable

READY_WAIT_S: Final = 30.0
STOP_WAIT_S: Final = 15.0
READY_LINE_BYTES: Final = 16_384
TAIL_BYTES: Final = 2_000
_NOT_INHERITED: Final = "HOMARUS_"
"""Settings of the caller's own daemon must not reach the scratch one."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What `homarus up --json` says when it answers."""

    url: str
    token: str
    gateway_token: str
    pid: int
    ready_ms: int

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2].strip("/")


class Child:
    """One process in a session of its own; its words go to `log`."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        env: Mapping[str, str],
        *,
        stdout: int | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file if stdout is None else stdout,
                stderr=file,
                env={**environment(), **env},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int:
        """How it ended. Raises TimeoutExpired."""
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        """`kill -9`, no farewell; returns when the process is gone."""
        self._process.kill()
        self._process.wait(STOP_WAIT_S)

    def stop(self) -> None:
        """Ask it to end; after STOP_WAIT_S end it."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self) -> str:
        """The end of what it said, for an error."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").strip()
        return ""


class Daemon(Child):
    """`homarus up --json`, with further options. `port` "0" takes a free one."""

    def __init__(self, home: Path, log: Path, port: str = "0", *options: str) -> None:
        """Returns when it is ready. Raises `demo.daemon`."""
        arguments = ["homarus.cli.main", "up", "--json", "--home", str(home), "--port", port]
        arguments += options
        super().__init__(arguments, log, {}, stdout=subprocess.PIPE)
        line = self._first_line()
        try:
            self.ready = Ready(**json.loads(line))
        except (ValueError, TypeError) as error:
            self.kill()
            raise Unavailable(
                "demo.daemon",
                f"the daemon did not start: {self.tail() or line.decode(errors='replace')}",
                f"See {log}.",
            ) from error

    def _first_line(self) -> bytes:
        """What it writes up to the first newline, its end, or READY_WAIT_S."""
        pipe = self._process.stdout
        if pipe is None:
            raise AssertionError("started without a pipe")
        until = time.monotonic() + READY_WAIT_S
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in said and len(said) < READY_LINE_BYTES:
                if not selector.select(max(0.0, until - time.monotonic())):
                    break
                chunk = os.read(pipe.fileno(), READY_LINE_BYTES)
                if not chunk:
                    break
                said += chunk
        return said.partition(b"\n")[0]


def environment() -> dict[str, str]:
    """The caller's environment without its Homarus settings."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
