"""Schedules and priorities as the wires write them (gateway contract, 9). Pure.

{"kind": "cron", "expr": "0 9 * * 1-5", "tz": "Europe/Berlin"}
{"kind": "every", "everyMs": 3600000, "anchorMs": 0}
{"kind": "at", "at": "2026-05-01T09:00"}
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.base.local_time import zone
from homarus.jobs import timing
from homarus.jobs.model import PRIORITIES, Job

KINDS: Final = ("cron", "every", "at")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class When(msgspec.Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    """`kind`: cron, every or at. `tz`: the zone of `expr`, and of an `at` that names none; null:
    the company's. `at`: ISO 8601, or Unix ms. `stagger_ms` is taken, and nothing is staggered."""

    kind: str
    expr: str | None = None
    tz: str | None = None
    every_ms: int | None = None
    anchor_ms: int | None = None
    at: str | int | None = None
    stagger_ms: int | None = None


def fields(when: When, company_zone: str) -> dict[str, Any]:
    """Its columns: one of `cron`, `every_ms`, `at_ms`, with `zone` and `anchor_ms`.

    Raises `job.schedule`, `time.zone`.
    """
    name = zone(when.tz or company_zone).key
    match when.kind:
        case "cron" if when.expr:
            return {"cron": when.expr, "zone": name}
        case "every" if when.every_ms is not None:
            anchor = {} if when.anchor_ms is None else {"anchor_ms": when.anchor_ms}
            return {"every_ms": when.every_ms, "zone": name} | anchor
        case "at" if when.at not in (None, ""):
            return {"at_ms": _at_ms(when.at, name), "zone": name}
    raise Invalid(
        "job.schedule",
        f"a schedule of kind {when.kind[:40]!r} is unknown here, or incomplete",
        "`cron` with `expr`, `every` with `everyMs`, or `at` with `at`.",
    )


def _at_ms(text: str | int | None, name: str) -> int:
    if isinstance(text, int):
        return text
    try:
        at = datetime.fromisoformat(str(text).strip())
        if at.tzinfo is None:
            return timing.moment(at, zone(name))
        return (at - _EPOCH) // timing.MS
    except (ValueError, OverflowError):
        raise Invalid(
            "job.schedule", f"{str(text)[:40]!r} is no time", "Such as 2026-05-01T09:00."
        ) from None


def when_of(job: Job) -> dict[str, Any] | None:
    """None: by hand only."""
    match job.schedule.kind:
        case "cron":
            return {"kind": "cron", "expr": job.cron, "tz": job.zone}
        case "interval":
            return {"kind": "every", "everyMs": job.every_ms, "anchorMs": job.anchor_ms}
        case "once":
            return {"kind": "at", "at": iso_ms(job.at_ms or 0)}
        case _:
            return None


def priority(given: str | int) -> int:
    """Of a word (`P0` to `P3`) or a number. Raises `job.priority`."""
    if isinstance(given, int):
        return given
    found = PRIORITIES.get(given.strip().upper())
    if found is None:
        raise Invalid(
            "job.priority", f"no priority {given[:20]!r}", f"One of {', '.join(PRIORITIES)}."
        )
    return found


def priority_word(value: int) -> str:
    """The word for a number: `P1` for 50 to 99."""
    return next((word for word, least in PRIORITIES.items() if value >= least), "P3")
