"""session-inspect: what is configured and how it stands. Writes nothing, and never fails for what
it finds."""

import time
from datetime import datetime
from typing import Any

from homarus.base.errors import HomarusError
from homarus.companion import journal, reports, wire
from homarus.companion.settings import Settings


def report(settings: Settings) -> dict[str, Any]:
    """Asks the control plane for its health and its agents only where a token is known."""
    state = settings.state_dir
    found: dict[str, Any] = {
        "config": {"path": str(settings.config.path), "found": settings.config.found},
        "apiBaseUrl": settings.url,
        "wsUrl": None if settings.url is None else settings.need_socket(),
        "companionDir": str(settings.companion_dir),
        "runtimeId": settings.runtime_id,
        "agentName": settings.agent_name,
        "token": {"known": settings.token is not None,
                  "from": None if settings.token is None else settings.token.given_by},
        "journal": _journal(settings),
        "lastDoctor": reports.read(state / reports.DOCTOR),
        "lastSync": _without_samples(reports.read(state / reports.SYNC)),
        "lastRepair": reports.read(state / reports.REPAIR),
        "health": None,
        "matchedAgent": None,
        "problem": None,
    }  # fmt: skip
    if settings.url is None or settings.token is None:
        return found
    try:
        with wire.connect(settings) as api:
            found["health"] = api.get(f"{wire.MOUNT}/runtime/health")
            agent = wire.find_agent(api, settings)
    except HomarusError as error:
        found["problem"] = {"code": error.code, "error": error.message, "remedy": error.remedy}
        return found
    if agent is not None:
        found["matchedAgent"] = {k: agent.get(k) for k in wire.AGENT_FIELDS}
    return found


def _journal(settings: Settings) -> dict[str, Any]:
    """`fresh`: a bridge wrote to it in the last ten minutes."""
    kept = reports.read(settings.journal)
    age_s = None if kept is None else _age_s(kept.get("updatedAt"))
    return {
        "path": str(settings.journal),
        "found": kept is not None,
        "updatedAt": None if kept is None else kept.get("updatedAt"),
        "fresh": age_s is not None and age_s <= journal.FRESH_S,
        "lastAgentId": None if kept is None else kept.get("lastAgentId"),
    }


def _age_s(at: Any) -> float | None:
    try:
        then = datetime.fromisoformat(at)
    except (TypeError, ValueError):
        return None
    return time.time() - then.timestamp()


def _without_samples(report: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if report is None else {k: v for k, v in report.items() if k != "samples"}
