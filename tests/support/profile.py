"""How much a seeded test does: profile `ci` for every change, `full` once before a release."""

import os
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

PROFILES = ("ci", "full")


@dataclass(frozen=True)
class Profile:
    """`profile.pick(ci=20, full=300)` is the number of kill points, steps, examples, ..."""

    name: str

    def pick(self, *, ci: T, full: T) -> T:
        return full if self.name == "full" else ci


def chosen_profile() -> Profile:
    """From HOMARUS_PROFILE, default ci. ValueError when it names no profile."""
    name = os.environ.get("HOMARUS_PROFILE", "ci")
    if name not in PROFILES:
        raise ValueError(f"HOMARUS_PROFILE={name}: choose one of {', '.join(PROFILES)}")
    return Profile(name)
