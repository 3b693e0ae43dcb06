"""How the gateway is, who is there, what it logged (gateway contract, 8)."""

import asyncio
import os
import platform
from pathlib import Path
from typing import Any, Final

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.base.rotate import FILE
from homarus.company import models
from homarus.conversations import keys, sessions
from homarus.conversations.routing import own_of
from homarus.flows import answering
from homarus.gateway.ws import channel_shapes, frames, shapes
from homarus.gateway.ws.beats import Beats
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.hub import Hub
from homarus.gateway.ws.method import Ask, Desk, Nothing, work
from homarus.gateway.ws.peer import Peer
from homarus.kernel import approval_queries, budgets
from homarus.kernel.scopes import ADMIN, READ
from homarus.store.port import Rx
from homarus.tasks import sql as tasks
from homarus.tasks.model import State

RECENT: Final = 10
MAX_COUNT: Final = 1_000
LOG: Final = Path("logs") / FILE
MAX_LINES: Final = 5_000
MAX_LOG_BYTES: Final = 1_000_000
LOG_LINES: Final = 200
LOG_BYTES: Final = 250_000
MAX_TEXT: Final = 2_000
Doc = dict[str, Any]


class Probe(Params):
    probe: bool = False


class Summary(Params):
    include_channel_summary: bool = True


class Note(Params):
    text: str
    device_id: str | None = None
    instance_id: str | None = None
    host: str | None = None
    ip: str | None = None
    mode: str | None = None
    version: str | None = None
    platform: str | None = None
    device_family: str | None = None
    model_identifier: str | None = None
    last_input_seconds: float | None = None
    reason: str | None = None
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Tail(Params):
    cursor: int | None = None
    limit: int = LOG_LINES
    max_bytes: int = LOG_BYTES


# -- health --------------------------------------------------------------------------------


def taken(rx: Rx, company: str, home: str) -> Doc:
    """What the rows say of a company's health."""
    rows = answering.targets(rx, company)
    first = answering.default_of(rows)
    recent = sessions.listed(rx, company, limit=MAX_COUNT)
    beats = Beats(rx, company)

    def of(found: list[sessions.Session]) -> Doc:
        return {
            "path": f"{home}/agents", "count": len(found),
            "recent": [
                {"key": row.key, "updatedAt": row.updated_ms, "age": rx.now_ms - row.updated_ms}
                for row in found[:RECENT]
            ],
        }  # fmt: skip

    return {
        "ok": True,
        "ts": rx.now_ms,
        "plugins": {"loaded": [], "errors": []},
        "heartbeatSeconds": beats.seconds(first),
        "defaultAgentId": "" if first is None else keys.slug(first.name),
        "agents": [
            {
                "agentId": keys.slug(row.name), "isDefault": row is first,
                "heartbeat": beats.full(row),
                "sessions": of([s for s in recent if s.agent == row.id]),
            }
            for row in rows
        ],
        "sessions": of(recent),
    }  # fmt: skip


async def of_company(hub: Hub, company: str, *, fresh: bool) -> Doc:
    """Kept for `policy.health_s`; a fresh one is told to everybody."""
    loop = asyncio.get_running_loop()
    known = hub.health.get(company)
    if known is not None and not fresh and loop.time() - known[0] < hub.policy.health_s:
        return known[1]
    began = loop.time()
    found: Doc = await hub.means.store.read(taken, company, str(hub.means.home))
    found |= channel_shapes.summary(channel_shapes.of_company(hub, company))
    found["configReload"] = {"hotReloadStatus": _reloads(hub)}
    found["durationMs"] = round((loop.time() - began) * 1000)
    hub.health[company] = (loop.time(), found)
    hub.health_version += 1
    hub.tell(company, "health", found)
    return found


def _reloads(hub: Hub) -> str:
    """Whether an edit of the settings counts while the daemon runs."""
    return "active" if hub.process is not None and hub.process.reloads else "disabled"


async def health(desk: Desk, params: Probe) -> Doc:
    return await of_company(desk.hub, desk.peer.company, fresh=params.probe)


async def snapshot(hub: Hub, peer: Peer) -> Doc:
    """What a hello begins with. Its agents are those of now: of a company's health that was kept
    since before they changed, a new one is taken."""
    company = peer.company
    agents, first, configured = await hub.means.store.read(_of_now, company)
    found = await of_company(hub, company, fresh=False)
    if (first, agents) != (found["defaultAgentId"], [row["agentId"] for row in found["agents"]]):
        found = await of_company(hub, company, fresh=True)
    own = own_of(hub.settings())
    more: Doc = {}
    if peer.may(ADMIN):
        more = {"configPath": str(hub.means.home / "homarus.json"),
                "stateDir": str(hub.means.home)}  # fmt: skip
    return {
        "presence": hub.presence(company),
        "health": found,
        "stateVersion": hub.versions(),
        "uptimeMs": hub.uptime_ms,
        "sessionDefaults": {
            "defaultAgentId": first, "mainKey": own.alias,
            "mainSessionKey": keys.of(first or keys.MAIN, own.word), "scope": own.scope,
            "modelConfigured": configured,
        },
        "authMode": hub.settings().auth_mode,
        **more,
    }  # fmt: skip


