"""Pure decisions about heartbeats: what an answer means, when the next one is due.

The marker (runtime contract, 8.1, 16.1): `HEARTBEAT_OK` says that nothing is to be told. It counts
at the beginning or the end of an answer, plain or in the marks of Markdown; whatever else stands
there is told if it is longer than `ack_max_chars`. In the middle of a sentence it is a word.
"""

import re
from typing import Final

import msgspec

from homarus.base import local_time
from homarus.base.errors import Invalid

TOKEN: Final = "HEARTBEAT_OK"  # noqa: S105 - a marker, no secret
SILENT: Final = "NO_REPLY"

SKIPPED: Final = "skipped"
OK_EMPTY: Final = "ok-empty"
OK_TOKEN: Final = "ok-token"  # noqa: S105
SENT: Final = "sent"
FAILED: Final = "failed"

LEAST_MS: Final = 60_000
MOST_MS: Final = 7 * 24 * 3_600_000
DEFAULT_MS: Final = 30 * 60_000
DEFAULT_ACK_CHARS: Final = 300
MAX_ACK_CHARS: Final = 10_000

_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_INTERVAL: Final = re.compile(r"([1-9][0-9]{0,5})\s*(s|m|h|d)?")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_PRELUDE: Final = re.compile(r"(?:loading context for heartbeat[. …]*(?:\s+|$))+", re.IGNORECASE)
_OPEN, _CLOSE = r"(?:<[a-z]{1,6}>|[*_~`]){0,4}", r"(?:</[a-z]{1,6}>|[*_~`]){0,4}"
_FIRST: Final = re.compile(rf"{_OPEN}{TOKEN}{_CLOSE}(?![A-Za-z0-9_])[.!:,;\s-]*")
_LAST: Final = re.compile(rf"(?<![A-Za-z0-9_]){_OPEN}{TOKEN}{_CLOSE}[.!]*$")
_TAIL: Final = 80
"""Characters at the end in which the marker is looked for."""
_ROUNDS: Final = 4
"""Markers that one answer may have."""


class Heard(msgspec.Struct, frozen=True):
    """`status`: OK_EMPTY, OK_TOKEN or SENT; `text`: what is to be told, "" for nothing."""

    status: str
    text: str = ""


def heard(answer: str, ack_max_chars: int) -> Heard:
    """What an agent's answer to its heartbeat comes to."""
    text = answer.strip()
    prelude = _PRELUDE.match(text)
    text = text if prelude is None else text[prelude.end() :]
    if not text or text == SILENT:
        return Heard(OK_EMPTY)
    rest = text
    for _ in range(_ROUNDS):
        rest = _without_marker(rest)
    if rest == text:
        return Heard(SENT, text)
    return Heard(OK_TOKEN) if len(rest) <= ack_max_chars else Heard(SENT, rest)


def _without_marker(text: str) -> str:
    first = _FIRST.match(text)
    if first is not None:
        return text[first.end() :].strip()
    tail = text[-_TAIL:]
    last = _LAST.search(tail)
    return text if last is None else text[: len(text) - len(tail) + last.start()].strip()


def interval_ms(text: str) -> int:
    """`30m`, `2h`, `1d`; minutes without a unit. Raises `heartbeat.every`."""
    found = _INTERVAL.fullmatch(text.strip().lower())
    ms = 0 if found is None else int(found[1]) * _UNIT_MS[found[2] or "m"]
    if not LEAST_MS <= ms <= MOST_MS:
        raise Invalid(
            "heartbeat.every", f"{text[:40]!r} is no interval for a heartbeat",
            "1m to 7d, such as `30m` or `2h`.",
        )  # fmt: skip
    return ms


def interval_text(ms: int) -> str:
    """As `interval_ms` reads it."""
    for unit in ("d", "h", "m"):
        if ms % _UNIT_MS[unit] == 0:
            return f"{ms // _UNIT_MS[unit]}{unit}"
    return f"{ms // 1_000}s"


def minute(text: str) -> int:
    """Minutes after midnight of `08:30`; `24:00` is midnight. Raises `heartbeat.hours`."""
    if _TIME.fullmatch(text) is None:
        raise Invalid("heartbeat.hours", f"{text[:20]!r} is no time", "Such as `08:00`.")
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes)) % local_time.MINUTES


class Hours(msgspec.Struct, frozen=True):
    """When heartbeats may be: minutes after midnight on the clock of `zone`, `close` excluded; over
    midnight when `close` is not later. Equal, or None: at any time."""

    zone: str
    open: int | None = None
    close: int | None = None

    def holds(self, at_ms: int) -> bool:
        if self.open is None or self.close is None or self.open == self.close:
            return True
        now = local_time.minute_of_day(at_ms, self.zone)
        if self.open < self.close:
            return self.open <= now < self.close
        return now >= self.open or now < self.close


def next_due(due_ms: int, every_ms: int, hours: Hours, now_ms: int) -> int:
    """The next one after a look that was due at `due_ms`: on its grid, one however many were
    missed, and not before the hours begin."""
    missed = max(0, now_ms - due_ms) // every_ms
    at_ms = due_ms + (missed + 1) * every_ms
    if hours.holds(at_ms) or hours.open is None:
        return at_ms
    return local_time.following(hours.open, hours.zone, at_ms)
