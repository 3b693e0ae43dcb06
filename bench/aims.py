"""The table of aims, and what a module answers with."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

TABLE: Final = Path(__file__).with_name("aims.toml")


class Aim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of aims.toml; the columns are explained there."""

    name: str
    about: str
    aim: float
    unit: str
    direction: str
    ratio_to: str
    source: str

    def met(self, value: float) -> bool:
        return value >= self.aim if self.direction == "up" else value <= self.aim

    @property
    def module(self) -> str:
        return self.name.partition(".")[0]


def load() -> list[Aim]:
    """All aims, in the file's order. Raises `msgspec.ValidationError`."""
    return msgspec.convert(tomllib.loads(TABLE.read_text("utf-8"))["aim"], list[Aim])


class Outcome(msgspec.Struct):
    """What one module measured.

    `figures` by the aim's name behind the dot; `notes`: lines that explain them; `failures`: work
    that should have been done and was not (any makes every figure of the module count as missed);
    `profile`: measures once more under a profiler, asked only when an aim was missed.
    """

    figures: dict[str, float]
    notes: list[str] = []
    failures: int = 0
    profile: Callable[[], list[str]] | None = None
