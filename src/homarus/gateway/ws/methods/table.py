"""All methods by name (gateway contract, 18): for connections, docs, the walk of surfaces."""

from typing import Final

from homarus.gateway.ws.method import Method
from homarus.gateway.ws.methods import (
    agent_writes,
    approvals,
    channels,
    chat,
    config_writes,
    devices,
    health,
    heartbeats,
    history,
    jobs,
    later,
    nodes,
    notes,
    process,
    session_lists,
    sessions,
    setup_codes,
    work,
)

FAMILIES: Final = {
    "health": health.METHODS,
    "the daemon": process.METHODS,
    "agents and models": agent_writes.METHODS,
    "chat and runs": (*chat.METHODS, *history.METHODS, *notes.METHODS),
    "sessions": (*session_lists.METHODS, *sessions.METHODS),
    "devices": (*devices.METHODS, *setup_codes.METHODS),
    "nodes": nodes.METHODS,
    "approvals": approvals.METHODS,
    "configuration": config_writes.METHODS,
    "jobs": jobs.METHODS,
    "channels": channels.METHODS,
    "tasks, cost, tools": work.METHODS,
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
