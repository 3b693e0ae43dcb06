"""Agents, models, skills, tools (gateway contract, 8)."""

from typing import Any, Final

from homarus.company import models
from homarus.conversations import keys
from homarus.flows import answering
from homarus.gateway.ws import shapes
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.method import Ask, Desk, Nothing, read, work
from homarus.kernel.scopes import READ
from homarus.store.port import Rx

MAX_CAPABILITIES: Final = 500
Doc = dict[str, Any]


class ModelsList(Params):
    view: str = "default"
    provider: str | None = None
    include_details: bool = False
    refresh: bool = False
    prepared_only: bool = False
    agent_id: str | None = None
    session_key: str | None = None


class OfAgent(Params):
    agent_id: str | None = None


class Catalog(Params):
    agent_id: str | None = None
    session_key: str | None = None
    include_plugins: bool = False


class Commands(Params):
    agent_id: str | None = None
    provider: str | None = None
    scope: str | None = None
    include_args: bool = False


def listed(rx: Rx, ask: Ask) -> Doc:
    """Those that this daemon runs."""
    rows = answering.targets(rx, ask.company)
    first = answering.default_of(rows)
    return {
        "defaultId": "" if first is None else keys.slug(first.name), "mainKey": keys.MAIN,
        "scope": "per-sender", "agents": [shapes.agent(row) for row in rows],
    }  # fmt: skip


def models_listed(rx: Rx, ask: Ask) -> Doc:
    rows = models.listed(rx, ask.company, limit=models.MAX_MODELS)
    params: ModelsList = ask.params
    found = [_model(row) for row in rows if params.provider in (None, row.name)]
    return {"models": found}


def _model(row: models.Model) -> Doc:
    return {
        "id": row.model, "name": row.name, "provider": row.name,
        "contextWindow": row.context_tokens, "maxTokens": row.max_output_tokens,
        "input": ["text", "image"], "available": True,
        "tags": ["default", "configured"] if row.name == models.DEFAULT else ["configured"],
    }  # fmt: skip


def models_auth(rx: Rx, ask: Ask) -> Doc:
    rows = models.listed(rx, ask.company, limit=models.MAX_MODELS)
    return {
        "ts": rx.now_ms,
        "providers": [
            {
                "provider": row.name, "displayName": row.name, "profiles": [],
                "status": "static" if row.key_configured else "missing",
            }
            for row in rows
        ],
    }  # fmt: skip


async def skills(desk: Desk, params: OfAgent) -> Doc:
    """Skills are capabilities of the registry here; none comes as a file of the gateway."""
    _ = params
    home = desk.hub.means.home
    await desk.read(_judged)
    return {"workspaceDir": str(home / "agents"), "managedSkillsDir": str(home / "company"),
            "skills": []}  # fmt: skip


def _judged(rx: Rx) -> None:
    """Only whether it may be asked."""


def tools(rx: Rx, ask: Ask) -> Doc:
    """What agents may be offered: registered capabilities of the company, by kind."""
    rows = rx.all(
        "select id, title, kind from capability where company=? and enabled=1 "
        "order by kind, id limit ?",
        (ask.company, MAX_CAPABILITIES),
    )
    groups: dict[str, Doc] = {}
    for id_, title, kind in rows:
        group = groups.setdefault(kind, {"id": kind, "label": kind, "source": "core", "tools": []})
        group["tools"].append({"id": id_, "label": id_, "description": title, "source": "core",
                               "defaultProfiles": []})  # fmt: skip
    first = answering.default_of(answering.targets(rx, ask.company))
    return {"agentId": "" if first is None else keys.slug(first.name), "profiles": [],
            "groups": list(groups.values())}  # fmt: skip


_WORDS: Final = (
    ("new", "Begin the session anew"), ("reset", "Begin the session anew"),
    ("stop", "End what runs in the session"), ("abort", "End what runs in the session"),
    ("compact", "Have the older part of the session summed up"),
)  # fmt: skip


async def commands(desk: Desk, params: Commands) -> Doc:
    _ = desk, params
    return {
        "commands": [
            {
                "name": name, "textAliases": [f"/{name}"], "description": about,
                "source": "native", "scope": "text", "category": "session", "acceptsArgs": False,
            }
            for name, about in _WORDS
        ]
    }  # fmt: skip


METHODS: Final = (
    read("agents.list", READ, Nothing, listed, "Agents that this daemon runs",
         "defaultId, mainKey, agents"),
    read("models.list", READ, ModelsList, models_listed, "Configured models", "models"),
    read("models.authStatus", READ, Nothing, models_auth, "Which models have a key", "providers"),
    work("skills.status", READ, OfAgent, skills, "Skills of an agent", "skills"),
    read("tools.catalog", READ, Catalog, tools, "Registered capabilities, by kind", "groups"),
    work("commands.list", READ, Commands, commands, "Words that are commands in a chat",
         "commands"),
)  # fmt: skip
