"""Where a vault is, and whether it may be written: read from a mirror's configuration."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base import local_time
from homarus.base.errors import Invalid
from homarus.outbox.port import Place
from homarus.outbox.vault import names

ARCHIVE: Final = "Archive"
FOLDERS: Final = {"task": "Tasks", "calendar_event": "Calendar", "wiki_doc": "Wiki"}
"""Entity type -> folder below the mirror's own."""


class VaultConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`path`: the vault, absolute; `folder`: ours in it; `timezone`: of the times in properties,
    which Obsidian knows without a zone only."""

    path: str
    folder: str = "Homarus"
    timezone: str = "UTC"

    @property
    def vault(self) -> Path:
        return Path(self.path)

    @property
    def root(self) -> Path:
        return self.vault / self.folder


def config_of(config: dict[str, Any]) -> VaultConfig:
    """Raises `mirror.config`."""
    try:
        found = msgspec.convert(config, VaultConfig)
    except msgspec.ValidationError as error:
        raise _wrong(
            "config", str(error), "Give `path`, and if you like `folder`, `timezone`."
        ) from None
    if not Path(found.path).is_absolute() or "\0" in found.path:
        raise _wrong("path", f"{found.path[:100]!r} is not absolute", "Give the vault's full path.")
    if not names.is_legal(found.folder):
        raise _wrong(
            "folder",
            f"{found.folder[:100]!r} is no folder's name on every system",
            "Give one plain name, such as Homarus.",
        )
    try:
        local_time.zone(found.timezone)
    except Invalid as error:
        raise _wrong("timezone", error.message, error.remedy) from None
    return found


def check(config: dict[str, Any], home: Path) -> Place:
    """What it comes to; touches nothing. Raises `mirror.config`, naming what is wrong.

    The key is the vault: mirrors in one, or one around the other, would find each other's notes.
    """
    found = config_of(config)
    why = problem(found, home)
    if why is not None:
        raise _wrong("path", *why)
    return Place(f"obsidian:{spelling(found.vault.resolve())}", nests=True)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def spelling(real: Path, same: Callable[[Path, Path], bool] = _same) -> str:
    """A path as every other of the same folder is written: with `/`, and without case where the
    file system makes no difference (`same`: whether two paths are one folder)."""
    parts: list[str] = [real.anchor.rstrip("/\\").casefold()]
    for folder in (*reversed(real.parents), real):
        name = folder.name
        if name and name != name.swapcase() and same(folder, folder.with_name(name.swapcase())):
            name = unicodedata.normalize("NFC", name.casefold())
        if name:
            parts.append(name)
    return "/".join(parts) or "/"


def problem(config: VaultConfig, home: Path) -> tuple[str, str] | None:
    """What keeps us from writing there, and what to do about it."""
    vault = config.vault
    if not vault.exists():
        return f"{vault} does not exist", "Make the folder, or mount what it lies on."
    if not vault.is_dir():
        return f"{vault} is no folder", "Name the folder that Obsidian opens as a vault."
    real, state = vault.resolve(), home.resolve()
    if real == state or state in real.parents:
        return f"{vault} lies in the state directory {home}", "Keep the vault somewhere else."
    if real in state.parents:
        return (
            f"{vault} holds the state directory {home}, and a sync of the vault would carry the "
            "company's keys away",
            "Keep the vault in a folder of its own.",
        )
    for folder in (
        vault,
        config.root,
        *(config.root / name for name in (*FOLDERS.values(), ARCHIVE)),
    ):
        if not os.path.lexists(folder):
            continue
        there = folder.resolve()
        if there != real and real not in there.parents:
            return f"{folder} is a link out of the vault", "Remove the link."
        if not folder.is_dir():
            return f"{folder} is no folder", "Give it another name, or the mirror another `folder`."
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return f"{folder} is not writable", "Let the daemon's user read and write it."
    return None


def _wrong(field: str, what: str, remedy: str) -> Invalid:
    return Invalid("mirror.config", f"{field}: {what}", remedy)
