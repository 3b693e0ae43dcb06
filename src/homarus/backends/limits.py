"""What one command may use, and the `prlimit` arguments that hold it to that.

The system's `prlimit` starts the command, because a `preexec_fn` would run Python between fork and
exec. Resource limits are per process: CPU and memory of a whole tree need cgroups (`layers.py` says
whether the host delegates them); the wall clock bounds everything.
"""

import resource
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from homarus.base.errors import Invalid
from homarus.base.process import OUTPUT_BYTES_DEFAULT, OUTPUT_BYTES_MAX

MIB = 1024 * 1024

RANGES: Mapping[str, tuple[int, int]] = {
    "wall_s": (1, 24 * 3600),
    "cpu_s": (1, 24 * 3600),
    "memory_bytes": (16 * MIB, 1024 * 1024 * MIB),
    "file_bytes": (0, 1024 * 1024 * MIB),
    "processes": (1, 100_000),
    "open_files": (16, 1_000_000),
    "output_bytes": (0, OUTPUT_BYTES_MAX),
}
"""Least and greatest value of each limit. A value outside is refused, never clamped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes` bounds the data segment of each process (RLIMIT_DATA), `file_bytes` each file
    written, `processes` the number inside the sandbox (`layers.py`: process-count)."""

    wall_s: int = 600
    cpu_s: int = 300
    memory_bytes: int = 1024 * MIB
    file_bytes: int = 1024 * MIB
    processes: int = 256
    open_files: int = 1024
    output_bytes: int = OUTPUT_BYTES_DEFAULT

    def __post_init__(self) -> None:
        for name, (least, greatest) in RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= greatest:
                raise Invalid(
                    "limits.out_of_range",
                    f"The limit {name} is {value!r}; it must be an integer from {least} to "
                    f"{greatest}.",
                    f"Set {name} within that range.",
                    limit=name,
                )

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Limits":
        """Limits from a registered capability; what is not named keeps its default."""
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            raise Invalid(
                "limits.unknown",
                f"There is no limit named {unknown[0]!r}.",
                f"The limits are: {', '.join(RANGES)}.",
                limit=unknown[0],
            )
        return cls(**given)


_RESOURCES = (
    ("cpu", "cpu_s", resource.RLIMIT_CPU),
    ("data", "memory_bytes", resource.RLIMIT_DATA),
    ("fsize", "file_bytes", resource.RLIMIT_FSIZE),
    ("nofile", "open_files", resource.RLIMIT_NOFILE),
)


def hard_limits() -> dict[str, int]:
    """This process's own hard limits by prlimit's names; a child cannot be given more."""
    return {name: resource.getrlimit(number)[1] for name, _, number in _RESOURCES}


def prlimit_argv(prlimit: str, limits: Limits, hard: Mapping[str, int]) -> list[str]:
    """`prlimit … --`, to stand before the command. CPU: SIGXCPU at the limit, SIGKILL 1 s on."""
    argv = [prlimit, "--core=0:0"]
    for name, field, _ in _RESOURCES:
        value = getattr(limits, field)
        ceiling = hard.get(name, resource.RLIM_INFINITY)
        if ceiling != resource.RLIM_INFINITY:
            value = min(value, ceiling)
        last = value + 1 if name == "cpu" and value != ceiling else value
        argv.append(f"--{name}={value}:{last}")
    return [*argv, "--"]
