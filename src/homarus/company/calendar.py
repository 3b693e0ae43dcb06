"""Calendar events: what happens when and who comes, told by a clock of some zone.

Start and end are moments; `zone` says by which clock they were given and are shown. An event of
whole days goes from midnight to midnight there, so it is 23 or 25 hours long where the clocks
change. A time of the day that a change of the clocks leaves out or shows twice is taken as in
`base/local_time.py`.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import msgspec

from homarus.base import local_time
from homarus.base.errors import Invalid, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.store.port import Row, Rx, Tx

MAX_TITLE: Final = 500
MAX_DESCRIPTION: Final = 20_000
MAX_LOCATION: Final = 500
MAX_ATTENDEES: Final = 100
MAX_ATTENDEE: Final = 200
MAX_TIME: Final = 40
MAX_LENGTH_MS: Final = 366 * 86_400_000
YEARS: Final = range(1970, 2200)
USUAL: Final = timedelta(hours=1)
"""How long an event is that says no end; of whole days, one day."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_COLUMNS: Final = (
    "id, no, company, title, description, start_ms, end_ms, zone, all_day, location, attendees, "
    "task, created_by, created_ms, updated_ms, deleted_ms"
)


class CalendarEvent(msgspec.Struct, frozen=True, gc=False):
    """A row of `calendar_event`; times in Unix ms, `end_ms` the first moment after it."""

    id: str
    no: int
    company: str
    title: str
    description: str
    start_ms: int
    end_ms: int
    zone: str
    all_day: bool
    location: str
    attendees: tuple[str, ...]
    task: str | None
    created_by: str
    created_ms: int
    updated_ms: int
    deleted_ms: int | None

    @property
    def number(self) -> str:
        return f"E-{self.no}"

    @property
    def start(self) -> str:
        """As its clock shows it: `2026-11-20T09:30:00`, of whole days the first day."""
        return _shown(self.start_ms, self.zone, self.all_day)

    @property
    def end(self) -> str:
        """The same; of whole days the last day, itself included."""
        return _shown(self.end_ms - int(self.all_day), self.zone, self.all_day)


class EventChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. `start`, `end`: a time of the clock in `zone`, a time
    with an offset of its own, or with `all_day` a day; an `end` of whole days is the last one.
    `task`: the id of one that is there."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    start: str | msgspec.UnsetType = msgspec.UNSET
    end: str | msgspec.UnsetType | None = msgspec.UNSET
    zone: str | msgspec.UnsetType = msgspec.UNSET
    all_day: bool | msgspec.UnsetType = msgspec.UNSET
    location: str | msgspec.UnsetType = msgspec.UNSET
    attendees: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    task: str | msgspec.UnsetType | None = msgspec.UNSET


# -- reading -------------------------------------------------------------------------------


def by_id(rx: Rx, company: str, event: str, *, deleted: bool = False) -> CalendarEvent | None:
    row = rx.one(
        f"select {_COLUMNS} from calendar_event where id=? and company=? "  # noqa: S608
        "and (?=1 or deleted_ms is null)",
        (event, company, int(deleted)),
    )
    return None if row is None else _event(row)


def need(rx: Rx, company: str, ref: str, *, deleted: bool = False) -> CalendarEvent:
    """By id or number (`E-4`); `deleted`: also one that was taken out. Raises `event.unknown`."""
    found = None
    if is_uuid(ref.lower()):
        found = by_id(rx, company, ref.lower(), deleted=deleted)
    elif (no := numbered(ref, "E")) is not None:
        row = rx.one(
            f"select {_COLUMNS} from calendar_event "  # noqa: S608
            "where company=? and no=? and (?=1 or deleted_ms is null)",
            (company, no, int(deleted)),
        )
        found = None if row is None else _event(row)
    if found is None:
        raise NotFound(
            "event.unknown",
            f"no calendar event {ref[:80]!r} in this company",
            "List them: `homarus event list --all`.",
        )
    return found


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    from_ms: int | None = None,
    to_ms: int | None = None,
    task: str | None = None,
    after: str | None = None,
) -> list[CalendarEvent]:
    """By their start. Those that overlap `from_ms` up to, not with, `to_ms`; `after`: the id of the
    last one seen."""
    where = ["company=?", "deleted_ms is null"]
    params: list[Any] = [company]
    more: list[tuple[str, Sequence[Any]]] = []
    if from_ms is not None:
        # An event has a greatest length, so the index on the start bounds this end as well.
        more.append(("start_ms>=? and end_ms>?", (from_ms - MAX_LENGTH_MS, from_ms)))
    if to_ms is not None:
        more.append(("start_ms<?", (to_ms,)))
    if task is not None:
        more.append(("task=?", (task,)))
    if after is not None:
        seen = by_id(rx, company, after, deleted=True)
        if seen is not None:
            more.append(("(start_ms, no)>(?, ?)", (seen.start_ms, seen.no)))
    for clause, values in more:
        where.append(clause)
        params.extend(values)
    rows = rx.all(
        f"select {_COLUMNS} from calendar_event where {' and '.join(where)} "  # noqa: S608
        "order by start_ms, no limit ?",
        (*params, limit),
    )
    return [_event(row) for row in rows]


