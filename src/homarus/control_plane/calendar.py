"""Calendar events on the wire, in the control plane's style (design, 1)."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from homarus.base.clock import iso_ms
from homarus.company import calendar, founding
from homarus.company.calendar import CalendarEvent, EventChange
from homarus.control_plane.pages import cut
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.times import opt_ms
from homarus.store.port import Event, Reply, Rx, Tx
from homarus.tasks import sql as task_sql


class EventBody(msgspec.Struct, frozen=True, rename="camel"):
    """POST and PATCH. `start`, `end`: 2026-11-20T09:30 by the clock in `timezone` (the company's
    own when left out), or with an offset; with `allDay` days, `end` the last one."""

    title: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    start: str | UnsetType = UNSET
    end: str | UnsetType | None = UNSET
    timezone: str | UnsetType = UNSET
    all_day: bool | UnsetType = UNSET
    location: str | UnsetType | None = UNSET
    attendees: tuple[str, ...] | UnsetType = UNSET
    task_id: str | UnsetType | None = UNSET


def wire(row: CalendarEvent) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": row.number,
        "companyId": row.company,
        "title": row.title,
        "description": row.description,
        "start": row.start,
        "end": row.end,
        "timezone": row.zone,
        "allDay": row.all_day,
        "startAt": iso_ms(row.start_ms),
        "endAt": iso_ms(row.end_ms),
        "location": row.location,
        "attendees": row.attendees,
        "taskId": row.task,
        "createdBy": row.created_by,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /calendar/events: by their start; `from` and `to` narrow to what overlaps."""
    query, limit = call.query, call.limit()
    task = query.get("taskId") or None
    rows = calendar.listed(
        rx,
        call.company,
        limit=limit + 1,
        from_ms=opt_ms(query.get("from"), "from"),
        to_ms=opt_ms(query.get("to"), "to"),
        task=None if task is None else task_sql.need(rx, call.company, task).id,
        after=call.cursor_id(),
    )
    rows, cursor = cut(rows, limit, attrgetter("id"))
    return json_reply({"events": [wire(row) for row in rows], "nextCursor": cursor})


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /calendar/events/{id}: by id or number."""
    return json_reply({"event": wire(calendar.need(rx, call.company, call.path["id"]))})


def _change(body: EventBody, task: str | UnsetType | None) -> EventChange:
    return EventChange(
        title=body.title,
        description="" if body.description is None else body.description,
        start=body.start,
        end=body.end or None if body.end is not UNSET else UNSET,
        zone=body.timezone,
        all_day=body.all_day,
        location="" if body.location is None else body.location,
        attendees=body.attendees,
        task=task,
    )


def _task(tx: Tx, ref: str | UnsetType | None) -> str | UnsetType | None:
    """The id of the task that it belongs to, which its receipt then concerns."""
    if isinstance(ref, UnsetType) or not ref:
        return UNSET if ref is UNSET else None
    row = task_sql.need(tx, tx.company, ref)
    tx.about(task=row.id, trace=row.trace)
    return row.id


def created(tx: Tx, call: Call[EventBody]) -> Reply:
    """POST /calendar/events."""
    body = call.body
    if body.timezone is UNSET:
        body = msgspec.structs.replace(body, timezone=founding.need(tx, tx.company).zone)
    row = calendar.create(tx, _change(body, _task(tx, body.task_id)))
    return json_reply({"message": "Event created", "event": wire(row)}, 201)


def changed(tx: Tx, call: Call[EventBody]) -> Reply:
    """PATCH /calendar/events/{id}."""
    row = calendar.need(tx, call.company, call.path["id"])
    row = calendar.update(tx, row.id, _change(call.body, _task(tx, call.body.task_id)))
    return json_reply({"message": "Event updated", "event": wire(row)})


def deleted(tx: Tx, call: Call[None]) -> Reply:
    """DELETE /calendar/events/{id}."""
    row = calendar.delete(tx, call.path["id"])
    return json_reply({"message": "Event deleted", "event": wire(row)})


def frame_changed(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = calendar.by_id(rx, company, event.subject)
    return [] if row is None else [{"type": event.kind, "event": wire(row)}]


def frame_deleted(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    _ = rx, company
    return [{"type": "calendar_event_deleted", "eventId": event.subject}]


TAGS: Final = ("calendar",)
QUERY: Final = ("from", "to", "taskId", "limit", "cursor")
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/calendar/events", listed, "List calendar events by start", query=QUERY, tags=TAGS),
    write_route(
        "POST", "/calendar/events", "event.create", created, "Put an event into the calendar",
        body=EventBody, status=201, target="event:", tags=TAGS,
    ),
    read_route("/calendar/events/{id}", read, "Read a calendar event", tags=TAGS),
    write_route(
        "PATCH", "/calendar/events/{id}", "event.update", changed, "Change a calendar event",
        body=EventBody, target="event:{id}", tags=TAGS,
    ),
    write_route(
        "DELETE", "/calendar/events/{id}", "event.delete", deleted,
        "Take an event out of the calendar", target="event:{id}", tags=TAGS,
    ),
)  # fmt: skip
FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "calendar_event_created": frame_changed,
    "calendar_event_updated": frame_changed,
    "calendar_event_deleted": frame_deleted,
}
