"""The whole surface: every route and every frame, from the modules that own them.

To add an area, import its module here and name it in AREAS. Dispatch, OpenAPI, the reference page
and the walk of all surfaces read nothing else.
"""

from types import ModuleType
from typing import Final

from homarus.control_plane import (
    about,
    access,
    actions,
    agents,
    approvals,
    artifacts,
    audit,
    backups,
    budgets,
    calendar,
    calls,
    cards,
    changes,
    checklists,
    companies,
    cron,
    dashboard,
    deliveries,
    dispatches,
    explain,
    folders,
    gates,
    heartbeats,
    imports,
    incidents,
    integrations,
    jobs,
    leases,
    legacy,
    main_documents,
    mcp_servers,
    mirrors,
    models,
    notes,
    outbox,
    people,
    pipelines,
    preflights,
    prices,
    profiles,
    projects,
    registry,
    resources,
    rpc,
    session_policies,
    sessions,
    settings,
    status,
    stop_frames,
    sync,
    talk,
    tasks,
    trust,
    turns,
    webhook,
    wiki,
)
from homarus.control_plane.frames import FrameTable
from homarus.control_plane.route import Route, StreamRoute

AREAS: Final[tuple[ModuleType, ...]] = (
    about,
    status,
    companies,
    cron,
    access,
    stop_frames,
    registry,
    calls,
    preflights,
    checklists,
    agents,
    sessions,
    projects,
    tasks,
    trust,
    gates,
    cards,
    pipelines,
    actions,
    talk,
    dispatches,
    sync,
    resources,
    artifacts,
    folders,
    incidents,
    calendar,
    wiki,
    changes,
    main_documents,
    budgets,
    prices,
    models,
    approvals,
    audit,
    explain,
    backups,
    dashboard,
    deliveries,
    rpc,
    settings,
    webhook,
    people,
    profiles,
    jobs,
    legacy,
    notes,
    leases,
    integrations,
    turns,
    heartbeats,
    session_policies,
    imports,
    mcp_servers,
    mirrors,
    outbox,
)
"""Modules with `ROUTES` (Route or StreamRoute) and, where they have any, `FRAMES`."""


def routes() -> tuple[Route | StreamRoute, ...]:
    return tuple(route for area in AREAS for route in getattr(area, "ROUTES", ()))


def frames() -> FrameTable:
    """Raises ValueError when two areas claim one event kind."""
    merged: FrameTable = {}
    for area in AREAS:
        own: FrameTable = getattr(area, "FRAMES", {})
        twice = merged.keys() & own.keys()
        if twice:
            raise ValueError(f"{area.__name__} frames {sorted(twice)} again")
        merged |= own
    return merged
