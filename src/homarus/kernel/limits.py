"""What one command may use: the bounds of its process, by name, with their ranges.

The runner holds a command to them (`homarus.backends.limits`).
"""

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
