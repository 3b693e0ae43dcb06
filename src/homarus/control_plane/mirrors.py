"""Mirrors on the wire: added, checked, paused, resynced, removed; their conflicts; how each lags.

An adapter looks at a configuration before the unit and outside of it; what it found is judged with
the request.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import HomarusError, Invalid, NotOffered
from homarus.control_plane.frames import Frame, FrameTable
from homarus.control_plane.pages import behind
from homarus.control_plane.route import (
    Call,
    Route,
    Stream,
    StreamRoute,
    TextReply,
    json_reply,
    read_route,
    write_route,
)
from homarus.control_plane.shapes_work import ts
from homarus.egress.secrets import HANDLE
from homarus.flows import mirror_acts, mirror_conflicts, mirror_mapping, mirrors
from homarus.flows.mirror_acts import Checked, NewMirror
from homarus.flows.mirror_conflicts import Row as ConflictRow
from homarus.flows.mirror_entities import ENTITIES
from homarus.flows.mirrors import Mirror, Trouble
from homarus.kernel.capabilities import BUILTIN, role_reaches
from homarus.outbox import registry
from homarus.store.port import Event, Reply, Rx, Tx

SAMPLES: Final = 3


_METRICS: Final[tuple[tuple[str, str, str, Callable[[Rx, Mirror], float]], ...]] = (
    ("homarus_mirror_lag_seconds", "gauge", "How long the oldest change waits.",
     lambda rx, row: mirrors.lag_ms(rx, row.id) / 1000),
    ("homarus_mirror_held", "gauge", "Whether the target is not well.",
     lambda _, row: row.held is not None),
    ("homarus_mirror_calls", "gauge", "Calls of this month.", lambda _, row: row.calls),
)  # fmt: skip


class MirrorBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """`targetType`: of an adapter, such as webhook; `config`: as the adapter wants it, secrets
    as `secret://` handles; `mapping`: YAML; "" every field; `delayS`: null the target's own."""

    target_type: str
    name: str = "check"
    config: dict[str, Any] = {}
    mapping: str = ""
    delay_s: float | None = None


class ReasonBody(msgspec.Struct, frozen=True):
    reason: str = ""


class RemoveBody(msgspec.Struct, frozen=True):
    """`drop`: why what waits is dropped; null: nothing may wait."""

    drop: str | None = None


class ResolveBody(msgspec.Struct, frozen=True):
    note: str = ""


def shape(rx: Rx, row: Mirror, *, whole: bool = True) -> dict[str, Any]:
    """`lagMs`: how long the oldest change waits that the target does not have. `whole`: for who may
    manage mirrors; others see of an address its scheme and host."""
    return {
        "id": row.id,
        "name": row.name,
        "targetType": row.target_type,
        "config": row.config if whole else {k: _bare(v) for k, v in row.config.items()},
        "mapping": row.mapping,
        "entities": list(row.entities),
        "state": row.state,
        "reason": row.reason,
        "held": row.held,
        "heldSince": ts(row.held_ms),
        "delayMs": row.delay_ms,
        "resyncing": bool(row.resync),
        "rows": mirrors.waiting(rx, row.id),
        "lagMs": mirrors.lag_ms(rx, row.id),
        "lastOkAt": ts(row.last_ok_ms),
        "callsThisMonth": row.calls if row.month == mirrors.month_of(rx.now_ms) else 0,
        "createdAt": iso_ms(row.created_ms),
        "createdBy": row.created_by,
    }


def trouble_shape(trouble: Trouble) -> dict[str, Any]:
    return {
        "status": trouble.status,
        "row": trouble.row,
        "number": trouble.number or None,
        "error": trouble.error,
        "tries": trouble.tries,
        "createdAt": iso_ms(trouble.created_ms),
        "scheduledAt": iso_ms(trouble.scheduled_ms),
    }


def _bare(value: Any) -> Any:
    """Of an address, what is no secret: its path and query may be what the target knows us by."""
    if not isinstance(value, str) or "://" not in value or HANDLE.fullmatch(value):
        return value
    parts = urlsplit(value)
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}"


def _manages(call: Call[None]) -> bool:
    who = call.token
    return who.kind == "operator" and role_reaches(who.role, BUILTIN["mirror.add"].operator)


