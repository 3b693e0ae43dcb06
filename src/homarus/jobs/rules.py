"""Pure decisions about jobs: what a definition may say, and when it is due next."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cronsim import CronSim, CronSimError

from homarus.base.errors import Invalid

MAX_NAME: Final = 300
MAX_TYPE: Final = 100
MAX_CRON: Final = 200
MAX_PAYLOAD: Final = 65_536
MAX_PRIORITY: Final = 1_000_000
MAX_PROOF_TYPES: Final = 50
MAX_PATTERN: Final = 300

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 253_370_764_800_000
"""Year 9999: a definition is not planned beyond it."""


def cron_text(text: str | None) -> str | None:
    """The expression as it is kept: fields with one blank between; None or blank: none.

    Raises `job.cron`, saying which field is wrong.
    """
    if text is None or not text.strip():
        return None
    if len(text) > MAX_CRON:
        raise _no_cron(text, f"it is longer than {MAX_CRON} characters")
    plain = " ".join(text.split())
    next_after(plain, 0)
    return plain


def next_after(cron: str, now_ms: int) -> int:
    """The first moment after `now_ms` that the expression names, in UTC.

    Raises `job.cron`, also where there never is one.
    """
    try:
        found = next(CronSim(cron, _EPOCH + timedelta(milliseconds=min(now_ms, _LAST_MS))))
    except CronSimError as error:
        raise _no_cron(cron, str(error).lower()) from None
    except (StopIteration, OverflowError):
        raise _no_cron(cron, "no such day comes") from None
    return (found - _EPOCH) // timedelta(milliseconds=1)


def _no_cron(text: str, why: str) -> Invalid:
    return Invalid(
        "job.cron",
        f"{text[:60]!r} is no cron expression: {why}",
        "Five fields in UTC: minute, hour, day, month, weekday; such as `0 9 * * 1-5`.",
    )


def due(cron: str | None, *, active: bool, now_ms: int) -> int | None:
    """When a definition is due next; None: it is paused, or has no cron text."""
    return next_after(cron, now_ms) if active and cron is not None else None


def check(values: dict[str, Any]) -> dict[str, Any]:
    """Column values of a change, by name, as they are stored. Raises `job.*`."""
    _check_words(values)
    if "cron" in values:
        values["cron"] = cron_text(values["cron"])
    if not -MAX_PRIORITY <= values.get("priority", 0) <= MAX_PRIORITY:
        raise Invalid("job.priority", "priority is out of range", f"±{MAX_PRIORITY}.")
    if len(values.get("proof_types", ())) > MAX_PROOF_TYPES:
        raise Invalid("job.proof_types", "too many proof types", f"At most {MAX_PROOF_TYPES}.")
    for field in ("payload", "proof_types"):
        if field in values:
            text = json.dumps(values[field], separators=(",", ":"), ensure_ascii=False)
            if len(text.encode("utf-8", "replace")) > MAX_PAYLOAD:
                raise Invalid(
                    "job.payload",
                    f"the {field} is too long",
                    f"At most {MAX_PAYLOAD} bytes; keep large texts as resources or artifacts.",
                )
            values[field] = text
    return {name: int(v) if isinstance(v, bool) else v for name, v in values.items()}


def _check_words(values: dict[str, Any]) -> None:
    if not 0 < len(values.get("name", "x").strip()) <= MAX_NAME:
        raise Invalid("job.name", "a job needs a name", f"1 to {MAX_NAME} characters.")
    kind = values.get("task_type")
    if kind is not None and not 0 < len(kind.strip()) <= MAX_TYPE:
        raise Invalid("job.task_type", "unusable taskType", f"1 to {MAX_TYPE} characters.")
    if len(values.get("agent_pattern") or "") > MAX_PATTERN:
        raise Invalid("job.agent_pattern", "agentPattern is too long", f"At most {MAX_PATTERN}.")
