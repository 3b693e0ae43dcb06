"""Run one command on this machine: in the sandbox, or plainly when an operator trusts it.

Without a working sandbox only trusted commands run, and the result says `sandbox: none`. A trusted
command still gets the sandbox where there is one, unless its capability says otherwise.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import homarus
from homarus.backends.layers import SandboxLayers
from homarus.backends.limits import hard_limits, prlimit_argv
from homarus.backends.sandbox import bwrap_arguments, inside, view_of
from homarus.base.errors import Invalid, Unavailable
from homarus.base.process import ProcessHandle, ProcessResult, ProcessSpec, run
from homarus.kernel.limits import Limits

RELAY_PORT = 3128
"""Where a sandboxed command finds the egress proxy, on the loopback of its own network."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STATUS_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class WayOut:
    """The egress proxy for one command: its socket file, its port on this machine, the run's
    credentials (`user:password`)."""

    socket: Path
    port: int
    credentials: str

    def environment(self, port: int) -> dict[str, str]:
        """How programs are told of a proxy. Nothing goes past it."""
        url = f"http://{self.credentials}@127.0.0.1:{port}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
        return {**dict.fromkeys(names, url), "no_proxy": "", "NO_PROXY": ""}


@dataclass(frozen=True, slots=True)
class SandboxedCommand:
    """A command and what it may see. `env` is added to PATH, HOME (the workspace) and LANG.

    `inputs` are seen read-only; `hidden` (the state directory) stays unseen even below an input.
    `unsandboxed`: the capability asks to run plainly; only a trusted one may. `way_out` None: no
    network at all in the sandbox. `whole_tree`: nobody of it outlives it, or leads a life of its
    own, plainly either (`supervise.py`).
    """

    argv: tuple[str, ...]
    workspace: Path
    inputs: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stdin: bytes | None = None
    limits: Limits = field(default_factory=Limits)
    unsandboxed: bool = False
    way_out: WayOut | None = None
    whole_tree: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult(ProcessResult):
    """`sandbox`: `bwrap` or `none`. Inside bubblewrap an end by signal n shows as exit 128 + n."""

    sandbox: str

    def facts(self) -> dict[str, Any]:
        """What receipts and run rows keep: all but the output."""
        return {
            "sandbox": self.sandbox,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "wall_ms": self.wall_ms,
            "cpu_ms": self.cpu_ms,
            "peak_rss_bytes": self.peak_rss_bytes,
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that runs us, for commands that are Python of ours: where it is, what of the
    machine it needs (outside the system's directories), and the variables that find our source."""

    python: str
    inputs: tuple[Path, ...]
    env: Mapping[str, str]


@cache
def interpreter() -> Interpreter:
    """Needs neither virtual environment nor home: the base installation and our package alone."""
    package = Path(os.path.realpath(homarus.__file__)).parent
    prefix = Path(os.path.realpath(sys.base_prefix))
    inputs = (package,) if prefix.is_relative_to("/usr") else (prefix, package)
    env = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    return Interpreter(os.path.realpath(sys.executable), inputs, MappingProxyType(env))


async def run_command(
    command: SandboxedCommand,
    layers: SandboxLayers,
    *,
    trusted: bool,
    on_start: Callable[[ProcessHandle], None] | None = None,
) -> CommandResult:
    """Run `command` to its end. A command whose program is `interpreter().python` gets what that
    needs. Call it on a thread that outlives the command (`base/process.py: run`).

    Raises `Unavailable`: `sandbox.missing` (untrusted and no sandbox here), `sandbox.failed` (the
    view could not be built), `process.not_started`. Raises `Invalid` for a bad path or argument,
    and `sandbox.required` when an untrusted command asks to run plainly.
    """
    sandboxed, command = _ready(command, layers, trusted=trusted)
    if not sandboxed:
        result = await run(_plain_spec(command, layers), on_start=on_start)
        return _result(result, sandbox="none")
    return await _run_sandboxed(command, layers, on_start)


def _ready(
    command: SandboxedCommand, layers: SandboxLayers, *, trusted: bool
) -> tuple[bool, SandboxedCommand]:
    """Whether it runs in the sandbox, and the command with all that it needs for that."""
    sandboxed = _decide(command, layers, trusted=trusted)
    if command.argv and command.argv[0] == interpreter().python:
        command = _with_interpreter(command)
    if command.way_out is not None:
        command = _with_way_out(command, command.way_out, sandboxed=sandboxed)
    return sandboxed, command


def _decide(command: SandboxedCommand, layers: SandboxLayers, *, trusted: bool) -> bool:
    if command.unsandboxed and not trusted:
        raise Invalid(
            "sandbox.required",
            "The command asks to run outside the sandbox, and its capability is not trusted.",
            "Drop `unsandboxed`, or have an owner mark the capability trusted.",
        )
    if layers.sandbox == "bwrap":
        return not command.unsandboxed
    if not trusted:
        raise Unavailable(
            "sandbox.missing",
            "There is no working sandbox on this machine, and the capability is not trusted.",
            "See `homarus doctor`; install bubblewrap, or have an owner mark the capability "
            "trusted.",
        )
    return False


def _with_interpreter(command: SandboxedCommand) -> SandboxedCommand:
    ours = interpreter()
    return replace(command, inputs=(*command.inputs, *ours.inputs), env={**ours.env, **command.env})


def _with_way_out(command: SandboxedCommand, way: WayOut, *, sandboxed: bool) -> SandboxedCommand:
    """Plainly: the proxy's own port. In the sandbox: the relay before the command, the socket file
    among what it sees, and still no network but its own loopback."""
    if not sandboxed:
        return replace(command, env={**way.environment(way.port), **command.env})
    _require_program(command, _environment(command))
    ours = interpreter()
    relay = Path(os.path.realpath(homarus.__file__)).parent / "backends" / "relay.py"
    return replace(
        command,
        argv=(ours.python, "-I", "-S", str(relay), str(way.socket), str(RELAY_PORT), "--",
              *command.argv),
        inputs=(*command.inputs, *ours.inputs, way.socket),
        env={**way.environment(RELAY_PORT), **command.env},
    )  # fmt: skip


def _environment(command: SandboxedCommand) -> dict[str, str]:
    workspace = os.path.realpath(command.workspace)
    return {"PATH": PATH, "HOME": workspace, "LANG": "C.UTF-8", **command.env}


def found(program: str, workspace: Path | None = None) -> str | None:
    """The path of a program as a command would find it; None: it is not there."""
    at = str(workspace / program) if workspace is not None and "/" in program else program
    return shutil.which(at, path=PATH)


def _require_program(command: SandboxedCommand, env: Mapping[str, str]) -> None:
    program = command.argv[0] if command.argv else ""
    at = str(command.workspace / program) if "/" in program else program
    if shutil.which(at, path=env["PATH"]) is None:
        raise Unavailable(
            "process.not_started",
            f"The program {program!r} is not found.",
            "Install it, or correct the capability's command.",
            program=program,
        )


def _plain_spec(command: SandboxedCommand, layers: SandboxLayers) -> ProcessSpec:
    env = _environment(command)
    _require_program(command, env)
    argv = [*_supervisor(), *command.argv] if command.whole_tree else list(command.argv)
    if layers.setpriv is not None:  # dies with the daemon, gains nothing by setuid programs
        argv = [layers.setpriv, "--pdeathsig", "KILL", "--no-new-privs", "--", *argv]
    if layers.prlimit is not None:
        argv = [*prlimit_argv(layers.prlimit, command.limits, hard_limits()), *argv]
    return _spec(command, tuple(argv), env=env)


def _supervisor() -> tuple[str, ...]:
    script = Path(os.path.realpath(homarus.__file__)).parent / "backends" / "supervise.py"
    return interpreter().python, "-I", "-S", str(script), "--"


def _spec(
    command: SandboxedCommand,
    argv: tuple[str, ...],
    *,
    env: Mapping[str, str],
    pass_fds: tuple[int, ...] = (),
) -> ProcessSpec:
    return ProcessSpec(
        argv=argv,
        cwd=Path(os.path.realpath(command.workspace)),
        env=env,
        stdin=command.stdin,
        wall_s=command.limits.wall_s,
        output_bytes=command.limits.output_bytes,
        pass_fds=pass_fds,
    )


async def _run_sandboxed(
    command: SandboxedCommand,
    layers: SandboxLayers,
    on_start: Callable[[ProcessHandle], None] | None,
) -> CommandResult:
    with _sandbox_spec(command, layers) as (spec, status_fd):
        result = await run(spec, on_start=on_start)
        if result.reason == "exited" and not _reached_command(status_fd):
            raise Unavailable(
                "sandbox.failed",
                f"The sandbox could not be set up: {_first_line(result.stderr)}",
                "See `homarus doctor`, and check the command's workspace and inputs.",
            )
    if layers.options.timeout is None:
        result = replace(result, cpu_ms=None)
    return _result(result, sandbox="bwrap")


@contextmanager
def _sandbox_spec(
    command: SandboxedCommand, layers: SandboxLayers
) -> Iterator[tuple[ProcessSpec, int]]:
    """The command in bubblewrap, and the descriptor by which that tells whether the command was
    started at all. Its arguments come by another one, because an argument list can be read by every
    user of the machine."""
    assert layers.bwrap is not None and layers.prlimit is not None
    env = _environment(command)
    _require_program(command, env)
    view = view_of(command.workspace, command.inputs, command.hidden)
    arguments_fd = os.memfd_create("arguments")
    status_fd = os.memfd_create("status")
    try:
        arguments = bwrap_arguments(view, env, layers.options)
        _fill(arguments_fd, b"".join(os.fsencode(at) + b"\0" for at in arguments))
        processes = command.limits.processes if layers.active("process-count") else None
        argv = (
            *prlimit_argv(layers.prlimit, command.limits, hard_limits()),
            *(layers.bwrap, "--args", str(arguments_fd), "--json-status-fd", str(status_fd), "--"),
            *inside(command.argv, layers.options, prlimit=layers.prlimit, processes=processes),
        )
        yield _spec(command, argv, env={}, pass_fds=(arguments_fd, status_fd)), status_fd
    finally:
        os.close(arguments_fd)
        os.close(status_fd)


@contextmanager
def prepared(
    command: SandboxedCommand, layers: SandboxLayers, *, trusted: bool
) -> Iterator[ProcessSpec]:
    """What to start, for whoever talks with the process while it runs (`backends/talking.py`).
    Raises as `run_command`."""
    sandboxed, command = _ready(command, layers, trusted=trusted)
    if not sandboxed:
        yield _plain_spec(command, layers)
        return
    with _sandbox_spec(command, layers) as (spec, _):
        yield spec


def _fill(fd: int, data: bytes) -> None:
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)


def _reached_command(status_fd: int) -> bool:
    """bubblewrap writes the exit code only for a command that it could start."""
    lines = os.pread(status_fd, STATUS_BYTES_MAX, 0).splitlines()
    return any("exit-code" in json.loads(line) for line in lines)


def _first_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "it said nothing"


def _result(result: ProcessResult, *, sandbox: str) -> CommandResult:
    values = {at.name: getattr(result, at.name) for at in fields(result)}
    return CommandResult(**values, sandbox=sandbox)
