"""`run/active-config`: what the running daemon's configuration is, and what it made of the last
edit. Switched by rename; read by `homarus config` and `homarus doctor`. Holds no secrets.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base import private
from homarus.config.problem import Place, Problem
from homarus.config.read import Origin, shown
from homarus.config.schema import KEYS, Settings

PLACE: Final = Path("run/active-config")


class Value(msgspec.Struct, frozen=True):
    """A value in force and where it came from."""

    value: Any
    source: str
    where: str = ""


class Active(msgspec.Struct, frozen=True):
    """`digest`: of the homarus.json in force; `problems`: why the last one that was looked at was
    not taken; `waiting`: keys that count after a restart."""

    pid: int
    at: str
    digest: str
    values: dict[str, Value]
    waiting: tuple[str, ...] = ()
    problems: tuple[dict[str, Any], ...] = ()


def refused_line(problem: Mapping[str, Any]) -> str:
    """One of `problems` for people, as `Problem.line`."""
    place = Place(problem["file"], problem["line"], problem["column"])
    return Problem(
        problem["code"], problem["message"], problem["remedy"], place=place,
        path=problem["path"], expected=problem["expected"],
    ).line()  # fmt: skip


def values(settings: Settings, origins: Mapping[str, Origin]) -> dict[str, Value]:
    """What the daemon runs with, by key, and where each value came from."""
    found = {}
    for key in KEYS:
        origin = origins.get(key.path)
        value = shown(key, getattr(settings, key.field))
        found[key.path] = (
            Value(value, "default") if origin is None else Value(value, origin.source, origin.where)
        )
    return found


def write(home: Path, active: Active) -> None:
    """Raises OSError."""
    private.write(home / PLACE, msgspec.json.encode(active).decode() + "\n")


def read(home: Path) -> Active | None:
    """None where no daemon runs, or its file is damaged."""
    text = private.read(home / PLACE)
    try:
        return msgspec.json.decode(text, type=Active) if text else None
    except msgspec.DecodeError:
        return None
