"""What would be made of a source, what of it is there, and what cannot be taken and why.

Nothing is changed here; `doing.do` makes exactly this.
"""

from pathlib import Path
from typing import Any, Protocol

import msgspec

from homarus.agents.tools import space
from homarus.conversations import transcript
from homarus.flows.importing import session_id
from homarus.importers.openclaw import lines, workspace
from homarus.importers.openclaw.configuration import Agent, Model, model_name
from homarus.importers.openclaw.files import Finding, Unusable
from homarus.importers.openclaw.lines import Outline
from homarus.importers.openclaw.sessions import Session
from homarus.importers.openclaw.source import Source
from homarus.importers.openclaw.workspace import File


class Present(Protocol):
    """What the daemon has. `home`: its state directory, None where that is on another machine."""

    home: Path | None

    def agent(self, name: str) -> dict[str, Any] | None: ...

    def has_model(self, name: str) -> bool: ...

    def session(self, ref: str) -> dict[str, Any] | None:
        """By id, or the live one of a key."""
        ...

    def entry_at(self, session: str, seq: int) -> str | None:
        """The id of the line at a place."""
        ...


class AgentStep(msgspec.Struct, frozen=True):
    """`state`: make or there; `id` where it is there; `model`: what it is called here."""

    agent: Agent
    state: str
    id: str | None = None
    model: str | None = None


class SessionStep(msgspec.Struct, frozen=True):
    """`state`: make, go_on (some lines are there) or there; `first`: the place of the first line
    that is to be sent; `live`: its key is free here."""

    session: Session
    outline: Outline
    state: str
    first: int
    live: bool

    @property
    def source(self) -> str:
        return f"openclaw:{self.session.id}"

    @property
    def lines(self) -> int:
        """How many are to be sent."""
        return self.outline.lines - self.first + 1


class FileStep(msgspec.Struct, frozen=True):
    agent: str
    workspace: Path
    file: File


class Plan(msgspec.Struct, frozen=True):
    """`models`: those that are missing here, to be added by hand."""

    source: Source
    agents: tuple[AgentStep, ...]
    sessions: tuple[SessionStep, ...]
    files: tuple[FileStep, ...]
    models: tuple[Model, ...]
    findings: tuple[Finding, ...]

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        states = [step.state for step in self.agents]
        states += [step.state for step in self.sessions]
        states += [step.file.state for step in self.files]
        return all(state == "there" for state in states)


def make(source: Source, present: Present) -> Plan:
    findings = list(source.findings)
    agents = [_agent(agent, present, findings) for agent in source.agents]
    ids = {step.agent.name: step.id for step in agents}
    sessions = []
    for session in source.sessions:
        try:
            sessions.append(_session(source, session, ids[session.agent], present))
        except Unusable as error:
            findings.append(Finding(f"{session.file} ({session.key})", str(error)))
    for each in sessions:
        findings += _of_session(each)
    files = [row for step in agents for row in _files(source, step, present, findings)]
    models = [row for row in source.configuration.models if not present.has_model(row.name)]
    return Plan(
        source, tuple(agents), tuple(sessions), tuple(files), tuple(models), tuple(findings)
    )


def _agent(agent: Agent, present: Present, findings: list[Finding]) -> AgentStep:
    row = present.agent(agent.name)
    if row is None:
        return AgentStep(agent, "make", model=model_name(agent.model) if agent.model else None)
    if row.get("executor") != "llm":
        findings.append(
            Finding(f"agent {agent.name}", "it is here already, and this daemon does not run it",
                    f"Have it run: `homarus agent update {agent.name} --executor llm`.")
        )  # fmt: skip
    return AgentStep(agent, "there", id=str(row["id"]))


def _session(source: Source, session: Session, agent: str | None, present: Present) -> SessionStep:
    """Raises Unusable."""
    seen = lines.outline(source.root, source.root / session.file)
    if agent is None:
        return SessionStep(session, seen, "make", 1, live=True)
    step = SessionStep(session, seen, "make", 1, live=present.session(session.key) is None)
    id = session_id(agent, step.source)
    row = present.session(id)
    if row is None:
        return step
    there = min(int(row["entries"]), seen.lines)
    if there and present.entry_at(id, there) != transcript.taken_over_id(id, there):
        raise Unusable("it went on here since it was imported; its newer lines are not taken")
    if there < seen.lines and row["entries"] == there:
        return msgspec.structs.replace(step, state="go_on", first=there + 1)
    unfinished = row["endedAt"] is not None and step.live
    state = "go_on" if unfinished else "there"
    return msgspec.structs.replace(step, state=state, first=seen.lines + 1)


def _of_session(step: SessionStep) -> list[Finding]:
    if step.state == "there":
        return []
    key, found = step.session.key, []
    if not step.live and step.state == "make":
        found.append(
            Finding(key, "the key is in use here: it is kept as an ended session",
                    "Its lines are read by its id: `homarus session history ID`.")
        )  # fmt: skip
    found += [
        Finding(f"{step.session.file} ({key})", f"{count} lines: {why}")
        for why, count in step.outline.notes.items()
    ]
    if step.outline.hidden:
        found.append(Finding(f"{step.session.file} ({key})", f"{len(step.outline.hidden)} lines of "
                             "other branches: kept, but not shown to models"))  # fmt: skip
    return found


def _files(
    source: Source, step: AgentStep, present: Present, findings: list[Finding]
) -> list[FileStep]:
    place, more = workspace.find(source.root, step.agent)
    findings += more
    if place is None:
        return []
    if present.home is None:
        findings.append(
            Finding(str(place), "the daemon is on another machine; files are not copied",
                    "Run this there.")
        )  # fmt: skip
        return []
    target = None if step.id is None else space.of_agent(present.home, step.id)
    rows, more = workspace.look(place, target, source.configuration.secrets)
    findings += more
    return [FileStep(step.agent.name, place, row) for row in rows]
