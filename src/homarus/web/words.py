"""Words and times for people. States, roles and verdicts come from the code that defines them."""

import re
import time
from typing import Any, Final

from homarus.base.redact import redact_text
from homarus.tasks.model import State

LABELS: Final = {
    State.INBOX: "Inbox",
    State.QUEUED: "Queued",
    State.IN_PROGRESS: "In progress",
    State.REVIEW: "In review",
    State.BLOCKED: "Blocked",
    State.DONE: "Done",
    State.FAILED: "Failed",
    State.DEAD_LETTER: "Dead letter",
    State.ARCHIVED: "Archived",
}
VERDICTS: Final = {"allow": "allowed", "refuse": "refused", "divert": "diverted"}
DELIVERY: Final = {
    "queued": "waits",
    "seen": "seen",
    "acting": "being worked on",
    "resolved": "resolved",
    "running": "being answered",
    "parked": "waits for an approval",
    "done": "answered",
    "failed": "failed",
    "aborted": "stopped",
    "merged": "heard with the next one",
    "interrupted": "interrupted",
    "dropped": "dropped",
}
"""How far a message got: what agents that run elsewhere report, the states of a turn, and two of
ours."""
NOW_MS: Final = 45_000
MAX_LINE: Final = 300
MARGIN: Final = 200
"""Looked at beyond the cut, so that half a secret is not left standing."""

# What `redact_text` may find something in; most texts hold none of it.
_SUSPECT: Final = re.compile(
    r"(?i)\b(?:ec|ea|ho|hs|whs|oac)_|bearer|basic|secret|token|passw|key|authori"
)
# Control characters and the marks that turn the direction of text: shown as one sign.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def label(state: State | str) -> str:
    return LABELS[State(state)]


def ago(at_ms: int, now_ms: int) -> str:
    """`now`, `3m`, `7h`, `12d`; the page's script keeps it current by the same steps."""
    past = max(0, now_ms - at_ms)
    if past < NOW_MS:
        return "now"
    minutes = max(1, round(past / 60_000))
    if minutes < 60:
        return f"{minutes}m"
    hours = round(past / 3_600_000)
    return f"{hours}h" if hours < 48 else f"{round(past / 86_400_000)}d"


def until(at_ms: int, now_ms: int) -> str:
    """`9m left`, or `over`."""
    left = at_ms - now_ms
    return "over" if left <= 0 else f"{max(1, round(left / 60_000))}m left"


def stamp(at_ms: int) -> str:
    """`2026-01-02 03:04:05 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_ms / 1000))


def clock(at_ms: int) -> str:
    """`17:04:05.123 UTC`, for what is measured in milliseconds."""
    return f"{time.strftime('%H:%M:%S', time.gmtime(at_ms / 1000))}.{at_ms % 1000:03d} UTC"


def money(cost: int | None) -> str:
    """Millionths of the company's currency unit, for people."""
    return "unknown" if cost is None else f"{cost / 1_000_000:,.2f}"


def plain(value: Any, limit: int = MAX_LINE) -> str:
    """Text that others wrote, cut to `limit` characters: no controls, direction marks, secrets."""
    text = value if isinstance(value, str) else str(value)
    cut = text[: limit + MARGIN]
    if _SUSPECT.search(cut):
        cut = redact_text(cut)
    shown = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", cut[:limit])
    return shown + "…" if len(cut) > limit else shown
