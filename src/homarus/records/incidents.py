"""Incidents: what went wrong and waits for a person (control-plane contract, 7)."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.records import rules
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

MAX_SUMMARY: Final = 10_000
MAX_ACTION_BYTES: Final = 65_536

_COLUMNS: Final = (
    "id, no, company, project, task, severity, reason_code, summary, recommended_action, status, "
    "opened_by, created_ms, updated_ms, resolved_ms, deleted_ms"
)


class Incident(msgspec.Struct, frozen=True, gc=False):
    """A row of `incident`. Times in Unix ms."""

    id: str
    no: int
    company: str
    project: str | None
    task: str | None
    severity: str
    reason_code: str
    summary: str
    recommended_action: Any
    status: str
    opened_by: str
    created_ms: int
    updated_ms: int
    resolved_ms: int | None
    deleted_ms: int | None

    @property
    def number(self) -> str:
        return f"I-{self.no}"


def _incident(row: Row) -> Incident:
    values = list(row)
    values[8] = None if values[8] is None else json.loads(values[8])
    return Incident(*values)


def by_id(rx: Rx, company: str, incident: str, *, deleted: bool = False) -> Incident | None:
    row = rx.one(
        f"select {_COLUMNS} from incident where id=? and company=? "  # noqa: S608
        "and (?=1 or deleted_ms is null)",
        (incident, company, int(deleted)),
    )
    return None if row is None else _incident(row)


def need(rx: Rx, company: str, ref: str) -> Incident:
    """By id or number (`I-3`). Raises `incident.unknown`."""
    found = None
    if is_uuid(ref.lower()):
        found = by_id(rx, company, ref.lower())
    elif (no := numbered(ref, "I")) is not None:
        row = rx.one(
            f"select {_COLUMNS} from incident where company=? and no=? and deleted_ms is null",  # noqa: S608
            (company, no),
        )
        found = None if row is None else _incident(row)
    if found is None:
        raise NotFound(
            "incident.unknown",
            f"no incident {ref[:80]!r} in this company",
            "List them: `homarus incident list`.",
        )
    return found


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    before: int | None = None,
    status: str | None = None,
    severity: str | None = None,
    task: str | None = None,
    project: str | None = None,
) -> list[Incident]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {_COLUMNS} from incident where company=? and deleted_ms is null"  # noqa: S608
    filters = {"status=?": status, "severity=?": severity, "task=?": task, "project=?": project}
    rows = newest(rx, select, (company,), filters, limit=limit, before=before)
    return [_incident(row) for row in rows]


def _summary(text: str) -> str:
    if not 0 < len(text.strip()) <= MAX_SUMMARY:
        raise Invalid(
            "incident.summary", "an incident needs a summary", f"1 to {MAX_SUMMARY} characters."
        )
    return text.strip()


def _action(value: Any) -> str | None:
    if value is None:
        return None
    text = json.dumps(value)
    if len(text) > MAX_ACTION_BYTES:
        raise Invalid(
            "incident.action", "recommendedActionJson is too large", f"At most {MAX_ACTION_BYTES}."
        )
    return text


def open_incident(
    tx: Tx,
    *,
    severity: str,
    reason_code: str,
    summary: str,
    task: str | None = None,
    project: str | None = None,
    recommended_action: Any = None,
    company_wide: bool = False,
) -> Incident:
    """Open an incident about a task or project that exists, or about the company itself
    (`company_wide`). Emits `incident_opened`.

    `company_wide`: the kernel's own need name neither (an agent, a document, a budget).

    Raises `incident.about`, `incident.severity`, `incident.reason_code`, `incident.summary`.
    """
    if task is None and project is None and not company_wide:
        raise Invalid("incident.about", "what is it about?", "Give `taskId` or `projectId`.")
    incident = tx.new_id()
    tx.run(
        f"insert into incident({_COLUMNS}) values({','.join('?' * 15)})",
        (
            incident, tx.number("incident"), tx.company, project, task,
            rules.word(severity, "severity", "incident"),
            rules.word(reason_code, "reason_code", "incident"),
            _summary(summary), _action(recommended_action), "open", tx.actor.key,
            tx.now_ms, tx.now_ms, None, None,
        ),
    )  # fmt: skip
    tx.emit("incident_opened", incident, {"reason": reason_code, "severity": severity})
    return need(tx, tx.company, incident)


def open_once(tx: Tx, **about: Any) -> Incident | None:
    """`open_incident`, unless the task has an unresolved one with this reason (contract, 6.7)."""
    row = tx.one(
        "select 1 from incident where task=? and reason_code=? and status<>'resolved' "
        "and deleted_ms is null limit 1",
        (about["task"], about["reason_code"]),
    )
    return None if row is not None else open_incident(tx, **about)


def update(
    tx: Tx,
    incident: str,
    *,
    status: str | None = None,
    summary: str | None = None,
    recommended_action: Any = msgspec.UNSET,
) -> Incident:
    """Emits `incident_updated`. Raises `incident.unknown|status|nothing|summary|action`."""
    row = need(tx, tx.company, incident)
    values: dict[str, Any] = {}
    if status is not None:
        values["status"] = rules.one_of(status, rules.STATUSES, "incident.status")
        values["resolved_ms"] = tx.now_ms if status == "resolved" else None
        if status == row.status:
            values["resolved_ms"] = row.resolved_ms
    if summary is not None:
        values["summary"] = _summary(summary)
    if recommended_action is not msgspec.UNSET:
        values["recommended_action"] = _action(recommended_action)
    if not values:
        raise Invalid("incident.nothing", "nothing to change", "Give at least one field.")
    values["updated_ms"] = tx.now_ms
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update incident set {sets} where id=?", (*values.values(), row.id))  # noqa: S608
    tx.emit("incident_updated", row.id, {"status": values.get("status", row.status)})
    return need(tx, tx.company, row.id)


def delete(tx: Tx, incident: str) -> Incident:
    """Soft. Emits `incident_deleted`. Raises `incident.unknown`."""
    row = need(tx, tx.company, incident)
    tx.run(
        "update incident set deleted_ms=?, updated_ms=? where id=?", (tx.now_ms, tx.now_ms, row.id)
    )
    tx.emit("incident_deleted", row.id)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms)
