"""What can be mirrored: each kind of entity with its fields, its events and how it is read.

To add one: a row of ENTITIES. Its events name it as their subject; every one of them means that the
entity, or something that a mirror may show of it, has changed.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.flows import mirror_records as records
from homarus.store.port import Rx

CREATE: Final = "create"
UPDATE: Final = "update"
DELETE: Final = "delete"

TEXT: Final = "text"
NUMBER: Final = "number"
DATE: Final = "date"
FLAG: Final = "flag"
LIST: Final = "list"
MAX_TEXT: Final = 100_000
"""Characters of one field; what is longer is cut."""


class Entity(msgspec.Struct, frozen=True):
    """`fields`: name -> TEXT, NUMBER, DATE (RFC 3339), FLAG or LIST of texts, each or null.

    `events`: kind -> what it means to a mirror. `load(rx, company, id)` is `(number, fields)`, or
    None where there is nothing (any longer) that is mirrored. `listed(rx, company, after, limit)`:
    ids in order, for a resync.
    """

    fields: Mapping[str, str]
    events: Mapping[str, str]
    load: Callable[[Rx, str, str], tuple[str, dict[str, Any]] | None]
    listed: Callable[[Rx, str, str, int], list[str]]


# -- tasks ---------------------------------------------------------------------------------

_TASK: Final = (
    "select t.seq, t.state, t.priority, t.reason, t.created_ms, t.updated_ms, t.started_ms, "
    "s.type, s.input, s.sla_due_ms, s.skills, s.role, p.goal, a.name, r.comment from task t "
    "join task_spec s on s.task=t.id join project p on p.id=t.project "
    "left join agent a on a.id=t.agent left join task_result r on r.task=t.id "
    "where t.id=? and t.company=? and t.state<>'archived'"
)


def _date(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso_ms(at_ms)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:MAX_TEXT]


def _task(rx: Rx, company: str, task: str) -> tuple[str, dict[str, Any]] | None:
    row = rx.one(_TASK, (task, company))
    if row is None:
        return None
    (
        seq, state, priority, reason, created, updated, started, kind, asked, due, skills, role,
        goal, agent, comment,
    ) = row  # fmt: skip
    spec = json.loads(asked)
    number = f"T-{seq}"
    return number, {
        "number": number,
        "title": _text(spec.get("title")) or kind,
        "description": _text(spec.get("description")),
        "type": kind,
        "state": state,
        "priority": priority,
        "project": _text(goal),
        "agent": agent,
        "role": role,
        "skills": list(json.loads(skills)) if skills else [],
        "due": _date(due),
        "reason": reason,
        "result": _text(comment),
        "created": _date(created),
        "started": _date(started),
        "updated": _date(updated),
    }


def _tasks(rx: Rx, company: str, after: str, limit: int) -> list[str]:
    rows = rx.all(
        "select id from task where company=? and state<>'archived' and project<>'' "
        "and seq>coalesce((select seq from task where id=?), 0) order by seq limit ?",
        (company, after, limit),
    )
    return [row[0] for row in rows]


def tasks_of(rx: Rx, company: str, kind: str, subject: str, after: str, limit: int) -> list[str]:
    """Ids of the tasks of an `agent` or `project`, in order."""
    column = {"agent": "agent", "project": "project"}[kind]
    rows = rx.all(
        f"select id from task where company=? and {column}=? and state<>'archived' "  # noqa: S608
        "and project<>'' and seq>coalesce((select seq from task where id=?), 0) "
        "order by seq limit ?",
        (company, subject, after, limit),
    )
    return [row[0] for row in rows]


SHOWN: Final = {"agent_updated": ("agent", "name"), "project_updated": ("project", "goal")}
"""Kind of an event -> what its subject is, and the field of it that the subject's tasks show."""

_TASK_UPDATES: Final = (
    "task_claimed", "task_in_progress", "task_review", "task_done", "task_failed", "task_inbox",
    "task_updated", "task_accepted", "task_audited", "task_assigned", "task_reassigned",
    "lease_expired_retry", "dead_lettered",
)  # fmt: skip

ENTITIES: Final[dict[str, Entity]] = {
    "task": Entity(
        {
            "number": TEXT, "title": TEXT, "description": TEXT, "type": TEXT, "state": TEXT,
            "priority": NUMBER, "project": TEXT, "agent": TEXT, "role": TEXT, "skills": LIST,
            "due": DATE, "reason": TEXT, "result": TEXT, "created": DATE, "started": DATE,
            "updated": DATE,
        },
        {"task_generated": CREATE, "task_archived": DELETE}
        | dict.fromkeys(_TASK_UPDATES, UPDATE),
        _task,
        _tasks,
    ),
    "calendar_event": Entity(
        records.CALENDAR_FIELDS, records.CALENDAR_EVENTS, records.calendar_event,
        records.calendar_ids,
    ),
    "wiki_doc": Entity(
        records.WIKI_FIELDS, records.WIKI_EVENTS, records.wiki_doc, records.wiki_ids
    ),
}  # fmt: skip
"""Entity type, as `outbox_v2` and a mapping name it."""

BY_EVENT: Final[dict[str, tuple[str, str]]] = {
    event: (name, act) for name, entity in ENTITIES.items() for event, act in entity.events.items()
}
"""Kind of an event -> entity type and act."""