def conflict_shape(row: ConflictRow) -> dict[str, Any]:
    return {
        "number": row.no,
        "mirror": row.mirror_name,
        "entityType": row.entity_type,
        "entityId": row.entity_id,
        "what": row.what,
        "theirs": row.theirs,
        "state": row.state,
        "note": row.note,
        "createdAt": iso_ms(row.created_ms),
        "resolvedAt": ts(row.resolved_ms),
        "resolvedBy": row.resolved_by,
    }


def look(call: Call[MirrorBody], home: Path) -> Checked | HomarusError:
    """What the adapter says of the configuration; what is wrong is said once it was judged."""
    body = call.body
    try:
        kind = registry.kind(body.target_type)
        place = kind.check(body.config, home)
    except HomarusError as error:
        return error
    manifest = kind.manifest
    return Checked(
        body.target_type, place.key, place.hosts, place.secrets, manifest.entities,
        round(manifest.delay_s * 1000), place.nests,
    )  # fmt: skip


def _checked(call: Call[MirrorBody]) -> Checked:
    if isinstance(call.seen, HomarusError):
        raise call.seen
    if not isinstance(call.seen, Checked):
        raise AssertionError("the configuration was not looked at")
    return call.seen


def add(tx: Tx, call: Call[MirrorBody]) -> Reply:
    body = call.body
    delay_ms = None if body.delay_s is None else round(body.delay_s * 1000)
    new = NewMirror(body.name, body.config, body.mapping, _checked(call), delay_ms)
    row = mirror_acts.add(tx, new)
    return json_reply({"message": "Mirror added", "mirror": shape(tx, row)}, 201)


def check(tx: Tx, call: Call[MirrorBody]) -> Reply:
    """POST /mirrors/check: what it would show, without adding it."""
    body, found = call.body, _checked(call)
    mapping = mirror_mapping.parse(body.mapping, found.takes, found.target_type)
    mirror_acts.allowed(tx, call.company, found.target_type)
    samples = []
    for name in sorted(mapping):
        for id_ in ENTITIES[name].listed(tx, call.company, "", SAMPLES):
            loaded = ENTITIES[name].load(tx, call.company, id_)
            if loaded is not None:
                fields = mirror_mapping.apply(mapping, name, loaded[1])
                samples.append({"entityType": name, "number": loaded[0], "fields": fields})
    return json_reply(
        {
            "place": found.place,
            "hosts": list(found.hosts),
            "secrets": list(found.secrets),
            "entities": sorted(mapping),
            "samples": samples,
        }
    )


def listed(rx: Rx, call: Call[None]) -> Reply:
    rows = mirrors.listed(rx, call.company)[: call.limit()]
    whole = _manages(call)
    return json_reply({"mirrors": [shape(rx, row, whole=whole) for row in rows]})


async def metrics(stream: Stream, call: Call[None]) -> Reply:
    """GET /mirrors/metrics: for Prometheus."""
    return await stream.read(_metrics, call.company)


def _metrics(rx: Rx, company: str) -> Reply:
    lines: list[str] = []
    rows = mirrors.listed(rx, company)
    for name, kind, about, value in _METRICS:
        lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        lines += [f'{name}{{mirror="{row.name}"}} {value(rx, row):g}' for row in rows]
    name = "homarus_outbox_rows"
    lines += [f"# HELP {name} Changes that are not over.", f"# TYPE {name} gauge"]
    for row in rows:
        for status, n in mirrors.waiting(rx, row.id).items():
            lines.append(f'{name}{{mirror="{row.name}",status="{status}"}} {n}')
    return TextReply(status=200, body=("\n".join(lines) + "\n").encode())


def show(rx: Rx, call: Call[None]) -> Reply:
    """`troubles`: of each status that is not over, the oldest row that was tried, and its error."""
    row = mirrors.need(rx, call.company, call.path["id"])
    troubles = [trouble_shape(each) for each in mirrors.troubles(rx, row.id)]
    shown = shape(rx, row, whole=_manages(call)) | {"troubles": troubles}
    return json_reply({"mirror": shown})


def pause(tx: Tx, call: Call[ReasonBody | None]) -> Reply:
    reason = "" if call.body is None else call.body.reason
    return json_reply({"mirror": shape(tx, mirror_acts.pause(tx, call.path["id"], reason))})


def resume(tx: Tx, call: Call[None]) -> Reply:
    return json_reply({"mirror": shape(tx, mirror_acts.resume(tx, call.path["id"]))})


def resync(tx: Tx, call: Call[None]) -> Reply:
    return json_reply({"mirror": shape(tx, mirror_acts.resync(tx, call.path["id"]))}, 202)


