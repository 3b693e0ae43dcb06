"""History of a main space: the system's `git`, given commits and nothing to decide.

Commits are made from approved texts, never from the files that lie there (`fast-import`), so that
no filter, hook or foreign edit gets into them. The environment is fixed: no configuration of user
or system, no hooks, our own author. Without git there is no history, and the rest works.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from homarus.base import process
from homarus.base.errors import Unavailable
from homarus.base.process import ProcessSpec
from homarus.kernel.documents import VIEWS

log = structlog.get_logger("mainspace")

BRANCH: Final = "refs/heads/main"
AUTHOR: Final = "Homarus <homarus@localhost>"
WALL_S: Final = 30.0
_SETTINGS: Final = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0",
    "-c", "commit.gpgSign=false", "-c", "core.attributesFile=/dev/null",
)  # fmt: skip


class Commit(msgspec.Struct, frozen=True):
    """`files`: path -> text, None where it is removed; `at_s`: Unix seconds."""

    message: str
    files: tuple[tuple[str, str | None], ...]
    at_s: int


def program() -> str | None:
    """Where the system's git is."""
    return shutil.which("git", path="/usr/local/bin:/usr/bin:/bin")


class Repository:
    """The repository of one main space. Raises `mainspace.git` when git fails."""

    def __init__(self, git: str, root: Path) -> None:
        self._git = git
        self._root = root
        self._folder = root / ".git"

    async def ensure(self) -> None:
        """Make it when there is none."""
        if self._folder.is_symlink() or (self._folder.exists() and not self._folder.is_dir()):
            raise Unavailable(
                "mainspace.git", f"{self._folder} is no folder", "Move it away; it is made anew."
            )
        if not (self._folder / "HEAD").exists():
            await self._run("init", "--quiet", "--template=", "--initial-branch=main")
        exclude = self._folder / "info" / "exclude"
        if not exclude.exists():
            exclude.parent.mkdir(exist_ok=True)
            exclude.write_text("".join(f"/{view}\n" for view in VIEWS) + "*.homarus-new\n")

    async def commit(self, commits: Sequence[Commit]) -> None:
        """Add them to the branch in one step: all or none."""
        head = await self._head()
        await self._run(
            "fast-import", "--quiet", "--date-format=raw", "--done",
            stdin=b"".join(_stream(commits, head)) + b"done\n",
        )  # fmt: skip
        if (self._folder / "HEAD").read_text("utf-8", "replace").strip() == f"ref: {BRANCH}":
            shown = await process.run(self._spec(("read-tree", "HEAD"), None))
            if not shown.ok:  # the commit is made; only `git status` lags behind
                log.warning("index_behind", folder=str(self._root))

    async def messages(self, limit: int) -> str:
        """Those of the newest commits, one after the other; empty when there is none."""
        if await self._head() is None:
            return ""
        text = await self._run("log", f"-{limit}", "--format=%B", BRANCH)
        return text.decode("utf-8", "replace")

    async def _head(self) -> str | None:
        """The branch's commit, or None before the first one."""
        result = await process.run(self._spec(("rev-parse", "--verify", "--quiet", BRANCH), None))
        return result.stdout.decode("ascii", "replace").strip() if result.ok else None

    def _spec(self, arguments: tuple[str, ...], stdin: bytes | None) -> ProcessSpec:
        return ProcessSpec(
            argv=(
                self._git, f"--git-dir={self._folder}", f"--work-tree={self._root}",
                *_SETTINGS, *arguments,
            ),
            cwd=self._root,
            env={
                "PATH": os.defpath,
                "HOME": "/nonexistent",
                "LC_ALL": "C",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_OPTIONAL_LOCKS": "0",
            },
            stdin=stdin,
            wall_s=WALL_S,
        )  # fmt: skip

    async def _run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        result = await process.run(self._spec(arguments, stdin))
        if not result.ok:
            said = result.stderr.decode("utf-8", "replace").strip()[:300]
            raise Unavailable(
                "mainspace.git",
                f"git {arguments[0]} failed in {self._root}: {said or result.reason}",
                "See that the folder is a repository of this user; documents are written anyway.",
            )
        return result.stdout


def _stream(commits: Sequence[Commit], head: str | None) -> list[bytes]:
    """What `git fast-import` reads. Paths are plain: they need no quoting."""
    out: list[bytes] = []
    for commit in commits:
        message = commit.message.encode()
        out.append(f"commit {BRANCH}\ncommitter {AUTHOR} {commit.at_s} +0000\n".encode())
        out.append(f"data {len(message)}\n".encode())
        out.append(message + b"\n")
        if head is not None:
            out.append(f"from {head}\n".encode())
            head = None
        for path, text in commit.files:
            if text is None:
                out.append(f'D "{path}"\n'.encode())
                continue
            data = text.encode()
            out.append(f'M 100644 inline "{path}"\ndata {len(data)}\n'.encode() + data + b"\n")
    return out
