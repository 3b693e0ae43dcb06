"""Pure decisions about jobs: what a definition may say, and when a failed run is tried again."""

import json
import re
from typing import Any, Final

from homarus.base.errors import Invalid
from homarus.jobs import timing
from homarus.jobs.model import MISFIRE, OVERLAP, TURN, WHAT

MAX_NAME: Final = 300
MAX_TYPE: Final = 100
MAX_PAYLOAD: Final = 65_536
MAX_PRIORITY: Final = 1_000_000
MAX_PROOF_TYPES: Final = 50
MAX_PATTERN: Final = 300
MAX_WORD: Final = 64
MAX_DESCRIPTION: Final = 2_000
_ODD: Final = re.compile(r"[^a-z0-9_-]+")
_WORD: Final = r"[a-z0-9][a-z0-9_-]{0,63}"
_KEY: Final = re.compile(rf"{_WORD}(\.{_WORD})?")


QUOTAS: Final = {
    "cpu_s": (10, 300),
    "memory_mb": (128, 1024),
    "api_per_hour": (10, 1000),
    "concurrent": (1, 10),
}
"""Least and greatest value (governance contract, 8). One outside is refused, not clamped."""

MAX_ATTEMPTS: Final = 4
RETRY_MS: Final = 60_000
"""One attempt and three retries, after 2, 4 and 8 minutes."""


def key_of(name: str) -> str:
    """The word of a job in its full name: `weekly-report`."""
    return _ODD.sub("-", name.lower()).strip("-_")[:MAX_WORD].strip("-_") or "job"


def retry_at(attempt: int, now_ms: int) -> int | None:
    """When a run whose attempt number `attempt` failed is tried again; None: no more."""
    return None if attempt >= MAX_ATTEMPTS else now_ms + 2**attempt * RETRY_MS


def spacing_ms(what: str) -> int:
    return timing.MIN_SPACING_MODEL_MS if what == TURN else timing.MIN_SPACING_MS


def check(values: dict[str, Any]) -> dict[str, Any]:
    """Column values of a change, by name, as they are stored. Raises `job.*`."""
    _check_words(values)
    _check_choices(values)
    _check_quotas(values)
    if "cron" in values:
        values["cron"] = timing.cron_text(values["cron"])
    if not -MAX_PRIORITY <= values.get("priority", 0) <= MAX_PRIORITY:
        raise Invalid("job.priority", "priority is out of range", f"±{MAX_PRIORITY}.")
    if len(values.get("proof_types", ())) > MAX_PROOF_TYPES:
        raise Invalid("job.proof_types", "too many proof types", f"At most {MAX_PROOF_TYPES}.")
    for field in ("payload", "proof_types", "does", "wire"):
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


def _check_choices(values: dict[str, Any]) -> None:
    for field, known in (("what", WHAT), ("misfire", MISFIRE), ("overlap", OVERLAP)):
        if field in values and values[field] not in known:
            raise Invalid(
                "job.choice",
                f"no {field} {str(values[field])[:40]!r}",
                f"One of {', '.join(known)}.",
            )
    key = values.get("key")
    if key is not None and not _KEY.fullmatch(key):
        raise Invalid(
            "job.key",
            f"{key[:80]!r} is no name of a job",
            "`job` or `group.job`, each of small letters, digits, `-` and `_`, "
            f"{MAX_WORD} at most.",
        )
    if len(values.get("description") or "") > MAX_DESCRIPTION:
        raise Invalid(
            "job.description", "the description is too long", f"At most {MAX_DESCRIPTION}."
        )


def _check_quotas(values: dict[str, Any]) -> None:
    for field, (least, most) in QUOTAS.items():
        if field in values and not least <= values[field] <= most:
            raise Invalid(
                "job.quota",
                f"{field} {values[field]} is outside its range",
                f"Give {least} to {most}.",
                quota=field,
            )
