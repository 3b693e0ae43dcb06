"""Requests that several commands make (contract, 14), over one connection."""

from collections.abc import Callable
from typing import Any, Final

from homarus.base.errors import Conflict, HomarusError
from homarus.client.http import Client
from homarus.client.retry import Retry
from homarus.companion.journal import now_iso
from homarus.companion.settings import Settings

MOUNT: Final = "/api/mcp"
TIMEOUT_S: Final = 20.0
LIST_LIMIT: Final = 200
AGENT_LIMIT: Final = 500
MAX_AGENT_PAGES: Final = 40
SAMPLES: Final = 5
RETRY: Final = Retry(attempts=4, first_s=0.1, cap_s=1.0, patience_s=10.0)

AGENT_FIELDS: Final = ("id", "name", "role", "status", "lastSeenAt")
LISTS: Final = {
    "agents": ("/agents", "agents", {}, ("id", "name", "role", "status")),
    "projects": ("/projects", "projects", {}, ("id", "goal", "status")),
    "tasks": ("/tasks", "tasks", {}, ("id", "title", "taskType", "state")),
    "teamThreads": ("/threads", "threads", {"type": "team"}, ("id", "type", "title")),
}
"""Name in `counts` -> path, noun of the reply, query, fields of a sample."""


def connect(settings: Settings) -> Client:
    """Raises `companion.no_url`, `companion.no_token`. Does not connect yet."""
    url, token = settings.need_url(), settings.need_token()
    return Client(url, token, settings.company, timeout_s=TIMEOUT_S, retry=RETRY)


def validate(api: Client) -> None:
    """Whether the token is accepted. Raises what the control plane answers."""
    api.get(f"{MOUNT}/agents", limit=1)


def find_agent(api: Client, settings: Settings) -> dict[str, Any] | None:
    """By configured id, then by exact name (contract, 4.2)."""
    by_name: dict[str, Any] | None = None
    cursor: str | None = None
    for _ in range(MAX_AGENT_PAGES):
        page = api.get(f"{MOUNT}/agents", limit=AGENT_LIMIT, cursor=cursor)
        agents = page.get("agents", [])
        for agent in agents:
            if settings.agent_id is not None and agent.get("id") == settings.agent_id:
                return dict(agent)
            if by_name is None and agent.get("name") == settings.agent_name:
                by_name = dict(agent)
        if settings.agent_id is None and by_name is not None:
            return by_name
        cursor = page.get("nextCursor")
        if cursor is None or not agents:
            break
    return by_name


def need_agent(api: Client, settings: Settings) -> tuple[dict[str, Any], bool]:
    """The agent, and whether it was created now."""
    agent = find_agent(api, settings)
    if agent is not None:
        return agent, False
    try:
        reply = api.post(f"{MOUNT}/agents", {"name": settings.agent_name, "role": "operator"})
        return dict(reply["agent"]), True
    except Conflict:
        agent = find_agent(api, settings)  # another process made it meanwhile
        if agent is None:
            raise
        return agent, False


def snapshot(api: Client, settings: Settings) -> dict[str, Any]:
    """The control plane as it stands: the content of last-sync.json.

    Raises when the token is not accepted; a list that fails is told in `requests` and left out.
    `more` names the lists that go on behind what was counted.
    """
    validate(api)
    requests: dict[str, dict[str, Any]] = {}
    counts: dict[str, int | None] = {}
    samples: dict[str, list[dict[str, Any]]] = {}
    more: list[str] = []
    found: dict[str, list[dict[str, Any]]] = {}
    health = _tolerated(requests, "health", lambda: api.get(f"{MOUNT}/runtime/health"))
    for name, (path, noun, query, fields) in LISTS.items():
        page = _tolerated(requests, name, _asking(api, path, query))
        rows = None if page is None else page.get(noun)
        found[name] = rows if isinstance(rows, list) else []
        counts[name] = len(found[name]) if isinstance(rows, list) else None
        samples[name] = [{f: row.get(f) for f in fields} for row in found[name][:SAMPLES]]
        if page is not None and page.get("nextCursor") is not None:
            more.append(name)
    matched = _matched(found["agents"], settings)
    return {
        "capturedAt": now_iso(),
        "apiBaseUrl": settings.need_url(),
        "runtimeId": settings.runtime_id,
        "agentName": settings.agent_name,
        "health": health,
        "matchedAgent": matched,
        "counts": counts,
        "more": more,
        "samples": samples,
        "requests": requests,
    }


def _asking(api: Client, path: str, query: dict[str, str]) -> Callable[[], dict[str, Any]]:
    return lambda: api.get(f"{MOUNT}{path}", limit=LIST_LIMIT, **query)


def _tolerated(
    requests: dict[str, dict[str, Any]], name: str, ask: Callable[[], dict[str, Any]]
) -> dict[str, Any] | None:
    try:
        reply = ask()
    except HomarusError as error:
        requests[name] = {"ok": False, "code": error.code, "error": error.message}
        return None
    requests[name] = {"ok": True}
    return reply


def _matched(agents: list[dict[str, Any]], settings: Settings) -> dict[str, Any] | None:
    """As `find_agent`, among those listed."""
    for field, value in (("id", settings.agent_id), ("name", settings.agent_name)):
        for agent in agents:
            if value is not None and agent.get(field) == value:
                return {f: agent.get(f) for f in AGENT_FIELDS}
    return None
