"""The daemon's settings in one call: `homarus.json` (JSON5) in the home, the environment, flags.

    settings = load(home)          checked whole; raises `settings.*`
    rows()                         the table that the docs print

`schema.py` says which there are, `read.py` which source wins. Nothing else reads configuration.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from homarus.config.problem import Place, Problem, Rejected
from homarus.config.read import Loaded, Source, read, read_text
from homarus.config.schema import DEFAULT_PORT, FILE, KEYS, Settings, is_loopback

__all__ = ["DEFAULT_PORT", "FILE", "Settings", "check_text", "is_loopback", "load", "rows"]


MAX_ALONE_CHARS: Final = 16_384
"""Of a text that a unit of the store checks: reading it takes the unit's time."""


class SettingRow(NamedTuple):
    """One line of the settings' table. `original`: what OpenClaw's file calls it, if it does."""

    name: str
    type: str
    default: str
    env: str
    applies: str
    original: str
    text: str


def rows() -> list[SettingRow]:
    """Every key with type, default, environment variable and meaning."""
    home = SettingRow(
        "home", "path", "~/.homarus", "HOMARUS_HOME", "by hand", "",
        "State directory; not set in the file.",
    )  # fmt: skip
    found = [home]
    for key in KEYS:
        kind = key.word if not key.words else ", ".join(key.words)
        default = key.default
        if isinstance(default, bool):
            default = str(default).lower()
        found.append(
            SettingRow(
                key.path, kind, ", ".join(default) if isinstance(default, tuple) else str(default),
                key.env, key.applies, key.original, key.text,
            )
        )  # fmt: skip
    return found


def default_home() -> Path:
    """`HOMARUS_HOME`, or `~/.homarus`."""
    return Path(os.environ.get("HOMARUS_HOME") or "~/.homarus").expanduser().absolute()


def source(
    home: Path | None = None, environ: Mapping[str, str] | None = None, **flags: Any
) -> Source:
    """Where the settings of a daemon on this home come from. `flags` that are None do not count."""
    environ = dict(os.environ) if environ is None else environ
    return Source((home or default_home()).expanduser().absolute(), environ, flags)


def load(
    home: Path | None = None, environ: Mapping[str, str] | None = None, **flags: Any
) -> Settings:
    """Raises Rejected with every mistake: `settings.*`, each with its place."""
    return read(source(home, environ, **flags)).settings


def check_text(text: str) -> Loaded:
    """Whether a daemon would start with this text as its file, and no environment; what it refers
    to is not looked at. Raises Rejected, with `setting` in the details where one is to blame."""
    if len(text) > MAX_ALONE_CHARS:
        problem = Problem(
            "settings.file", f"the text is longer than {MAX_ALONE_CHARS} characters",
            "Shorten it, or move parts into files that it includes.", place=Place(FILE),
        )  # fmt: skip
        raise Rejected([problem])
    return read_text(Source(Path("/"), {}, alone=True), text)
