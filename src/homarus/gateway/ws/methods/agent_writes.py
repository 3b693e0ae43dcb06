"""Agents made and changed, and the files in their workspaces (gateway contract, 8).

A file is an act outside the store: intent, write, outcome. What a company's rules are written in
(AGENTS.md, SOUL.md) is not among what a client may write.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.agents.tools.space import Space, of_agent, target_of
from homarus.base.errors import CHANGE_TEXTS, Conflict, HomarusError, NotFound, Refused
from homarus.company import agents as rows
from homarus.company import memory
from homarus.company.agents import Agent, AgentChange
from homarus.conversations import keys
from homarus.flows import answering, by_hand, leaving
from homarus.flows.turn_inbound import LLM
from homarus.gateway.ws import frames
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.method import Desk, work
from homarus.gateway.ws.methods import agents
from homarus.gateway.ws.methods.chat import refuse_unmet
from homarus.kernel.facts import GOVERNED_ROLES
from homarus.kernel.scopes import ADMIN, READ
from homarus.store.port import Rx, Tx

MEMORY: Final = "MEMORY.md"
FILES: Final = ("AGENTS.md", "SOUL.md", "TOOLS.md", "IDENTITY.md", "USER.md", "HEARTBEAT.md",
                "BOOTSTRAP.md", MEMORY)  # fmt: skip
GOVERNED: Final = ("AGENTS.md", "SOUL.md")
MAX_FILE_BYTES: Final = 1_000_000
Doc = dict[str, Any]


class Create(Params):
    name: str
    workspace: str | None = None
    model: str | None = None
    emoji: str | None = None
    avatar: str | None = None


class Update(Params):
    agent_id: str
    name: str | None = None
    workspace: str | None = None
    model: str | msgspec.UnsetType | None = msgspec.UNSET
    emoji: str | None = None
    avatar: str | None = None


class Delete(Params):
    agent_id: str
    delete_files: bool = False


class OfAgent(Params):
    agent_id: str


class OfFile(Params):
    agent_id: str
    name: str


class SetFile(Params):
    agent_id: str
    name: str
    content: str
    expected_workspace: str | None = None
    expected_hash: str | None = None
    expected_missing: bool | None = None


# -- agents --------------------------------------------------------------------------------


async def create(desk: Desk, params: Create) -> Doc:
    """One that this daemon runs. Its workspace is in the home; an emoji is not kept."""
    refuse_unmet(params, "workspace")
    row: Agent = await desk.write(_created, params)
    found = {"ok": True, "agentId": keys.slug(row.name), "name": row.name,
             "workspace": str(of_agent(desk.hub.means.home, row.id))}  # fmt: skip
    return found if row.llm_model is None else found | {"model": row.llm_model}


def _created(tx: Tx, params: Create) -> Agent:
    name = params.name.strip()
    slug = keys.slug(name)
    if any(keys.slug(row.name) == slug for row in answering.targets(tx, tx.company)):
        raise Conflict("agent.exists", f"an agent is called {slug} already", "Choose another name.")
    change = AgentChange(name=name, executor=LLM, llm_model=params.model, avatar_url=params.avatar)
    return rows.create(tx, change)


async def update(desk: Desk, params: Update) -> Doc:
    refuse_unmet(params, "workspace")
    row: Agent = await desk.write(_updated, params, target=f"agent:{params.agent_id[:80]}")
    return {"ok": True, "agentId": keys.slug(row.name)}


def _updated(tx: Tx, params: Update) -> Agent:
    before = answering.target(tx, tx.company, params.agent_id)
    change = AgentChange(
        name=msgspec.UNSET if params.name is None else params.name.strip(),
        llm_model=params.model,
        avatar_url=msgspec.UNSET if params.avatar is None else params.avatar,
    )
    return before if change == AgentChange() else rows.update(tx, before.id, change)


async def delete(desk: Desk, params: Delete) -> Doc:
    """Its files stay, and so does what it did."""
    refuse_unmet(params, "delete_files")
    row: Agent = await desk.write(_deleted, params, target=f"agent:{params.agent_id[:80]}")
    return {"ok": True, "agentId": keys.slug(row.name), "removedBindings": 0, "removed": []}


def _deleted(tx: Tx, params: Delete) -> Agent:
    row = answering.target(tx, tx.company, params.agent_id)
    if row.role in GOVERNED_ROLES:
        by_hand.only_operators(tx, f"remove the {row.role}")
    return leaving.dismiss(tx, row.id)


# -- files ---------------------------------------------------------------------------------


async def files(desk: Desk, params: OfAgent) -> Doc:
    where, root = await _workspace(desk, params.agent_id)
    found = await asyncio.to_thread(lambda: [_entry(root, name) for name in FILES])
    return where | {"files": [{k: v for k, v in row.items() if k != "content"} for row in found]}


async def file(desk: Desk, params: OfFile) -> Doc:
    name = _named(params.name)
    where, root = await _workspace(desk, params.agent_id)
    return where | {"file": await asyncio.to_thread(_entry, root, name)}


async def set_file(desk: Desk, params: SetFile) -> Doc:
    name = _named(params.name)
    if name in GOVERNED:
        raise Refused(
            "document.governed", f"{name} is part of the rules",
            "Change the document: `homarus document list`, `homarus change new --document PATH "
            f"--file FILE {CHANGE_TEXTS}`.", rule="documents",
        )  # fmt: skip
    expected = "" if params.expected_missing else params.expected_hash
    where, root = await _workspace(desk, params.agent_id)
    if params.expected_workspace not in (None, where["workspace"]):
        raise Conflict("workspace.changed", "the agent has another workspace", "Read it again.")
    data = params.content.encode("utf-8", "replace")
    facts = {"agent": where["agentId"], "name": name, "bytes": len(data)}
    target = target_of(name)
    request = hashlib.sha256(data).digest()

    async def noted(kind: str, text: str | None = None, **more: Any) -> None:
        await desk.write(_noted, params.agent_id, kind, facts | more, text, target=target,
                         arguments=request, what=f"{name} of {where['agentId']}")  # fmt: skip

    await noted("workspace_write_started")
    try:
        await asyncio.to_thread(Space(root).write, name, data, expected)
    except HomarusError as error:
        await noted("workspace_write_failed", code=error.code)
        raise
    await noted("workspace_written", params.content if name == MEMORY else None)
    entry = await asyncio.to_thread(_entry, root, name)
    return {"ok": True} | where | {"file": entry}


def _noted(tx: Tx, ref: str, kind: str, facts: Doc, text: str | None) -> None:
    """A row that says what is about to be done, or what became of it. A version of an agent's
    memory is kept as a row (design, 9)."""
    agent = answering.target(tx, tx.company, ref)
    tx.emit(kind, agent.id, facts)
    if text is not None and len(text.strip()) > 0 and len(text) <= memory.MAX_CONTENT:
        memory.write(tx, agent.id, memory.NewEntry(content=text, snapshot=text, kind="checkpoint"))


def _named(name: str) -> str:
    if name not in FILES:
        raise frames.bad_params("agents.files", f'unsupported file "{name[:80]}"')
    return name


async def _workspace(desk: Desk, ref: str) -> tuple[Doc, Path]:
    row: Agent = await desk.read(_target, desk.peer.company, ref)
    root = of_agent(desk.hub.means.home, row.id)
    return {"agentId": keys.slug(row.name), "workspace": str(root)}, root


def _target(rx: Rx, company: str, ref: str) -> Agent:
    return answering.target(rx, company, ref)


def _entry(root: Path, name: str) -> Doc:
    """A file as this wire has it; one that is not there is no error."""
    found: Doc = {"name": name, "path": str(root / name), "missing": True}
    if not root.is_dir():
        return found
    try:
        data = Space(root).read(name, MAX_FILE_BYTES).data
        at = (root / name).stat()
    except (NotFound, FileNotFoundError):
        return found
    return found | {
        "missing": False, "size": len(data), "updatedAtMs": at.st_mtime_ns // 1_000_000,
        "hash": hashlib.sha256(data).hexdigest(), "content": data.decode("utf-8", "replace"),
    }  # fmt: skip


METHODS: Final = (
    *agents.METHODS,
    work("agents.create", ADMIN, Create, create, "Make an agent that this daemon runs",
         "agentId, name, workspace", capability="agent.create"),
    work("agents.update", ADMIN, Update, update, "Rename an agent, give it another model",
         "agentId", capability="agent.update", target="agent:"),
    work("agents.delete", ADMIN, Delete, delete, "Remove an agent; its files stay",
         "agentId, removedBindings", capability="agent.delete", target="agent:"),
    work("agents.files.list", READ, OfAgent, files, "Files that an agent begins with",
         "agentId, workspace, files"),
    work("agents.files.get", READ, OfFile, file, "One of them", "file"),
    work("agents.files.set", ADMIN, SetFile, set_file, "Write one of them", "ok, file",
         capability="workspace.write", target="workspace:"),
)  # fmt: skip
