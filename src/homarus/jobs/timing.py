"""When a job is due: cron text in a time zone, an interval, one moment. Pure.

    next_after(schedule, ms)          the first moment after `ms`; None: there is none any more
    between(schedule, a, b, cap)      moments after `a` up to `b`, at most `cap`

Where clocks are put forward or back (contract, 8; the rule of Debian's cron): a cron text whose
minute and hour both name fixed times fires once for each time that it names: right after the gap
for a time that is left out, the first time for one that comes twice. One whose minute or hour
begins with `*` goes by what the clock shows: nothing in a gap, twice in a repeated hour.
"""

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.base.local_time import zone

MAX_CRON: Final = 200
MIN_SPACING_MS: Final = 10_000
"""Between two firings of a job."""
MIN_SPACING_MODEL_MS: Final = 60_000
"""The same where each firing asks a model."""
MAX_EVERY_MS: Final = 10 * 366 * 86_400_000
MAX_PREVIEW: Final = 200
SPACING_SAMPLE: Final = 120
"""Firings that are looked at for how close they come: two minutes of one that fires each second."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_START: Final = datetime(1970, 1, 1)
MS: Final = timedelta(milliseconds=1)
_SECOND: Final = timedelta(seconds=1)
_DAY_MS: Final = 86_400_000
_LAST_MS: Final = 253_370_764_800_000
"""Year 9999: nothing is planned beyond it."""


class Schedule(msgspec.Struct, frozen=True):
    """One of: `cron` (five fields, or six with seconds first) on the clock of `zone`; `every_ms`
    counted from `anchor_ms`; `at_ms`, once. None of them: by hand only."""

    cron: str | None = None
    zone: str = "UTC"
    every_ms: int | None = None
    anchor_ms: int = 0
    at_ms: int | None = None

    @property
    def kind(self) -> str:
        if self.cron is not None:
            return "cron"
        if self.every_ms is not None:
            return "interval"
        return "hand" if self.at_ms is None else "once"


def next_after(schedule: Schedule, after_ms: int) -> int | None:
    """The first moment after `after_ms`. Raises `job.cron`, also where none ever comes."""
    match schedule.kind:
        case "cron":
            return _next_cron(schedule.cron or "", schedule.zone, after_ms)
        case "interval":
            every = schedule.every_ms or 1
            passed = (after_ms - schedule.anchor_ms) // every
            return schedule.anchor_ms + max(passed + 1, 0) * every
        case "once":
            at_ms = schedule.at_ms
            return at_ms if at_ms is not None and at_ms > after_ms else None
        case _:
            return None


def between(schedule: Schedule, after_ms: int, until_ms: int, cap: int) -> list[int]:
    """The moments after `after_ms` up to and with `until_ms`, oldest first, `cap` at most."""
    found: list[int] = []
    at_ms = next_after(schedule, after_ms)
    while at_ms is not None and at_ms <= until_ms and len(found) < cap:
        found.append(at_ms)
        at_ms = next_after(schedule, at_ms)
    return found


def preview(schedule: Schedule, after_ms: int, n: int) -> list[int]:
    """The next `n` moments, MAX_PREVIEW at most."""
    return between(schedule, after_ms, _LAST_MS, min(n, MAX_PREVIEW))


# -- what may be asked for -------------------------------------------------------------------


def check(schedule: Schedule, now_ms: int, spacing_ms: int = MIN_SPACING_MS) -> Schedule:
    """The schedule in its one form. `spacing_ms`: the least between two firings.

    Raises `job.schedule` (more than one given), `job.cron` (no such text, or it never fires),
    `time.zone`, `job.every`, `job.past`, `job.often`.
    """
    given = [schedule.cron, schedule.every_ms, schedule.at_ms]
    if sum(one is not None for one in given) > 1:
        raise Invalid(
            "job.schedule", "more than one schedule is given",
            "Give one: a cron text, an interval, or one moment.",
        )  # fmt: skip
    zone(schedule.zone)
    match schedule.kind:
        case "cron":
            schedule = msgspec.structs.replace(schedule, cron=cron_text(schedule.cron))
            next_after(schedule, now_ms)
            _check_often(schedule, now_ms, spacing_ms)
        case "interval":
            _check_every(schedule.every_ms or 0, spacing_ms)
        case "once":
            _check_once(schedule.at_ms or 0, now_ms)
    return schedule


def cron_text(text: str | None) -> str | None:
    """The expression as it is kept: fields with one blank between; None or blank: none.

    Raises `job.cron`, saying which field is wrong.
    """
    if text is None or not text.strip():
        return None
    if len(text) > MAX_CRON:
        raise _no_cron(text, f"it is longer than {MAX_CRON} characters")
    plain = " ".join(text.split())
    _next_cron(plain, "UTC", 0)
    return plain


def _check_every(every_ms: int, spacing_ms: int) -> None:
    if not 0 < every_ms <= MAX_EVERY_MS:
        raise Invalid(
            "job.every", f"an interval of {every_ms} ms is none",
            f"Give {spacing_ms} to {MAX_EVERY_MS} ms.",
        )  # fmt: skip
    if every_ms < spacing_ms:
        raise _too_often(every_ms, spacing_ms)


def _check_once(at_ms: int, now_ms: int) -> None:
    if not now_ms < at_ms <= _LAST_MS:
        raise Invalid(
            "job.past", f"{iso_ms(min(max(at_ms, 0), _LAST_MS))} is not in the future",
            "Give a later moment, or run the job by hand: `homarus cron run`.",
        )  # fmt: skip


def _check_often(schedule: Schedule, now_ms: int, spacing_ms: int) -> None:
    """Only seconds make a cron text fire more often than each minute. Its times on the clock are
    looked at: what a change of the clocks moves together is no fault of the text."""
    if schedule.cron is None or (spacing_ms <= 60_000 and len(schedule.cron.split()) == 5):
        return
    start = _naive(now_ms, zone(schedule.zone))
    times = islice(_times(schedule.cron, start), SPACING_SAMPLE)
    closest = min((b - a for a, b in pairwise(times)), default=spacing_ms * MS)
    if closest < spacing_ms * MS:
        raise _too_often(closest // MS, spacing_ms)


def _too_often(found_ms: int, spacing_ms: int) -> Invalid:
    return Invalid(
        "job.often",
        f"it would fire {found_ms} ms after the firing before",
        f"Leave {spacing_ms // 1000} s between two firings at least; what must go on all the time "
        "is a service, not a job.",
    )


def _no_cron(text: str, why: str) -> Invalid:
    return Invalid(
        "job.cron",
        f"{text[:60]!r} is no cron expression: {why}",
        "Five fields: minute, hour, day, month, weekday; such as `0 9 * * 1-5`. A sixth in front "
        "is seconds.",
    )


# -- cron text -------------------------------------------------------------------------------


def _next_cron(cron: str, name: str, after_ms: int) -> int:
    after_ms = max(0, min(after_ms, _LAST_MS))
    try:
        where = zone(name)
        fixed = not any(field.startswith("*") for field in cron.split()[-5:-3])
        at = _named_once(cron, where, after_ms) if fixed else _as_shown(cron, where, after_ms)
    except CronSimError as error:
        raise _no_cron(cron, _why(cron, error)) from None
    except (StopIteration, OverflowError):
        raise _no_cron(cron, "no such day comes") from None
    return at


def _why(cron: str, error: CronSimError) -> str:
    fields = cron.split()
    try:
        CronSim(" ".join((*fields[:-2], "*", *fields[-1:])), _START)
    except CronSimError:
        return str(error).lower()
    return "day-of-month and month name a day that never comes"


@lru_cache(1_024)
def _parsed(cron: str) -> CronSim:
    return CronSim(cron, _START)


def _times(cron: str, start: datetime) -> Iterator[datetime]:
    """Times on the clock after `start`, as if it were never changed."""
    times = copy(_parsed(cron))
    times.dt = start.replace(microsecond=0)
    return times


def _named_once(cron: str, where: ZoneInfo, after_ms: int) -> int:
    """Each time that the text names is one moment; later ones are never earlier moments."""
    times = _times(cron, _naive(after_ms, where))
    while True:
        at_ms = moment(next(times), where)
        if at_ms > after_ms:
            return at_ms


def _as_shown(cron: str, where: ZoneInfo, after_ms: int) -> int:
    """The first moment at which the clock shows a time that the text names: looked for in one
    stretch of constant offset after the other."""
    since_ms, after, offset = after_ms, after_ms * MS, _offset(after_ms, where)
    while True:
        at = next(_times(cron, (_EPOCH + after + offset).replace(tzinfo=None)))
        at_ms = (at.replace(tzinfo=UTC) - offset - _EPOCH) // MS
        changed_ms = _changed(since_ms, at_ms, where)
        if changed_ms is None:
            return at_ms
        offset = _offset(changed_ms, where)
        since_ms, after = changed_ms, changed_ms * MS - _SECOND


def _changed(from_ms: int, until_ms: int, where: ZoneInfo) -> int | None:
    """The first moment after `from_ms` up to `until_ms` at which the clock was changed. Two changes
    within a day are one: no zone has had any since 1970."""
    offset = _offset(from_ms, where)
    while from_ms < until_ms:
        next_ms = min(from_ms + _DAY_MS, until_ms)
        if _offset(next_ms, where) != offset:
            return _change_at(from_ms, next_ms, where)
        from_ms = next_ms
    return None


def _change_at(before_ms: int, after_ms: int, where: ZoneInfo) -> int:
    """The second between two moments of different offset in which it changed."""
    offset = _offset(before_ms, where)
    low, high = before_ms // 1_000, -(-after_ms // 1_000)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle * 1_000, where) == offset:
            low = middle
        else:
            high = middle
    return high * 1_000


def _offset(at_ms: int, where: ZoneInfo) -> timedelta:
    return (_EPOCH + at_ms * MS).astimezone(where).utcoffset() or timedelta()


def _naive(at_ms: int, where: ZoneInfo) -> datetime:
    return (_EPOCH + at_ms * MS).astimezone(where).replace(tzinfo=None, fold=0)


def moment(at: datetime, where: ZoneInfo) -> int:
    """When the clock shows `at`: the first time, or right after the gap that leaves it out."""
    moment_ms = (at.replace(tzinfo=where) - _EPOCH) // MS
    if _naive(moment_ms, where) == at:
        return moment_ms
    before_ms = (at.replace(tzinfo=where, fold=1) - _EPOCH) // MS
    return _change_at(before_ms, moment_ms, where)
