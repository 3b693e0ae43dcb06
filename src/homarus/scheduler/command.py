"""A job's command as a process within its bounds: what it may use, and how it came out."""

from dataclasses import replace
from functools import partial
from typing import Final

import msgspec

from homarus.backends import local
from homarus.backends.metered import Meter
from homarus.backends.trees import Bounds, Over
from homarus.dispatch import commands
from homarus.dispatch.halting import LiveRun
from homarus.flows.firing_ends import Ended
from homarus.flows.reaching import Run
from homarus.kernel import registry
from homarus.kernel.limits import MIB

OUTPUT_CHARS: Final = 8_192
OVER: Final[dict[Over, str]] = {
    "cpu": "job_run.cpu",
    "memory": "job_run.memory",
    "processes": "job_run.processes",
}
"""Codes of a run that was ended because it used more than it may."""
BACKSTOP_BYTES: Final = 1024 * MIB
"""A process may ask for so much more than the run may use: what it asked for and does not use is
not counted, and what grows is seen to grow before the system refuses more."""


class Quota(msgspec.Struct, frozen=True):
    """What one run may use, over all its processes."""

    cpu_s: int
    memory_mb: int


class CommandEnd(msgspec.Struct, frozen=True):
    """`over`: which bound it ran into; `cancelled`: somebody ended it; `tail`: what it printed."""

    ok: bool
    reason: str
    comment: str
    exit_code: int | None
    cpu_ms: int | None
    peak_bytes: int | None
    tail: str
    over: Over | None = None
    cancelled: bool = False

    def ended(self) -> Ended:
        return Ended(
            ok=self.ok,
            reason=None if self.ok else self._code(),
            error=None if self.ok else self.comment,
            output=self.tail,
            exit_code=self.exit_code,
            cpu_ms=self.cpu_ms,
            peak_bytes=self.peak_bytes,
        )

    def _code(self) -> str:
        """`job_run.cpu`, `command.exited`, or what kept it from starting: `sandbox.missing`."""
        if self.over is not None:
            return OVER[self.over]
        return self.reason if "." in self.reason else f"command.{self.reason}"


async def run_command(
    runner: commands.Runner,
    meter: Meter,
    capability: registry.Capability,
    command: local.SandboxedCommand,
    live: LiveRun,
    run: Run,
    quota: Quota,
) -> CommandEnd:
    """To its end, or to the end that `live` is given. The quota is of all its processes together,
    and narrows what the capability allows each."""
    limits = command.limits
    bounds = Bounds(
        cpu_s=min(limits.cpu_s, quota.cpu_s),
        memory_bytes=quota.memory_mb * MIB,
        processes=limits.processes,
    )
    backstop = replace(
        limits,
        cpu_s=int(bounds.cpu_s),
        memory_bytes=min(limits.memory_bytes, bounds.memory_bytes + BACKSTOP_BYTES),
    )
    ran = await runner.run(
        capability, replace(command, limits=backstop), live, OUTPUT_CHARS, run,
        partial(meter.run_command, bounds),
    )  # fmt: skip
    facts, output = ran.facts, ran.output
    over = None if ran.cancelled else facts.get("over")
    return CommandEnd(
        ok=ran.ok,
        reason=str(facts.get("reason", "failed")),
        comment=_comment(ran) if over is None else f"terminated: {_passed(over, bounds)}",
        exit_code=facts.get("exit_code"),
        cpu_ms=facts.get("cpu_ms"),
        peak_bytes=facts.get("peak_rss_bytes"),
        tail=f"{output.get('stdout', '')}{output.get('stderr', '')}",
        over=over,
        cancelled=ran.cancelled,
    )


def _comment(ran: commands.Ran) -> str:
    """With the first thing that the proxy refused, which may be why it failed."""
    return "; ".join([ran.comment, *ran.output.get("refused", ())[:1]])


def _passed(over: Over, bounds: Bounds) -> str:
    allowed = {
        "cpu": f"{bounds.cpu_s} CPU seconds",
        "memory": f"{bounds.memory_bytes // MIB} MB",
        "processes": f"{bounds.processes} processes",
    }
    return f"more than {allowed[over]} over all its processes"