def _of_now(rx: Rx, company: str) -> tuple[list[str], str, bool]:
    """`(agents, default agent or "", whether a model is configured)`."""
    rows = answering.targets(rx, company)
    first = answering.default_of(rows)
    return (
        [keys.slug(row.name) for row in rows],
        "" if first is None else keys.slug(first.name),
        bool(models.listed(rx, company, limit=1)),
    )


# -- status --------------------------------------------------------------------------------


async def status(desk: Desk, params: Summary) -> Doc:
    found: Doc = await desk.read(counted, desk.ask(params))
    rows = channel_shapes.of_company(desk.hub, desk.peer.company)
    return found | {"channelSummary": [channel_shapes.line(row) for row in rows]}


def counted(rx: Rx, ask: Ask) -> Doc:
    company = ask.company
    rows = answering.targets(rx, company)
    recent = sessions.listed(rx, company, limit=MAX_COUNT)
    model = models.by_name(rx, company, models.DEFAULT)
    window = models.CONTEXT_TOKENS if model is None else model.context_tokens
    name = None if model is None else model.model
    first = answering.default_of(rows)
    beats = Beats(rx, company)
    counts = {
        state.value: tasks.count_state(rx, company, state, MAX_COUNT)
        for state in State
        if state is not State.ARCHIVED
    }
    waiting = approval_queries.listed(rx, company, limit=MAX_COUNT, status="pending")
    spent = budgets.spent_by(rx, company, [company], budgets.keys(rx.now_ms)["day"]).get(company)
    return {
        "runtimeVersion": __version__,
        "heartbeat": {
            "defaultAgentId": "" if first is None else keys.slug(first.name),
            "agents": [{"agentId": keys.slug(row.name)} | beats.short(row) for row in rows],
        },
        "queuedSystemEvents": [],
        "tasks": {
            "total": sum(counts.values()),
            "active": counts["in_progress"],
            "terminal": counts["done"] + counts["failed"] + counts["dead_letter"],
            "failures": counts["failed"] + counts["dead_letter"],
            "byStatus": {"queued": counts["queued"] + counts["inbox"],
                         "running": counts["in_progress"], "succeeded": counts["done"],
                         "failed": counts["failed"], "timed_out": 0, "cancelled": 0, "lost": 0},
            "byRuntime": {"subagent": 0, "acp": 0, "cli": 0, "cron": 0},
        },
        "approvals": {"pending": len(waiting)},
        "spentTodayMicros": 0 if spent is None else spent.spent.money,
        "sessions": {
            "paths": [], "count": len(recent),
            "defaults": {"model": name, "contextTokens": window},
            "recent": [_line(rx, row, window, name) for row in recent[:RECENT]],
            "byAgent": [
                {
                    "agentId": keys.slug(row.name), "path": "",
                    "count": sum(s.agent == row.id for s in recent),
                    "recent": [
                        _line(rx, s, window, name) for s in recent if s.agent == row.id
                    ][:RECENT],
                }
                for row in rows
            ],
        },
    }  # fmt: skip


def _line(rx: Rx, row: sessions.Session, window: int, model: str | None) -> Doc:
    left = max(0, window - row.context_tokens)
    return {
        "key": row.key, "kind": "direct", "agentId": keys.agent_of(row.key),
        "sessionId": row.id, "updatedAt": row.updated_ms, "age": rx.now_ms - row.updated_ms,
        "inputTokens": row.input_tokens, "outputTokens": row.output_tokens,
        "totalTokens": row.context_tokens, "remainingTokens": left,
        "percentUsed": round(100 * row.context_tokens / window) if window else 0,
        "model": row.model or model, "contextTokens": window, "flags": [],
    }  # fmt: skip


# -- presence ------------------------------------------------------------------------------


async def presence(desk: Desk, params: Nothing) -> list[Doc]:
    _ = params
    return desk.hub.presence(desk.peer.company)


