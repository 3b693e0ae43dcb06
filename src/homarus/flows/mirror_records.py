"""Calendar events and wiki documents as mirrors show them: fields by type, events, reading.

Each is what an entity of `mirror_entities` consists of. What belongs together is named by number
(`T-12`, `W-1`), which an adapter may turn into a link.
"""

from typing import Any, Final

from homarus.base.clock import iso_ms
from homarus.company import calendar
from homarus.records import wiki
from homarus.store.port import Rx
from homarus.tasks import sql as task_sql

CALENDAR_FIELDS: Final = {
    "number": "text", "title": "text", "description": "text", "start": "date", "end": "date",
    "all_day": "flag", "timezone": "text", "location": "text", "attendees": "list",
    "task": "text", "created": "date", "updated": "date",
}  # fmt: skip
CALENDAR_EVENTS: Final = {
    "calendar_event_created": "create",
    "calendar_event_updated": "update",
    "calendar_event_deleted": "delete",
}
WIKI_FIELDS: Final = {
    "number": "text", "title": "text", "body": "text", "parent": "text", "version": "number",
    "created": "date", "updated": "date",
}  # fmt: skip
WIKI_EVENTS: Final = {
    "wiki_doc_created": "create",
    "wiki_doc_updated": "update",
    "wiki_doc_deleted": "delete",
}


def calendar_event(rx: Rx, company: str, event: str) -> tuple[str, dict[str, Any]] | None:
    """Number and fields; None where there is nothing (any longer). `end` is the first moment after
    it."""
    row = calendar.by_id(rx, company, event)
    if row is None:
        return None
    task = None if row.task is None else task_sql.by_id(rx, company, row.task)
    return row.number, {
        "number": row.number,
        "title": row.title,
        "description": row.description or None,
        "start": iso_ms(row.start_ms),
        "end": iso_ms(row.end_ms),
        "all_day": row.all_day,
        "timezone": row.zone,
        "location": row.location or None,
        "attendees": list(row.attendees),
        "task": None if task is None else task.number,
        "created": iso_ms(row.created_ms),
        "updated": iso_ms(row.updated_ms),
    }


def calendar_ids(rx: Rx, company: str, after: str, limit: int) -> list[str]:
    return _ids(rx, "calendar_event", company, after, limit)


def wiki_doc(rx: Rx, company: str, doc: str) -> tuple[str, dict[str, Any]] | None:
    """Number and fields; None where there is nothing (any longer)."""
    row = wiki.by_id(rx, company, doc)
    if row is None:
        return None
    parent = None if row.parent is None else wiki.by_id(rx, company, row.parent)
    return row.number, {
        "number": row.number,
        "title": row.title,
        "body": row.body,
        "parent": None if parent is None else parent.number,
        "version": row.version,
        "created": iso_ms(row.created_ms),
        "updated": iso_ms(row.updated_ms),
    }


def wiki_ids(rx: Rx, company: str, after: str, limit: int) -> list[str]:
    return _ids(rx, "wiki_doc", company, after, limit)


def _ids(rx: Rx, table: str, company: str, after: str, limit: int) -> list[str]:
    rows = rx.all(
        f"select id from {table} where company=? and id>? and deleted_ms is null "  # noqa: S608
        "order by id limit ?",
        (company, after, limit),
    )
    return [row[0] for row in rows]
