"""Jobs and channels (gateway contract, 8, 9): the one jobs table, as it was filled elsewhere."""

import hashlib
from typing import Any, Final

import msgspec

from homarus.company import agents
from homarus.conversations import keys
from homarus.gateway.ws import frames, shapes
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, Desk, Nothing, read, work
from homarus.jobs import service as jobs
from homarus.jobs.model import Job
from homarus.kernel.scopes import READ, WRITE
from homarus.store.port import Rx

LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_LISTED: Final = 1_000
Doc = dict[str, Any]


class List(Params):
    include_disabled: bool = False
    enabled: str | bool | None = None
    limit: int | None = None
    offset: int = 0
    query: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    schedule_kind: str | None = None
    last_run_status: str | None = None
    payload_kind: str | None = None
    sort_by: str | None = None
    sort_dir: str | None = None
    compact: bool = False
    include_delivery_previews: bool = False
    snapshot_revision: str | None = None


class OfJob(Params):
    id: str


class Channels(Params):
    probe: bool = False
    timeout_ms: int | None = None
    channel: str | None = None


class Send(Params):
    to: str
    idempotency_key: str
    message: str | None = None
    media_url: str | None = None
    media_urls: list[str] | None = None
    buffer: str | None = None
    gif_playback: bool | None = None
    channel: str | None = None
    account_id: str | None = None
    agent_id: str | None = None
    thread_id: str | None = None
    reply_to_id: str | None = None
    session_key: str | None = None
    silent: bool | None = None
    force_document: bool | None = None


class MessageAction(Params):
    action: str
    idempotency_key: str
    channel: str | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    account_id: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    session_id: str | None = None
    sender_is_owner: bool | None = None
    conversation_read_origin: Any = None
    requester_account_id: str | None = None
    requester_sender_id: str | None = None
    inbound_turn_kind: str | None = None
    tool_context: Any = None


# -- jobs ----------------------------------------------------------------------------------


def listed(rx: Rx, ask: Ask) -> Doc:
    params: List = ask.params
    rows = [row for row in jobs.listed(rx, ask.company, limit=MAX_LISTED) if _fits(row, params)]
    if params.agent_id is not None:
        rows = [row for row in rows if _agent(rx, row) == params.agent_id]
    limit = max(1, min(params.limit or LIMIT, MAX_LIMIT))
    offset = max(0, params.offset)
    page = rows[offset : offset + limit]
    more = len(rows) > offset + limit
    return {
        "jobs": [shapes.job(row, _agent(rx, row)) for row in page], "total": len(rows),
        "offset": offset, "limit": limit, "hasMore": more,
        "nextOffset": offset + limit if more else None, "snapshotRevision": _revision(rows),
    }  # fmt: skip


def _fits(row: Job, params: List) -> bool:
    enabled = {"enabled": True, "disabled": False}.get(str(params.enabled), params.enabled)
    if isinstance(enabled, bool) and row.active is not enabled:
        return False
    if params.enabled is None and not params.include_disabled and not row.active:
        return False
    words = (params.query or "").strip().lower()
    return not words or words in row.name.lower()


def _revision(rows: list[Job]) -> str:
    text = "|".join(f"{row.id}:{row.updated_ms}" for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _agent(rx: Rx, row: Job) -> str | None:
    found = None if row.agent is None else agents.by_id(rx, row.company, row.agent)
    return None if found is None else keys.slug(found.name)


def one(rx: Rx, ask: Ask) -> Doc:
    row = jobs.find(rx, ask.company, ask.params.id)
    if row is None:
        details = {"code": "CRON_JOB_NOT_FOUND", "jobId": ask.params.id[:80]}
        raise Fault(frames.INVALID_REQUEST, f"unknown cron job id: {ask.params.id[:80]}", details)
    return shapes.job(row, _agent(rx, row))


def status(rx: Rx, ask: Ask) -> Doc:
    """`enabled` false: jobs are due and listed, and nothing fires them by the clock yet."""
    rows = jobs.listed(rx, ask.company, limit=MAX_LISTED)
    due = [row.next_run_ms for row in rows if row.active and row.next_run_ms is not None]
    found: Doc = {"enabled": False, "storePath": "(the store)", "jobs": len(rows)}
    return found | ({"nextWakeAtMs": min(due)} if due else {})


# -- channels ------------------------------------------------------------------------------


async def channels(desk: Desk, params: Channels) -> Doc:
    """None is configured: there is none to configure yet."""
    _ = params
    return {
        "ts": desk.hub.now_ms(), "channelOrder": [], "channelLabels": {},
        "channelDetailLabels": {}, "channelSystemImages": {}, "channelMeta": [], "channels": {},
        "channelAccounts": {}, "channelDefaultAccountId": {}, "statusIssues": [],
    }  # fmt: skip


async def send(desk: Desk, params: Send) -> Doc:
    _ = desk
    raise _no_channel(params.channel)


async def action(desk: Desk, params: MessageAction) -> Doc:
    _ = desk
    raise _no_channel(params.channel)


def _no_channel(name: str | None) -> Fault:
    what = "no channel is configured" if not name else f"channel not configured: {name[:40]}"
    return Fault(frames.INVALID_REQUEST, f"{what}; `channels.status` lists what there is",
                 {"code": "channel.unknown"})  # fmt: skip


METHODS: Final = (
    read("cron.list", READ, List, listed, "Work that comes again", "jobs, total, snapshotRevision"),
    read("cron.get", READ, OfJob, one, "One of them", "a job"),
    read("cron.status", READ, Nothing, status, "How many there are, and the next that is due",
         "enabled, jobs, nextWakeAtMs"),
    work("channels.status", READ, Channels, channels, "Configured channels", "channels"),
    work("send", WRITE, Send, send, "Send to a channel", "an error while none is configured"),
    work("message.action", WRITE, MessageAction, action, "Act on a channel",
         "an error while none is configured"),
)  # fmt: skip
