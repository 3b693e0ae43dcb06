"""What a node does for its gateway: `system.which`, and `system.run` under the local policy.

A command is a list of words; no shell reads it. It runs in a folder below the node's workspace.
"""

import asyncio
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.backends import local
from homarus.backends.layers import SandboxLayers
from homarus.base.errors import HomarusError
from homarus.base.node_commands import DENIED
from homarus.base.process import ProcessHandle
from homarus.kernel.limits import RANGES, Limits
from homarus.node import policy

CAPS: Final = ("system",)
MAX_BINS: Final = 64
MAX_WORDS: Final = 1_000
WALL_S: Final = 600
OUTPUT_BYTES: Final = 262_144
"""Of each of stdout and stderr."""
_ENV: Final = re.compile(r"LANG|LC_[A-Z]+|TZ|TERM|NO_COLOR|CI")
"""Variables that a gateway may set: none of them has a program load or run something."""

Said = dict[str, Any]


class Wrong(Exception):
    """An invoke that is not done: code and message for the gateway."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Machine(msgspec.Struct, frozen=True):
    """`folder`: the node's own, with its policy. `trusted`: without a sandbox on this machine
    commands run plainly; else they do not run."""

    folder: Path
    workspace: Path
    layers: SandboxLayers
    trusted: bool = False


class Run(msgspec.Struct):
    """`system.run`; fields that other hosts know are not of use here."""

    command: tuple[str, ...]
    cwd: str | None = None
    env: dict[str, str] | None = None
    timeout_ms: int | None = msgspec.field(default=None, name="timeoutMs")
    approved: bool | None = None


class Which(msgspec.Struct):
    bins: tuple[str, ...]


OnStart = Callable[[ProcessHandle], None]


async def which(machine: Machine, params: Which, timeout_ms: int, on_start: OnStart) -> Said:
    """Where programs are, of those that are there."""
    _ = machine, timeout_ms, on_start
    names = [name for name in params.bins[:MAX_BINS] if name and "/" not in name]
    places = await asyncio.to_thread(lambda: {name: local.found(name) for name in names})
    return {"bins": {name: place for name, place in places.items() if place is not None}}


async def run(machine: Machine, params: Run, timeout_ms: int, on_start: OnStart) -> Said:
    """Raises Wrong, HomarusError."""
    if not params.command or not params.command[0] or len(params.command) > MAX_WORDS:
        raise Wrong("INVALID_REQUEST", f"command: 1 to {MAX_WORDS} words")
    folder = _folder(machine.workspace, params.cwd)
    program = _program(params.command[0], folder)
    why = policy.read(machine.folder).refuses(program, params.approved is True)
    if why is not None:
        raise Wrong(DENIED, f"{DENIED}: {why}")
    wall_ms = min(params.timeout_ms or timeout_ms, timeout_ms)
    wall_s = max(1, min(math.ceil(wall_ms / 1000), RANGES["wall_s"][1]))
    command = local.SandboxedCommand(
        argv=(program, *params.command[1:]), workspace=folder, hidden=(machine.folder,),
        env=_environment(params.env or {}),
        limits=Limits(wall_s=wall_s, output_bytes=OUTPUT_BYTES),
    )  # fmt: skip
    done = await local.run_command(
        command, machine.layers, trusted=machine.trusted, on_start=on_start
    )
    error = None if done.reason == "exited" else f"the command ended: {done.reason}"
    return {
        "exitCode": done.exit_code, "timedOut": done.reason == "timeout", "success": done.ok,
        "stdout": done.stdout.decode(errors="replace"),
        "stderr": done.stderr.decode(errors="replace"), "error": error,
        "truncated": done.truncated, "sandbox": done.sandbox,
    }  # fmt: skip


def _folder(workspace: Path, asked: str | None) -> Path:
    root = Path(os.path.realpath(workspace))
    found = Path(os.path.realpath(root / (asked or "")))
    if not found.is_relative_to(root) or not found.is_dir():
        raise Wrong("INVALID_REQUEST", f"cwd: not a folder below {root}")
    return found


def _program(word: str, folder: Path) -> str:
    path = local.found(word, folder)
    if path is None:
        raise Wrong("NOT_FOUND", f"no program {word[:200]!r}")
    return policy.named(folder / path)


def _environment(asked: dict[str, str]) -> dict[str, str]:
    wrong = [name for name in asked if not _ENV.fullmatch(name)]
    if wrong:
        raise Wrong(DENIED, f"{DENIED}: env {wrong[0][:80]!r} is not taken from a gateway")
    return asked


COMMANDS: Final[dict[str, tuple[Any, Any]]] = {
    "system.run": (Run, run), "system.which": (Which, which),
}  # fmt: skip
"""Command -> its parameters, and what does it."""


async def do(
    machine: Machine, command: str, params_json: str | None, timeout_ms: int, on_start: OnStart
) -> Said:
    """The answer to one invoke: `{ok, payload}` or `{ok, error}`."""
    try:
        if command not in COMMANDS:
            raise Wrong("UNAVAILABLE", f"this node does not offer {command[:80]!r}")
        kind, act = COMMANDS[command]
        params = msgspec.json.decode(params_json or "{}", type=kind)
        return {"ok": True, "payload": await act(machine, params, timeout_ms, on_start)}
    except Wrong as wrong:
        error = {"code": wrong.code, "message": wrong.message}
    except (msgspec.DecodeError, UnicodeError, RecursionError) as bad:
        error = {"code": "INVALID_REQUEST", "message": str(bad)[:300]}
    except HomarusError as failed:
        error = {"code": "UNAVAILABLE", "message": f"{failed.message} {failed.remedy}".strip()}
    return {"ok": False, "error": error}
