"""All that is known of a directory before anything is made of it."""

from pathlib import Path

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.importers.openclaw import configuration, sessions
from homarus.importers.openclaw.configuration import Agent, Configuration
from homarus.importers.openclaw.files import Finding
from homarus.importers.openclaw.sessions import Session


class Source(msgspec.Struct, frozen=True):
    root: Path
    configuration: Configuration
    agents: tuple[Agent, ...]
    sessions: tuple[Session, ...]
    findings: tuple[Finding, ...]


def read(root: Path, only: tuple[str, ...] = ()) -> Source:
    """`only`: the names of the agents that are wanted; all when empty. Raises
    `import.no_directory`, `import.nothing`, `import.no_agent`."""
    if not root.is_dir():
        raise Invalid("import.no_directory", f"{root} is no directory",
                      "Name OpenClaw's state directory, ~/.openclaw as a rule.")  # fmt: skip
    found = configuration.read(root)
    agents = tuple(a for a in found.agents if not only or a.name in only or a.folder in only)
    if not found.agents:
        raise Invalid("import.nothing", f"{root} has neither openclaw.json nor agents",
                      "Name OpenClaw's state directory, ~/.openclaw as a rule.")  # fmt: skip
    for name in only:
        if not any(name in (agent.name, agent.folder) for agent in agents):
            known = ", ".join(agent.name for agent in found.agents)
            raise NotFound("import.no_agent", f"no agent {name[:80]!r} there", f"There: {known}.")
    findings, taken = list(found.findings), []
    for agent in agents:
        rows, more = sessions.read(root, agent.name, agent.folder)
        taken += rows
        findings += more
    findings += _elsewhere(root)
    return Source(root, found, agents, tuple(taken), tuple(findings))


def _elsewhere(root: Path) -> list[Finding]:
    found = []
    for name in ("identity", "devices", "nodes", "exec-approvals.json"):
        if (root / name).exists():
            found.append(Finding(name, "devices and approvals belong to that gateway",
                                 "Let them in anew."))  # fmt: skip
    return found