def _event(row: Row) -> CalendarEvent:
    values = list(row)
    values[8] = bool(values[8])
    values[10] = tuple(json.loads(values[10]))
    return CalendarEvent(*values)


# -- writing -------------------------------------------------------------------------------


def create(tx: Tx, change: EventChange) -> CalendarEvent:
    """Emits `calendar_event_created`. `zone` left out: the company's own is to be filled in before.

    Raises `event.title`, `event.time`, `event.length`, `event.description`, `event.location`,
    `event.attendees`, `time.zone`.
    """
    values = _words(change)
    if "title" not in values:
        raise Invalid("event.title", "an event needs a title", f"1 to {MAX_TITLE} characters.")
    if change.start is msgspec.UNSET:
        raise Invalid("event.time", "an event needs a start", _TIME_REMEDY)
    values |= _times(change, None)
    event = tx.new_id()
    tx.run(
        f"insert into calendar_event({_COLUMNS}) values({','.join('?' * 16)})",
        (
            event, tx.number("calendar_event"), tx.company, values["title"],
            values.get("description", ""), values["start_ms"], values["end_ms"], values["zone"],
            values["all_day"], values.get("location", ""), values.get("attendees", "[]"),
            values.get("task"), tx.actor.key, tx.now_ms, tx.now_ms, None,
        ),
    )  # fmt: skip
    tx.emit("calendar_event_created", event, {"startMs": values["start_ms"]})
    return need(tx, tx.company, event)


def update(tx: Tx, ref: str, change: EventChange) -> CalendarEvent:
    """Emits `calendar_event_updated`; nothing when it stays as it was.

    An event whose start alone moves keeps its length. Raises as `create` does, and
    `event.unknown`, `event.nothing`.
    """
    row = need(tx, tx.company, ref)
    if change == EventChange():
        raise Invalid("event.nothing", "nothing to change", "Give at least one field.")
    values = _words(change)
    if (change.start, change.end, change.zone, change.all_day) != (msgspec.UNSET,) * 4:
        values |= _times(change, row)
    now = {"attendees": json.dumps(row.attendees, ensure_ascii=False), "all_day": int(row.all_day)}
    changed = {
        name: value for name, value in values.items() if value != now.get(name, getattr(row, name))
    }
    if not changed:
        return row
    sets = ", ".join(f"{column}=?" for column in (*changed, "updated_ms"))
    tx.run(
        f"update calendar_event set {sets} where id=?",  # noqa: S608
        (*changed.values(), tx.now_ms, row.id),
    )
    tx.emit("calendar_event_updated", row.id, {"fields": sorted(changed)})
    return need(tx, tx.company, row.id)


def delete(tx: Tx, ref: str) -> CalendarEvent:
    """Soft. Emits `calendar_event_deleted`. Raises `event.unknown`."""
    row = need(tx, tx.company, ref)
    tx.run(
        "update calendar_event set deleted_ms=?, updated_ms=? where id=?",
        (tx.now_ms, tx.now_ms, row.id),
    )
    tx.emit("calendar_event_deleted", row.id)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms)


def restore(tx: Tx, row: CalendarEvent) -> CalendarEvent:
    """One that was taken out is there again. Emits `calendar_event_created`."""
    tx.run(
        "update calendar_event set deleted_ms=null, updated_ms=? where id=?", (tx.now_ms, row.id)
    )
    tx.emit("calendar_event_created", row.id, {"startMs": row.start_ms})
    return need(tx, tx.company, row.id)


# -- checking ------------------------------------------------------------------------------


