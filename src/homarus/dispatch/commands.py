"""A registered command as a process: its command line, what it may see, what it leaves behind.

Shared by the dispatcher (a task's own capability) and the calls worker (a call within a task).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from homarus.backends import layers, local
from homarus.base.errors import HomarusError, Unavailable
from homarus.base.process import ProcessHandle
from homarus.dispatch.halting import LiveRun
from homarus.egress.hosts import of_targets
from homarus.egress.proxy import Egress
from homarus.flows import running
from homarus.flows.calling import check_arguments
from homarus.flows.reaching import Run
from homarus.kernel import registry
from homarus.kernel.argv import Template
from homarus.kernel.limits import RANGES, Limits
from homarus.records import rules
from homarus.records.blobs import Blobs

MAX_FILES: Final = 20
MAX_REFUSALS: Final = 10
"""What the egress proxy refused a run that its output names."""
OUTPUT_CHARS: Final = 32_768
CHUNK_BYTES: Final = 1_048_576


def workspace_of(home: Path, agent: str, number: str) -> Path:
    """The folder in which commands of an agent's task run."""
    return home / "agents" / agent / "workspace" / number


def prepare(
    capability: registry.Capability, arguments: Mapping[str, Any], workspace: Path, home: Path
) -> local.SandboxedCommand:
    """The command line and what it may see. Raises `call.arguments`, `argv.*`, `limits.*`,
    `workspace.unusable`."""
    check_arguments(capability, arguments)
    _make(workspace / "out")
    template = Template.parse(capability.argv, capability.slots)
    argv = template.render(arguments, workspace)
    return local.SandboxedCommand(
        argv=tuple(argv),
        workspace=workspace,
        inputs=template.inputs,
        hidden=(home,) if not workspace.is_relative_to(home) else private(home),
        limits=limits_of(capability),
    )


def _make(out: Path) -> None:
    """An agent that may write files may have put one where the folder should be."""
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Unavailable(
            "workspace.unusable",
            f"the folder {out} cannot be made: {error.strerror}",
            "Move away what lies there, or make room on the disk, and try again.",
        ) from None


def limits_of(capability: registry.Capability) -> Limits:
    return Limits.from_json({k: v for k, v in capability.limits.items() if k in RANGES})


def private(home: Path) -> tuple[Path, ...]:
    """What of the state directory no command may see, when its workspace lies inside."""
    return tuple(home / name for name in ("run", "local-ssot", "blobs", "backups", "logs"))


def collect(blobs: Blobs, out: Path) -> tuple[running.Produced, ...]:
    """Take the plain files of `out/` into the blobs, at most MAX_FILES."""
    produced: list[running.Produced] = []
    if not out.is_dir() or out.is_symlink():
        return ()
    for entry in sorted(os.scandir(out), key=lambda e: e.name)[:MAX_FILES]:
        if not entry.is_file(follow_symlinks=False):
            continue
        draft = blobs.draft()
        if draft is None:
            break
        fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                draft.write(chunk)
        size = draft.size
        name = rules.safe_name(entry.name.encode("utf-8", "replace").decode())
        produced.append(running.Produced(name, draft.keep(), size))
    return tuple(produced)


class Ran(msgspec.Struct, frozen=True):
    """How a command ended. `output`: exit code, sandbox, stdout, stderr, or the error's code;
    `comment` says it in one line; `facts` are for the run's row. `cancelled`: by a STOP."""

    ok: bool
    comment: str
    output: dict[str, Any]
    facts: dict[str, Any]
    cancelled: bool = False


class Execute(Protocol):
    """Runs a command to its end; `backends.local.run_command` is one."""

    def __call__(
        self,
        command: local.SandboxedCommand,
        layers: layers.SandboxLayers,
        *,
        trusted: bool,
        on_start: Callable[[ProcessHandle], None],
    ) -> Awaitable[local.CommandResult]: ...


class Runner:
    """Runs prepared commands in what isolation this machine has, probed at the first one.

    A capability whose targets name hosts (`https://api.example.com/**`) reaches these through
    `egress`, under credentials of this one run; any other has no network.
    """

    def __init__(self, egress: Egress | None = None) -> None:
        self._layers: layers.SandboxLayers | None = None
        self._egress = egress

    async def run(
        self,
        capability: registry.Capability,
        command: local.SandboxedCommand,
        live: LiveRun,
        chars: int = OUTPUT_CHARS,
        run: Run | None = None,
        execute: Execute = local.run_command,
    ) -> Ran:
        """To its end, or to the STOP that covers `live`. `chars`: kept of stdout and of stderr.
        `run`: as whose it reaches out, when it may."""
        reached = of_targets(capability.targets)
        if self._egress is None or run is None or not reached:
            return await self._run(capability, command, live, chars, execute)
        async with self._egress.open(run, reached) as lease:
            way = local.WayOut(lease.socket, lease.port, f"{lease.user}:{lease.password}")
            on_its_way = replace(command, way_out=way)
            ran = await self._run(capability, on_its_way, live, chars, execute)
            refused = [f"{error.code}: {error.message}" for error in lease.refusals[:MAX_REFUSALS]]
        return msgspec.structs.replace(ran, output=ran.output | {"refused": refused}
                                       ) if refused else ran  # fmt: skip

    async def _run(
        self, capability: registry.Capability, command: local.SandboxedCommand, live: LiveRun,
        chars: int, execute: Execute,
    ) -> Ran:  # fmt: skip
        if self._layers is None:
            self._layers = await asyncio.to_thread(layers.probe)
        if live.stopped:
            facts = {"reason": "cancelled"}
            return Ran(False, f"{capability.id}: STOP before it began", {}, facts, cancelled=True)
        try:
            result = await execute(
                command, self._layers, trusted=capability.trusted, on_start=live.started
            )
        except HomarusError as error:
            facts = {"sandbox": self._layers.sandbox, "reason": error.code}
            return Ran(False, str(error), {"error": error.code}, facts)
        output = {
            "exitCode": result.exit_code,
            "sandbox": result.sandbox,
            "stdout": text(result.stdout, chars),
            "stderr": text(result.stderr, chars),
        }
        word = f"exit code {result.exit_code}" if result.reason == "exited" else result.reason
        comment = f"{capability.id}: {word}, sandbox: {result.sandbox}"
        return Ran(result.ok, comment, output, result.facts(), result.reason == "cancelled")


def text(data: bytes, chars: int = OUTPUT_CHARS) -> str:
    decoded = data.decode("utf-8", "replace")
    return decoded if len(decoded) <= chars else decoded[:chars] + "…"
