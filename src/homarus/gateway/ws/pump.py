"""News of a company's rows as events (gateway contract, 5.3): the feed, read once for all."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus.control_plane import feed
from homarus.conversations import keys, sessions, transcript, turns
from homarus.conversations.sessions import Session
from homarus.flows import heartbeat_turns
from homarus.gateway.ws import cron_shapes, entries, shapes
from homarus.jobs import model as job_model
from homarus.jobs import runs
from homarus.jobs import service as jobs
from homarus.kernel import approval_queries, devices, setup_codes, surfaces
from homarus.kernel.approval_rows import Status
from homarus.store.port import Event, Rx
from homarus.tasks import sql as tasks

PAGE: Final = 100
TASK: Final = "task"
TASKS: Final = ("task_", "lease_expired")
"""How events begin that tell of a task."""
Doc = dict[str, Any]


class News(msgspec.Struct, frozen=True):
    """An event to be told. `session`: only to those who follow this key."""

    name: str
    payload: Doc
    session: str | None = None


class Follow(msgspec.Struct, frozen=True):
    """A turn that runs or just ended, whoever began it: it is told as a run."""

    turn: turns.Turn
    key: str


class ToNode(msgspec.Struct, frozen=True):
    """An event for one node."""

    device: str
    name: str
    payload: Doc


class Gone(msgspec.Struct, frozen=True):
    """A token that was revoked."""

    token: str


Told = News | Follow | Gone | ToNode


class Page(msgspec.Struct, frozen=True):
    told: list[Told]
    end: int


def read_page(rx: Rx, company: str, after: int, upto: int) -> Page:
    """What at most PAGE events say."""
    no, _ = feed.head(rx, company)
    rows = feed.page(rx, no, after, PAGE, upto)
    told = [one for event in rows for one in _told(rx, company, event)]
    return Page(told, rows[-1].seq if rows and len(rows) == PAGE else upto)


def _told(rx: Rx, company: str, event: Event) -> list[Told]:
    make = KINDS.get(TASK if event.kind.startswith(TASKS) else event.kind)
    return [] if make is None else make(rx, company, event)


def _revoked(rx: Rx, company: str, event: Event) -> list[Told]:
    _ = rx, company
    return [Gone(event.subject)]


def _turn(reason: str) -> Callable[[Rx, str, Event], list[Told]]:
    def told(rx: Rx, company: str, event: Event) -> list[Told]:
        row = turns.by_id(rx, company, event.subject)
        session = None if row is None else sessions.by_id(rx, company, row.session)
        if row is None or session is None:
            return []
        found: list[Told] = [_changed(rx, session, reason, event.at_ms)]
        return [*found, Follow(row, session.key)]

    return told


def _changed(rx: Rx, session: Session, reason: str, at_ms: int) -> News:
    payload = {
        "sessionKey": session.key, "agentId": keys.agent_of(session.key), "reason": reason,
        "ts": at_ms, "session": shapes.session(rx, session),
    }  # fmt: skip
    return News("sessions.changed", payload, session.key)


def _session(reason: str) -> Callable[[Rx, str, Event], list[Told]]:
    def told(rx: Rx, company: str, event: Event) -> list[Told]:
        session = sessions.by_id(rx, company, event.subject)
        return [] if session is None else [_changed(rx, session, reason, event.at_ms)]

    return told


def _entry(rx: Rx, company: str, event: Event) -> list[Told]:
    session = sessions.by_id(rx, company, event.subject)
    if session is None or event.data.get("kind") != transcript.MESSAGE:
        return []
    rows = transcript.since(rx, session.id, int(event.data["seq"]), 1)
    if not rows:
        return []
    payload = {
        "sessionKey": session.key, "agentId": keys.agent_of(session.key),
        "message": entries.message(rx, company, rows[0]), "messageId": rows[0].id,
        "messageSeq": rows[0].seq, "session": shapes.session(rx, session),
    }  # fmt: skip
    return [News("session.message", payload, session.key)]


def _pair_requested(rx: Rx, company: str, event: Event) -> list[Told]:
    row = devices.request(rx, company, event.subject)
    return [] if row is None else [News("device.pair.requested", shapes.pairing(rx, row))]


def _pair_resolved(rx: Rx, company: str, event: Event) -> list[Told]:
    _ = rx, company
    payload = {"requestId": event.subject, "deviceId": event.data["device"],
               "decision": event.data["decision"], "ts": event.at_ms}  # fmt: skip
    return [News("device.pair.resolved", payload)]


def _device_changed(rx: Rx, company: str, event: Event) -> list[Told]:
    _ = rx, company
    return [News("device.pair.changed", {"deviceId": event.data["device"], "ts": event.at_ms})]


def _setup_completed(rx: Rx, company: str, event: Event) -> list[Told]:
    row = setup_codes.by_id(rx, company, event.subject)
    done = None if row is None else shapes.setup_completion(row)
    return [] if done is None else [News("device.pair.setup.completed", done)]


def _node_requested(rx: Rx, company: str, event: Event) -> list[Told]:
    row = surfaces.request(rx, company, event.subject)
    return [] if row is None else [News("node.pair.requested", shapes.node_request(rx, row))]


def _node_resolved(rx: Rx, company: str, event: Event) -> list[Told]:
    _ = rx, company
    device, name = event.data["device"], "node.pair.resolved"
    payload = {"requestId": event.subject, "nodeId": device, "decision": event.data["decision"],
               "ts": event.at_ms}  # fmt: skip
    return [News(name, payload), ToNode(device, name, payload)]


def _approval(rx: Rx, company: str, event: Event) -> list[Told]:
    row = approval_queries.by_id(rx, company, event.subject)
    if row is None:
        return []
    if event.kind == "approval_created":
        return [News("exec.approval.requested", shapes.approval(row))]
    if row.status is Status.PENDING or event.data.get("how") in ("use", "use_again"):
        return []
    payload = {"id": row.id, "decision": shapes.decision(row),
               "resolvedBy": approval_queries.who_decided(rx, row), "ts": event.at_ms}  # fmt: skip
    return [News("exec.approval.resolved", payload)]


def _heartbeat(rx: Rx, company: str, event: Event) -> list[Told]:
    """The record of a heartbeat that asked a model, as `last-heartbeat` gives it."""
    _ = rx, company
    return [News("heartbeat", event.data)]


def _task(rx: Rx, company: str, event: Event) -> list[Told]:
    row = tasks.by_id(rx, company, event.subject)
    if row is None:
        return []
    shown = shapes.task(rx, row, tasks.spec_of(rx, row.id))
    return [News("task", {"action": "upserted", "task": shown})]


def _job(action: str) -> Callable[[Rx, str, Event], list[Told]]:
    def told(rx: Rx, company: str, event: Event) -> list[Told]:
        row = jobs.by_id(rx, company, event.subject)
        told = {} if row is None else {"job": cron_shapes.job(rx, row)}
        return [News("cron", {"jobId": event.subject, "action": action, "ts": event.at_ms} | told)]

    return told


def _run(rx: Rx, company: str, event: Event) -> list[Told]:
    """A run as it was when the event was written: it may have ended since, and its start is told
    all the same. A task template's start is told by its spawning."""
    row, job = runs.by_id(rx, company, event.data["run"]), jobs.by_id(rx, company, event.subject)
    if row is None or job is None:
        return []
    started = event.kind == runs.STARTED
    if started and row.what == job_model.TASK:
        return []
    told = cron_shapes.started(event.at_ms) if started else cron_shapes.finished(rx, row, job)
    told |= {"jobId": event.subject, "ts": event.at_ms, "job": cron_shapes.job(rx, job)}
    return [News("cron", told)]


