"""Workspace files: which there are, and copying them into the workspace of an agent here.

Nothing is overwritten: where something else stands under a name, the copy gets another one. What
was copied once is remembered beside the workspace, so that a later run leaves alone what the agent
changed or removed since. No link is followed out of the workspace, none to a folder at all.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from homarus.agents.tools import space
from homarus.agents.tools.space import Space
from homarus.base import private
from homarus.base.errors import HomarusError, NotFound
from homarus.importers.openclaw import files
from homarus.importers.openclaw.configuration import Agent
from homarus.importers.openclaw.files import Finding, Unusable

MAX_FILES: Final = 500
"""Of one agent: what was copied is remembered in one small file."""
MAX_FILE_BYTES: Final = space.MAX_WRITE_BYTES
LEFT_OUT: Final = frozenset({".git", "node_modules", ".venv", "__pycache__"})
MARK: Final = ".from-openclaw"
MEMORY: Final = "imported.json"
MAX_MEMORY_BYTES: Final = 1_000_000


class File(msgspec.Struct, frozen=True):
    """`path` from the workspace; `to`: where the copy goes; `state`: make, beside or there."""

    path: str
    to: str
    state: str
    size_bytes: int


def find(root: Path, agent: Agent) -> tuple[Path | None, list[Finding]]:
    """The workspace of an agent over there, which must lie in the source."""
    names = [f"workspace-{agent.folder}", f"agents/{agent.folder}/workspace"]
    names += ["workspace"] if agent.default else []
    given = [] if agent.workspace is None else [Path(agent.workspace).expanduser()]
    for path in (*given, *(root / name for name in names)):
        if files.is_folder(path) and files.inside(root, path):
            return path, []
    if agent.workspace is not None:
        return None, [Finding(f"workspace of {agent.name}", f"{agent.workspace[:200]} is not in it",
                              f"Copy it to {root / names[0]}, and run this again.")]  # fmt: skip
    return None, []


def look(
    workspace: Path, target: Path | None, secrets: frozenset[str]
) -> tuple[list[File], list[Finding]]:
    """What is to be copied. `target`: the workspace of the agent here, None where there is no agent
    yet."""
    found: list[File] = []
    findings: list[Finding] = []
    known = {} if target is None else _known(target)
    for path in _walk(workspace, findings):
        if len(found) == MAX_FILES:
            findings.append(Finding(str(workspace), f"only {MAX_FILES} files are copied",
                                    "Copy the others by hand."))  # fmt: skip
            break
        name = path.relative_to(workspace).as_posix()
        try:
            data = _data(workspace, path)
            _check(name, data, secrets)
            found.append(_file(name, data, target, known))
        except Unusable as error:
            findings.append(Finding(str(path), str(error)))
    return found, findings


def copy(workspace: Path, target: Path, file: File) -> None:
    """Raises Unusable, `workspace.*`."""
    path = workspace / file.path
    data = _data(workspace, path)
    Space(target).write(file.to, data, expected="")
    at = path.stat().st_mtime_ns
    with contextlib.suppress(OSError):
        os.utime(target / file.to, ns=(at, at), follow_symlinks=False)
    known = _known(target) | {file.path: _hash(data)}
    private.write(target.parent / MEMORY, json.dumps(known, indent=0))


def _walk(workspace: Path, findings: list[Finding]) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        findings.append(Finding(str(error.filename), files.why_not(error)))

    for place, below, names in os.walk(workspace, onerror=refused):
        for name in sorted(below):
            path = Path(place) / name
            if path.is_symlink():
                findings.append(Finding(str(path), "it is a link to a folder; none is followed"))
            elif name in LEFT_OUT:
                findings.append(Finding(str(path), "it is made anew where it is needed"))
        below[:] = sorted(name for name in below if name not in LEFT_OUT)
        yield from (Path(place) / name for name in sorted(names))


def _data(workspace: Path, path: Path) -> bytes:
    """Raises Unusable."""
    files.check_plain(workspace, path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Unusable(files.why_not(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise Unusable(f"it has more than {MAX_FILE_BYTES} bytes")
    return data


def _check(name: str, data: bytes, secrets: frozenset[str]) -> None:
    try:
        space.parts_of(name)
    except HomarusError as error:
        raise Unusable(error.message) from None
    if any(secret.encode() in data for secret in secrets):
        raise Unusable("it holds a credential; take that out first")


def _file(name: str, data: bytes, target: Path | None, known: dict[str, str]) -> File:
    if target is None:
        return File(name, name, "make", len(data))
    if known.get(name) == _hash(data):
        return File(name, name, "there", len(data))
    plain = PurePosixPath(name)
    other = plain.with_name(f"{plain.stem}{MARK}{plain.suffix}").as_posix()
    for to, state in ((name, "make"), (other, "beside")):
        there = _there(target, to)
        if there is None:
            return File(name, to, state, len(data))
        if there == _hash(data):
            return File(name, to, "there", len(data))
    raise Unusable(f"another file stands there, and as {other} too")


def _there(target: Path, name: str) -> str | None:
    """The hash of what stands there; "" for what is no plain file."""
    if not target.is_dir():
        return None
    try:
        return Space(target).read(name).sha256
    except NotFound:
        return None
    except HomarusError:
        return ""


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _known(target: Path) -> dict[str, str]:
    """What was copied before: path over there -> hash."""
    try:
        with (target.parent / MEMORY).open("rb") as file:
            value = json.loads(file.read(MAX_MEMORY_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}
