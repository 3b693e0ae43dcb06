"""Runtime nodes, agent sessions, agent memory (control-plane contract, 4)."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.company import agents, memory, projects, runtimes, sessions, summary
from homarus.control_plane import shapes_sessions as shapes
from homarus.control_plane import shapes_work
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.times import opt_ms
from homarus.store.port import Event, Reply, Rx, Tx
from homarus.tasks import sql as tasks

_TAGS: Final = ("sessions",)
DEFAULT_ENTRIES: Final = 20
MAX_ENTRIES: Final = 100


class RegisterBody(msgspec.Struct, rename="camel"):
    runtime_id: str
    name: str
    hostname: str | None = None
    gateway_version: str | None = None
    capabilities_json: list[Any] | None = None
    started_at: str | int | None = None


class StartBody(msgspec.Struct, rename="camel"):
    openclaw_session_id: str
    runtime_id: str | None = None
    session_type: str | None = None
    channel: str | None = None
    started_at: str | int | None = None
    checkpoint_json: dict[str, Any] | None = None


class CheckpointBody(msgspec.Struct, rename="camel"):
    checkpoint_json: dict[str, Any]
    status: str | None = None
    sync_status: str | None = None
    summary: str | None = None


class EndBody(msgspec.Struct, rename="camel"):
    """Whatever word `status` is, an ended session is `ended`."""

    status: str | None = None
    summary: str | None = None
    checkpoint_json: dict[str, Any] | None = None


class MemoryBody(msgspec.Struct, rename="camel"):
    content: str
    session_id: str | None = None
    project_id: str | None = None
    task_id: str | None = None
    kind: str | None = None
    summary: str | None = None
    metadata_json: dict[str, Any] | None = None
    snapshot: str | None = None


def register(tx: Tx, call: Call[RegisterBody]) -> Reply:
    body = call.body
    node = runtimes.register(
        tx,
        body.runtime_id,
        body.name,
        hostname=body.hostname,
        gateway_version=body.gateway_version,
        capabilities=body.capabilities_json,
        started_ms=opt_ms(body.started_at, "startedAt"),
    )
    return json_reply({"runtimeNode": shapes.runtime_node(node)})


def start(tx: Tx, call: Call[StartBody]) -> Reply:
    body = call.body
    agent = agents.need(tx, call.company, call.id())
    row = sessions.start(
        tx,
        agent.id,
        body.openclaw_session_id,
        runtime=body.runtime_id,
        kind=body.session_type or "main",
        channel=body.channel,
        started_ms=opt_ms(body.started_at, "startedAt"),
        checkpoint=body.checkpoint_json,
    )
    return json_reply(
        {
            "session": shapes.session(row),
            "memory": _memory(
                tx, agent.id, memory.entries(tx, agent.id, limit=memory.HYDRATION_ENTRIES)
            ),
            "contextNotes": summary.context_notes(tx, call.company),
            "recentSessions": [
                shapes.session(other) for other in sessions.recent(tx, agent.id, but=row.id)
            ],
        }
    )


def _memory(rx: Rx, agent: str, rows: list[memory.Entry]) -> dict[str, Any]:
    return {
        "snapshot": shapes.snapshot(memory.snapshot(rx, agent)),
        "entries": [shapes.entry(row) for row in rows],
    }


def checkpoint(tx: Tx, call: Call[CheckpointBody]) -> Reply:
    body = call.body
    row = sessions.checkpoint(
        tx,
        call.id(),
        call.id("sid"),
        body.checkpoint_json,
        status=body.status or sessions.ACTIVE,
        sync_status=body.sync_status or "synced",
        summary=body.summary,
    )
    return json_reply({"session": shapes.session(row)})


def end(tx: Tx, call: Call[EndBody | None]) -> Reply:
    body = call.body or EndBody()
    row = sessions.end(
        tx, call.id(), call.id("sid"), summary=body.summary, value=body.checkpoint_json
    )
    return json_reply({"session": shapes.session(row)})


def memories(rx: Rx, call: Call[None]) -> Reply:
    agent = agents.need(rx, call.company, call.id())
    limit = call.limit(DEFAULT_ENTRIES, MAX_ENTRIES)
    rows = memory.entries(rx, agent.id, limit=limit, before=call.cursor())
    more = {"nextCursor": str(rows[0].no)} if len(rows) == limit else {}
    body = {"agent": shapes_work.agent(rx, agent), **_memory(rx, agent.id, rows)}
    return json_reply(body | more)


def remember(tx: Tx, call: Call[MemoryBody]) -> Reply:
    body, company = call.body, call.company
    agent = agents.need(tx, company, call.id()).id
    session, project, task = body.session_id, body.project_id, body.task_id
    new = memory.NewEntry(
        content=body.content,
        kind=body.kind or "context",
        summary=body.summary,
        session=sessions.need(tx, company, agent, session).id if session else None,
        project=projects.need(tx, company, project).id if project else None,
        task=tasks.need(tx, company, task, archived=True).id if task else None,
        metadata=body.metadata_json or {},
        snapshot=body.snapshot,
    )
    entry, snapshot = memory.write(tx, agent, new)
    return json_reply({"entry": shapes.entry(entry), "snapshot": shapes.snapshot(snapshot)}, 201)


def _of_path(call: Call[Any]) -> str | None:
    return call.path["id"]


_AGENT: Final[dict[str, Any]] = {"acting": _of_path, "keyed": "ignored", "tags": _TAGS}

ROUTES: Final[tuple[Route, ...]] = (
    write_route(
        "POST", "/runtime/register", "runtime.register", register, "Register a runtime node",
        body=RegisterBody, keyed="ignored", target="runtime:", tags=_TAGS,
    ),
    write_route(
        "POST", "/agents/{id}/sessions/start", "session.start", start,
        "Start or resume a session, and get what its agent remembers",
        body=StartBody, target="agent:{id}", **_AGENT,
    ),
    write_route(
        "POST", "/agents/{id}/sessions/{sid}/checkpoint", "session.checkpoint", checkpoint,
        "Store where a session stands", body=CheckpointBody, target="session:{sid}", **_AGENT,
    ),
    write_route(
        "POST", "/agents/{id}/sessions/{sid}/end", "session.end", end, "End a session",
        body=EndBody, target="session:{sid}", **_AGENT,
    ),
    read_route(
        "/agents/{id}/memory", memories, "An agent's latest snapshot and entries",
        query=("limit", "cursor"), tags=_TAGS,
    ),
    write_route(
        "POST", "/agents/{id}/memory", "memory.write", remember, "Add to an agent's memory",
        body=MemoryBody, target="agent:{id}", status=201, **_AGENT,
    ),
)  # fmt: skip


def _session_frame(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = sessions.by_id(rx, company, event.subject)
    return [] if row is None else [{"type": event.kind, "session": shapes.session(row)}]


FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "runtime_checkin_retry": _session_frame,
    "runtime_session_degraded": _session_frame,
}
