"""The daemon as a user starts it: `homarus up` in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

PROFILED = """
import cProfile, signal, sys
from homarus.cli.main import main
figures = sys.argv.pop(1)
profiler = cProfile.Profile()
signal.signal(signal.SIGWINCH, lambda *_: profiler.enable())
try:
    main()
finally:
    profiler.disable()
    profiler.dump_stats(figures)
"""
"""Profiles the event loop's thread from SIGWINCH on: SIGUSR1 and SIGUSR2 restart a daemon."""

COMMAND = [sys.executable, "-c", "from homarus.cli.main import main; main()"]
START_S = 60.0
STOP_S = 30.0


class Daemon(msgspec.Struct, frozen=True):
    """`took_s`: from exec to the ready line. `owner`: the owner token's secret."""

    url: str
    pid: int
    took_s: float
    owner: str


@contextmanager
def daemon(
    home: Path, profile: Path | None = None, settings: dict[str, str] | None = None
) -> Iterator[Daemon]:
    """A daemon on `home`, stopped afterwards. `settings`: more of its environment.

    `profile`: a file for the figures of its event loop, from SIGWINCH on (`profile_from_now`).
    """
    command = COMMAND if profile is None else [sys.executable, "-c", PROFILED, str(profile)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "up", "--home", str(home), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment() | (settings or {}),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        took_s = time.perf_counter() - began
        if not line:
            raise RuntimeError(f"the daemon ended at its start: {process.wait(STOP_S)}")
        ready = json.loads(line)
        owner = (home / "run" / "owner.token").read_text("ascii").strip()
        yield Daemon(ready["url"], ready["pid"], took_s, owner)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)


def profile_from_now(running: Daemon) -> None:
    os.kill(running.pid, signal.SIGWINCH)


def environment() -> dict[str, str]:
    """This process's, without what would make a start other than a user's."""
    unusual = ("HOMARUS_", "PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME")
    return {k: v for k, v in os.environ.items() if not k.startswith(unusual)}
