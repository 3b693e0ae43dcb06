"""exec-approvals.json: what this machine's owner lets a gateway run here (gateway contract, 9).

    {"version": 1, "defaults": {"security": "allowlist", "ask": "on-miss"},
     "agents": {"*": {"allowlist": [{"pattern": "/usr/bin/git"}]}}}

    security deny       nothing
             allowlist  what a pattern names; else, but for ask `off`, what was approved
             full       everything; with ask `always` only what was approved
A pattern is the absolute path of a program; `*` stands for anything within one name.
"""

import json
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

import msgspec

from homarus.base import private
from homarus.base.errors import Invalid

FILE: Final = "exec-approvals.json"
MAX_PATTERNS: Final = 1_000
EVERYBODY: Final = "*"


class Entry(msgspec.Struct, frozen=True):
    pattern: str


class Defaults(msgspec.Struct, frozen=True):
    security: Literal["deny", "allowlist", "full"] = "allowlist"
    ask: Literal["off", "on-miss", "always"] = "on-miss"


class Agent(msgspec.Struct, frozen=True):
    allowlist: tuple[Entry, ...] = ()


class Policy(msgspec.Struct, frozen=True):
    version: int = 1
    defaults: Defaults = Defaults()
    agents: dict[str, Agent] = msgspec.field(default_factory=dict)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Of the entry for all: who a gateway says that it acts for is not proven here."""
        agent = self.agents.get(EVERYBODY, Agent())
        return tuple(entry.pattern for entry in agent.allowlist)

    def refuses(self, program: str, approved: bool) -> str | None:
        """Why the program at this path may not run; None: it may."""
        security, ask = self.defaults.security, self.defaults.ask
        if security == "deny":
            return "this node runs nothing (security deny)"
        listed = security == "full" or any(matches(p, program) for p in self.patterns)
        if listed and (approved or ask != "always"):
            return None
        if approved and ask != "off":
            return None
        if ask == "off":
            return f"{program} is not on the allowlist of this node"
        return f"approval required: {program}"


def matches(pattern: str, program: str) -> bool:
    """`program`: absolute, its folder resolved (`named`)."""
    if not pattern.startswith("/"):
        return False
    folder, _, name = pattern.rpartition("/")
    if not any(c in folder for c in "*?["):
        folder = os.path.realpath(folder or "/").rstrip("/")
    have, want = program.split("/"), [*folder.split("/"), name]
    return len(have) == len(want) and all(map(fnmatchcase, have, want))


def named(path: Path) -> str:
    """How a program is compared: its folder without links, its own name as it was called. A program
    that does many things by its name is allowed one of them, not all."""
    return str(Path(os.path.realpath(path.parent)) / path.name)


def read(folder: Path) -> Policy:
    """Raises `node.policy`. A file that is not there allows nothing."""
    path = folder / FILE
    try:
        text = private.read(path)
    except OSError as error:
        raise Invalid("node.policy", f"{path} cannot be read: {error.strerror}",
                      "It has to be a file of the user who runs the node.") from None  # fmt: skip
    if not text:
        return Policy()
    try:
        found = msgspec.json.decode(text.encode(), type=Policy)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Invalid("node.policy", f"{path} cannot be read: {error}", "Correct it.") from None
    if found.version != 1 or len(found.patterns) > MAX_PATTERNS:
        raise Invalid("node.policy", f"{path} is of version {found.version}, or too long",
                      f"Version 1, at most {MAX_PATTERNS} patterns.")  # fmt: skip
    return found


def allow(folder: Path, pattern: str) -> Policy:
    """Add a pattern; other keys of the file stay. Raises `node.policy`, `node.pattern`."""
    if not pattern.startswith("/") or pattern.endswith("/"):
        raise Invalid("node.pattern", f"{pattern[:80]!r} is no absolute path of a program",
                      "Such as /usr/bin/git, or /opt/tools/*.")  # fmt: skip
    have = read(folder)
    if pattern not in have.patterns:
        text = private.read(folder / FILE)
        whole = json.loads(text) if text else msgspec.to_builtins(have)
        entry = whole.setdefault("agents", {}).setdefault(EVERYBODY, {})
        entry.setdefault("allowlist", []).append({"pattern": pattern})
        private.write(folder / FILE, json.dumps(whole, indent=2) + "\n")
    return read(folder)