def _words(change: EventChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if not isinstance(change.title, msgspec.UnsetType):
        values["title"] = _line(change.title, "title", MAX_TITLE, least=1)
    if not isinstance(change.location, msgspec.UnsetType):
        values["location"] = _line(change.location, "location", MAX_LOCATION)
    if not isinstance(change.description, msgspec.UnsetType):
        if len(change.description) > MAX_DESCRIPTION or "\0" in change.description:
            raise Invalid(
                "event.description",
                "the description is too long, or no plain text",
                f"At most {MAX_DESCRIPTION} characters.",
            )
        values["description"] = change.description
    if not isinstance(change.attendees, msgspec.UnsetType):
        values["attendees"] = json.dumps(_attendees(change.attendees), ensure_ascii=False)
    if not isinstance(change.task, msgspec.UnsetType):
        values["task"] = change.task
    return values


def _line(text: str, field: str, most: int, least: int = 0) -> str:
    value = text.strip()
    if not least <= len(value) <= most or not value.isprintable():
        raise Invalid(
            f"event.{field}",
            f"{value[:60]!r} cannot be the {field}",
            f"One line of {least} to {most} printable characters.",
        )
    return value


def _attendees(given: tuple[str, ...]) -> list[str]:
    """Each once, in the order given."""
    if len(given) > MAX_ATTENDEES:
        raise Invalid(
            "event.attendees", f"{len(given)} attendees are too many", f"At most {MAX_ATTENDEES}."
        )
    found: dict[str, str] = {}
    for one in given:
        value = _line(one, "attendees", MAX_ATTENDEE, least=1)
        found.setdefault(value.casefold(), value)
    return list(found.values())


_TIME_REMEDY: Final = (
    "Write 2026-11-20T09:30 (by the clock in `zone`), 2026-11-20T08:30Z, or with `allDay` a day, "
    "2026-11-20."
)


def _times(change: EventChange, row: CalendarEvent | None) -> dict[str, Any]:
    """The four columns of time. Without an end of its own an event keeps its length, and without a
    start what its clock shows, also the second time that it does."""
    zone, all_day, first, fold = change.zone, change.all_day, change.start, 0
    if isinstance(zone, msgspec.UnsetType):
        zone = "UTC" if row is None else row.zone
    if isinstance(all_day, msgspec.UnsetType):
        all_day = row is not None and row.all_day
    if isinstance(first, msgspec.UnsetType):
        assert row is not None  # `create` has asked for it
        first, fold = row.start, 0 if row.all_day else _there(row.start_ms, row.zone).fold
    zone = local_time.zone(zone).key
    length = USUAL if row is None or row.all_day else (row.end_ms - row.start_ms) * _MS
    days = _days_of(row) if row is not None and row.all_day else timedelta()
    last = None if isinstance(change.end, msgspec.UnsetType) else change.end
    if change.end is None:
        length, days = USUAL, timedelta()
    if all_day:
        day = _day(first)
        start = _midnight(day, zone)
        end = _midnight((day + days if last is None else _day(last)) + timedelta(days=1), zone)
    else:
        start = _moment(first, zone, fold)
        end = start + length if last is None else _moment(last, zone)
    length_ms = (end - start) // _MS
    if not 0 < length_ms <= MAX_LENGTH_MS:
        raise Invalid(
            "event.length",
            "an event ends after it starts, and within a year",
            "Give an `end` after `start`, or none.",
        )
    start_ms = (start - _EPOCH) // _MS
    return {
        "start_ms": start_ms,
        "end_ms": start_ms + length_ms,
        "zone": zone,
        "all_day": int(all_day),
    }


def _days_of(row: CalendarEvent) -> timedelta:
    return date.fromisoformat(row.end) - date.fromisoformat(row.start)


def _day(text: str) -> date:
    """The day of `2026-11-20`, or of a time of that day. Raises `event.time`."""
    try:
        if len(text) > MAX_TIME:
            raise ValueError
        day = datetime.fromisoformat(text.strip()).date()
        if day.year not in YEARS:
            raise ValueError
    except ValueError:
        raise _no_time(text, "day") from None
    return day


def _moment(text: str, zone: str, fold: int = 0) -> datetime:
    """In UTC, to the second. A day alone begins it. `fold` 1: the second time that the clock shows
    it. Raises `event.time`."""
    try:
        if len(text) > MAX_TIME:
            raise ValueError
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is None:
            at = at.replace(tzinfo=local_time.zone(zone), fold=fold)
        at = at.astimezone(UTC)
        if at.year not in YEARS:
            raise ValueError
    except (ValueError, OverflowError):
        raise _no_time(text, "time") from None
    return at.replace(microsecond=0)


def _no_time(text: str, what: str) -> Invalid:
    return Invalid(
        "event.time", f"{text[:MAX_TIME]!r} is not a {what} that an event can have", _TIME_REMEDY
    )


def _midnight(day: date, zone: str) -> datetime:
    """When a day begins there, in UTC."""
    return datetime.combine(day, time(), tzinfo=local_time.zone(zone)).astimezone(UTC)


def _shown(at_ms: int, zone: str, all_day: bool) -> str:
    there = _there(at_ms, zone).replace(tzinfo=None)
    return there.date().isoformat() if all_day else there.isoformat(timespec="seconds")


def _there(at_ms: int, zone: str) -> datetime:
    return (_EPOCH + at_ms * _MS).astimezone(local_time.zone(zone))