def remove(tx: Tx, call: Call[RemoveBody | None]) -> Reply:
    drop = None if call.body is None else call.body.drop
    return json_reply({"mirror": shape(tx, mirror_acts.remove(tx, call.path["id"], drop=drop))})


async def ask(stream: Stream, call: Call[None]) -> Reply:
    """POST /mirrors/{id}/check: how the target is, and what a push would do there."""
    if stream.outbox is None:
        raise NotOffered("mirror.none_here", "this daemon pushes to no mirror", "Ask another one.")
    row = await stream.read(mirrors.need, call.company, call.path["id"])
    health, lines = await stream.outbox.check(row)
    return json_reply({"health": {"ok": health.ok, "why": health.why}, "wouldDo": lines})


def conflicts(rx: Rx, call: Call[None]) -> Reply:
    ref = call.query.get("mirror")
    mirror = None if ref is None else mirrors.need(rx, call.company, ref).id
    limit, cursor = call.limit(), call.query.get("cursor")
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
        raise Invalid("request.cursor", "unreadable cursor", "Give `nextCursor` back as it came.")
    rows = mirror_conflicts.listed(
        rx, call.company, limit=limit, mirror=mirror, every=call.query.get("all") == "true",
        before=None if cursor is None else int(cursor),
    )  # fmt: skip
    return json_reply({"conflicts": [conflict_shape(row) for row in rows]} | behind(rows, limit))


def resolve(tx: Tx, call: Call[ResolveBody | None]) -> Reply:
    number = call.path["number"]
    if not (number.isascii() and number.isdecimal() and len(number) < 16):
        raise Invalid("mirror.conflict", f"{number[:40]!r} is no number", "Give one of the list.")
    note = "" if call.body is None else call.body.note
    return json_reply({"conflict": conflict_shape(mirror_conflicts.resolve(tx, int(number), note))})


_TAGS: Final = ("mirrors",)
_ONE: Final[dict[str, Any]] = {"target": "mirrors:{id}", "tags": _TAGS}
ROUTES: Final[tuple[Route | StreamRoute, ...]] = (
    read_route("/mirrors", listed, "Mirrors, and how far each lags", query=("limit",), tags=_TAGS),
    read_route(
        "/mirrors/conflicts", conflicts, "What was changed at mirrors by somebody else",
        query=("mirror", "all", "limit", "cursor"), tags=_TAGS,
    ),
    StreamRoute(
        method="GET", path="/mirrors/metrics", capability="read", handler=metrics, kind="read",
        summary="Lag and rows of each mirror (Prometheus)", tags=_TAGS,
    ),
    read_route("/mirrors/{id}", show, "One mirror", tags=_TAGS),
    write_route(
        "POST", "/mirrors", "mirror.add", add, "Mirror the company's records to a target",
        body=MirrorBody, looks=look, status=201, target="mirrors:", tags=_TAGS,
    ),
    write_route(
        "POST", "/mirrors/check", "mirror.add", check, "What a mirror would show, not adding it",
        body=MirrorBody, looks=look, target="mirrors:", keyed="ignored", tags=_TAGS,
    ),
    StreamRoute(
        method="POST", path="/mirrors/{id}/check", capability="mirror.check", handler=ask,
        kind="read", summary="How a mirror's target is, and what a push would do",
        keyed="ignored", target="mirrors:{id}", tags=_TAGS,
    ),
    write_route(
        "POST", "/mirrors/{id}/pause", "mirror.change", pause, "Push nothing for a while",
        body=ReasonBody | None, **_ONE,
    ),
    write_route("POST", "/mirrors/{id}/resume", "mirror.change", resume, "Push again", **_ONE),
    write_route(
        "POST", "/mirrors/{id}/resync", "mirror.change", resync,
        "Ask the target for everything, and mend what differs",
        status=202, **_ONE,
    ),
    write_route(
        "POST", "/mirrors/{id}/remove", "mirror.remove", remove,
        "Remove a mirror; what its target holds stays there", body=RemoveBody | None, **_ONE,
    ),
    write_route(
        "POST", "/mirrors/conflicts/{number}/resolve", "mirror.change", resolve,
        "Say that a conflict was seen", body=ResolveBody | None, target="mirrors:", tags=_TAGS,
    ),
)  # fmt: skip


def _told(_rx: Rx, _company: str, event: Event) -> list[Frame]:
    return [{"type": event.kind, "mirrorId": event.subject, **event.data}]


FRAMES: Final[FrameTable] = {"mirror_changed": _told, "mirror_health": _told}