async def note(desk: Desk, params: Note) -> Doc:
    """What a client says of its machine is presence, and no more than that: it reaches no agent."""
    who = params.device_id or params.instance_id or params.host or desk.peer.id
    entry = shapes.without_none(
        {
            "host": params.host, "ip": params.ip, "mode": params.mode, "version": params.version,
            "platform": params.platform, "deviceFamily": params.device_family,
            "modelIdentifier": params.model_identifier, "reason": params.reason,
            "lastInputSeconds": params.last_input_seconds, "deviceId": params.device_id,
            "instanceId": params.instance_id, "tags": params.tags or None,
            "text": params.text[:MAX_TEXT],
        }
    )  # fmt: skip
    desk.hub.note(desk.peer.company, who[:200], entry)
    return {"ok": True}


async def system_info(desk: Desk, params: Nothing) -> Doc:
    _ = params
    load = os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0)
    return {
        "hostname": platform.node(), "platform": platform.system().lower(),
        "arch": platform.machine(), "version": __version__, "cpuCount": os.cpu_count() or 1,
        "loadAverage": list(load), "uptimeMs": desk.hub.uptime_ms, "pid": os.getpid(),
    }  # fmt: skip


async def lanes(desk: Desk, params: Nothing) -> Doc:
    """Sessions with a run, each a lane that runs one at a time."""
    _ = params
    runs = desk.hub.runs.active(desk.peer.company)
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.session_key] = counts.get(run.session_key, 0) + 1
    return {
        "lanes": [
            {"lane": f"session:{key}", "activeCount": 1, "queuedCount": n - 1, "maxConcurrent": 1}
            for key, n in sorted(counts.items())
        ]
    }


class Stability(Params):
    limit: int | None = None
    type: str | None = None
    since_seq: int | None = None


async def stability(desk: Desk, params: Stability) -> Doc:
    """No such record is kept, so nothing fits into it. `/metrics` tells how the daemon does."""
    _ = params
    return {"generatedAt": iso_ms(desk.hub.now_ms()), "capacity": 0, "count": 0, "dropped": 0,
            "events": [], "summary": {"byType": {}}}  # fmt: skip


# -- logs ----------------------------------------------------------------------------------


async def tail(desk: Desk, params: Tail) -> Doc:
    if params.cursor is not None and params.cursor < 0:
        raise frames.bad_params("logs.tail", "at /cursor: must be >= 0")
    limit = max(1, min(params.limit, MAX_LINES))
    most = max(1, min(params.max_bytes, MAX_LOG_BYTES))
    await desk.read(_nothing)
    desk.instance_only()
    return await asyncio.to_thread(_tail, desk.hub.means.home / LOG, params.cursor, limit, most)


def _nothing(rx: Rx) -> None:
    """Judged, and nothing is read: the log is a file."""


def _tail(path: Path, cursor: int | None, limit: int, most: int) -> Doc:
    """From `cursor` (a byte offset) on; None: the end. Only whole lines."""
    found: Doc = {"file": str(path), "cursor": 0, "size": 0, "lines": []}
    try:
        size = path.stat().st_size
        reset = cursor is not None and cursor > size
        start = max(0, size - most) if cursor is None or reset else max(cursor, size - most)
        skipped = 0 if cursor is None or reset else start - cursor
        with path.open("rb") as file:
            file.seek(max(0, start - 1))
            before = file.read(1) if start else b"\n"
            raw = file.read(most)
    except FileNotFoundError:
        return found
    if before != b"\n":
        cut = raw.find(b"\n") + 1
        raw, start = raw[cut:], start + cut
    whole = raw.rfind(b"\n") + 1
    lines = raw[:whole].decode("utf-8", "replace").splitlines()
    truncated = len(lines) > limit or (start > 0 and cursor is None)
    found |= {"cursor": start + whole, "size": size, "lines": lines[-limit:]}
    if truncated:
        found["truncated"] = True
    if reset:
        found["reset"] = True
    if skipped:
        found["skippedBytes"] = skipped
    return found


METHODS: Final = (
    work("health", "", Probe, health, "How the gateway is; `probe` looks anew",
         "ok, agents, sessions, channels", role=""),
    work("status", READ, Summary, status, "Sessions, tasks, models in numbers",
         "runtimeVersion, heartbeat, tasks, sessions"),
    work("system-presence", READ, Nothing, presence, "Who is connected, the gateway itself first",
         "list of presence entries"),
    work("system-event", ADMIN, Note, note, "Tell of a machine, for presence alone", "ok"),
    work("system.info", READ, Nothing, system_info, "The machine that the gateway runs on",
         "hostname, platform, version, load"),
    work("diagnostics.stability", READ, Stability, stability,
         "What a gateway recorded of its phases; this one keeps no such record", "count: 0"),
    work("diagnostics.lanes", READ, Nothing, lanes, "Sessions that have something to do", "lanes"),
    work("logs.tail", READ, Tail, tail, "The daemon's log from a byte on",
         "file, cursor, size, lines, reset, truncated"),
)  # fmt: skip
