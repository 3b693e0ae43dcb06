"""What `homarus doctor` says of executors: for each agent that this daemon works for, whether its
model, program or gateway is there."""

from typing import Any, Final

import httpx2

from homarus.backends import local
from homarus.base import tls
from homarus.cli.context import Context

MAX_AGENTS: Final = 200
"""Newest ones, which are looked at."""
ANSWER_S: Final = 3.0
SCRIPTED: Final = "scripted"
CLAUDE: Final = "claude"

Line = tuple[str, str, str, str]


def look(ctx: Context) -> list[Line]:
    """`(name, verdict, detail, remedy)` each. Raises as the API does."""
    agents = ctx.api.get("/agents", limit=MAX_AGENTS).get("agents", [])
    ours = [agent for agent in agents if agent["executor"] not in ("external", "command")]
    models = ctx.api.get("/models").get("models", []) if ours else []
    return [_of(agent, models) for agent in ours]


def _of(agent: dict[str, Any], models: list[dict[str, Any]]) -> Line:
    name = f"agent: {agent['name']}"[:60]
    config = agent["executorConfig"] or {}
    match agent["executor"]:
        case "llm":
            return _model(name, agent, models)
        case "claude_code":
            return _program(name, str(config.get("program", CLAUDE)))
        case "openresponses":
            return _gateway(name, str(config["url"]))
        case other:
            return name, "ok", str(other), ""


def _program(name: str, program: str) -> Line:
    path = local.found(program)
    if path is None:
        return (name, "fail", f"Claude Code: {program!r} is not installed here",
                "Install it, or name its path in the agent's executorConfig.")  # fmt: skip
    return name, "ok", f"Claude Code at {path}", ""


def _model(name: str, agent: dict[str, Any], models: list[dict[str, Any]]) -> Line:
    wanted = agent["llmModel"] or "default"
    if SCRIPTED in (wanted, agent["llmProvider"]):
        return name, "ok", "the scripted model: it only talks, and takes no tasks", ""
    known = {m["name"] for m in models} | {m["model"] for m in models}
    if wanted in known:
        return name, "ok", f"the model {wanted}", ""
    return (name, "warn", f"no model {wanted!r} is configured: it takes no tasks",
            "Add one: `homarus model add`.")  # fmt: skip


def _gateway(name: str, url: str) -> Line:
    """Whether anybody answers there; what it answers does not matter."""
    try:
        reply = httpx2.request("HEAD", url, timeout=ANSWER_S, trust_env=False, verify=tls.of(url))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return (name, "warn", f"{url} does not answer ({type(error).__name__})",
                "See that it runs, and the URL of the agent's executorConfig.")  # fmt: skip
    return name, "ok", f"{url} answers ({reply.status_code})", ""
