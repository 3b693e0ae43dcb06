"""Makes what a plan says, through the daemon; safe to interrupt and to repeat.

What the daemon refuses of one session or file is a finding; the rest goes on. A daemon that is
gone, or a token that may not, ends it.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.agents.tools import space
from homarus.base.errors import Conflict, HomarusError, Invalid, NotFound, TooLarge
from homarus.base.failpoint import failpoint
from homarus.client.errors import Unreachable
from homarus.client.http import Client
from homarus.client.paths import path_part
from homarus.conversations import keys
from homarus.flows.importing import MAX_LINES, session_id
from homarus.importers.openclaw import lines, workspace
from homarus.importers.openclaw.files import Finding, Unusable
from homarus.importers.openclaw.lines import Line
from homarus.importers.openclaw.plan import AgentStep, FileStep, Plan, SessionStep
from homarus.importers.openclaw.source import Source

ROLE: Final = "assistant"
PIECE_BYTES: Final = 200_000
MAX_AGENTS: Final = 10_000
_OF_ONE: Final = (Conflict, Invalid, NotFound, TooLarge)
"""What is wrong with one session, not with all."""


class Daemon:
    """What a daemon has, asked as it is needed (`plan.Present`)."""

    def __init__(self, api: Client, home: Path | None) -> None:
        self.home = home
        self._api = api
        self._agents: dict[str, dict[str, Any]] | None = None

    def agent(self, name: str) -> dict[str, Any] | None:
        if self._agents is None:
            rows = self._api.pages("/agents", "agents", limit=MAX_AGENTS)
            self._agents = {str(row["name"]): row for row in rows}
        return self._agents.get(name)

    def has_model(self, name: str) -> bool:
        try:
            self._api.get(f"/models/{path_part(name)}")
        except NotFound:
            return False
        return True

    def session(self, ref: str) -> dict[str, Any] | None:
        try:
            return dict(self._api.get(f"/sessions/{path_part(ref)}")["session"])
        except NotFound:
            return None

    def entry_at(self, session: str, seq: int) -> str | None:
        path = f"/sessions/{path_part(session)}/history"
        rows = self._api.get(path, limit=1, cursor=seq + 1)["entries"]
        return str(rows[0]["id"]) if rows and rows[0]["seq"] == seq else None


class Done(msgspec.Struct, frozen=True):
    """The steps that were done, as in the plan, and what went wrong on the way."""

    agents: tuple[AgentStep, ...]
    sessions: tuple[SessionStep, ...]
    files: tuple[FileStep, ...]
    findings: tuple[Finding, ...]


def do(plan: Plan, api: Client, home: Path | None, tell: Callable[[str], None]) -> Done:
    """`tell` hears what is begun. Raises what ends all of it."""
    findings: list[Finding] = []
    ids: dict[str, str] = {}
    for each in plan.agents:
        ids[each.agent.name] = each.id or _make_agent(api, each)
    sessions = []
    for step in (step for step in plan.sessions if step.state != "there"):
        tell(f"{step.session.key}: {step.lines} lines")
        try:
            _send(api, plan.source, step, ids[step.session.agent])
            sessions.append(step)
        except Unreachable:
            raise
        except (*_OF_ONE, Unusable) as error:
            findings.append(Finding(step.session.key, _why(error), _remedy(error)))
    done = []
    for file in (step for step in plan.files if step.file.state != "there"):
        if home is None:
            break
        try:
            target = space.of_agent(home, ids[file.agent])
            workspace.copy(file.workspace, target, file.file)
            done.append(file)
        except (HomarusError, Unusable) as error:
            findings.append(Finding(file.file.path, _why(error), _remedy(error)))
    made = tuple(each for each in plan.agents if each.state == "make")
    return Done(made, tuple(sessions), tuple(done), tuple(findings))


def _why(error: Exception) -> str:
    return f"{error.code}: {error.message}" if isinstance(error, HomarusError) else str(error)


def _remedy(error: Exception) -> str:
    return error.remedy if isinstance(error, HomarusError) else ""


def _make_agent(api: Client, step: AgentStep) -> str:
    body = {"name": step.agent.name, "role": ROLE, "executor": "llm"}
    body |= {"llmModel": step.model} if step.model else {}
    return str(api.post("/agents", body)["agent"]["id"])


def _send(api: Client, source: Source, step: SessionStep, agent: str) -> None:
    session, seen = step.session, step.outline
    found = lines.lines(
        source.root, source.root / session.file, seen, session_id(agent, step.source),
        secrets=source.configuration.secrets, own=session.key == keys.main_of(session.agent),
    )  # fmt: skip
    head = {"agentId": agent, "source": step.source, "sessionKey": session.key,
            "kind": session.kind}  # fmt: skip
    place = step.first
    for piece in _pieces(islice(found, step.first - 1, None)):
        api.post("/imports/sessions", head | {"first": place, "lines": piece})
        failpoint("import.piece")
        place += len(piece)
    if place != seen.lines + 1:
        raise Unusable("its transcript changed meanwhile; stop OpenClaw, and run this again")
    end = {
        "lines": seen.lines, "firstKept": seen.first_kept, "compactions": seen.compactions,
        "label": session.label, "thinking": session.thinking, "queueMode": session.queue_mode,
        "inputTokens": session.input_tokens, "outputTokens": session.output_tokens,
        "contextTokens": session.context_tokens,
        "createdMs": session.started_ms or seen.started_ms, "interactionMs": session.interaction_ms,
    }  # fmt: skip
    api.post("/imports/sessions", head | {"first": seen.lines + 1, "lines": [], "end": end})


def _pieces(found: Iterator[Line]) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    size = 0
    for line in found:
        row = {"kind": line.kind, "body": line.body, "at": line.at, "hidden": line.hidden}
        bytes_ = len(msgspec.json.encode(row))
        if piece and (len(piece) == MAX_LINES or size + bytes_ > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += bytes_
    if piece:
        yield piece
