"""Agents, models, skills, tools (gateway contract, 8)."""

from typing import Any, Final

from homarus.company import models
from homarus.conversations import keys
from homarus.flows import answering
from homarus.gateway.ws import shapes
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.method import Ask, Desk, Nothing, read, work
from homarus.kernel import registry
from homarus.kernel.registry import Capability
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


class AuthStatus(Params):
    refresh: bool = False
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
        "defaultId": "" if first is None else keys.slug(first.name), "mainKey": ask.own.alias,
        "scope": ask.own.scope, "agents": [shapes.agent(rx, row) for row in rows],
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


def skills(rx: Rx, ask: Ask) -> Doc:
    """Skills of the registry. Their folders are in the company's main space, not the gateway's."""
    rows = registry.skills_listed(rx, ask.company, limit=MAX_CAPABILITIES)
    return {"workspaceDir": "", "managedSkillsDir": "", "skills": [_skill(row) for row in rows]}


def _skill(row: Capability) -> Doc:
    nothing: Doc = {"bins": [], "env": [], "config": [], "os": []}
    return {
        "name": row.id, "description": row.description or row.title, "source": row.source,
        "filePath": "", "baseDir": "", "skillKey": row.id, "always": False, "install": [],
        "eligible": registry.skill_status(row) == "active", "disabled": not row.enabled,
        "missing": nothing, "requirements": nothing,
    }  # fmt: skip


def tools(rx: Rx, ask: Ask) -> Doc:
    """What agents may be offered: enabled capabilities of the company, by kind."""
    groups: dict[str, Doc] = {}
    for row in registry.listed(rx, ask.company, limit=MAX_CAPABILITIES):
        if not row.enabled:
            continue
        group = groups.setdefault(
            row.kind, {"id": row.kind, "label": row.kind, "source": "core", "tools": []}
        )
        group["tools"].append({"id": row.id, "label": row.id, "description": row.title,
                               "source": "core", "defaultProfiles": []})  # fmt: skip
    first = answering.default_of(answering.targets(rx, ask.company))
    return {"agentId": "" if first is None else keys.slug(first.name), "profiles": [],
            "groups": list(groups.values())}  # fmt: skip


def metadata(rx: Rx, ask: Ask) -> Doc:
    """What a chat offers: models and words."""
    rows = models.listed(rx, ask.company, limit=models.MAX_MODELS)
    return {"models": [_model(row) for row in rows], "commands": _commands()}


_WORDS: Final = (
    ("new", "Begin the session anew"), ("reset", "Begin the session anew"),
    ("stop", "End what runs in the session"), ("abort", "End what runs in the session"),
    ("compact", "Have the older part of the session summed up"),
)  # fmt: skip


async def commands(desk: Desk, params: Commands) -> Doc:
    _ = desk, params
    return {"commands": _commands()}


def _commands() -> list[Doc]:
    return [
        {
            "name": name, "textAliases": [f"/{name}"], "description": about, "source": "native",
            "scope": "text", "category": "session", "acceptsArgs": False,
        }
        for name, about in _WORDS
    ]  # fmt: skip


METHODS: Final = (
    read("agents.list", READ, Nothing, listed, "Agents that this daemon runs",
         "defaultId, mainKey, agents"),
    read("models.list", READ, ModelsList, models_listed, "Configured models", "models"),
    read("models.authStatus", READ, AuthStatus, models_auth, "Which models have a key",
         "providers"),
    read("skills.status", READ, OfAgent, skills, "Skills of an agent", "skills"),
    read("tools.catalog", READ, Catalog, tools, "Registered capabilities, by kind", "groups"),
    read("chat.metadata", READ, Catalog, metadata, "What a chat offers",
         "models, commands"),
    work("commands.list", READ, Commands, commands, "Words that are commands in a chat",
         "commands"),
)  # fmt: skip
