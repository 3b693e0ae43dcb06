"""The executor `command`: a task's own capability as a process in the sandbox."""

import asyncio
import shlex
from pathlib import Path

import msgspec

from homarus.backends import local
from homarus.base.errors import NotOffered
from homarus.base.redact import redact_text
from homarus.dispatch import commands
from homarus.dispatch.executor import Prepared
from homarus.dispatch.halting import LiveRun
from homarus.egress.proxy import Egress
from homarus.flows.creating import Claim
from homarus.flows.reaching import Run
from homarus.flows.running import Ended
from homarus.kernel import registry
from homarus.records.blobs import Blobs
from homarus.store.port import Store


class Commands:
    def __init__(self, store: Store, blobs: Blobs, home: Path, egress: Egress | None) -> None:
        self._store = store
        self._blobs = blobs
        self._home = home
        self._runner = commands.Runner(egress)

    async def prepare(self, company: str, agent: str, claimed: Claim) -> Prepared:
        """Raises `executor.no_capability`, `call.arguments`, `argv.*`, `limits.*`."""
        spec = claimed.spec
        capability = await self._store.read(registry.by_id, company, spec.capability or "")
        if capability is None or not capability.enabled:
            raise NotOffered(
                "executor.no_capability",
                f"the capability {spec.capability!r} is not registered or is disabled"
                if spec.capability
                else "the task names no capability, and this agent only runs capabilities",
                "Name a registered one, or give the task to somebody else.",
            )
        workspace = commands.workspace_of(self._home, agent, claimed.task.number)
        command = await asyncio.to_thread(
            commands.prepare, capability, spec.input.get("args") or {}, workspace, self._home
        )

        async def do(run: Run, live: LiveRun) -> Ended:
            return await self._run(run, live, command, capability)

        return Prepared(
            capability.id, tuple(command.argv), redact_text(shlex.join(command.argv)), do,
        )  # fmt: skip

    async def _run(
        self, run: Run, live: LiveRun, command: local.SandboxedCommand,
        capability: registry.Capability,
    ) -> Ended:  # fmt: skip
        ran = await self._runner.run(capability, command, live, run=run)
        ended = Ended(run.id, ran.ok, ran.facts, ran.output, ran.comment, cancelled=ran.cancelled)
        if "exitCode" not in ran.output:
            return ended
        files = await asyncio.to_thread(commands.collect, self._blobs, command.workspace / "out")
        output = ran.output | {"files": [file.filename for file in files]}
        return msgspec.structs.replace(ended, output=output, files=files)
