"""All methods by name (gateway contract, 18): for connections, docs, the walk of surfaces."""

from typing import Final

from homarus.gateway.ws.method import Method
from homarus.gateway.ws.methods import (
    agents,
    approvals,
    chat,
    config,
    cron,
    devices,
    health,
    heartbeats,
    history,
    later,
    nodes,
    session_lists,
    sessions,
)

FAMILIES: Final = {
    "health": health.METHODS,
    "agents and models": agents.METHODS,
    "chat and runs": (*chat.METHODS, *history.METHODS),
    "sessions": (*session_lists.METHODS, *sessions.METHODS),
    "devices": devices.METHODS,
    "nodes": nodes.METHODS,
    "approvals": approvals.METHODS,
    "configuration": config.METHODS,
    "jobs and channels": cron.METHODS,
    "heartbeats": heartbeats.METHODS,
    "not built": later.METHODS,
}


def methods() -> dict[str, Method]:
    found: dict[str, Method] = {}
    for rows in FAMILIES.values():
        for row in rows:
            if row.name in found:
                raise AssertionError(f"two methods are called {row.name}")
            found[row.name] = row
    return found