KINDS: Final[dict[str, Callable[[Rx, str, Event], list[Told]]]] = {
    "token_revoked": _revoked,
    "turn_queued": _turn("send"),
    "turn_running": _turn("agent.run.started"),
    "turn_parked": _turn("run-capacity"),
    "turn_done": _turn("agent.input.settled"),
    "turn_failed": _turn("agent.input.settled"),
    "turn_aborted": _turn("agent.input.settled"),
    "turn_merged": _turn("agent.input.settled"),
    "session_opened": _session("create"),
    "session_changed": _session("patch"),
    "session_ended": _session("reset"),
    "session_entry": _entry,
    "device_pair_requested": _pair_requested,
    "device_pair_resolved": _pair_resolved,
    "device_paired": _device_changed,
    "device_changed": _device_changed,
    "device_removed": _device_changed,
    "setup_code_used": _setup_completed,
    "node_pair_requested": _node_requested,
    "node_pair_resolved": _node_resolved,
    "approval_created": _approval,
    "approval_updated": _approval,
    heartbeat_turns.EVENT: _heartbeat,
    TASK: _task,
    jobs.CREATED: _job("added"),
    jobs.UPDATED: _job("updated"),
    jobs.ARCHIVED: _job("removed"),
    jobs.SPAWNED: _job("started"),
    runs.STARTED: _run,
    runs.ENDED: _run,
}
"""Kind of event in the feed -> what is told of it."""
